//! Connections: one that speaks HTTP, and the unused ones that wait for their next request.
//!
//! Nothing runs in the background. The future or the body that uses a connection drives it, on its own task. A
//! connection closes when it is dropped. Nobody looks at an unused one until it is taken; if the server has closed it
//! in the meantime, the first step of the next request shows it.

use super::{
    error::HEAD_BUFFER,
    io::{Io, Link},
    upload::Upload,
};
use crate::reactor;
use crate::timer::Timer;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use std::{
    collections::HashMap,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, Weak},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use valor_abi_wire::lock::locked;

/// A connection that serves one request at a time.
pub(super) struct HttpConnection {
    pub(super) sender: SendRequest<Upload>,
    pub(super) link: Link,
    /// The reactor that watches it.
    reactor: Option<usize>,
    /// `None` once it is closed.
    connection: Option<Connection<Io, Upload>>,
    failure: Option<hyper::Error>,
}

impl HttpConnection {
    /// A connection whose responses may have this many headers.
    pub(super) async fn new(io: Io, max_headers: usize) -> hyper::Result<Box<Self>> {
        let link = io.link();
        let (sender, connection) = Builder::new()
            // Above 100, hyper parses on the heap: two allocations of 32 bytes a header for each response.
            .max_headers(max_headers)
            .max_buf_size(HEAD_BUFFER)
            // What a recipient has to correct and may then pass on (RFC 9112, sections 5.1 and 5.2).
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .handshake(io)
            .await?;
        Ok(Box::new(Self {
            sender,
            link,
            reactor: reactor::here(),
            connection: Some(connection),
            failure: None,
        }))
    }

    /// Reads and writes what it can. Call it whenever the task is woken.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if let Poll::Ready(ended) = Pin::new(connection).poll(cx) {
            self.failure = ended.err();
            self.connection = None;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_none()
    }

    /// The connection's error, unless hyper has already reported it.
    pub(super) fn failure(&mut self) -> Option<hyper::Error> {
        self.failure.take()
    }

    /// Whether request and response are finished, so that the next request can be sent.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_closed() && self.sender.is_ready()
    }
}

/// Every existing pool, for [`close_oldest`].
static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

fn pools() -> MutexGuard<'static, Vec<Weak<Pool>>> {
    locked(&POOLS)
}

/// Closes the connection that has been unused longest, in all pools of this process, to make room for a new one.
/// Returns whether there was one.
pub(super) fn close_oldest() -> bool {
    let pools: Vec<_> = pools().iter().filter_map(Weak::upgrade).collect();
    let oldest = pools.iter().filter_map(|pool| Some((pool.oldest()?, pool)));
    let Some((_, pool)) = oldest.min_by_key(|(since, _)| *since) else {
        return false;
    };
    // Somebody else may have taken that one, and another may still be unused.
    drop(pool.take_oldest());
    true
}

/// The unused connections, by scheme, host and port.
pub(super) struct Pool {
    keep: Duration,
    per_host: usize,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    waiting: HashMap<String, Vec<Waiting>>,
    is_swept: bool,
}

struct Waiting {
    since: Instant,
    exchange: Box<HttpConnection>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.state().waiting.values().map(Vec::len).sum::<usize>();
        write!(f, "Pool({waiting} waiting)")
    }
}

impl Pool {
    pub(super) fn new(keep: Duration, per_host: usize) -> Arc<Self> {
        let pool = Arc::new(Self {
            keep,
            per_host,
            state: Mutex::default(),
        });
        let mut pools = pools();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(Arc::downgrade(&pool));
        pool
    }

    /// Since when the connection that has been unused longest has waited.
    fn oldest(&self) -> Option<Instant> {
        let state = self.state();
        // The longest wait comes first.
        let first = state.waiting.values().filter_map(|here| here.first());
        first.map(|waiting| waiting.since).min()
    }

    fn take_oldest(&self) -> Option<Waiting> {
        let mut state = self.state();
        let lists = state.waiting.values_mut().filter(|here| !here.is_empty());
        let list = lists.min_by_key(|here| here[0].since)?;
        Some(list.remove(0))
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        locked(&self.state)
    }

    /// The connection to this server that was used last, among those that this thread's reactor watches: another
    /// reactor may have ended.
    pub(super) fn take(&self, origin: &str) -> Option<Box<HttpConnection>> {
        let here = reactor::here();
        let mut state = self.state();
        let kept = state.waiting.get_mut(origin)?;
        let last = kept.iter().rposition(|it| it.exchange.reactor == here)?;
        let waiting = kept.remove(last);
        drop(state);
        (waiting.since.elapsed() < self.keep).then_some(waiting.exchange)
    }

    /// Keeps a connection for the next request to this server.
    pub(super) fn put(self: &Arc<Self>, origin: &str, exchange: Box<HttpConnection>) {
        if self.per_host == 0 || self.keep.is_zero() {
            return;
        }
        let waiting = Waiting {
            since: Instant::now(),
            exchange,
        };
        let mut state = self.state();
        let here = match state.waiting.get_mut(origin) {
            Some(here) => here,
            None => state.waiting.entry(origin.to_owned()).or_default(),
        };
        // The oldest makes room. It is closed after the lock is released.
        let oldest = (here.len() >= self.per_host).then(|| here.remove(0));
        here.push(waiting);
        if !mem::replace(&mut state.is_swept, true) {
            smol::spawn(sweep(Arc::downgrade(self), self.keep)).detach();
        }
        drop(state);
        drop(oldest);
    }

    /// Removes connections that were unused for too long. Also returns whether any are left.
    fn expire(&self) -> (Vec<Waiting>, bool) {
        let mut state = self.state();
        let mut expired = Vec::new();
        state.waiting.retain(|_, here| {
            // The longest wait comes first.
            let old = here.partition_point(|waiting| waiting.since.elapsed() >= self.keep);
            expired.extend(here.drain(..old));
            !here.is_empty()
        });
        state.is_swept = !state.waiting.is_empty();
        (expired, state.is_swept)
    }
}

/// Closes connections that were unused for too long, until none are left.
async fn sweep(pool: Weak<Pool>, keep: Duration) {
    loop {
        Timer::after(keep / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        let (expired, more) = pool.expire();
        drop(expired);
        if !more {
            return;
        }
    }
}
