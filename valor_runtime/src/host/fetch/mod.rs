//! The host's HTTP client: the one place through which vlugins of all kinds reach other servers.
//!
//! The runtime makes one [`Fetcher`] and calls it for each `fetch` of a vlugin, with that
//! vlugin's [`Allow`]. It promises:
//!
//! - Connections are kept and shared by all vlugins, over HTTP/1.1, with TLS by rustls.
//! - Nothing is followed, decoded, stored or added: a redirect is a response like any other. Of
//!   the headers, those that speak of one connection (RFC 9110, section 7.6.1) are left out both
//!   ways; `host` is that of the URL, and the framing is the client's own.
//! - Bodies stream both ways, only as fast as they are read; what waits is bounded.
//! - Every step has a time limit, and a response's body a size limit.
//! - Dropping the future, or the response's body, closes that connection.
//! - A vlugin's code (its request's body) runs where the future or the response's body is
//!   polled, never on the tasks that serve the shared connections.
//!
//! A [`Fetcher`] works under any executor: its connections run on tasks of their own
//! ([`FetchConfig::spawn`]), and wait on smol's reactor, which has a thread of its own.
//!
//! # Layout
//!
//! `connect` opens a connection (names, addresses, TLS), `tls` holds the roots of trust, `head`
//! turns heads into hyper's and back, `upload` and `download` are the two bodies, `patience` the
//! time limits, `error` what a failure is called.

mod connect;
mod download;
mod error;
mod head;
mod patience;
mod tls;
mod upload;

pub use error::FetchError;

use super::allow::{Allow, Reach};
use crate::{BoxFuture, Fault, Request, Response};
use connect::{Connector, Link};
use download::Download;
use head::Target;
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, connect::capture_connection};
use patience::Patience;
use smol_hyper::rt::SmolTimer;
use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use upload::{Pump, UploadBody};

/// Sends requests to other servers. Cheap to clone; clones share their connections.
///
/// ```
/// use valor_runtime::{Request, host::{allow::Allow, fetch::{FetchConfig, Fetcher}}};
///
/// let fetcher = Fetcher::new(FetchConfig::default())?;
/// let request = Request::new("GET", "http://127.0.0.1:1/")?;
/// let fault = futures_lite::future::block_on(fetcher.fetch(request, &Allow::none())).unwrap_err();
/// assert_eq!(fault.status, 403);
/// assert!(fault.message.contains("\"127.0.0.1:1\""), "{fault}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
}

struct Inner {
    config: FetchConfig,
    /// Two pools, so that no vlugin finds a connection ready that leads to an address which it
    /// could not have connected to itself.
    anywhere: HyperClient,
    outside: HyperClient,
}

type HyperClient = Client<Connector, UploadBody>;

/// Runs a task to its end, on an executor with a thread of its own.
pub type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// How a [`Fetcher`] behaves.
#[derive(Clone)]
pub struct FetchConfig {
    /// Time for a connection: the name, the addresses and TLS together. Default 10 s; 504.
    pub connect_timeout: Duration,
    /// Time until the response's head is there, counted from when the server was last sent a
    /// part of the request. It stands still while the request's body has nothing to send.
    /// Default 30 s; 504.
    pub head_timeout: Duration,
    /// Time for which a reader may wait for the next part of a response's body. Default 30 s;
    /// the body then fails.
    pub idle_timeout: Duration,
    /// Bytes in a response's body; `u64::MAX` for no limit. Default 64 MiB. A response that
    /// announces more is a fault of status 502, a body that turns out longer fails.
    pub response_limit: u64,
    /// Time for which a connection is kept that nobody uses. Default 60 s.
    pub keep_timeout: Duration,
    /// Unused connections that are kept for each host and port. Default 64.
    pub keep_per_host: usize,
    /// Certificates (DER) that are trusted beside the platform's.
    pub extra_roots: Vec<Vec<u8>>,
    /// Where connections run: the default is smol's global executor and its thread. It must
    /// make progress by itself, whoever waits for a response.
    pub spawn: Spawn,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30),
            response_limit: 64 * 1024 * 1024,
            keep_timeout: Duration::from_secs(60),
            keep_per_host: 64,
            extra_roots: Vec::new(),
            spawn: Arc::new(|task| smol::spawn(task).detach()),
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
            .field("keep_timeout", &self.keep_timeout)
            .field("keep_per_host", &self.keep_per_host)
            .field("extra_roots", &self.extra_roots.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fetcher").field(&self.inner.config).finish()
    }
}

/// [`Spawn`] as hyper asks for it.
#[derive(Clone)]
struct Executor(Spawn);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, task: F) {
        (self.0)(Box::pin(task));
    }
}

