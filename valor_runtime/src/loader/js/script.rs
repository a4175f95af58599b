//! [`Script`]: one JavaScript file as a vlugin, whether it is running or not.
//!
//! `mod` creates one for each definition. The load or the first request starts it. If it has ended, the next request
//! starts it again: at once the first two times, then after a delay that doubles each time. Requests that ran when it
//! ended are answered with the reason.

use super::{
    graph::{Ask, Graph},
    group::Group,
    hints::plain,
    process::{Process, Unstarted},
    requests,
    told::Rejected,
    trouble::Trouble,
    worker::{End, Worker},
};
use crate::{
    Body, BoxFuture, Bytes, Chunk, Fault, FaultKind, Request, Response, Vlugin,
    account::{Account, Charge, Over},
    loader::npm,
    metrics::ScriptMetrics,
    timer::Timer,
};
use arc_swap::ArcSwapOption;
use futures_core::Stream;
use futures_lite::future;
use serde::Deserialize;
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use valor_abi_wire::{Host, lock::locked};

/// How long the work that a script promised to do after its last response may take.
const PROMISED: Duration = Duration::from_secs(30);
/// A message, or a piece of a body, of at most so many bytes is not counted: counting would cost more.
const SMALL: usize = 4096;
/// What the definition says about a script.
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) file: PathBuf,
    /// What the supervisor needs to start it.
    pub(super) start: Value,
    pub(super) host: Arc<dyn Host>,
    /// What the host holds for it, in any of its workers.
    pub(super) account: Account,
    pub(super) cpu: Duration,
    pub(super) create_timeout: Duration,
    /// After this time without a request it is stopped.
    pub(super) idle: Option<Duration>,
    /// Reads the file and checks that it may be run. If its content was checked, that content is the script, and not
    /// what the file contains when Deno reads it; `None` if no check was required.
    pub(super) check: Arc<dyn Fn() -> Result<Option<String>, String> + Send + Sync>,
    /// What it imports. If its bytes are checked, it imports nothing.
    pub(super) ask: Ask,
    pub(super) metrics: ScriptMetrics,
}

/// A script, running or not.
pub(super) struct Script {
    pub(super) recipe: Recipe,
    group: Arc<Group>,
    live: ArcSwapOption<Live>,
    /// Held while the script is being started.
    starting: smol::lock::Mutex<()>,
    trouble: Mutex<Trouble>,
    /// Its files when it was last started.
    graph: Mutex<Graph>,
    has_foretold: AtomicBool,
}

/// A running script. Each request holds it.
struct Live {
    worker: Arc<Worker>,
    process: Arc<Process>,
    since: Instant,
    /// When it was last used, in nanoseconds since `since`.
    used: AtomicU64,
}

