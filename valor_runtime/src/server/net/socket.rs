//! Where the server listens, and the sockets of its clients: TCP everywhere, Unix sockets if the system has them. The
//! rest of the server sees no difference.

use crate::reactor::{Reactor, Source};
use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::server::TlsStream;
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` (which is
/// `127.0.0.1`) or `unix:/path`.
///
/// ```
/// use valor_runtime::server::Listen;
///
/// let listen: Listen = "[::1]:8080".parse()?;
/// assert_eq!(listen.to_string(), "[::1]:8080");
/// assert!("8080".parse::<Listen>().is_err());
/// # Ok::<(), valor_runtime::server::ListenError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Listen {
    /// An IP address and a port; port 0 lets the system choose one.
    Tcp(SocketAddr),
    /// The path of a Unix socket. It is created, and removed at the end.
    Unix(PathBuf),
}

/// Text that is not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an address; write one like 127.0.0.1:8080, [::1]:8080 or unix:/run/valor.sock"
)]
pub struct ListenError(String);

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(ListenError(text.to_owned())),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let parsed = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(|p| (Ipv4Addr::LOCALHOST, p).into()),
            None => text.parse().ok(),
        };
        parsed
            .map(Self::Tcp)
            .ok_or_else(|| ListenError(text.to_owned()))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

/// The mode and owners of a server's Unix sockets: which users may connect. Systems without Unix sockets ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketAccess {
    /// The file's permissions, whatever the umask is; to connect, a user needs write permission. Default 0o660.
    pub mode: u32,
    /// The user id of the file's owner; `None`, the default, leaves the process's user.
    pub owner: Option<u32>,
    /// The id of the file's group; `None`, the default, leaves the process's group.
    pub group: Option<u32>,
}

impl Default for SocketAccess {
    fn default() -> Self {
        Self {
            mode: 0o660,
            owner: None,
            group: None,
        }
    }
}

/// A bound address.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(Source<TcpListener>),
    /// With its path as it was given, and as an absolute path: a vlugin may change the working directory before the
    /// file is removed.
    #[cfg(unix)]
    Unix(Source<UnixListener>, PathBuf, PathBuf),
}

impl Listener {
    pub(crate) fn bind(
        listen: &Listen,
        access: SocketAccess,
        reactor: &Arc<Reactor>,
    ) -> io::Result<Self> {
        match listen {
            Listen::Tcp(addr) => Self::bind_tcp(addr, reactor),
            Listen::Unix(path) => Self::bind_unix(path, access, reactor),
        }
    }

    fn bind_tcp(addr: &SocketAddr, reactor: &Arc<Reactor>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        Source::new(reactor, listener).map(Self::Tcp)
    }

    #[cfg(unix)]
    fn bind_unix(path: &Path, access: SocketAccess, reactor: &Arc<Reactor>) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        let listener = match listening(path, access) {
            // Nobody answers on this socket: a process that died left it behind.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && std::fs::symlink_metadata(path)?.file_type().is_socket()
                    && UnixStream::connect(path)
                        .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) =>
            {
                std::fs::remove_file(path)?;
                listening(path, access)?
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let kind = std::fs::symlink_metadata(path)?.file_type();
                return Err(match kind.is_socket() {
                    true => error,
                    false => io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        "something that is not a socket is already there",
                    ),
                });
            }
            bound => bound?,
        };
        listener.set_nonblocking(true)?;
        let absolute = std::path::absolute(path)?;
        Ok(Self::Unix(
            Source::new(reactor, listener)?,
            path.to_owned(),
            absolute,
        ))
    }

    #[cfg(not(unix))]
    fn bind_unix(_path: &Path, _access: SocketAccess, _reactor: &Arc<Reactor>) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "Valor has no Unix sockets on this system",
        ))
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn local_addr(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.get_ref().local_addr().map(Listen::Tcp),
            #[cfg(unix)]
            Self::Unix(_, path, _) => Ok(Listen::Unix(path.clone())),
        }
    }

    /// The next client, and its address if it has one.
    pub(crate) async fn accept(
        &self,
        reactor: &Arc<Reactor>,
    ) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(source) => {
                let accept = |listener: &TcpListener| listener.accept();
                let client = poll_fn(|cx| source.poll_read_with(cx, 0, accept)).await?;
                tcp(client, reactor)
            }
            #[cfg(unix)]
            Self::Unix(source, ..) => {
                let accept = |listener: &UnixListener| listener.accept();
                let client = poll_fn(|cx| source.poll_read_with(cx, 0, accept)).await?;
                unix(client.0, reactor)
            }
        }
    }

    /// A client that is already waiting; `WouldBlock` if there is none.
    pub(crate) fn try_accept(
        &self,
        reactor: &Arc<Reactor>,
    ) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            Self::Tcp(source) => tcp(source.get_ref().accept()?, reactor),
            #[cfg(unix)]
            Self::Unix(source, ..) => unix(source.get_ref().accept()?.0, reactor),
        }
    }
}

