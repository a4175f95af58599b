//! From a host's name to a connection: addresses, TCP, TLS.

use super::{head::Target, local::Address};
use crate::{
    host::allow::{Host, Reach, inside},
    reactor::Watched,
};
use futures_lite::{AsyncRead, AsyncWrite, FutureExt};
use futures_rustls::{
    TlsConnector, client::TlsStream, pki_types::ServerName, rustls::ClientConfig,
};
use hyper::rt::ReadBufCursor;
use smol::{Async, Timer};
use smol_hyper::rt::FuturesIo;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    net::{IpAddr, SocketAddr, TcpStream},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

/// The time after which the next address is tried beside the last one (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the name does not resolve: {0}")]
    Resolve(io::Error),
    #[error("the name resolves to no address")]
    NoAddress,
    #[error("{}", shown(.0))]
    Tcp(Vec<(SocketAddr, io::Error)>),
    #[error("the system does not tell of the connection: {0}")]
    Watch(io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("not within {0:?}")]
    TimedOut(Duration),
    #[error("{address} is {kind}")]
    Inside { address: IpAddr, kind: &'static str },
}

fn shown(failures: &[(SocketAddr, io::Error)]) -> String {
    let each: Vec<_> = failures.iter().map(|(a, e)| format!("{a}: {e}")).collect();
    each.join(", ")
}

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    tls: TlsConnector,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(tls: Arc<ClientConfig>, timeout: Duration) -> Self {
        Self {
            tls: tls.into(),
            timeout,
        }
    }

    /// A connection to one of the target's addresses that are within reach.
    pub(super) async fn connect(&self, target: &Target, reach: Reach) -> Result<Io, ConnectError> {
        let timeout = async {
            Timer::after(self.timeout).await;
            Err(ConnectError::TimedOut(self.timeout))
        };
        self.connect_untimed(target, reach).or(timeout).await
    }

    async fn connect_untimed(&self, target: &Target, reach: Reach) -> Result<Io, ConnectError> {
        let addresses = permitted(addresses(target).await?, reach)?;
        let tcp = race(addresses, NEXT_ADDRESS, Async::<TcpStream>::connect)
            .await
            .map_err(ConnectError::Tcp)?;
        // Without it, the last part of a request waits for the server's acknowledgement.
        let _ = tcp.get_ref().set_nodelay(true);
        let tcp = Watched::<TcpStream>::new(tcp).map_err(ConnectError::Watch)?;
        let socket = if target.https {
            let name = match &target.host {
                Host::Name(name) => ServerName::try_from(name.clone())
                    .map_err(|error| ConnectError::Tls(io::Error::other(error)))?,
                Host::Address(address) => ServerName::IpAddress((*address).into()),
            };
            let stream = self.tls.connect(name, tcp).await;
            Socket::Tls(Box::new(stream.map_err(ConnectError::Tls)?))
        } else {
            Socket::Plain(tcp)
        };
        Ok(Io {
            socket: FuturesIo::new(socket),
            scratch: Box::new([0; SCRATCH]),
            link: Link::new(),
        })
    }
}

async fn addresses(target: &Target) -> Result<Vec<SocketAddr>, ConnectError> {
    match &target.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, target.port)]),
        Host::Name(name) => smol::net::resolve((name.as_str(), target.port))
            .await
            .map_err(ConnectError::Resolve),
    }
}

/// The addresses to try, in the order in which to try them.
fn permitted(found: Vec<SocketAddr>, reach: Reach) -> Result<Vec<SocketAddr>, ConnectError> {
    let mut refused = None;
    let mut addresses = found;
    addresses.retain(|address| {
        let kind = match reach {
            Reach::Anywhere => None,
            Reach::Outside => inside(address.ip()),
        };
        if let Some(kind) = kind {
            let address = address.ip();
            refused.get_or_insert(ConnectError::Inside { address, kind });
        }
        kind.is_none()
    });
    match refused {
        _ if !addresses.is_empty() => Ok(alternated(addresses)),
        Some(refused) => Err(refused),
        None => Err(ConnectError::NoAddress),
    }
}

/// The families in turn, beginning with that of the first address (RFC 8305, section 4).
fn alternated(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut families = [first, second];
    let mut turns = [0, 1].into_iter().cycle();
    let mut out = Vec::new();
    while families.iter().any(|family| !family.is_empty()) {
        let turn = turns.next().unwrap_or_default();
        out.extend(families[turn].pop_front());
    }
    out
}

type Failures = Vec<(SocketAddr, io::Error)>;