impl Live {
    fn touch(&self) {
        let nanos = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.used.store(nanos, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        let used = Duration::from_nanos(self.used.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(used)
    }
}

/// Why a request cannot be given to the script.
enum Unavailable {
    Later(Duration, String),
    Fault(Fault),
}

impl Script {
    pub(super) fn new(recipe: Recipe, group: Arc<Group>) -> Arc<Self> {
        Arc::new(Self {
            recipe,
            group,
            live: ArcSwapOption::empty(),
            starting: smol::lock::Mutex::new(()),
            trouble: Mutex::default(),
            graph: Mutex::default(),
            has_foretold: AtomicBool::new(false),
        })
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        locked(&self.trouble)
    }

    /// Why it is not started again until a delay is over, if so.
    pub(super) fn troubled(&self) -> Option<(String, String)> {
        let trouble = self.trouble();
        let wait = trouble.wait()?;
        let reason = format!(
            "it {} ({} times in a row); it is started again in {} s at the earliest",
            trouble.reason,
            trouble.failures,
            wait.as_secs() + 1
        );
        Some((self.recipe.name.clone(), reason))
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        locked(&self.graph)
    }

    /// Its files, as they were when it was last started.
    pub(super) fn imports(&self) -> Vec<PathBuf> {
        self.graph().files().map(Path::to_owned).collect()
    }

    /// Whether one of them has changed.
    pub(super) fn has_changed(&self) -> bool {
        self.graph().changed().is_some()
    }

    /// Starts it.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), Unstarted> {
        let _starting = self.starting.lock().await;
        self.begin().await.map(drop)
    }

    async fn begin(self: &Arc<Self>) -> Result<Arc<Live>, Unstarted> {
        let recipe = &self.recipe;
        let check = recipe.check.clone();
        let checked = smol::unblock(move || check()).await;
        let mut start = recipe.start.clone();
        match checked.map_err(Unstarted::Failed)? {
            Some(source) => start["source"] = source.into(),
            None => {
                let (finding, contained) =
                    future::zip(recipe.ask.finding(), recipe.ask.contained()).await;
                let finding = finding.map_err(Unstarted::Failed)?;
                *self.graph() = finding.graph;
                finding
                    .refusal
                    .map_or(Ok(()), Err)
                    .map_err(Unstarted::Failed)?;
                contained.map_err(Unstarted::Failed)?;
                self.foretell(&finding.rejected);
            }
        }
        let process = self.group.process().await?;
        let (worker, starting) = process.start(&recipe.name, start).await?;
        let serving = requests::serve(
            worker.clone(),
            Arc::downgrade(&process),
            recipe.host.clone(),
            recipe.account.clone(),
        );
        smol::spawn(serving).detach();
        starting.settled(recipe.create_timeout).await?;
        let live = Arc::new(Live {
            worker,
            process,
            since: Instant::now(),
            used: AtomicU64::new(0),
        });
        self.live.store(Some(live.clone()));
        recipe.metrics.running.set(1);
        smol::spawn(note_end(Arc::downgrade(self), live.worker.clone())).detach();
        if let Some(idle) = recipe.idle {
            smol::spawn(retire_when_idle(
                Arc::downgrade(self),
                Arc::downgrade(&live),
                idle,
            ))
            .detach();
        }
        Ok(live)
    }

    /// Warns of what it imports as it runs, and cannot: once, however often it is started.
    fn foretell(&self, rejected: &[Rejected]) {
        if self.has_foretold.swap(true, Ordering::Relaxed) {
            return;
        }
        let name = &self.recipe.name;
        for it in rejected {
            log::warn!(target: "valor::js", vlugin = name.as_str(); "{}", it.foretold(name));
        }
    }

    fn current(&self) -> Option<Arc<Live>> {
        let live = self.live.load_full();
        live.filter(|live| !live.worker.has_ended())
    }

    /// The running script, started if it is not running.
    async fn live(self: &Arc<Self>) -> Result<Arc<Live>, Unavailable> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let _starting = self.starting.lock().await;
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let again = match self.live.swap(None) {
            Some(old) => {
                self.recipe.metrics.running.set(0);
                let end = old.worker.ended().await;
                self.trouble().note(old.since.elapsed(), end.to_string());
                true
            }
            None => false,
        };
        {
            let trouble = self.trouble();
            if let Some(wait) = trouble.wait() {
                return Err(Unavailable::Later(wait, trouble.reason.clone()));
            }
        }
        if again || self.trouble().failures > 0 {
            self.recipe.metrics.restarts.inc();
        }
        match self.begin().await {
            Ok(live) => Ok(live),
            Err(unstarted) => {
                let line = self.unstarted(unstarted);
                self.trouble().note(Duration::ZERO, line.clone());
                Err(Unavailable::Fault(Fault::error(502, format!("it {line}"))))
            }
        }
    }

    fn unstarted(&self, unstarted: Unstarted) -> String {
        match unstarted {
            Unstarted::Failed(message) => match npm::missing(&message, &self.recipe.file) {
                Some(missing) => format!("could not be loaded: {missing}"),
                None => format!("could not be loaded: {message}"),
            },
            Unstarted::TimedOut => format!(
                "was not loaded within {} s",
                self.recipe.create_timeout.as_secs_f64()
            ),
            Unstarted::Ended(end) => format!("{end}, as it was loaded"),
            Unstarted::System(message) => format!("could not be started: {message}"),
        }
    }

    async fn answer(self: Arc<Self>, mut request: Request) -> Result<Response, Fault> {
        if self.recipe.account.is_high() {
            let name = &self.recipe.name;
            let detail = format!("the server holds much for the vlugin `{name}`; try again later");
            return Ok(later(&detail, Duration::ZERO));
        }
        let live = match self.live().await {
            Ok(live) => live,
            Err(Unavailable::Fault(fault)) => return Err(fault),
            Err(Unavailable::Later(wait, reason)) => {
                let name = &self.recipe.name;
                log::debug!(target: "valor::js", vlugin = name.as_str(); "`{name}` is not started yet: it {reason}");
                let detail =
                    format!("the vlugin `{name}` has ended several times; try again later");
                return Ok(later(&detail, wait));
            }
        };
        live.touch();
        let worker = &live.worker;
        request.head.remove("upgrade");
        let is_head = request.head.method() == "HEAD";
        let request = worker.addressed(request);
        let mut response = match worker.local.send(request).await {
            Ok(response) => response,
            Err(fault) => return Err(self.ended(&live, fault).await),
        };
        if response.head.header_str("x-valor-fault") == Some(&worker.token) {
            return Err(told(response.body).await);
        }
        if is_head && response.head.header("content-length").is_none() {
            // The length of the answer to a GET is not known (RFC 9110, section 8.6).
            response.body = Body::stream(None, futures_lite::stream::empty());
        }
        let mut held = Held {
            chunks: Box::pin(futures_lite::stream::empty()),
            account: self.recipe.account.clone(),
            live,
        };
        let head = response.head.as_bytes().len();
        response.body = match response.body {
            Body::Bytes(bytes) if head + bytes.len() <= SMALL => Body::Bytes(bytes),
            Body::Bytes(bytes) => match held.charge(head, bytes) {
                Ok(bytes) => Body::Bytes(bytes),
                Err(_) => return Err(Fault::error(502, format!("it {}", End::Held))),
            },
            Body::Stream { len, chunks } => {
                held.chunks = chunks;
                Body::stream(len, held)
            }
        };
        Ok(response)
    }

