//! What a server stands on: where it listens, the sockets of its clients with or without TLS, and the threads that run
//! their connections. The server calls it; nothing here knows a protocol above TLS.
//!
//! # Layout
//!
//! - `socket`: addresses, listeners, and the sockets of clients; `trusted_proxy`: whom among their peers is believed.
//! - `tls`: the certificate; `handshake`: how a connection with it begins.
//! - `workers`: the threads; `executor`: the tasks that they run, told by the `reactor` below that a socket is ready.

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
