//! A body as it crosses a boundary: bytes that are all there, or a stream of chunks.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

pub use bytes::Bytes;
pub use futures_core::Stream;

/// A future on the heap, as the object-safe traits of Valor return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The chunks of a body. After an error or `None` it is not polled again.
pub type ChunkStream = Pin<Box<dyn Stream<Item = io::Result<Chunk>> + Send>>;

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
        /// The length in bytes, if it is known beforehand.
        len: Option<u64>,
        /// The chunks.
        chunks: ChunkStream,
    },
}

impl Body {
    /// An empty body.
    pub const fn empty() -> Self {
        Self::Bytes(Bytes::new())
    }

    /// A body of chunks that are made on demand.
    pub fn stream(
        len: Option<u64>,
        chunks: impl Stream<Item = io::Result<Chunk>> + Send + 'static,
    ) -> Self {
        Self::Stream {
            len,
            chunks: Box::pin(chunks),
        }
    }

    /// The length in bytes, if it is known beforehand.
    pub fn len(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream { len, .. } => *len,
        }
    }

    /// Whether it is known to be empty.
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

    /// The whole body. Trailers are left out.
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