/// A Unix socket that listens. It begins to listen only after its owner and mode are set, so that nobody else
/// connects in between.
#[cfg(unix)]
fn listening(path: &Path, access: SocketAccess) -> io::Result<UnixListener> {
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::os::{fd::OwnedFd, unix::fs::PermissionsExt};
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let told = |what: &str, error: io::Error| {
        let _ = std::fs::remove_file(path);
        io::Error::new(error.kind(), format!("its {what} cannot be set: {error}"))
    };
    if access.owner.or(access.group).is_some() {
        std::os::unix::fs::lchown(path, access.owner, access.group)
            .map_err(|error| told("owner or group", error))?;
    }
    let mode = std::fs::Permissions::from_mode(access.mode & 0o777);
    std::fs::set_permissions(path, mode).map_err(|error| told("mode", error))?;
    // The same backlog as in std.
    socket.listen(128)?;
    Ok(OwnedFd::from(socket).into())
}

fn tcp(
    (stream, peer): (TcpStream, SocketAddr),
    reactor: &Arc<Reactor>,
) -> io::Result<(Socket, Option<SocketAddr>)> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok((Socket::Tcp(Source::new(reactor, stream)?), Some(peer)))
}

#[cfg(unix)]
fn unix(stream: UnixStream, reactor: &Arc<Reactor>) -> io::Result<(Socket, Option<SocketAddr>)> {
    stream.set_nonblocking(true)?;
    Ok((Socket::Unix(Source::new(reactor, stream)?), None))
}

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, _, absolute) = self {
            let _ = std::fs::remove_file(absolute);
        }
    }
}

/// A client's socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(Source<TcpStream>),
    #[cfg(unix)]
    Unix(Source<UnixStream>),
    /// One of the others, with TLS over it.
    Tls(Box<TlsStream<Socket>>),
}

macro_rules! each {
    ($socket:expr, $stream:ident => $what:expr) => {
        match $socket {
            Socket::Tcp($stream) => $what,
            #[cfg(unix)]
            Socket::Unix($stream) => $what,
            Socket::Tls($stream) => $what,
        }
    };
}

impl Socket {
    /// Whether it speaks TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Makes the system probe a peer that is silent for a minute, so that a vanished peer is noticed.
    pub(crate) fn keep_alive(&self) {
        match self {
            Self::Tcp(stream) => {
                let probe = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
                let _ = socket2::SockRef::from(stream.get_ref()).set_tcp_keepalive(&probe);
            }
            #[cfg(unix)]
            Self::Unix(_) => {}
            Self::Tls(stream) => stream.get_ref().0.keep_alive(),
        }
    }

    /// Reads up to `limit` bytes into memory that `bytes` reserves for them. `None` if that is impossible without
    /// clearing the memory first.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
        bytes: &mut Vec<u8>,
    ) -> Option<Poll<io::Result<usize>>> {
        match self {
            #[cfg(unix)]
            Self::Tcp(source) => Some(receive(source, cx, limit, bytes)),
            #[cfg(unix)]
            Self::Unix(source) => Some(receive(source, cx, limit, bytes)),
            #[cfg(unix)]
            Self::Tls(_) => None,
            #[cfg(not(unix))]
            _ => {
                let _ = (cx, limit, bytes);
                None
            }
        }
    }

    /// Makes the next close a reset, which no peer takes for the end of a body.
    pub(crate) fn reset_on_close(&self) {
        let reset = |socket: socket2::SockRef<'_>| {
            let _ = socket.set_linger(Some(Duration::ZERO));
        };
        match self {
            Self::Tcp(stream) => reset(stream.get_ref().into()),
            #[cfg(unix)]
            Self::Unix(stream) => reset(stream.get_ref().into()),
            Self::Tls(stream) => stream.get_ref().0.reset_on_close(),
        }
    }
}

#[cfg(unix)]
fn receive<T: std::os::fd::AsFd>(
    source: &Source<T>,
    cx: &mut Context<'_>,
    limit: usize,
    bytes: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    use rustix::net::{RecvFlags, recv};
    source.poll_read_with(cx, limit, |io| {
        // Only here: most attempts to read find nothing and do not get this far.
        bytes.reserve_exact(limit);
        let (amount, _) = recv(
            io,
            rustix::buffer::spare_capacity(bytes),
            RecvFlags::empty(),
        )?;
        Ok(amount)
    })
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut *self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    /// Sends what was written but is not yet encrypted, or not yet with the system.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Tells the peer that nothing more will come. What the peer sends can still be read.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match &mut *self {
            Self::Tcp(stream) => stream.get_ref().shutdown(Shutdown::Write),
            #[cfg(unix)]
            Self::Unix(stream) => stream.get_ref().shutdown(Shutdown::Write),
            Self::Tls(stream) => return Pin::new(stream).poll_close(cx),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["127.0.0.1:0", "[::]:80", "unix:/run/valor.sock"] {
            assert_eq!(good.parse::<Listen>().unwrap().to_string(), good);
        }
        let local: Listen = "localhost:81".parse().unwrap();
        assert_eq!(local.to_string(), "127.0.0.1:81");
        for bad in [
            "",
            "8080",
            ":8080",
            "unix:",
            "example.com:80",
            "127.0.0.1",
            "localhost:x",
        ] {
            let error = bad.parse::<Listen>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{bad}` is not")), "{error}");
        }
    }
}