/// Tries one address after the other, the next one when one has failed or has not answered for
/// `delay`, and gives the first that connects.
async fn race<T, F>(
    addresses: Vec<SocketAddr>,
    delay: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Failures>
where
    F: Future<Output = io::Result<T>> + Send,
{
    let mut waiting: VecDeque<_> = addresses.into();
    let mut running: Vec<(SocketAddr, Pin<Box<F>>)> = Vec::new();
    let mut failures = Vec::new();
    let mut timer = Timer::never();
    let mut start_next = true;
    poll_fn(|cx| {
        loop {
            if start_next && let Some(address) = waiting.pop_front() {
                running.push((address, Box::pin(connect(address))));
                timer.set_after(delay);
            }
            start_next = false;
            let mut at = 0;
            while at < running.len() {
                match running[at].1.as_mut().poll(cx) {
                    Poll::Ready(Ok(connected)) => return Poll::Ready(Ok(connected)),
                    Poll::Ready(Err(error)) => {
                        failures.push((running.remove(at).0, error));
                        start_next = true;
                    }
                    Poll::Pending => at += 1,
                }
            }
            if running.is_empty() && waiting.is_empty() {
                return Poll::Ready(Err(std::mem::take(&mut failures)));
            }
            if waiting.is_empty() {
                return Poll::Pending;
            }
            start_next |= Pin::new(&mut timer).poll(cx).is_ready();
            if !start_next {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// How much hyper has room for in a connection's first reads.
const SCRATCH: usize = 8192;

/// A connection, as hyper reads and writes it.
pub(super) struct Io {
    socket: FuturesIo<Socket>,
    /// Where a read goes first that is not of a large body.
    scratch: Box<[u8; SCRATCH]>,
    link: Link,
}

enum Socket {
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

    /// When something was last sent over it; when it was made, where nothing was.
    pub(super) fn last_sent(&self) -> Instant {
        self.0.made + Duration::from_nanos(self.0.last_sent.load(Ordering::Relaxed))
    }

    fn sent(&self) {
        let nanos = u64::try_from(self.0.made.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.last_sent.store(nanos, Ordering::Relaxed);
    }
}

impl Io {
    /// A connection to a process of this machine.
    pub(super) async fn local(address: &Address) -> io::Result<Self> {
        let socket = match address {
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
        };
        Ok(Self {
            socket: FuturesIo::new(socket),
            scratch: Box::new([0; SCRATCH]),
            link: Link::new(),
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
        if buf.remaining() > 2 * SCRATCH {
            return Pin::new(&mut this.socket).poll_read(cx, buf);
        }
        // All of hyper's room would have to be cleared for a read that may come to nothing.
        let room = &mut this.scratch[..buf.remaining().min(SCRATCH)];
        let amount = ready!(Pin::new(this.socket.get_mut()).poll_read(cx, room))?;
        buf.put_slice(&room[..amount]);
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, pending};

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        let with_port = |ip: &&str| SocketAddr::new(ip.parse().unwrap(), 80);
        list.iter().map(with_port).collect()
    }

    #[test]
    fn families_are_tried_in_turn() {
        let found = addresses(&["2600::1", "2600::2", "2600::3", "1.1.1.1", "1.1.1.2"]);
        let expected = addresses(&["2600::1", "1.1.1.1", "2600::2", "1.1.1.2", "2600::3"]);
        assert_eq!(permitted(found, Reach::Outside).unwrap(), expected);
    }

    #[test]
    fn addresses_inside_are_left_out_where_a_wildcard_led_to_them() {
        let found = addresses(&["10.0.0.1", "1.1.1.1", "fd00::1"]);
        assert_eq!(permitted(found.clone(), Reach::Anywhere).unwrap().len(), 3);
        let expected = addresses(&["1.1.1.1"]);
        assert_eq!(permitted(found, Reach::Outside).unwrap(), expected);
        let none = permitted(addresses(&["10.0.0.1", "::1"]), Reach::Outside);
        let address = IpAddr::from([10, 0, 0, 1]);
        assert!(matches!(none, Err(ConnectError::Inside { address: a, .. }) if a == address));
        let none = permitted(Vec::new(), Reach::Outside);
        assert!(matches!(none, Err(ConnectError::NoAddress)));
    }

    /// Plays a race between addresses that connect, fail or hang by their last digit.
    fn play(list: &[&str], delay: Duration) -> Result<String, Failures> {
        block_on(race(addresses(list), delay, |address| async move {
            let name = address.ip().to_string();
            match name.chars().last() {
                Some('1') => Ok(name),
                Some('2') => Err(io::Error::other("no route")),
                _ => pending().await,
            }
        }))
    }

    #[test]
    fn the_first_address_that_connects_is_taken() {
        let long = Duration::from_secs(3600);
        let short = Duration::from_millis(1);
        assert_eq!(play(&["1.1.1.1", "1.1.2.1"], long).unwrap(), "1.1.1.1");
        // The next one is tried at once when one fails, without the delay.
        assert_eq!(
            play(&["1.1.1.2", "1.1.2.2", "1.1.3.1"], long).unwrap(),
            "1.1.3.1"
        );
        // And beside one that says nothing, after it.
        assert_eq!(
            play(&["1.1.1.3", "1.1.2.3", "1.1.3.1"], short).unwrap(),
            "1.1.3.1"
        );
        assert_eq!(
            play(&["1.1.1.3", "1.1.2.2", "1.1.3.1"], short).unwrap(),
            "1.1.3.1"
        );
        let failures = play(&["1.1.1.2", "1.1.2.2"], long).unwrap_err();
        assert_eq!(
            shown(&failures),
            "1.1.1.2:80: no route, 1.1.2.2:80: no route"
        );
    }
}
