//! The host's HTTP client: the one place through which vlugins of all kinds reach other servers.
//!
//! The runtime makes one [`Fetcher`]. It calls it for each `fetch` of a vlugin, with that vlugin's [`Allow`]. It
//! promises:
//!
//! - Connections are kept and shared by all vlugins, over HTTP/1.1, with TLS by rustls.
//! - Nothing is followed, decoded, stored or added: a redirect is a response like any other. Headers that concern a
//!   single connection (RFC 9110, section 7.6.1) are left out both ways; `host` is the URL's, and the framing is the
//!   client's own.
//! - Bodies stream both ways, only as fast as they are read; the amount that waits is bounded.
//! - Every step has a time limit, and a response's body a size limit.
//! - The connections of all vlugins together are at most a quarter of the process's file descriptors.
//! - Dropping the future, or the response's body, closes that connection.
//!
//! There is no task behind it. A connection is driven by the future, and then by the response's body, of the request
//! that uses it. So a [`Fetcher`] works under any executor. A vlugin's code (its request's body) runs on that
//! vlugin's own task, so that one that blocks delays nobody else's connection. Sockets and timers wait on smol's
//! reactor, which has its own thread.
//!
//! # Layout
//!
//! `connect` opens a connection (names, addresses, TLS), and hyper reads and writes it as `io`. `tls` holds the roots
//! of trust, and `distrust` says why a certificate is refused. `pool` drives and keeps connections. `head` turns
//! heads into hyper's and back. `upload` and `download` are the two bodies, `patience` is the time limits, `config`
//! the settings. `failure` says why there is no response, and `error` puts that into words.

mod config;
mod connect;
mod distrust;
mod download;
mod error;
mod failure;
mod head;
mod io;
pub(crate) mod local;
mod patience;
mod pool;
mod tls;
mod upload;

pub use config::FetchConfig;
pub use distrust::UNTRUSTED;
pub use error::FetchError;

use super::allow::{Allow, Reach};
use crate::{Fault, Request, Response, account::Charge};
use connect::Connector;
use download::Download;
use failure::Failure;
use head::Target;
use hyper::body::Incoming;
use patience::Patience;
use pool::{HttpConnection, Pool};
use std::{fmt, future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Instant};
use upload::{Starved, Upload};

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
    connector: Connector,
    /// Two pools, so that no vlugin finds an open connection to an address that it may not connect to itself.
    anywhere: Arc<Pool>,
    outside: Arc<Pool>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fetcher").field(&self.inner.config).finish()
    }
}

impl Fetcher {
    /// A client that has no connections yet. It reads the roots of trust: the platform's, or those in `SSL_CERT_FILE`
    /// and `SSL_CERT_DIR`, or Mozilla's if the platform has none.
    ///
    /// # Errors
    /// If the environment names certificates that cannot be read, or if an extra root is not a certificate.
    pub fn new(config: FetchConfig) -> Result<Self, FetchError> {
        let tls = Arc::new(tls::client_config(&config.extra_roots)?);
        let pool = || Pool::new(config.keep_timeout, config.keep_per_host);
        Ok(Self {
            inner: Arc::new(Inner {
                connector: Connector::new(tls, config.connect_timeout),
                anywhere: pool(),
                outside: pool(),
                config,
            }),
        })
    }

    /// Sends a request, and returns the response as soon as its head arrives. The target must be an absolute URL of
    /// scheme `http` or `https`.
    ///
    /// If a kept connection turns out to be closed, the request is sent again, provided that its body is whole and
    /// its method is idempotent (RFC 9110, section 9.2.2). Trailers of a request are left out; those of a response
    /// come as [`Chunk::Trailers`](crate::Chunk).
    ///
    /// # Errors
    /// A fault of status 400 for a URL, a header or a body that cannot be sent, 403 if `allow` does not open the
    /// server, 502 if it cannot be reached or breaks the protocol, 503 if a quarter of the process's file descriptors
    /// are connections already, 504 if it takes too long. The message names the host, the port and the reason.
    ///
    /// A failure after the head is an error of the body, of kind [`TimedOut`], [`FileTooLarge`] or whatever the
    /// connection failed with.
    ///
    /// [`TimedOut`]: std::io::ErrorKind::TimedOut
    /// [`FileTooLarge`]: std::io::ErrorKind::FileTooLarge
    pub async fn fetch(&self, request: Request, allow: &Allow) -> Result<Response, Fault> {
        self.fetch_holding(request, allow, None).await
    }

