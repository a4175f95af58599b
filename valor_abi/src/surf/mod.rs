//! The HTTP client of a vlugin: surf, with the host's fetch as its backend.
//!
//! In a library this is the real [surf] 2.3. It does not compile for WebAssembly, so a module has a client with the
//! same names and signatures, `guest`; `tests/surf` runs the same conversation with both. The module's client lacks
//! what surf has for clients that open connections themselves (`Config`, `body_file`): it would have no effect.
//!
//! The vlugin itself opens no connection. The host has connection reuse, TLS, time limits and the `allow` list; surf
//! has redirects (`middleware::Redirect`).
//!
//! [surf]: https://docs.rs/surf/2

#[cfg(target_family = "wasm")]
mod guest;

#[cfg(not(target_family = "wasm"))]
#[doc(no_inline)]
pub use ::surf::*;
#[cfg(target_family = "wasm")]
pub use guest::*;

use crate::host::{self, HostRef};
use std::fmt;
use valor_abi_http::{request_into_wire_absolute, response_from_wire, to_http};

/// A client whose requests go through this host.
pub(crate) fn new(host: HostRef) -> Client {
    Client::with_http_client(HostClient(host))
}

/// The client of the running vlugin; use [`Context::client`](crate::Context::client) if there is a context.
///
/// # Panics
/// As [`sleep`](crate::sleep).
pub fn client() -> Client {
    new(host::must_be_current())
}

macro_rules! one_off {
    ($($name:ident $method:literal,)*) => {$(
        #[doc = concat!("Begins a ", $method, " request, as `Client::", stringify!($name), "` does.")]
        ///
        /// # Panics
        /// As [`client`], and if `uri` is not an absolute URL.
        pub fn $name(uri: impl AsRef<str>) -> RequestBuilder {
            client().$name(uri)
        }
    )*};
}

one_off! {
    connect "CONNECT",
    delete "DELETE",
    get "GET",
    head "HEAD",
    options "OPTIONS",
    patch "PATCH",
    post "POST",
    put "PUT",
    trace "TRACE",
}

struct HostClient(HostRef);

impl fmt::Debug for HostClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostClient({})", self.0.name())
    }
}

#[async_trait::async_trait]
impl HttpClient for HostClient {
    async fn send(&self, req: http_types::Request) -> Result<http_types::Response> {
        let request = request_into_wire_absolute(req).await.map_err(to_http)?;
        let response = self.0.fetch(request).await.map_err(to_http)?;
        response_from_wire(response)
            .map(Into::into)
            .map_err(to_http)
    }

    // What surf could set here (time limits, connections per host) belongs to the host.
    #[cfg(not(target_family = "wasm"))]
    fn set_config(&mut self, _config: http_client::Config) -> Result<()> {
        Ok(())
    }
}
