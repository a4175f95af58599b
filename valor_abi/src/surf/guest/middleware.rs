//! Middleware: what a request passes through on its way to the backend, and its response on the way back.

use super::{
    BoxFuture, Client, Request, Response, Result,
    http::{StatusCode, Url, headers, url::ParseError},
};
use std::sync::Arc;

/// One piece of middleware.
#[async_trait::async_trait]
pub trait Middleware: 'static + Send + Sync {
    /// Passes a request on with `next`, or answers it in another way; `client` has no middleware.
    async fn handle(&self, req: Request, client: Client, next: Next<'_>) -> Result<Response>;
}

#[async_trait::async_trait]
impl<F> Middleware for F
where
    F: Send
        + Sync
        + 'static
        + for<'a> Fn(Request, Client, Next<'a>) -> BoxFuture<'a, Result<Response>>,
{
    async fn handle(&self, req: Request, client: Client, next: Next<'_>) -> Result<Response> {
        self(req, client, next).await
    }
}

type Endpoint =
    dyn Fn(Request, Client) -> BoxFuture<'static, Result<Response>> + Send + Sync + 'static;

/// The rest of a request's way.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations)]
pub struct Next<'a> {
    next: &'a [Arc<dyn Middleware>],
    endpoint: &'a Endpoint,
}

impl<'a> Next<'a> {
    /// A way through these, in their order, to `endpoint`.
    pub fn new(next: &'a [Arc<dyn Middleware>], endpoint: &'a Endpoint) -> Self {
        Self { next, endpoint }
    }

    /// Sends a request along it.
    pub fn run(self, req: Request, client: Client) -> BoxFuture<'a, Result<Response>> {
        match self.next.split_first() {
            Some((first, next)) => first.handle(req, client, Self { next, ..self }),
            None => (self.endpoint)(req, client),
        }
    }
}

/// Follows redirects.
///
/// Like surf's, it sends the request without its body until there are no more redirects, and then sends the whole
/// request to the final URL.
#[derive(Debug)]
pub struct Redirect {
    attempts: u8,
}

impl Redirect {
    /// Follows at most so many.
    pub fn new(attempts: u8) -> Self {
        Self { attempts }
    }
}

impl Default for Redirect {
    fn default() -> Self {
        Self::new(3)
    }
}

#[async_trait::async_trait]
impl Middleware for Redirect {
    async fn handle(&self, mut req: Request, client: Client, next: Next<'_>) -> Result<Response> {
        for _ in 0..self.attempts {
            let res = client.send(req.clone()).await?;
            if !leads_on(res.status()) {
                break;
            }
            if let Some(location) = res.header(headers::LOCATION) {
                let location = location.last().as_str();
                let url = match Url::parse(location) {
                    Err(ParseError::RelativeUrlWithoutBase) => req.url().join(location)?,
                    url => url?,
                };
                let req: &mut super::http::Request = req.as_mut();
                *req.url_mut() = url;
            }
        }
        next.run(req, client).await
    }
}

fn leads_on(status: StatusCode) -> bool {
    matches!(u16::from(status), 301 | 302 | 303 | 307 | 308)
}

/// Logs each request, and its response.
#[derive(Debug, Default)]
pub struct Logger(());

impl Logger {
    /// A logger.
    pub fn new() -> Self {
        Self(())
    }
}

#[async_trait::async_trait]
impl Middleware for Logger {
    async fn handle(&self, req: Request, client: Client, next: Next<'_>) -> Result<Response> {
        let (method, url) = (req.method(), req.url().clone());
        log::info!("sending request: {method} {url}");
        let res = next.run(req, client).await?;
        let status = res.status();
        let level = match u16::from(status) {
            500.. => log::Level::Error,
            400.. => log::Level::Warn,
            _ => log::Level::Info,
        };
        log::log!(level, "request completed: {method} {url}: {status}");
        Ok(res)
    }
}
