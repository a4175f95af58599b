//! Converts bodies between `http_types`, where they are readers, and the wire, where they are bytes or chunks. The
//! conversion of messages calls this; what a handler only passes on is not copied.

use crate::headers;
use futures_core::Stream;
use futures_lite::io::{AsyncBufRead, AsyncRead};
use http_types as http;
use std::{
    cell::Cell,
    io,
    pin::{Pin, pin},
    sync::Mutex,
    task::{Context, Poll, Waker, ready},
};
use valor_abi_wire::{Body, Bytes, Chunk, ChunkStream, Fault, lock::inside, unwind::drop_caught};

/// How much of a reader becomes one chunk.
const CHUNK: usize = 64 * 1024;

/// The length up to which a body is copied in one piece, if its reader has all of it.
const WHOLE: u64 = 1024 * 1024;

/// Up to this size, copying bytes is cheaper than passing them on.
const COPIED: usize = 4096;

/// Whether the bytes behind a reader's slice are asked for, and these bytes.
enum Handover {
    Unasked,
    Asked,
    Given(Bytes),
}

thread_local! {
    /// Lets a [`Reader`] pass bytes to the [`ReaderChunks`] that polls it, through whatever a handler or `http_types`
    /// has put in between. If that has produced a different slice, the bytes are not the same any more, and the slice
    /// is copied.
    static HANDOVER: Cell<Handover> = const { Cell::new(Handover::Unasked) };
}

/// A body for `http_types`: bytes stay where they are, a stream is read as it is polled.
pub fn body_from_wire(body: Body) -> http::Body {
    body_of(body, None)
}

pub(crate) fn body_of(body: Body, trailers: Option<http::trailers::Sender>) -> http::Body {
    let len = body.len().and_then(|len| usize::try_from(len).ok());
    let (now, rest) = match body {
        Body::Bytes(bytes) => (bytes, None),
        Body::Stream { chunks, .. } => (Bytes::new(), Some(Mutex::new(chunks))),
    };
    let reader = Reader {
        now,
        rest,
        trailers,
    };
    http::Body::from_reader(reader, len)
}

/// A body for the wire: whole if its reader has all of it at the first poll, else a stream.
pub fn body_into_wire(body: http::Body) -> impl Future<Output = Body> + Send {
    let mut body = Some(body);
    std::future::poll_fn(move |cx| {
        let body = body.take().expect("it is ready at the first poll");
        Poll::Ready(body_to(body, cx))
    })
}

pub(crate) fn body_to(body: http::Body, cx: &mut Context<'_>) -> Body {
    let len = body.len().map(|len| len as u64);
    if len == Some(0) {
        return Body::empty();
    }
    let mut chunks = ReaderChunks {
        reader: body.into_reader(),
        left: len,
    };
    let max = match len {
        Some(len) if len > WHOLE => CHUNK,
        _ => WHOLE as usize,
    };
    match (chunks.poll_first(cx, max), len) {
        (Some(Ok(data)), Some(len)) if data.len() as u64 == len => Body::Bytes(data),
        (first, len) => Body::stream(
            len,
            FirstThen {
                first,
                rest: chunks,
            },
        ),
    }
}

/// A body that trailers follow; with a length, there would be no room for them.
pub fn with_trailers(body: Body, trailers: Option<http::trailers::Receiver>) -> Body {
    match trailers {
        None => body,
        Some(trailers) => Body::stream(
            None,
            BodyThenTrailers {
                body: Some(body),
                trailers,
            },
        ),
    }
}

/// A body, and the trailers that are sent once it has ended, if there are any.
struct BodyThenTrailers {
    body: Option<Body>,
    trailers: http::trailers::Receiver,
}

impl Stream for BodyThenTrailers {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(body) = &mut self.body {
            match ready!(body.poll_chunk(cx)) {
                // A proxied body's own trailers; what the handler sends replaces them.
                Some(Ok(Chunk::Trailers(_))) | None => self.body = None,
                chunk => return Poll::Ready(chunk),
            }
        }
        let trailers = ready!(Pin::new(&mut self.trailers).poll(cx));
        Poll::Ready(trailers.map(|trailers| {
            let fields = trailers.iter().flat_map(|(name, values)| {
                let field = |value: &http::headers::HeaderValue| {
                    (name.as_str().to_owned(), value.as_str().into())
                };
                values.iter().map(field).collect::<Vec<_>>()
            });
            Ok(Chunk::Trailers(fields.collect()))
        }))
    }
}

