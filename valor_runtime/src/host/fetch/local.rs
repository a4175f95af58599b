//! [`Local`]: requests to a process of Valor's own on this machine, over a Unix socket.
//!
//! `loader/js` speaks with its scripts through it. Connections, bodies and cancellation are those of
//! the [`Fetcher`](super::Fetcher); there is no policy, and no limit to time or length, which are those of whom the
//! request comes from.

use super::{
    Failure, FetchConfig,
    connect::Io,
    download::Download,
    error,
    head::{self, Target},
    pool::{Exchange, Pool},
    upload::Upload,
};
use crate::{Fault, Request, Response};
use std::{
    future::poll_fn,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

/// Sends requests to one socket.
pub(crate) struct Local {
    socket: PathBuf,
    pool: Arc<Pool>,
    config: FetchConfig,
}

impl Local {
    pub(crate) fn new(socket: PathBuf) -> Self {
        let config = FetchConfig {
            head_timeout: Duration::MAX,
            idle_timeout: Duration::MAX,
            response_limit: u64::MAX,
            keep_per_host: 256,
            ..FetchConfig::default()
        };
        Self {
            pool: Pool::new(config.keep_timeout, config.keep_per_host),
            socket,
            config,
        }
    }

    /// Where the requests go.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Sends a request, and gives the response as soon as its head is there.
    ///
    /// # Errors
    /// That it cannot be sent (400), or that there is no response (502).
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
            match sent.map_err(|error| Failure::of(error, &target)) {
                Ok(response) => break (exchange, response),
                Err(Failure::Unsent(unsent)) if was_kept => {
                    request = *unsent;
                    kept = self.pool.take(&target.origin);
                }
                Err(Failure::Unsent(_)) => {
                    return Err(error::bad_gateway(&target, "it closed the connection"));
                }
                Err(Failure::Closed(error)) => return Err(error::of_hyper(&error, &target)),
                Err(Failure::Fault(fault)) => return Err(fault),
            }
        };
        let (parts, body) = response.into_parts();
        let head = head::incoming(&parts, &target)?;
        let pool = self.pool.clone();
        let download = Download::new(exchange, body, starved, pool, target, &self.config)?;
        Ok(Response {
            head,
            body: download.into_body().await,
        })
    }

    async fn connect(&self, target: &Target) -> Result<Box<Exchange>, Fault> {
        let refused = |error: &dyn std::fmt::Display| {
            error::bad_gateway(target, &format!("{}: {error}", self.socket.display()))
        };
        let io = Io::unix(&self.socket).await.map_err(|e| refused(&e))?;
        Exchange::new(io).await.map_err(|error| refused(&error))
    }
}
