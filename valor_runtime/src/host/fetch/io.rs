//! [`Io`]: a connection, as hyper reads and writes it. `connect` opens it. A connection to another server holds its
//! permit until it is closed.

use crate::{descriptors::Permit, reactor::Watched};
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::client::TlsStream;
use hyper::rt::ReadBufCursor;
use smol::Async;
use smol_hyper::rt::FuturesIo;
use std::{
    fmt,
    io::{self, IoSlice},
    net::{SocketAddr, TcpStream},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
#[cfg(unix)]
use std::{os::unix::net::UnixStream, path::PathBuf};

/// Where a process listens.
pub(crate) enum Address {
    #[cfg(unix)]
    Unix(PathBuf),
    Tcp(SocketAddr),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(unix)]
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// The room that hyper has for a connection's first reads.
const SCRATCH: usize = 8192;
/// How much is read before others have their turn. hyper goes on reading as long as something comes, and interim
/// responses can come without end.
const TURN: usize = 256 << 10;

/// A connection, as hyper reads and writes it.
pub(super) struct Io {
    socket: FuturesIo<Socket>,
    /// The first place for bytes that are not part of a large body.
    scratch: Box<[u8; SCRATCH]>,
    link: Link,
    /// How many bytes were read in this turn.
    read: usize,
    /// Released with the socket.
    _permit: Option<Permit>,
}

pub(super) enum Socket {
    Plain(Watched<TcpStream>),
    Tls(Box<TlsStream<Watched<TcpStream>>>),
    #[cfg(unix)]
    Unix(Watched<UnixStream>),
}

/// When a connection was last written to.
#[derive(Clone)]
pub(super) struct Link(Arc<LinkState>);

struct LinkState {
    made: Instant,
    /// Nanoseconds between `made` and the last byte sent.
    last_sent: AtomicU64,
}

impl Link {
    fn new() -> Self {
        Self(Arc::new(LinkState {
            made: Instant::now(),
            last_sent: AtomicU64::new(0),
        }))
    }

    /// When something was last sent over it; if nothing was, when it was made.
    pub(super) fn last_sent(&self) -> Instant {
        self.0.made + Duration::from_nanos(self.0.last_sent.load(Ordering::Relaxed))
    }

    fn sent(&self) {
        let nanos = u64::try_from(self.0.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.last_sent.store(nanos, Ordering::Relaxed);
    }
}

impl Io {
    pub(super) fn new(socket: Socket, permit: Option<Permit>) -> Self {
        Self {
            socket: FuturesIo::new(socket),
            scratch: Box::new([0; SCRATCH]),
            link: Link::new(),
            read: 0,
            _permit: permit,
        }
    }

    /// A connection to a process on this machine. It does not count among the connections that vlugins cause.
    pub(super) async fn local(address: &Address) -> io::Result<Self> {
        Ok(Self::new(Self::local_socket(address).await?, None))
    }

    async fn local_socket(address: &Address) -> io::Result<Socket> {
        Ok(match address {
            #[cfg(unix)]
            Address::Unix(path) => {
                let unix = Async::<UnixStream>::connect(path).await?;
                Socket::Unix(Watched::<UnixStream>::new(unix)?)
            }
            Address::Tcp(address) => {
                let tcp = Async::<TcpStream>::connect(*address).await?;
                let _ = tcp.get_ref().set_nodelay(true);
                Socket::Plain(Watched::<TcpStream>::new(tcp)?)
            }
        })
    }

    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read > TURN {
            this.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buf.remaining();
        let read = if room > 2 * SCRATCH {
            // The reader does not say how much it read.
            this.read += room.min(64 << 10);
            Pin::new(&mut this.socket).poll_read(cx, buf)
        } else {
            // Otherwise all of hyper's room would have to be cleared for a read that may find nothing.
            let room = &mut this.scratch[..room.min(SCRATCH)];
            match Pin::new(this.socket.get_mut()).poll_read(cx, room) {
                Poll::Ready(Ok(amount)) => {
                    this.read += amount;
                    buf.put_slice(&room[..amount]);
                    Poll::Ready(Ok(()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                Poll::Pending => Poll::Pending,
            }
        };
        if read.is_pending() {
            this.read = 0;
        }
        read
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.link.sent();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.link.sent();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        !matches!(self.socket.get_ref(), Socket::Tls(_))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_close(cx),
            Self::Tls(tls) => Pin::new(tls).poll_close(cx),
            #[cfg(unix)]
            Self::Unix(unix) => Pin::new(unix).poll_close(cx),
        }
    }
}
