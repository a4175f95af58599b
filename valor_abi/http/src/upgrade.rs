//! Connections that go on in another protocol (RFC 9110, section 7.8): the offer in a request, the connection for the
//! handler, and the response's stream for what it writes.
//!
//! The bytes after the switch cross a boundary as the bodies of the request and of the response, so that a boundary
//! needs to know nothing about upgrades. Both directions have back-pressure and end separately, and everything ends
//! with the response's stream.

use crate::body::Reader;
use futures_core::Stream;
use futures_lite::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use http_types::{self as http, headers};
use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};
use valor_abi_wire::{
    self as wire, Body, Bytes, Chunk, ChunkStream, Fault,
    lock::{inside, locked},
};

/// How much may be written before the server takes it.
const ROOM: usize = 64 * 1024;

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// A request's offer: the bytes that the client sends after the switch.
pub(crate) struct Offer(ChunkStream);

impl Offer {
    /// Takes the offer out of a request. The request then has no body, as its client sent none.
    pub(crate) fn take(request: &mut wire::Request) -> Option<Self> {
        if !request.offers_upgrade() {
            return None;
        }
        match std::mem::take(&mut request.body) {
            Body::Stream { chunks, .. } => Some(Self(chunks)),
            Body::Bytes(_) => None,
        }
    }

    /// The response's body: it hands the connection over when it is first polled, that is, when the client has the
    /// response's head.
    pub(crate) fn accept(self, res: &mut http::Response) -> Body {
        let pipe = Arc::new(Pipe::default());
        let socket = Socket {
            reader: Mutex::new(Reader::of(self.0)),
            pipe: pipe.clone(),
        };
        let body = res.take_body();
        // Taking it notes its type.
        res.remove_header(headers::CONTENT_TYPE);
        Body::stream(
            None,
            Sent {
                handing: Some((res.send_upgrade(), socket)),
                serving: (body.is_empty() != Some(true)).then(|| body.into_reader()),
                told: false,
                pipe,
            },
        )
    }
}

/// Why a response of status 101 cannot be sent.
pub(crate) fn refused(has_offer: bool) -> Fault {
    Fault::error(
        500,
        match has_offer {
            true => {
                "the response is 101, but nothing awaits the connection; return `valor::upgrade(…)`"
            }
            false => {
                "the response is 101, but the request offers no upgrade; ask `valor::offers_upgrade` first"
            }
        },
    )
}

/// The vlugin's end of an upgraded connection.
struct Socket {
    // `http_types` requires `Sync`, which a stream need not be; the lock is never contended.
    reader: Mutex<Reader>,
    pipe: Arc<Pipe>,
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let reader = inside(&mut self.get_mut().reader);
        Pin::new(reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe.poll_write(cx, buf)
    }

    /// The server sends what was written; there is nothing to wait for.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.change(|written| written.closed = true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.pipe.change(|written| {
            written.closed = true;
            written.dropped = true;
        });
    }
}

/// What a vlugin writes, on its way into the response's stream.
#[derive(Default)]
struct Pipe(Mutex<Written>);

/// What it holds now, and who waits for a change.
#[derive(Default)]
struct Written {
    data: Vec<u8>,
    /// Nothing more will be written.
    closed: bool,
    /// The vlugin has dropped the connection.
    dropped: bool,
    /// The server has dropped it.
    gone: bool,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl Pipe {
    fn written(&self) -> MutexGuard<'_, Written> {
        locked(&self.0)
    }

    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut written = self.written();
        if written.closed || written.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let amount = buf.len().min(ROOM - written.data.len());
        if amount == 0 && !buf.is_empty() {
            written.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        written.data.extend_from_slice(&buf[..amount]);
        let reader = written.reader.take();
        // Wakers are other people's code; none of it runs while the lock is held.
        drop(written);
        wake(reader);
        Poll::Ready(Ok(amount))
    }

    fn change(&self, change: impl FnOnce(&mut Written)) {
        let mut written = self.written();
        change(&mut written);
        let wakers = (written.reader.take(), written.writer.take());
        drop(written);
        wake(wakers.0);
        wake(wakers.1);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The response's stream: what the vlugin writes, then its end of sending as trailers without fields, then the end of
/// the stream when it drops the connection. The stream runs the vlugin's future.
struct Sent {
    handing: Option<(http::upgrade::Sender, Socket)>,
    serving: Option<Box<dyn AsyncBufRead + Unpin + Send + Sync>>,
    told: bool,
    pipe: Arc<Pipe>,
}

impl Stream for Sent {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some((sender, socket)) = this.handing.take() {
            // The channel has room for one connection, and no other is sent.
            let connection = http::upgrade::Connection::new(socket);
            let _ = pin!(sender.send(connection)).poll(&mut noop());
        }
        if let Some(serving) = &mut this.serving {
            match Pin::new(serving).poll_fill_buf(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok([])) => this.serving = None,
                Poll::Ready(Ok(_)) => {
                    return Poll::Ready(Some(Err(io::Error::other(
                        "a response that switches protocols has no body; write to its connection",
                    ))));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
        let mut written = this.pipe.written();
        if !written.data.is_empty() {
            let data = Bytes::from(std::mem::take(&mut written.data));
            let writer = written.writer.take();
            drop(written);
            wake(writer);
            return Poll::Ready(Some(Ok(Chunk::Data(data))));
        }
        if written.dropped && this.serving.is_none() {
            return Poll::Ready(None);
        }
        if written.closed && !std::mem::replace(&mut this.told, true) {
            return Poll::Ready(Some(Ok(Chunk::Trailers(Vec::new()))));
        }
        written.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.pipe.change(|written| written.gone = true);
    }
}
