//! The context's ways to other vlugins and servers, for code with the types of `http`.

use super::{
    Body,
    body::MessageBody,
    wire::{Target, request_into_wire, response_from_wire},
};
use crate::{Context, http};
use http_crate::{Request, Response};
use valor_abi_http::to_http;

impl Context {
    /// Sends a request to another vlugin, as [`Context::call`] does, with the types of [`http1`](crate::http1). The
    /// target is the path and the query of the URI.
    ///
    /// ```
    /// use valor::*;
    ///
    /// #[vlugin]
    /// pub async fn on_request(
    ///     cx: &Context,
    ///     req: http1::Request<http1::Body>,
    /// ) -> http::Result<http1::Response<http1::Body>> {
    ///     cx.call_http1("greet", req).await
    /// }
    /// # fn main() {
    /// let host = testing::TestHost::new().on_call("greet", async |_| "hello");
    /// host.create(VLUGIN).get("/").assert_body("hello");
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Context::call`].
    pub async fn call_http1<B>(&self, vlugin: &str, req: Request<B>) -> http::Result<Response<Body>>
    where
        B: MessageBody,
    {
        let request = request_into_wire(req, Target::Origin).map_err(to_http)?;
        let response = self.host().call(vlugin, request).await.map_err(to_http)?;
        response_from_wire(response).map_err(to_http)
    }

    /// Sends a request to another server, as [`Context::fetch`] does, with the types of [`http1`](crate::http1). The
    /// URI is absolute.
    ///
    /// # Errors
    /// 400 for a URI without a host; else as [`Context::fetch`].
    pub async fn fetch_http1<B>(&self, req: Request<B>) -> http::Result<Response<Body>>
    where
        B: MessageBody,
    {
        let request = request_into_wire(req, Target::Absolute).map_err(to_http)?;
        let response = self.host().fetch(request).await.map_err(to_http)?;
        response_from_wire(response).map_err(to_http)
    }
}
