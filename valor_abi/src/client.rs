//! The HTTP client of a vlugin: surf, with the host's fetch as its backend.
//!
//! The library itself opens no connection. Connection reuse, TLS, time limits and the `allow`
//! list are the host's; redirects are surf's (`surf::middleware::Redirect`).

use crate::{context::to_http, convert, host::Host, http};
use http_client::{Config, HttpClient};
use std::{fmt, sync::Arc};

/// A surf client whose requests go through this host.
pub(crate) fn new(host: Arc<dyn Host>) -> surf::Client {
    surf::Client::with_http_client(HostClient(host))
}

struct HostClient(Arc<dyn Host>);

impl fmt::Debug for HostClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostClient({})", self.0.name())
    }
}

#[async_trait::async_trait]
impl HttpClient for HostClient {
    async fn send(&self, req: http::Request) -> http::Result<http::Response> {
        let request = convert::request_into_wire_absolute(req)
            .await
            .map_err(to_http)?;
        let response = self.0.fetch(request).await.map_err(to_http)?;
        convert::response_from_wire(response).map_err(to_http)
    }

    // What surf could set here (time limits, connections per host) belongs to the host.
    fn set_config(&mut self, _config: Config) -> http::Result<()> {
        Ok(())
    }
}
