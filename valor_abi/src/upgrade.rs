//! Connections that go on in another protocol (RFC 9110, section 7.8), WebSocket first of all.
//!
//! Authors ask [`offers_upgrade`] and return an [`upgrade`]. [`Offer`] is for the glue, which calls
//! it through [`convert::answer`](crate::convert::answer) on whichever side of a boundary the
//! handler lives: the bytes behind the switch cross it as the bodies of the request and of the
//! response, so that a boundary needs to know nothing of upgrades. Both directions have
//! back-pressure and an end of their own, and everything ends with the response's stream.

use crate::{
    convert::Reader,
    fault::Fault,
    http::{self, headers},
    wire::{self, Body, Bytes, Chunk, ChunkStream},
};
use futures_core::Stream;
use futures_lite::io::{AsyncBufRead, AsyncRead, AsyncWrite};
use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

/// How much may be written before the server takes it.
const ROOM: usize = 64 * 1024;

/// Whether the client offers to go on in this protocol, whose name is compared without regard to
/// case.
///
/// ```
/// use valor::{http, offers_upgrade};
///
/// let mut req = http::Request::get("http://localhost/");
/// req.insert_header("connection", "keep-alive, Upgrade");
/// req.insert_header("upgrade", "websocket");
/// assert!(offers_upgrade(&req, "WebSocket"));
/// assert!(!offers_upgrade(&req, "irc"));
/// ```
pub fn offers_upgrade(req: &http::Request, protocol: &str) -> bool {
    let has = |name: &str, wanted: &str| {
        let values = req.header(name).into_iter().flatten();
        let mut elements = values.flat_map(|value| value.as_str().split(','));
        elements.any(|element| element.trim().eq_ignore_ascii_case(wanted))
    };
    has("connection", "upgrade") && has("upgrade", protocol)
}

/// The response that accepts an upgrade: 101 Switching Protocols. Once the client has been told,
/// `serve` gets the connection, and its future runs for as long as the connection lives.
///
/// When the future ends, what was written is sent and the connection is closed; an error is
/// logged, and the client sees a reset. When the client goes away, the future is dropped. A client that
/// only stops sending is an end of what can be read; closing the connection for writing
/// (`AsyncWriteExt::close`) tells the client the same. When the host shuts down, what can be read
/// ends too, so that the future may say goodbye.
///
/// The handler's time limit is one for the response; from there on there is none but the
/// server's.
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use valor::*;
///
/// #[vlugin]
/// pub async fn on_request(req: http::Request) -> http::Response {
///     if !offers_upgrade(&req, "clock") {
///         return http::StatusCode::UpgradeRequired.into();
///     }
///     upgrade("clock", |mut connection| async move {
///         loop {
///             connection.write_all(b"tick\n").await?;
///             sleep(std::time::Duration::from_secs(1)).await;
///         }
///     })
/// }
/// # fn main() {}
/// ```
///
/// A response made by hand does as well: its `recv_upgrade` is sent the connection, wherever it is
/// awaited. What stands here awaits it in the response's body.
///
/// # Panics
/// Where `protocol` is not ASCII.
pub fn upgrade<F, Fut>(protocol: &str, serve: F) -> http::Response
where
    F: FnOnce(http::upgrade::Connection) -> Fut + Send + 'static,
    Fut: Future<Output = http::Result<()>> + Send + 'static,
{
    let mut res = http::Response::new(http::StatusCode::SwitchingProtocols);
    let receiver = {
        // It has nothing to wait for.
        let mut receiving = pin!(res.recv_upgrade());
        match receiving.as_mut().poll(&mut noop()) {
            Poll::Ready(receiver) => receiver,
            Poll::Pending => unreachable!("`recv_upgrade` does not wait"),
        }
    };
    let serving = Box::pin(async move {
        match receiver.await {
            Some(connection) => serve(connection).await,
            None => Ok(()),
        }
    });
    res.set_body(http::Body::from_reader(
        Serving(Mutex::new(Some(serving))),
        None,
    ));
    res.remove_header(headers::CONTENT_TYPE);
    res.insert_header(headers::CONNECTION, "upgrade");
    res.insert_header(headers::UPGRADE, protocol);
    res
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

type Work = Pin<Box<dyn Future<Output = http::Result<()>> + Send>>;

/// A body without bytes, which runs a future as it is read.
// `http_types` asks for `Sync`, which a future need not be; the lock is never contended.
struct Serving(Mutex<Option<Work>>);

impl AsyncBufRead for Serving {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let work = self.get_mut().0.get_mut();
        let work = work.unwrap_or_else(PoisonError::into_inner);
        let Some(serving) = work else {
            return Poll::Ready(Ok(&[]));
        };
        let ended = ready!(serving.as_mut().poll(cx));
        *work = None;
        match ended {
            Ok(()) => Poll::Ready(Ok(&[])),
            Err(error) => Poll::Ready(Err(io::Error::other(error.to_string()))),
        }
    }

    fn consume(self: Pin<&mut Self>, _amount: usize) {}
}

