//! Which proxies a server believes when they say who the client is: [`TrustedProxy`]. It is read from the command
//! line, and asked about the address of each proxy on a request's way.

use ipnet::{IpNet, Ipv4Net};
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// A proxy that may say who the client is: a network, one address, or every peer on a Unix socket, which has no
/// address.
///
/// ```
/// use valor_runtime::server::TrustedProxy;
///
/// let network: TrustedProxy = "10.0.0.0/8".parse()?;
/// assert!(network.has("10.1.2.3".parse().ok()));
/// assert!(!network.has("11.1.2.3".parse().ok()) && !network.has(None));
///
/// let sockets: TrustedProxy = "unix".parse()?;
/// assert!(sockets.has(None));
/// # Ok::<(), valor_runtime::server::TrustedProxyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrustedProxy {
    /// The addresses of a network.
    Network(IpNet),
    /// Every client of a Unix socket.
    Unix,
}

/// Text that is neither a network nor `unix`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a network; write one like 10.0.0.0/8, 192.168.1.7, 2001:db8::/32, or unix for Unix sockets"
)]
pub struct TrustedProxyError(String);

impl TrustedProxy {
    /// Whether it covers this address; `None` is a peer on a Unix socket.
    pub fn has(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::Network(network), Some(peer)) => network.contains(&peer.to_canonical()),
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = TrustedProxyError;

    fn from_str(text: &str) -> Result<Self, TrustedProxyError> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text
            .parse()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network
            .map(|network| Self::Network(canonical(network)))
            .ok_or_else(|| TrustedProxyError(text.to_owned()))
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// An IPv4 network written as IPv6 becomes IPv4, as the addresses of peers do.
fn canonical(network: IpNet) -> IpNet {
    let v4 = |address: Ipv6Addr| address.to_ipv4_mapped();
    match network {
        IpNet::V6(net) if net.prefix_len() >= 96 => v4(net.addr())
            .and_then(|address| Ipv4Net::new(address, net.prefix_len() - 96).ok())
            .map_or(network, IpNet::V4),
        _ => network.trunc(),
    }
}
