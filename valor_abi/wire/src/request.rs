//! Requests and responses in the form that crosses a boundary: a head as one block, and a body as bytes or as a stream
//! of chunks.
//!
//! The host only works with these. `valor_abi_http` converts one to an `http_types::Request` if a handler written in
//! Rust receives it; the boundaries carry them without looking inside.

use crate::{
    body::Body,
    head::{HeadError, RequestHead, ResponseHead},
    status,
};
use std::sync::Arc;

/// A request: a head and a body.
#[derive(Debug)]
pub struct Request {
    /// Method, target and headers.
    pub head: RequestHead,
    /// What follows the head.
    pub body: Body,
}

/// A response: a head and a body.
#[derive(Debug)]
pub struct Response {
    /// Status and headers.
    pub head: ResponseHead,
    /// What follows the head.
    pub body: Body,
    /// Who vouches for it, if a host has signed it. No boundary carries this, and a module, which is never a host, has
    /// no room for it.
    #[cfg(not(target_family = "wasm"))]
    pub signature: Option<Signature>,
}

/// What a host knows of a response without reading it: whoever passes the response on need not look for this in its
/// headers, which a vlugin may have written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The id of the request that it answers.
    pub id: Arc<str>,
    /// The name of the vlugin that had the request, if one did.
    pub vlugin: Option<Arc<str>>,
}

impl Request {
    /// A request without headers or body.
    ///
    /// # Errors
    /// [`HeadError::Method`] and [`HeadError::Target`].
    pub fn new(method: &str, target: &str) -> Result<Self, HeadError> {
        Ok(Self {
            head: RequestHead::new(method, target)?,
            body: Body::empty(),
        })
    }

    /// Whether its client offers to go on in another protocol (RFC 9110, section 7.8).
    ///
    /// For its client, such a request has no body. Here its body is a stream that is the connection: it ends at once
    /// for a reader that reads before the response. After a response with status 101 it is what the client sends, and
    /// the response's stream is what the client receives. In that stream, [`Chunk::Trailers`](crate::Chunk::Trailers)
    /// is the end of sending, and the end of the stream is the end of the connection.
    pub fn offers_upgrade(&self) -> bool {
        let Body::Stream { len: None, .. } = self.body else {
            return false;
        };
        let (mut asks, mut names) = (false, false);
        for (name, value) in self.head.headers() {
            match name {
                "connection" => {
                    let mut options = value.split(|&b| b == b',');
                    asks |= options.any(|o| o.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
                }
                "upgrade" => names = true,
                "transfer-encoding" => return false,
                _ => {}
            }
        }
        asks && names
    }
}

impl Response {
    /// A response of these parts, which nobody has signed.
    pub fn of(head: ResponseHead, body: Body) -> Self {
        Self {
            head,
            body,
            #[cfg(not(target_family = "wasm"))]
            signature: None,
        }
    }

    /// A response of this status, without headers or body.
    ///
    /// # Panics
    /// Never for a status of 100 to 599; any other becomes 500.
    pub fn new(status: u16) -> Self {
        let head = ResponseHead::new(status).or_else(|_| ResponseHead::new(500));
        Self::of(head.expect("500 is a status"), Body::empty())
    }

    /// A response with a JSON problem as its body (RFC 9457): what the host answers instead of a vlugin. The title is
    /// the status' own phrase.
    ///
    /// ```
    /// use valor_abi_wire::Response;
    ///
    /// let response = Response::problem(404, "no vlugin is mounted at /x");
    /// assert_eq!(response.head.header_str("content-type"), Some("application/problem+json"));
    /// ```
    pub fn problem(status: u16, detail: &str) -> Self {
        let mut response = Self::new(status);
        let json = serde_json::json!({
            "type": "about:blank",
            "title": status::phrase(response.head.status()),
            "status": response.head.status(),
            "detail": detail,
        });
        let _ = response
            .head
            .push("content-type", b"application/problem+json");
        response.body = Body::from(json.to_string());
        response
    }
}
