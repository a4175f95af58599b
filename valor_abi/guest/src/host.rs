//! The host for an author's code: [`Host`] over the imports.

use crate::{
    bodies, imports,
    message::{self, MessageError},
    numbered::Numbered,
    tasks,
};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    sync::{Arc, OnceLock},
    task::{Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use valor_abi_wire::{Body, BoxFuture, Fault, Host, LogRecord, Request, Response};

/// What is known about this instance's vlugin and its host.
struct Vlugin {
    name: String,
    level: log::LevelFilter,
}

/// The only host of this instance, for the glue. Each of the host's operations is a separate function here, so that
/// those that a vlugin never calls are not in its module.
#[derive(Clone)]
pub struct HostRef(&'static Vlugin);

static HOST: OnceLock<Vlugin> = OnceLock::new();
static AS_DYN: OnceLock<Arc<dyn Host>> = OnceLock::new();

/// Notes which vlugin this module is, and sends the `log` crate's records to the host.
pub(crate) fn adopt(name: String, level: log::LevelFilter) -> HostRef {
    let host = HostRef(HOST.get_or_init(|| Vlugin { name, level }));
    // This fails if the author has set a logger: that one stays.
    let _ = log::set_logger(&HostLogger);
    log::set_max_level(level);
    host
}

/// The host, once the vlugin is being created.
fn get() -> Option<HostRef> {
    HOST.get().map(HostRef)
}

/// The host of this module's vlugin.
///
/// # Panics
/// Before the vlugin is created.
pub fn must_be_current() -> HostRef {
    get().expect("valor's functions are called from a vlugin that a host has created")
}

struct HostLogger;

impl log::Log for HostLogger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        get().is_some_and(|host| metadata.level() <= host.0.level)
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        imports::log(
            record.level() as u32,
            record.target(),
            &record.args().to_string(),
            record.file().unwrap_or_default(),
            record.line().unwrap_or_default(),
        );
    }

    fn flush(&self) {}
}

#[derive(Default)]
struct Waiting {
    response: Option<Result<Response, Fault>>,
    waker: Option<Waker>,
}

thread_local! {
    static FETCHES: RefCell<Numbered<Waiting>> = const { RefCell::new(Numbered::new()) };
    static TIMERS: RefCell<Numbered<Option<Waker>>> = const { RefCell::new(Numbered::new()) };
    static LAST: Cell<u32> = const { Cell::new(0) };
    /// What receives the responses, once a request was sent.
    static ASKED: Cell<Option<Note>> = const { Cell::new(None) };
}

type Note = fn(u32, Vec<u8>);

/// A number that is not in use.
fn fresh(is_used: impl Fn(u32) -> bool) -> u32 {
    loop {
        let id = LAST.get().wrapping_add(1) & 0x7fff_ffff;
        LAST.set(id);
        if !is_used(id) {
            return id;
        }
    }
}

/// A running fetch: dropping it ends it.
struct Fetching {
    id: u32,
    answered: bool,
    /// Whether its own body is written in pieces.
    writes: bool,
}

impl Fetching {
    /// Its response is complete.
    fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        let waiting = FETCHES.with_borrow_mut(|all| all.remove(self.id));
        drop(waiting);
        if self.writes {
            tasks::remove(self.id);
        }
        if !self.answered || self.writes {
            imports::abort(self.id);
        }
    }
}

/// Notes the response to a fetch.
pub(crate) fn answered(id: u32, block: Vec<u8>) {
    // If nothing ever sent a request, there is no such fetch, and the code for responses is not in the module.
    if let Some(note) = ASKED.get() {
        note(id, block);
    }
}

