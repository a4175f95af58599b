//! Bytes ↔ requests: a server of HTTP/1.1 and HTTP/1.0 on smol.
//!
//! It binds addresses, runs worker threads, and hands every sound request to one [`Vlugin`](crate::Vlugin). That
//! trait is all it knows of Valor; the [`Runtime`](crate::Runtime) implements it. Requests that are not sound are
//! answered here, with a status and a problem, in a bounded amount of memory.
//!
//! # Layout
//!
//! - `net`: addresses, sockets, TLS, and the threads. It knows no protocol above TLS.
//! - `config`: the limits; `shared`: what a server's connections have in common.
//! - `http1`: a connection in HTTP/1.1 or HTTP/1.0, from its first byte to its last. Other versions of HTTP would
//!   stand beside it.
//! - `serve`: the server itself, from the addresses that it binds to its shutdown.

mod config;
mod http1;
mod net;
mod serve;
mod shared;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use self::http1::check;
pub use self::{
    config::ServerConfig,
    net::{
        Listen, ListenError, SocketAccess, Tls, TlsError, TrustedProxy, TrustedProxyError, Workers,
        certificates,
    },
    serve::{Server, ServerError, Shutdown},
};
