//! [`Body`]: a body as it crosses a boundary, as `http_body` has it, and the way back for any `http_body::Body`. The
//! conversion of messages uses both. Nothing is read ahead, and bytes are not copied.

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_crate::{HeaderMap, HeaderName, HeaderValue};
use std::{
    any::Any,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use valor_abi_wire::{self as wire, Chunk, Stream};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that a message may have: any `http_body::Body` whose data and error can be passed on. No other code
/// implements it.
pub trait MessageBody:
    HttpBody<Data: Buf + Send, Error: Into<BoxError>> + Send + Sized + 'static
{
}

impl<B> MessageBody for B
where
    B: HttpBody + Send + 'static,
    B::Data: Buf + Send,
    B::Error: Into<BoxError>,
{
}

/// The body of a request that a host passes on, and of a response from another vlugin or server.
///
/// It is an `http_body::Body` and yields data as it arrives: reading slowly slows the sender down. A body of bytes, of
/// a text or of nothing comes from `into`, any other `http_body::Body` from [`Body::new`].
pub struct Body {
    inner: wire::Body,
    /// How many bytes are still to come, if that is known.
    left: Option<u64>,
}

impl Body {
    /// A body that passes on what another one yields.
    ///
    /// ```
    /// use valor::http1::{self, Body};
    ///
    /// let req = http1::Request::post("/").body(Body::new("a text".to_owned()))?;
    /// # let _ = req;
    /// # Ok::<(), http1::Error>(())
    /// ```
    pub fn new<B: MessageBody>(body: B) -> Self {
        Self::of(into_wire(body, false))
    }

    /// A body without bytes.
    pub const fn empty() -> Self {
        Self {
            inner: wire::Body::empty(),
            left: Some(0),
        }
    }

    pub(super) fn of(inner: wire::Body) -> Self {
        let left = inner.len();
        Self { inner, left }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

macro_rules! from {
    ($($type:ty),*) => {$(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Self::of(Bytes::from(bytes).into())
            }
        }
    )*};
}

from!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        match ready!(this.inner.poll_chunk(cx)) {
            Some(Ok(Chunk::Data(data))) => {
                if let Some(left) = &mut this.left {
                    *left = left.saturating_sub(data.len() as u64);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Ok(Chunk::Trailers(trailers))) => {
                *this = Self::empty();
                Poll::Ready(Some(Ok(Frame::trailers(trailers_of(trailers)))))
            }
            end => {
                // A wire's body is not polled again after its end, but this one may be.
                *this = Self::empty();
                Poll::Ready(end.and_then(Result::err).map(Err))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Trailers; what is no header of `http` is left out.
fn trailers_of(trailers: Vec<(String, Vec<u8>)>) -> HeaderMap {
    let field = |(name, value): (String, Vec<u8>)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((
            name,
            HeaderValue::from_maybe_shared(Bytes::from(value)).ok()?,
        ))
    };
    let mut map = HeaderMap::new();
    for (name, value) in trailers.into_iter().filter_map(field) {
        // A head has fewer than the map can hold.
        let _ = map.try_append(name, value);
    }
    map
}

/// Any body for the wire: whole if it has all of it now, else a stream. A body with `trailers` has no length, which
/// would leave no room for them.
pub(super) fn into_wire<B: MessageBody>(body: B, trailers: bool) -> wire::Body {
    let mut body = Some(body);
    if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Body>>() {
        let own = own.take().unwrap_or_default();
        return match (own.inner, own.left) {
            (wire::Body::Stream { chunks, .. }, len) => wire::Body::Stream {
                len: len.filter(|_| !trailers),
                chunks,
            },
            (bytes, _) => bytes,
        };
    }
    let Some(body) = body else {
        return wire::Body::empty();
    };
    if body.is_end_stream() {
        return wire::Body::empty();
    }
    let len = body.size_hint().exact().filter(|_| !trailers);
    let mut frames = Frames {
        body: Box::pin(body),
        first: None,
    };
    if let Some(len) = len {
        // Most bodies of known length are there as a whole. Whoever waits for one that is not polls it again.
        let first = frames.poll_chunk(&mut Context::from_waker(Waker::noop()));
        match first {
            Poll::Ready(Some(Ok(Chunk::Data(data))))
                if data.len() as u64 == len && frames.body.is_end_stream() =>
            {
                return wire::Body::Bytes(data);
            }
            Poll::Ready(None) if len == 0 => return wire::Body::empty(),
            Poll::Ready(first) => frames.first = Some(first),
            Poll::Pending => {}
        }
    }
    wire::Body::stream(len, frames)
}

/// The frames of a body as chunks.
struct Frames<B> {
    body: Pin<Box<B>>,
    /// What was polled before the stream was.
    first: Option<Option<io::Result<Chunk>>>,
}

impl<B: MessageBody> Frames<B> {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        loop {
            let frame = match ready!(self.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(io_error(error.into())))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                // A chunk has at least one byte.
                Ok(data) if !data.has_remaining() => {}
                Ok(mut data) => {
                    let data = data.copy_to_bytes(data.remaining());
                    return Poll::Ready(Some(Ok(Chunk::Data(data))));
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(Some(Ok(Chunk::Trailers(fields_of(&trailers)))));
                    }
                }
            }
        }
    }
}

fn fields_of(trailers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_owned())
    };
    trailers.iter().map(field).collect()
}

fn io_error(error: BoxError) -> io::Error {
    error
        .downcast()
        .map_or_else(io::Error::other, |error| *error)
}

impl<B: MessageBody> Stream for Frames<B> {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match this.first.take() {
            Some(first) => Poll::Ready(first),
            None => this.poll_chunk(cx),
        }
    }
}