fn note_response(id: u32, block: Vec<u8>) {
    if !FETCHES.with_borrow(|all| all.contains(id)) {
        return;
    }
    let response = match message::decode_response(block) {
        Ok(Ok((head, body))) => Ok((head, body)),
        Ok(Err(fault)) => Err(fault),
        Err(error) => Err(unsound(&error)),
    };
    let response = response.map(|(head, body)| Response::of(head, bodies::incoming(id, body)));
    let waker = FETCHES.with_borrow_mut(|all| {
        let waiting = all.get_mut(id)?;
        waiting.response = Some(response);
        waiting.waker.take()
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn unsound(error: &MessageError) -> Fault {
    Fault::error(
        502,
        format!("what the host handed over is not sound: {error}"),
    )
}

async fn ask(vlugin: String, request: Request) -> Result<Response, Fault> {
    let id = 1 << 31 | fresh(|id| FETCHES.with_borrow(|all| all.contains(1 << 31 | id)));
    let (block, chunks) = message::encode_request(request);
    ASKED.set(Some(note_response));
    FETCHES.with_borrow_mut(|all| all.insert(id, Waiting::default()));
    let mut fetching = Fetching {
        id,
        answered: false,
        writes: chunks.is_some(),
    };
    if let Some(chunks) = chunks {
        tasks::start(id, bodies::outgoing(id, chunks));
    }
    imports::fetch(id, &vlugin, &block);
    drop((vlugin, block));
    let response = poll_fn(|cx| {
        FETCHES.with_borrow_mut(|all| {
            let waiting = all.get_mut(id).expect("it is removed by `Fetching` alone");
            match waiting.response.take() {
                Some(response) => Poll::Ready(response),
                None => {
                    waiting.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    });
    match response.await {
        Ok(mut response) => {
            response.body = kept(response.body, fetching);
            Ok(response)
        }
        Err(fault) => {
            fetching.answered();
            Err(fault)
        }
    }
}

/// The body of a fetch's response, with the fetch, which lives as long as it is read.
fn kept(body: Body, mut fetch: Fetching) -> Body {
    match body {
        Body::Bytes(bytes) => {
            fetch.answered();
            Body::Bytes(bytes)
        }
        Body::Stream { len, mut chunks } => {
            let chunks = futures_lite::stream::poll_fn(move |cx| {
                let next = chunks.as_mut().poll_next(cx);
                if matches!(next, Poll::Ready(None | Some(Err(_)))) {
                    fetch.answered();
                }
                next
            });
            Body::stream(len, chunks)
        }
    }
}

/// A running timer: dropping it cancels it.
struct Timer(u32);

impl Drop for Timer {
    fn drop(&mut self) {
        if TIMERS.with_borrow_mut(|all| all.remove(self.0)).is_some() {
            imports::timer(self.0, -1.0);
        }
    }
}

/// Notes that a timer has expired.
pub(crate) fn timer(id: u32) {
    if let Some(Some(waker)) = TIMERS.with_borrow_mut(|all| all.remove(id)) {
        waker.wake();
    }
}

impl HostRef {
    /// The host in the form that other boundaries have.
    pub fn as_dyn(&self) -> &'static Arc<dyn Host> {
        AS_DYN.get_or_init(|| Arc::new(self.clone()))
    }

    /// The vlugin's name.
    pub fn name(&self) -> &'static str {
        &self.0.name
    }

    /// As [`Host::fetch`].
    pub fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        Box::pin(ask(String::new(), request))
    }

    /// As [`Host::call`].
    pub fn call(
        &self,
        vlugin: &str,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        if vlugin.is_empty() {
            let fault = Fault::refused(404, "no vlugin has an empty name");
            return Box::pin(async { Err(fault) });
        }
        Box::pin(ask(vlugin.to_owned(), request))
    }

    /// As [`Host::sleep`].
    pub fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let id = fresh(|id| TIMERS.with_borrow(|all| all.contains(id)));
            TIMERS.with_borrow_mut(|all| all.insert(id, None));
            let timer = Timer(id);
            imports::timer(id, time.as_secs_f64() * 1000.0);
            poll_fn(|cx| {
                TIMERS.with_borrow_mut(|all| match all.get_mut(timer.0) {
                    Some(waker) => {
                        *waker = Some(cx.waker().clone());
                        Poll::Pending
                    }
                    None => Poll::Ready(()),
                })
            })
            .await;
        })
    }

    /// As [`Host::now`].
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs_f64(imports::now_ms().max(0.0) / 1000.0)
    }

    /// As [`Host::random`].
    pub fn random(&self, buffer: &mut [u8]) {
        imports::random(buffer);
    }
}

impl Host for HostRef {
    fn name(&self) -> &str {
        self.0.name.as_str()
    }

    fn log(&self, record: &LogRecord<'_>) {
        imports::log(
            record.level as u32,
            record.target,
            record.message,
            record.file,
            record.line,
        );
    }

    fn max_level(&self) -> log::LevelFilter {
        self.0.level
    }

    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        HostRef::fetch(self, request)
    }

    fn call(&self, vlugin: &str, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        HostRef::call(self, vlugin, request)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        HostRef::sleep(self, time)
    }

    fn now(&self) -> SystemTime {
        HostRef::now(self)
    }

    fn random(&self, buffer: &mut [u8]) {
        HostRef::random(self, buffer);
    }
}
