//! The types of the crate [http](https://docs.rs/http/1), version 1, with [`Body`], an `http_body::Body`: most of the
//! ecosystem (axum, tower, hyper, tonic) speaks these. Needs the feature `http1`.
//!
//! A handler takes and returns them instead of the types of `valor::http`, which are those of `http_types`:
//!
//! ```
//! use valor::*;
//!
//! #[vlugin]
//! pub async fn on_request(req: http1::Request<http1::Body>) -> http1::Response<http1::Body> {
//!     let (head, body) = req.into_parts();
//!     let mut res = http1::Response::new(body);
//!     if let Some(media_type) = head.headers.get(http1::header::CONTENT_TYPE) {
//!         res.headers_mut().insert(http1::header::CONTENT_TYPE, media_type.clone());
//!     }
//!     res
//! }
//! # fn main() {
//! let vlugin = testing::create(VLUGIN, ());
//! vlugin.post("/", "abc").assert_body("abc");
//! # }
//! ```
//!
//! Such a request is made of what crosses the boundary, without `http_types` between: header values may have any bytes,
//! headers keep their order, methods and statuses need not be known, and the URI is the target as it was sent. The
//! response may have any body that implements `http_body::Body`. Bodies stream in both directions as fast as they are
//! read, with their trailers.
//!
//! A request's URI is in origin form. Its extensions have the scheme, a `uri::Scheme`, and [`PeerAddr`] if it came over
//! a network.
//!
//! [`request_from`], [`request_into`], [`response_from`] and [`response_into`] convert between these types and those of
//! `valor::http`.

mod body;
mod context;
mod peer;
mod types;
mod upgrade;
mod wire;

#[doc(no_inline)]
pub use ::http_crate::*;
pub use body::{Body, MessageBody};
pub use peer::PeerAddr;
pub use types::{request_from, request_into, response_from, response_into};
pub use upgrade::{offers_upgrade, upgrade};

use crate::{IntoResponse, glue::TakesRequest, http as types_http, served::Incoming};
use valor_abi_http::{Answer, to_http};
use valor_abi_wire::Fault;

impl TakesRequest for Request<Body> {
    fn of(req: Incoming) -> std::result::Result<Self, Fault> {
        match req {
            Incoming::Wire(request) => wire::request_from_wire(request),
            Incoming::Http(req) => types::request_of(req),
        }
    }
}

impl<B: MessageBody> IntoResponse for Response<B> {
    fn into_response(self) -> types_http::Result<types_http::Response> {
        response_into(self)
    }

    fn __into_answer(mut self) -> types_http::Result<Answer> {
        if let Some(switching) = upgrade::switching(&mut self) {
            return Ok(Answer::Http(switching?));
        }
        if self.status() == StatusCode::SWITCHING_PROTOCOLS {
            let what = "the response is 101, but nothing awaits the connection; return \
                        `valor::http1::upgrade(…)`";
            return Ok(Answer::Refused(Fault::error(500, what)));
        }
        let response = wire::response_into_wire(self).map_err(to_http)?;
        Ok(Answer::Wire(response))
    }
}