    /// The fault for a request whose connection broke: the end of the script, if it has ended.
    async fn ended(&self, live: &Live, fault: Fault) -> Fault {
        let worker = &live.worker;
        let waited = async {
            Timer::after(Duration::from_secs(1)).await;
            None
        };
        if fault.status < 500 {
            return fault;
        }
        // It has answered, with a head that is longer than any vlugin's may be.
        if fault.kind == FaultKind::Refused {
            return Fault::error(500, fault.message);
        }
        let mut end = future::or(async { Some(worker.ended().await) }, waited).await;
        if end.is_none()
            && let Err(error) = worker.local.listens().await
        {
            let why = End::Died(format!("it no longer takes requests: {error}"));
            live.process.end(worker, why.clone());
            end = Some(why);
        }
        match end {
            None => fault,
            Some(End::Blocked) => Fault::new(
                FaultKind::Timeout,
                504,
                format!(
                    "it ran for {} s without a pause, which `limits.cpu` does not allow",
                    self.recipe.cpu.as_secs_f64()
                ),
            ),
            Some(end) => Fault::error(502, format!("it {end}")),
        }
    }
}

impl Vlugin for Script {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        Box::pin(self.answer(request))
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.recipe.metrics.running.set(0);
        if let Some(live) = self.live.swap(None) {
            smol::spawn(retire(live)).detach();
        }
    }
}

/// The error that a script answered with.
async fn told(body: Body) -> Fault {
    #[derive(Deserialize)]
    struct Told {
        status: u16,
        message: String,
    }
    let bytes = body.bytes(1 << 20).await.unwrap_or_default();
    match serde_json::from_slice::<Told>(&bytes) {
        Ok(Told { status, message }) => Fault::error(status, plain(&message).into_owned()),
        Err(error) => Fault::error(
            502,
            format!("it failed, and the reason cannot be read: {error}"),
        ),
    }
}

/// Stops a script that nobody will use again, after its current users have finished.
async fn retire(live: Arc<Live>) {
    while Arc::strong_count(&live) > 1 && !live.worker.has_ended() {
        Timer::after(Duration::from_millis(20)).await;
    }
    live.process.stop(&live.worker, PROMISED);
    let late = async {
        Timer::after(PROMISED * 2).await;
        End::Stopped
    };
    future::or(live.worker.ended(), late).await;
}

/// Counts a script as not running once its process has ended, and not only when the next request finds it so.
async fn note_end(script: Weak<Script>, worker: Arc<Worker>) {
    worker.ended().await;
    if let Some(script) = script.upgrade()
        && script.current().is_none()
    {
        script.recipe.metrics.running.set(0);
    }
}

async fn retire_when_idle(script: Weak<Script>, live: Weak<Live>, idle: Duration) {
    loop {
        Timer::after((idle / 4).max(Duration::from_millis(20))).await;
        let (Some(script), Some(live)) = (script.upgrade(), live.upgrade()) else {
            return;
        };
        if live.worker.has_ended() {
            return;
        }
        // This one and the script's own: no request.
        if Arc::strong_count(&live) > 2 || live.idle() < idle {
            continue;
        }
        script.live.store(None);
        script.recipe.metrics.running.set(0);
        drop(script);
        return retire(live).await;
    }
}

fn later(detail: &str, wait: Duration) -> Response {
    let mut response = Response::problem(503, detail);
    let seconds = (wait.as_secs() + 1).to_string();
    let _ = response.head.push("retry-after", seconds.as_bytes());
    response
}

/// A body that holds the script it comes from. Its bytes count until the client has them.
struct Held {
    chunks: valor_abi_wire::ChunkStream,
    account: Account,
    live: Arc<Live>,
}

impl Held {
    /// These bytes, counted with so many more; ends the script if that is over its limit.
    fn charge(&self, more: usize, bytes: Bytes) -> Result<Bytes, Over> {
        struct Counted(
            Bytes,
            #[expect(dead_code, reason = "its end counts")] Charge,
        );

        impl AsRef<[u8]> for Counted {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        let Live {
            process, worker, ..
        } = &*self.live;
        let charge = self.account.charge(bytes.len().saturating_add(more));
        let charge = charge.inspect_err(|_| process.end(worker, End::Held))?;
        Ok(Bytes::from_owner(Counted(bytes, charge)))
    }
}

impl Stream for Held {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.chunks.as_mut().poll_next(cx) {
            Poll::Ready(Some(Ok(Chunk::Data(bytes)))) if bytes.len() > SMALL => {
                let bytes = self.charge(0, bytes).map(Chunk::Data);
                Poll::Ready(Some(bytes.map_err(io::Error::other)))
            }
            next => next,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.live.touch();
    }
}