impl AsyncRead for Serving {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_fill_buf(cx).map_ok(<[u8]>::len)
    }
}

/// What a request offers: the bytes that the client sends behind the switch.
pub(crate) struct Offer(ChunkStream);

impl Offer {
    /// Takes the offer out of a request, which then has no body, as it had none for its client.
    pub(crate) fn take(request: &mut wire::Request) -> Option<Self> {
        if !request.offers_upgrade() {
            return None;
        }
        match std::mem::take(&mut request.body) {
            Body::Stream { chunks, .. } => Some(Self(chunks)),
            Body::Bytes(_) => None,
        }
    }

    /// The response's body: it hands the connection over when it is first polled, which is when
    /// the client has been told.
    pub(crate) fn accept(self, res: &mut http::Response) -> Body {
        let pipe = Arc::new(Pipe::default());
        let socket = Socket {
            reader: Mutex::new(Reader::of(self.0)),
            pipe: pipe.clone(),
        };
        let body = res.take_body();
        // To take it notes what type it was of.
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
    // `http_types` asks for `Sync`, which a stream need not be; the lock is never contended.
    reader: Mutex<Reader>,
    pipe: Arc<Pipe>,
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let reader = self.get_mut().reader.get_mut();
        let reader = reader.unwrap_or_else(PoisonError::into_inner);
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

    /// What was written is the server's to send; there is nothing to wait for.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.change(|state| state.closed = true);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.pipe.change(|state| {
            state.closed = true;
            state.dropped = true;
        });
    }
}

/// What a vlugin writes, on its way into the response's stream.
#[derive(Default)]
struct Pipe(Mutex<State>);

#[derive(Default)]
struct State {
    data: Vec<u8>,
    /// Nothing more is written.
    closed: bool,
    /// The vlugin has let go of the connection.
    dropped: bool,
    /// The server has.
    gone: bool,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.closed || state.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let amount = buf.len().min(ROOM - state.data.len());
        if amount == 0 && !buf.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.data.extend_from_slice(&buf[..amount]);
        let reader = state.reader.take();
        // Wakers are other people's code; none of it runs while the lock is held.
        drop(state);
        wake(reader);
        Poll::Ready(Ok(amount))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let wakers = (state.reader.take(), state.writer.take());
        drop(state);
        wake(wakers.0);
        wake(wakers.1);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The response's stream: what the vlugin writes, then its end of sending as trailers without
/// fields, then the end of its interest. It runs the vlugin's future meanwhile.
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
            // There is room for one connection in the channel, and no other is sent.
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
        let mut state = this.pipe.state();
        if !state.data.is_empty() {
            let data = Bytes::from(std::mem::take(&mut state.data));
            let writer = state.writer.take();
            drop(state);
            wake(writer);
            return Poll::Ready(Some(Ok(Chunk::Data(data))));
        }
        if state.dropped && this.serving.is_none() {
            return Poll::Ready(None);
        }
        if state.closed && !std::mem::replace(&mut this.told, true) {
            return Poll::Ready(Some(Ok(Chunk::Trailers(Vec::new()))));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.pipe.change(|state| state.gone = true);
    }
}