    /// The same for a fetch that counts. `held` is kept as long as anything runs for it, except for the response's
    /// body.
    pub(super) async fn fetch_holding(
        &self,
        request: Request,
        allow: &Allow,
        held: Option<&Arc<Charge>>,
    ) -> Result<Response, Fault> {
        let inner = &*self.inner;
        let target = Target::parse(request.head.target())?;
        let reach = allow
            .reach(&target.host, target.port)
            .map_err(|refusal| error::refused(&target, &refusal))?;
        let pool = match reach {
            Reach::Anywhere => &inner.anywhere,
            Reach::Outside => &inner.outside,
        };
        let Request { head, body } = request;
        let upload = Upload::new(body, head::announced(&head));
        let starved = upload.starved();
        let whole = upload.whole();
        let mut request = head::outgoing(&head, &target, upload)?;
        let mut again = whole.filter(|_| request.method().is_idempotent());
        let mut kept = pool.take(&target.origin);

        let (exchange, response) = loop {
            let was_kept = kept.is_some();
            let mut exchange = match kept.take() {
                Some(exchange) => exchange,
                None => self.connect(&target, reach, held).await?,
            };
            match self.send(&mut exchange, request, &starved, &target).await {
                Ok(response) => break (exchange, response),
                Err(Failure::Fault(fault)) => return Err(fault),
                Err(Failure::Unsent(unsent)) if was_kept => {
                    request = *unsent;
                    kept = pool.take(&target.origin);
                }
                Err(Failure::Unsent(_)) => {
                    return Err(error::bad_gateway(&target, "it closed the connection"));
                }
                Err(Failure::Closed(error)) => match again.take() {
                    // The server may have closed it before it saw the request.
                    Some(whole) if was_kept => {
                        request = head::outgoing(&head, &target, Upload::new(whole.into(), None))?;
                    }
                    _ => return Err(error::of_hyper(&error, &target, inner.config.max_headers)),
                },
            }
        };

        let (parts, body) = response.into_parts();
        let head = head::incoming(&parts, &target)?;
        let pool = pool.clone();
        let download = Download::new(exchange, body, starved, pool, target, &inner.config)?;
        Ok(Response::of(head, download.into_body().await))
    }

    async fn connect(
        &self,
        target: &Target,
        reach: Reach,
        held: Option<&Arc<Charge>>,
    ) -> Result<Box<HttpConnection>, Fault> {
        let io = self.inner.connector.connect(target, reach, held).await;
        let io = io.map_err(|error| error::of_connect(&error, target))?;
        let exchange = HttpConnection::new(io, self.inner.config.max_headers).await;
        exchange.map_err(|error| error::of_hyper(&error, target, self.inner.config.max_headers))
    }

    /// Sends a request over a connection, and waits for the response's head.
    async fn send(
        &self,
        exchange: &mut HttpConnection,
        request: hyper::Request<Upload>,
        starved: &Starved,
        target: &Target,
    ) -> Result<hyper::Response<Incoming>, Failure> {
        let begun = Instant::now();
        let FetchConfig {
            head_timeout: limit,
            max_headers,
            ..
        } = self.inner.config;
        let mut patience = Patience::new(limit);
        let mut response = pin!(exchange.sender.try_send_request(request));
        poll_fn(|cx| {
            exchange.drive(cx);
            if let Poll::Ready(response) = response.as_mut().poll(cx) {
                let failed = |error| Failure::of(error, target, max_headers);
                return Poll::Ready(response.map_err(failed));
            }
            let since = |now| match starved.get() {
                true => now,
                false => begun.max(exchange.link.last_sent()),
            };
            match patience.poll(cx, since) {
                Poll::Ready(()) => Poll::Ready(Err(Failure::Fault(error::no_head(target, limit)))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }
}
