//! [`PeerAddr`], which the conversions put into a request's extensions.

use std::net::SocketAddr;

/// Where a request came from: in its extensions, if it came over a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);
