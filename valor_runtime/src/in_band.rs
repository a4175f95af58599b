//! The headers that Valor itself sets: what they are called, once for all of the host.
//!
//! Each is settled at one point: the id by `id`, when the first room that needs it has a head; the prefix when
//! `dispatch` takes it off; the caller by `host/callees`, after `dispatch` has removed what a client says of it; and
//! what a response says of its request when `dispatch` signs it. Inside of the host this goes on as a value, a
//! [`Signature`](crate::Signature): nobody reads a response's headers for it. A page's host has the same names in
//! `web/valor-rules.js`.

/// A request's id: the client's if it is fit to be repeated, or a fresh one. What the vlugin reads is what is logged.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The same id in the response.
pub(crate) const CORRELATION_ID: &str = "x-correlation-id";

/// The name of the vlugin that answered, in the response.
pub(crate) const PLUGIN: &str = "x-valor-plugin";

/// The prefix that was taken off the path, in the request. A client's own never arrives.
pub(crate) const FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// Whose request it is, for what the host offers to `call`. A client's own, or a caller's, arrives nowhere.
pub(crate) const CALLER: &str = "x-valor-caller";
