//! [`Local`]: requests to one of Valor's own processes on this machine, over a Unix socket or a loopback port.
//!
//! `loader/js` talks to its scripts through it. Connections, bodies and cancellation work as in the
//! [`Fetcher`](super::Fetcher). There is no policy here, and no limit on time or length: those that apply are the
//! limits of the request's sender.

pub(crate) use super::io::Address;
use super::{
    config::FetchConfig,
    download::Download,
    error,
    failure::Failure,
    head::{self, Target},
    io::Io,
    pool::{HttpConnection, Pool},
    upload::Upload,
};
use crate::{Fault, Request, RequestHead, Response};
use std::{
    fmt,
    future::poll_fn,
    io,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How many headers the head of a response may have.
const HEADERS: usize = 1024;

/// Removes the headers of a request's connection from a head that continues inside a message.
pub(crate) fn end_to_end(head: &mut RequestHead) {
    head::end_to_end(head);
}

/// Sends requests to one process.
pub(crate) struct Local {
    address: OnceLock<Address>,
    pool: Arc<Pool>,
    config: FetchConfig,
}

impl Local {
    /// For a process whose address is set [later](Self::is_at).
    pub(crate) fn new() -> Self {
        let config = FetchConfig {
            head_timeout: Duration::MAX,
            idle_timeout: Duration::MAX,
            response_limit: u64::MAX,
            keep_per_host: 256,
            ..FetchConfig::default()
        };
        Self {
            pool: Pool::new(config.keep_timeout, config.keep_per_host),
            address: OnceLock::new(),
            config,
        }
    }

    /// Sets where the requests go, once and for all.
    pub(crate) fn is_at(&self, address: Address) {
        let _ = self.address.set(address);
    }

    /// Sends a request, and returns the response as soon as its head arrives.
    ///
    /// # Errors
    /// If the request cannot be sent (400), or if there is no response (502).
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Fault> {
        let Request { head, body } = request;
        let target = Target::local(&head)?;
        let upload = Upload::new(body, head::announced(&head));
        let starved = upload.starved();
        let mut request = head::outgoing(&head, &target, upload)?;
        let mut kept = self.pool.take(&target.origin);
        let (exchange, response) = loop {
            let was_kept = kept.is_some();
            let mut exchange = match kept.take() {
                Some(exchange) => exchange,
                None => self.connect(&target).await?,
            };
            let sent = {
                let mut response = pin!(exchange.sender.try_send_request(request));
                poll_fn(|cx| {
                    exchange.drive(cx);
                    response.as_mut().poll(cx)
                })
                .await
            };
            match sent.map_err(|error| Failure::of(error, &target, HEADERS)) {
                Ok(response) => break (exchange, response),
                Err(Failure::Unsent(unsent)) if was_kept => {
                    request = *unsent;
                    kept = self.pool.take(&target.origin);
                }
                Err(Failure::Unsent(_)) => {
                    return Err(error::bad_gateway(&target, "it closed the connection"));
                }
                Err(Failure::Closed(error)) => {
                    return Err(error::of_hyper(&error, &target, HEADERS));
                }
                Err(Failure::Fault(fault)) => return Err(fault),
            }
        };
        let (parts, body) = response.into_parts();
        let head = head::incoming(&parts, &target)?;
        let pool = self.pool.clone();
        let download = Download::new(exchange, body, starved, pool, target, &self.config)?;
        Ok(Response::of(head, download.into_body().await))
    }

    /// Whether the process accepts connections.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) async fn listens(&self) -> io::Result<()> {
        match self.address.get() {
            Some(address) => Io::local(address).await.map(drop),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn connect(&self, target: &Target) -> Result<Box<HttpConnection>, Fault> {
        let Some(address) = self.address.get() else {
            return Err(error::bad_gateway(target, "it does not listen yet"));
        };
        let refused =
            |error: &dyn fmt::Display| error::bad_gateway(target, &format!("{address}: {error}"));
        let io = Io::local(address).await.map_err(|error| refused(&error))?;
        let exchange = HttpConnection::new(io, HEADERS).await;
        exchange.map_err(|error| refused(&error))
    }
}
