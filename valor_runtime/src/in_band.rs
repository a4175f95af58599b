//! The headers that Valor itself sets: what they are called, once for all of the host.
//!
//! Each is settled at one point: the id by `id`, when the first room that needs it has a head; the prefix as `dispatch`
//! takes it off; whose call it is by `host/callees`, and `dispatch` removes what a client says of that; and what a
//! response says of its request by the exchange that `dispatch` ends it with. A page's host has the same names in
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
