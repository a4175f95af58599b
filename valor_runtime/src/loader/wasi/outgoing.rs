//! What components send: requests to servers and to other vlugins, through the vlugin's host, which judges and counts
//! them.
//!
//! wasmtime's wasi:http asks [`Hooks`] in version 0.3, and `outgoing_v2` does in version 0.2.

use super::{messages, recipe::Recipe};
use crate::{Body, BoxFuture, Fault, FaultKind, account::Account, timer::Timer};
use futures_lite::future;
use futures_util::StreamExt;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use valor_abi_wire::{Host, LogRecord, lock::locked};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// The most bytes that a component writes to a body at once.
const MOST: usize = 64 << 10;
/// It may always write this many.
const LEAST: usize = 4 << 10;

/// The methods of requests that have no content (RFC 9110, section 9.3). Servers need not expect a body with them.
const BARE: [&str; 5] = ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"];

/// How long a component may take to end the body of such a request, or to begin it, before it is sent as a stream.
const SETTLED: Duration = Duration::from_millis(10);

/// The response to a request that was sent.
pub(super) type Received = Result<http::Response<WasiBody>, Error>;
type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// How a component reaches what is outside.
pub(super) struct Hooks {
    host: Arc<dyn Host>,
    account: Account,
    /// How many bodies the instances of the vlugin may be writing.
    bodies: Arc<AtomicUsize>,
    refusal: Refusal,
}

/// Why the last request that an instance sent had no response, in the host's words. The component knows a code alone.
#[derive(Clone, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    pub(super) fn reason(&self) -> Option<String> {
        locked(&self.0).clone()
    }
}

impl Hooks {
    pub(super) fn new(recipe: &Recipe, account: Account) -> Self {
        Self {
            host: recipe.host.clone(),
            account,
            bodies: recipe.bodies.clone(),
            refusal: Refusal::default(),
        }
    }

    pub(super) fn refusal(&self) -> Refusal {
        self.refusal.clone()
    }

    /// Sends a request.
    pub(super) fn send(
        &self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> BoxFuture<'static, Received> {
        let (account, refusal) = (self.account.clone(), self.refusal.clone());
        let (sent, host) = (messages::of_sent(request), self.host.clone());
        Box::pin(async move {
            let answered = async {
                let (mut request, callee) = sent?;
                if BARE.contains(&request.head.method()) {
                    request.body = settled(request.body).await;
                }
                let sent = match callee {
                    Some(callee) => host.call(&callee, request),
                    None => host.fetch(request),
                };
                let response = sent.await.map_err(|fault| {
                    log(&*host, &fault);
                    *locked(&refusal.0) = Some(fault.message.clone());
                    of_fault(&fault)
                })?;
                messages::to_received(response, &account)
            };
            let limits = options.map(|it| (it.connect_timeout, it.first_byte_timeout));
            let limit = match limits {
                // The connection may be there already, so both count together.
                Some((Some(connect), Some(first))) => connect.saturating_add(first),
                Some((Some(only), None) | (None, Some(only))) => only,
                _ => return answered.await,
            };
            let late = async {
                Timer::after(limit).await;
                Err(Error::ConnectionReadTimeout)
            };
            future::or(answered, late).await
        })
    }
}

/// Logs why a request has no response, in the vlugin's name: the component gets a code, and may keep that to itself.
fn log(host: &dyn Host, fault: &Fault) {
    let level = match fault.kind {
        FaultKind::Refused => log::Level::Warn,
        _ => log::Level::Info,
    };
    host.log(&LogRecord {
        level,
        target: "",
        message: &format!("a request that it sent has no response: {}", fault.message),
        file: "",
        line: 0,
    });
}

/// A body that ends at once is an empty one. Only its end says so: in 0.3, every request ends with its trailers.
async fn settled(mut body: Body) -> Body {
    if body.len().is_some() {
        return body;
    }
    let first = async { Some(body.chunk().await) };
    let late = async {
        Timer::after(SETTLED).await;
        None
    };
    match future::or(first, late).await {
        Some(None) => Body::empty(),
        Some(first) => {
            let rest = futures_util::stream::poll_fn(move |cx| body.poll_chunk(cx));
            Body::stream(None, futures_util::stream::iter(first).chain(rest))
        }
        None => body,
    }
}

/// Why a request that a component sent has no response, in the standard's terms.
fn of_fault(fault: &Fault) -> Error {
    match (fault.kind, fault.status) {
        (FaultKind::Timeout, _) | (_, 504) => Error::HttpResponseTimeout,
        (FaultKind::Refused, 403) => Error::HttpRequestDenied,
        (FaultKind::Refused, 503) => Error::ConnectionLimitReached,
        (_, 400) => Error::HttpRequestUriInvalid,
        (_, 413) => Error::HttpRequestBodySize(None),
        (_, 502) => Error::ConnectionRefused,
        _ => Error::InternalError(Some(fault.message.clone())),
    }
}

impl WasiHttpHooks for Hooks {
    /// What is not HTTP is refused by `fetch`, in its words.
    fn is_supported_scheme(&mut self, _scheme: &http::uri::Scheme) -> bool {
        true
    }

    /// The host of a URL is its `host`, which `fetch` adds.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _done: Done,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Done), Error>> + Send> {
        let sending = self.send(request, options);
        Box::new(async move {
            let done: Done = Box::new(future::ready(Ok(())));
            Ok((sending.await?, done))
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        self.part()
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        self.part()
    }
}

impl Hooks {
    /// How many bytes of a body the host may hold: all that are being written have a quarter of the account together.
    fn part(&self) -> usize {
        let bodies = self.bodies.load(Ordering::Relaxed).max(1) as u64;
        let part = self.account.limit() / 4 / 3 / bodies;
        usize::try_from(part).unwrap_or(MOST).clamp(LEAST, MOST)
    }
}
