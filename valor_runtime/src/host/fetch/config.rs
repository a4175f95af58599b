//! [`FetchConfig`]: the time limits and sizes of a [`Fetcher`](super::Fetcher).

use std::{fmt, time::Duration};

/// How a [`Fetcher`](super::Fetcher) behaves.
#[derive(Clone)]
pub struct FetchConfig {
    /// Time for a connection: the name, the addresses and TLS together. Default 10 s; 504.
    pub connect_timeout: Duration,
    /// Time until the response's head arrives, counted from the last time that a part of the request was sent. The
    /// clock stands still while the request's body has nothing to send. Default 30 s; 504.
    pub head_timeout: Duration,
    /// How long a reader may wait for the next part of a response's body; the body then fails. Default 30 s.
    pub idle_timeout: Duration,
    /// Bytes in a response's body; `u64::MAX` for no limit. Default 64 MiB. A response that announces more is a fault
    /// of status 502; a body that turns out longer fails.
    pub response_limit: u64,
    /// Headers of a response, and of its trailers; 502 over that. Default 128, the same as for a request to the
    /// server.
    pub max_headers: usize,
    /// How long an unused connection is kept. Default 60 s.
    pub keep_timeout: Duration,
    /// How many unused connections are kept per host and port. Default 64.
    pub keep_per_host: usize,
    /// Certificates (DER) that are trusted in addition to the platform's.
    pub extra_roots: Vec<Vec<u8>>,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            response_limit: 64 * 1024 * 1024,
            max_headers: 128,
            keep_timeout: Duration::from_secs(60),
            keep_per_host: 64,
            extra_roots: Vec::new(),
        }
    }
}

impl fmt::Debug for FetchConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchConfig")
            .field("connect_timeout", &self.connect_timeout)
            .field("head_timeout", &self.head_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("response_limit", &self.response_limit)
            .field("max_headers", &self.max_headers)
            .field("keep_timeout", &self.keep_timeout)
            .field("keep_per_host", &self.keep_per_host)
            .field("extra_roots", &self.extra_roots.len())
            .finish()
    }
}