/// Chunks as the reader that `http_types` needs.
pub(crate) struct Reader {
    now: Bytes,
    // `http_types` requires `Sync`, which a stream need not be; the lock is never contended.
    rest: Option<Mutex<ChunkStream>>,
    trailers: Option<http::trailers::Sender>,
}

impl Reader {
    /// A reader of chunks only.
    pub(crate) fn of(chunks: ChunkStream) -> Self {
        Self {
            now: Bytes::new(),
            rest: Some(Mutex::new(chunks)),
            trailers: None,
        }
    }

    fn ended(&mut self) {
        // It was read completely: a panic of its destructor does not make that a failure.
        if let Err(panicked) = drop_caught(self.rest.take()) {
            log::error!(target: "valor::panic", "{}", Fault::from(panicked));
        }
        // If someone waits for trailers, they learn that there are none.
        self.trailers = None;
    }

    /// Passes trailers on; those that `http_types` cannot carry are dropped.
    fn send_trailers(&mut self, received: Vec<(String, Vec<u8>)>) {
        let Some(sender) = self.trailers.take() else {
            return;
        };
        let mut trailers = http::Trailers::new();
        for (name, value) in received {
            headers::append(name.as_bytes(), &value, &mut trailers);
        }
        // The channel has room for one message, and nothing else sends.
        let mut sending = pin!(sender.send(trailers));
        let _ = sending
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.now.is_empty() {
            let Some(rest) = &mut this.rest else { break };
            let rest = inside(rest);
            match ready!(rest.as_mut().poll_next(cx)) {
                Some(Ok(Chunk::Data(data))) => this.now = data,
                Some(Ok(Chunk::Trailers(trailers))) => this.send_trailers(trailers),
                None => this.ended(),
                Some(Err(error)) => {
                    this.ended();
                    return Poll::Ready(Err(error));
                }
            }
        }
        if this.now.len() > COPIED {
            HANDOVER.set(match HANDOVER.replace(Handover::Unasked) {
                Handover::Unasked => Handover::Unasked,
                _ => Handover::Given(this.now.clone()),
            });
        }
        Poll::Ready(Ok(&this.now))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let _ = self.now.split_to(amount);
        if self.now.is_empty() {
            // An empty piece would share the memory, which the owner of the rest may need alone.
            self.now = Bytes::new();
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let now = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = now.len().min(buf.len());
        buf[..amount].copy_from_slice(&now[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(amount))
    }
}

/// The reader of an `http_types` body as chunks. A body that ends before its length fails.
struct ReaderChunks {
    reader: Box<dyn AsyncBufRead + Unpin + Send + Sync>,
    left: Option<u64>,
}

impl ReaderChunks {
    /// What the reader has at once; `None` if it has nothing yet, or nothing at all.
    fn poll_first(&mut self, cx: &mut Context<'_>, max: usize) -> Option<io::Result<Bytes>> {
        match self.poll_data(cx, max) {
            Poll::Ready(Some(first)) => Some(first),
            Poll::Ready(None) | Poll::Pending => None,
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        let outer = HANDOVER.replace(Handover::Asked);
        let filled = Pin::new(&mut self.reader).poll_fill_buf(cx);
        let given = HANDOVER.replace(outer);
        let buf = match ready!(filled) {
            Ok(buf) => buf,
            Err(error) => {
                self.left = Some(0);
                return Poll::Ready(Some(Err(error)));
            }
        };
        if buf.is_empty() {
            let short = self.left.replace(0).is_some();
            return Poll::Ready(short.then(|| {
                Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the body ended short of its length",
                ))
            }));
        }
        let left = self
            .left
            .map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(usize::MAX));
        let (data, amount) = match given {
            Handover::Given(bytes) if std::ptr::eq(&*bytes, buf) => {
                let amount = buf.len().min(left);
                (bytes.slice(..amount), amount)
            }
            _ => {
                let amount = buf.len().min(max).min(left);
                (Bytes::copy_from_slice(&buf[..amount]), amount)
            }
        };
        Pin::new(&mut self.reader).consume(amount);
        if let Some(left) = &mut self.left {
            *left -= amount as u64;
        }
        Poll::Ready(Some(Ok(data)))
    }
}

struct FirstThen {
    first: Option<io::Result<Bytes>>,
    rest: ReaderChunks,
}

impl Stream for FirstThen {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first.map(Chunk::Data)));
        }
        let data = ready!(self.rest.poll_data(cx, CHUNK));
        Poll::Ready(data.map(|data| data.map(Chunk::Data)))
    }
}
