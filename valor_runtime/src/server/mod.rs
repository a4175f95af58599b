//! Bytes ↔ requests: a server of HTTP/1.1 and HTTP/1.0 on smol.
//!
//! It binds addresses, runs worker threads, and hands every request that is sound to one
//! [`Vlugin`](crate::Vlugin), which is all it knows of Valor: the [`Runtime`](crate::Runtime) is one. What is not
//! sound is answered here, with a status and a problem, on a bounded amount of memory.
//!
//! # Layout
//!
//! - `net`: addresses, sockets, TLS, and the threads. It knows no protocol above TLS.
//! - `config`: the limits; `shared`: what the connections of a server have in common.
//! - `http1`: a connection in HTTP/1.1 or HTTP/1.0, from its first byte to its last. Another version of HTTP stands
//!   beside it.
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
