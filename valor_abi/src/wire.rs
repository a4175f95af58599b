//! Requests and responses in the form in which they cross a boundary: a head as one block,
//! and a body as bytes or as a stream of chunks.
//!
//! The host works with these alone and builds an [`http_types::Request`] only where a handler
//! written in Rust receives it; [`crate::convert`] does that. The native boundary
//! ([`crate::native`]) and the guest boundary carry them without looking inside.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

pub use crate::head::{HeadError, RequestHead, ResponseHead};
pub use bytes::Bytes;
pub use futures_core::Stream;

/// A future on the heap, as the object-safe traits of Valor return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The chunks of a body. After an error or `None` it is not polled again.
pub type ChunkStream = Pin<Box<dyn Stream<Item = io::Result<Chunk>> + Send>>;

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
}

/// A part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Some bytes of it; never empty.
    Data(Bytes),
    /// The trailers (RFC 9110, section 6.5), name and value; the last chunk of its body.
    Trailers(Vec<(String, Vec<u8>)>),
}

/// A body: bytes that are all there, or a stream of chunks.
pub enum Body {
    /// All of it.
    Bytes(Bytes),
    /// Chunks as they come, to be polled only as fast as they can be passed on.
    Stream {
        /// The length in bytes, where it is known beforehand.
        len: Option<u64>,
        /// The chunks.
        chunks: ChunkStream,
    },
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
    /// Such a request has no body for its client, and here a stream that is the connection: it
    /// ends at once for whoever reads it before the response. Behind a response of status 101
    /// it is what the client sends, and the response's stream is what the client receives, where
    /// [`Chunk::Trailers`] is the end of sending and the stream's end that of the connection.
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
    /// A response of this status, without headers or body.
    ///
    /// # Panics
    /// Never for a status of 100 to 599; any other becomes 500.
    pub fn new(status: u16) -> Self {
        let head = ResponseHead::new(status).or_else(|_| ResponseHead::new(500));
        Self {
            head: head.expect("500 is a status"),
            body: Body::empty(),
        }
    }

    /// A response with a JSON problem as its body (RFC 9457): what the host answers in a
    /// vlugin's place. The title is the status' own phrase.
    ///
    /// ```
    /// use valor::wire::Response;
    ///
    /// let response = Response::problem(404, "no vlugin is mounted at /x");
    /// assert_eq!(response.head.header_str("content-type"), Some("application/problem+json"));
    /// ```
    pub fn problem(status: u16, detail: &str) -> Self {
        let mut response = Self::new(status);
        let title = http_types::StatusCode::try_from(response.head.status())
            .map_or("", |status| status.canonical_reason());
        let json = serde_json::json!({
            "type": "about:blank",
            "title": title,
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

impl Body {
    /// A body of no bytes.
    pub const fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// A body of chunks that are made as they are asked for.
    pub fn stream(
        len: Option<u64>,
        chunks: impl Stream<Item = io::Result<Chunk>> + Send + 'static,
    ) -> Self {
        Self::Stream {
            len,
            chunks: Box::pin(chunks),
        }
    }

    /// The length in bytes, where it is known beforehand.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream { len, .. } => *len,
        }
    }

    /// Whether it is known to be of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The next chunk, or `None` at the end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Chunk::Data(std::mem::take(bytes))))),
            Self::Stream { chunks, .. } => chunks.as_mut().poll_next(cx),
        }
    }

    /// The next chunk, or `None` at the end.
    pub async fn chunk(&mut self) -> Option<io::Result<Chunk>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// All of it, gathered. Trailers are left out.
    ///
    /// # Errors
    /// What the stream fails with, and [`io::ErrorKind::FileTooLarge`] past `limit` bytes.
    pub async fn bytes(mut self, limit: usize) -> io::Result<Bytes> {
        if let Self::Bytes(bytes) = &mut self {
            let bytes = std::mem::take(bytes);
            return (bytes.len() <= limit)
                .then_some(bytes)
                .ok_or_else(too_large);
        }
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await {
            if let Chunk::Data(data) = chunk? {
                if all.len() + data.len() > limit {
                    return Err(too_large());
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(all.into())
    }
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, "the body is over its limit")
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl Stream for Body {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(cx)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream { len: Some(len), .. } => write!(f, "a stream of {len} bytes"),
            Self::Stream { len: None, .. } => f.write_str("a stream"),
        }
    }
}
