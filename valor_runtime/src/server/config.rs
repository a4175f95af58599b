//! How much a server takes, how long it waits, and which proxies it believes: [`ServerConfig`]. The program that
//! starts a server fills it in; every room that holds a connection to a limit reads it.

use super::net::{SocketAccess, TrustedProxy};
use std::time::Duration;

/// The limits of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// From a head's first byte to its last; 408 after that. Default 10 s.
    pub head_timeout: Duration,
    /// Silence between requests; the connection is closed after that. Default 75 s.
    pub idle_timeout: Duration,
    /// If less than 1 KiB of a body that the vlugin asked for comes in this time: 408. Default 30 s.
    pub body_timeout: Duration,
    /// If a client takes less than 1 KiB of a response in this time, it is cut off. Default 60 s.
    pub write_timeout: Duration,
    /// Silence in both directions on a connection that switched to another protocol, such as WebSocket; it is closed
    /// after that. Default 1 h.
    pub upgraded_timeout: Duration,
    /// How long a client may go on sending to a connection that is being closed. Default 5 s.
    pub linger: Duration,
    /// From the shutdown to the end of the last request; what still runs is cut off after that.
    /// Default 10 s.
    pub drain: Duration,
    /// Bytes in a request's head; 431 over that. Default 32 KiB.
    pub max_head: usize,
    /// Headers of a request; 431 over that. Default 128.
    pub max_headers: usize,
    /// Bytes in a request's target; 414 over that. Default 8 KiB.
    pub max_target: usize,
    /// Connections at once; more are accepted when one of them ends. Default 10,000.
    pub max_connections: usize,
    /// The proxies whose `x-forwarded-for` and related headers are believed. All other requests lose these headers.
    /// Default: no proxy.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The users that may connect to its Unix sockets. By default the process's user and group.
    pub socket: SocketAccess,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            upgraded_timeout: Duration::from_secs(60 * 60),
            linger: Duration::from_secs(5),
            drain: Duration::from_secs(10),
            max_head: 32 * 1024,
            max_headers: 128,
            max_target: 8 * 1024,
            max_connections: 10_000,
            trusted_proxies: Vec::new(),
            socket: SocketAccess::default(),
        }
    }
}
