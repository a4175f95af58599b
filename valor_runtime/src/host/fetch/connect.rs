//! From a host's name to a connection: addresses, TCP, TLS.

use super::{
    error::ConnectError,
    head::Target,
    io::{Io, Socket},
    pool,
};
use crate::{
    account::Charge,
    descriptors::{Permit, Short},
    host::allow::{Host, Reach, inside},
    reactor::Watched,
    timer::Timer,
};
use futures_lite::FutureExt;
use futures_rustls::{TlsConnector, pki_types::ServerName, rustls::ClientConfig};
use smol::{Async, lock::Semaphore};
use std::{
    collections::VecDeque,
    future::poll_fn,
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

/// After this time, the next address is tried beside the last one (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// How many of a server's addresses are tried at once: each takes a socket.
const AT_ONCE: usize = 4;

/// How many names are looked up at once. The threads that look up names (500, of the crate `blocking`) open files as
/// well. A name server that does not answer keeps each of them busy for long, even if nobody waits for the result any
/// more.
static LOOKUPS: Semaphore = Semaphore::new(256);

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

    /// A connection to one of the target's addresses that are within reach. `held` is kept until the connection is
    /// made. If nobody waits for it any more, `held` is kept until the look-up of the name has ended.
    pub(super) async fn connect(
        &self,
        target: &Target,
        reach: Reach,
        held: Option<&Arc<Charge>>,
    ) -> Result<Io, ConnectError> {
        let timeout = async {
            Timer::after(self.timeout).await;
            Err(ConnectError::TimedOut(self.timeout))
        };
        self.connect_untimed(target, reach, held).or(timeout).await
    }

    async fn connect_untimed(
        &self,
        target: &Target,
        reach: Reach,
        held: Option<&Arc<Charge>>,
    ) -> Result<Io, ConnectError> {
        let addresses = permitted(addresses(target, held.cloned()).await?, reach)?;
        let connect = |address| async move {
            let permit = permit().map_err(io::Error::other)?;
            Ok((Async::<TcpStream>::connect(address).await?, permit))
        };
        let connected = race(addresses, NEXT_ADDRESS, connect).await;
        let (tcp, permit) = connected.map_err(|failures| match short(&failures) {
            Some(short) => ConnectError::Short(short),
            None => ConnectError::Tcp(failures),
        })?;
        // Otherwise the last part of a request would wait for the server's acknowledgement.
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
        Ok(Io::new(socket, Some(permit)))
    }
}

/// A permit for one more connection. If there is none, an unused connection is closed to free one.
pub(super) fn permit() -> Result<Permit, Short> {
    loop {
        match Permit::take() {
            Err(_) if pool::close_oldest() => {}
            taken => return taken,
        }
    }
}

/// The error if a connection failed because no permit was left.
fn short(failures: &Failures) -> Option<Short> {
    let inner = |error: &io::Error| error.get_ref()?.downcast_ref::<Short>().copied();
    failures.iter().find_map(|(_, error)| inner(error))
}

async fn addresses(
    target: &Target,
    held: Option<Arc<Charge>>,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = match &target.host {
        Host::Address(address) => return Ok(vec![SocketAddr::new(*address, target.port)]),
        Host::Name(name) => (name.clone(), target.port),
    };
    let place = LOOKUPS.acquire().await;
    let found = smol::unblock(move || {
        let found = name.to_socket_addrs().map(Iterator::collect);
        drop((place, held));
        found
    });
    found.await.map_err(ConnectError::Resolve)
}

/// The addresses to try, in order.
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

/// Alternates between IPv6 and IPv4, beginning with the family of the first address (RFC 8305, section 4).
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

/// Tries one address after the other, and returns the first that connects. The next one starts when one has failed,
/// or has not answered for `delay`.
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
            if start_next
                && running.len() < AT_ONCE
                && let Some(address) = waiting.pop_front()
            {
                running.push((address, Box::pin(connect(address))));
                timer = Timer::after(delay);
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

#[cfg(test)]
mod tests {
    use super::{super::error::shown, *};
    use futures_lite::future::{block_on, pending};
    use std::net::IpAddr;

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

    /// Plays a race between addresses that connect, fail or hang, depending on their last digit.
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
        // If one fails, the next one is tried at once, without the delay.
        assert_eq!(
            play(&["1.1.1.2", "1.1.2.2", "1.1.3.1"], long).unwrap(),
            "1.1.3.1"
        );
        // If one does not answer, the next one is tried beside it, after the delay.
        assert_eq!(
            play(&["1.1.1.3", "1.1.2.3", "1.1.3.1"], short).unwrap(),
            "1.1.3.1"
        );
        assert_eq!(
            play(&["1.1.1.3", "1.1.2.2", "1.1.3.1"], short).unwrap(),
            "1.1.3.1"
        );
        // So many hang that there is no place left for another.
        let mut many = vec!["1.1.1.3"; AT_ONCE - 1];
        many.extend(["1.1.2.2", "1.1.3.1"]);
        assert_eq!(play(&many, short).unwrap(), "1.1.3.1");
        let failures = play(&["1.1.1.2", "1.1.2.2"], long).unwrap_err();
        assert_eq!(
            shown(&failures),
            "1.1.1.2:80: no route, 1.1.2.2:80: no route"
        );
    }
}
