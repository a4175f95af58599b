//! What a server is built on: its listeners, the sockets of its clients with or without TLS, and the threads that run
//! their connections. The server calls it. Nothing here knows a protocol above TLS.
//!
//! # Layout
//!
//! - `socket`: addresses, listeners, and the sockets of clients; `trusted_proxy`: which of their peers are believed.
//! - `tls`: the certificate; `handshake`: how a TLS connection begins.
//! - `workers`: the threads; `executor`: their tasks. The `reactor` below reports which sockets are ready.

mod executor;
mod handshake;
mod socket;
mod tls;
mod trusted_proxy;
mod workers;

pub(crate) use self::{
    handshake::shake_hands,
    socket::{Listener, Socket},
};
pub use self::{
    socket::{Listen, ListenError, SocketAccess},
    tls::{Tls, TlsError, certificates},
    trusted_proxy::{TrustedProxy, TrustedProxyError},
    workers::Workers,
};