impl Fetcher {
    /// A client without connections yet. Reads the roots of trust: those of the platform, or of
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR`, or Mozilla's where the platform has none.
    ///
    /// # Errors
    /// Where the environment names certificates that cannot be read, or an extra root is not a
    /// certificate.
    pub fn new(config: FetchConfig) -> Result<Self, FetchError> {
        let tls = Arc::new(tls::client_config(&config.extra_roots)?);
        let client = |reach| {
            Client::builder(Executor(config.spawn.clone()))
                .pool_idle_timeout(config.keep_timeout)
                .pool_max_idle_per_host(config.keep_per_host)
                .pool_timer(SmolTimer::new())
                .build(Connector::new(tls.clone(), config.connect_timeout, reach))
        };
        Ok(Self {
            inner: Arc::new(Inner {
                anywhere: client(Reach::Anywhere),
                outside: client(Reach::Outside),
                config,
            }),
        })
    }

    /// Sends a request, whose target is an absolute URL of scheme `http` or `https`, and gives
    /// the response as soon as its head is there.
    ///
    /// A request whose body is whole and whose method is idempotent (RFC 9110, section 9.2.2) is
    /// sent once more where a kept connection turns out to be closed. Trailers of a request are
    /// left out; those of a response come as [`Chunk::Trailers`](crate::Chunk).
    ///
    /// # Errors
    /// A fault of status 400 for a URL, a header or a body that cannot be sent, 403 where `allow`
    /// does not open the server, 502 where it cannot be reached or breaks the protocol, 504 where
    /// it takes too long. The message names the host, the port and the reason.
    ///
    /// A failure behind the head is an error of the body, of kind [`TimedOut`], [`FileTooLarge`]
    /// or what the connection failed with.
    ///
    /// [`TimedOut`]: std::io::ErrorKind::TimedOut
    /// [`FileTooLarge`]: std::io::ErrorKind::FileTooLarge
    pub async fn fetch(&self, request: Request, allow: &Allow) -> Result<Response, Fault> {
        let target = Target::parse(request.head.target())?;
        let client = match allow.judge(&target.host, target.port) {
            Ok(Reach::Anywhere) => &self.inner.anywhere,
            Ok(Reach::Outside) => &self.inner.outside,
            Err(refusal) => return Err(error::refused(&target, &refusal)),
        };
        let Request { head, body } = request;
        let len = body.len().or_else(|| head::announced(&head));
        let (body, mut pump) = upload::split(body, len);
        let again = body.whole();
        let request = head::outgoing(&head, &target, body)?;
        let again = again.filter(|_| request.method().is_idempotent());

        let mut sent = self.send(client, request, &mut pump, &target).await;
        if let (Err(Failure::Stale), Some(whole)) = (&sent, again) {
            log::debug!("{target} closed a kept connection; the request is sent again");
            let request = head::outgoing(&head, &target, UploadBody::Whole(Some(whole)))?;
            sent = self.send(client, request, &mut pump, &target).await;
        }
        let response = sent.map_err(|failure| match failure {
            Failure::Fault(fault) => fault,
            Failure::Stale => error::bad_gateway(&target, "it closed the connection"),
        })?;
        let (parts, body) = response.into_parts();
        let link = parts.extensions.get::<Link>().cloned();
        if let Some(link) = &link {
            link.set_used();
        }
        let head = head::incoming(&parts, &target)?;
        let download = Download::new(body, pump, link, &self.inner.config, target)?;
        Ok(Response {
            head,
            body: download.into_body().await,
        })
    }

    /// Sends a request once, and waits for the response's head.
    async fn send(
        &self,
        client: &HyperClient,
        mut request: hyper::Request<UploadBody>,
        pump: &mut Option<Pump>,
        target: &Target,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        let begun = Instant::now();
        let captured = capture_connection(&mut request);
        let mut response = pin!(client.request(request));
        let mut patience = Patience::new(self.inner.config.head_timeout);

        poll_fn(|cx| {
            if let Some(Poll::Ready(ended)) = pump.as_mut().map(|p| Pin::new(p).poll(cx)) {
                *pump = None;
                if let Err(error) = ended {
                    return Poll::Ready(Err(error::bad_upload(target, &error).into()));
                }
            }
            if let Poll::Ready(response) = response.as_mut().poll(cx) {
                return Poll::Ready(response.map_err(|error| self.failure(&error, target)));
            }
            let since = |now| match captured.connection_metadata().as_ref().and_then(Link::of) {
                _ if pump.as_ref().is_some_and(Pump::is_starved) => now,
                Some(link) => begun.max(link.last_sent()),
                // While there is no connection, the connector's own limit holds.
                None => now,
            };
            if patience.poll(cx, since).is_ready() {
                let limit = self.inner.config.head_timeout;
                return Poll::Ready(Err(error::no_head(target, limit).into()));
            }
            Poll::Pending
        })
        .await
    }

    fn failure(&self, error: &hyper_util::client::legacy::Error, target: &Target) -> Failure {
        let link = error.connect_info().and_then(Link::of);
        if link.is_some_and(|link| link.is_used()) && error::is_closed(error) {
            return Failure::Stale;
        }
        let limit = self.inner.config.connect_timeout;
        Failure::Fault(error::of_hyper(error, target, limit))
    }
}

/// Why there is no response.
enum Failure {
    /// A kept connection was closed before the response's head was there: the server may have
    /// closed it before it saw the request.
    Stale,
    Fault(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
