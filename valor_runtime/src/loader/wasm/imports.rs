//! What a guest asks for: the imports of `valor1`, and what the host keeps for one instance.
//!
//! No import waits. What takes time is noted in [`Guest::started`]. The instance's driver polls it there, and its
//! result becomes an event. Nothing is copied before the instance's account has counted it. An error here is a trap:
//! it ends a guest that hands over something invalid, or more than the account takes.

use super::{
    copies,
    outgoing::Outgoing,
    pieces::Wanted,
    shared::{ENTRY, Event, Shared},
    text::{self, cut},
    timers::Timers,
};
use crate::{
    Body, BoxFuture, Bytes, ChunkStream, Fault, Request,
    account::Charge,
    loader::{
        engine::clock::{Clock, Next, give_turns},
        guest_error::TABLES,
    },
};
use futures_util::future::{AbortHandle, Abortable};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};
use valor_abi_guest::message::{Brought, PieceKind};
use valor_abi_wire::{Host, LogRecord};
use wasmtime::{Caller, Engine, Linker, Memory, ResourceLimiter, Store};

/// The module that guests import from.
pub(super) const MODULE: &str = "valor1";

/// The one import that gives way to others while it works. With it, no call of an export is synchronous.
pub(super) const RANDOM: &str = "random";

/// How many random bytes are read at once. Others may have their turn between two such parts.
const RANDOM_PART: u32 = 64 * 1024;

/// About how much a fetch takes while it runs, beside its request.
const FETCH: usize = 4 * 1024;

/// An operation that runs for a guest. It ends with an event, or with none if it was taken back.
pub(super) type Op = BoxFuture<'static, Option<Event>>;

/// A body that the guest reads.
#[derive(Default)]
pub(super) struct Feed {
    /// The rest of the body, unless a read of it is running.
    pub chunks: Option<ChunkStream>,
    /// What was read beyond what the guest asked for.
    pub rest: Bytes,
    /// The charge for `rest`.
    pub held: Option<Charge>,
    /// An event is on its way that brings the guest more of the body.
    pub is_due: bool,
    /// How many bytes the guest asked for and has not received.
    pub asked: u64,
    /// Ends the running read.
    pub reading: Option<AbortHandle>,
}

impl Feed {
    pub fn of(chunks: ChunkStream) -> Self {
        let mut feed = Self::default();
        feed.chunks = Some(chunks);
        feed
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

/// A fetch that runs.
pub(super) struct Fetch {
    op: AbortHandle,
    /// Its request's body, if the guest writes that in pieces.
    pub body: Option<Outgoing>,
    pub is_answered: bool,
    _entry: Charge,
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.op.abort();
    }
}

/// What the host keeps for one instance: the data of its store.
pub(super) struct Guest {
    pub shared: Arc<Shared>,
    pub host: Arc<dyn Host>,
    pub memory: Option<Memory>,
    /// What imports started during the running call.
    pub started: Vec<Op>,
    pub feeds: BTreeMap<u32, Feed>,
    pub fetches: BTreeMap<u32, Fetch>,
    pub timers: Timers,
    /// A call of `valor_poll` is on its way.
    pub is_woken: bool,
    /// What it said about its creation.
    pub ready: Option<Result<(), Fault>>,
    pub limits: Limits,
    pub begun: Instant,
}

/// What an instance may use, and whether it asked for more.
pub(super) struct Limits {
    /// Bytes of memory.
    pub memory: usize,
    /// The time of the running call.
    pub clock: Clock,
    pub out_of_memory: bool,
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let fits = desired <= self.memory;
        self.out_of_memory |= !fits;
        Ok(fits)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLES.1)
    }
}

impl Guest {
    pub fn store(
        engine: &Engine,
        shared: Arc<Shared>,
        host: Arc<dyn Host>,
        memory: usize,
        cpu: Duration,
        begun: Instant,
    ) -> Store<Self> {
        let mut store = Store::new(
            engine,
            Self {
                shared,
                host,
                memory: None,
                started: Vec::new(),
                feeds: BTreeMap::new(),
                fetches: BTreeMap::new(),
                timers: Timers::default(),
                is_woken: false,
                ready: None,
                limits: Limits {
                    memory,
                    clock: Clock::new(cpu),
                    out_of_memory: false,
                },
                begun,
            },
        );
        store.limiter(|guest| &mut guest.limits);
        give_turns(&mut store, |guest| &mut guest.limits.clock);
        store
    }

    /// Runs an operation until it is done or taken back.
    fn start(&mut self, op: impl Future<Output = Option<Event>> + Send + 'static) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        let op = Abortable::new(op, registration);
        self.started
            .push(Box::pin(async move { op.await.ok().flatten() }));
        handle
    }

    /// Reads the next chunk of a body if the guest wants one and no read is running.
    pub fn read(&mut self, id: u32) {
        let Some(feed) = self.feeds.get_mut(&id) else {
            return;
        };
        if feed.asked == 0 || !feed.rest.is_empty() {
            return;
        }
        let Some(mut chunks) = feed.chunks.take() else {
            return;
        };
        let handle = self.start(async move {
            let next = std::future::poll_fn(|cx| chunks.as_mut().poll_next(cx)).await;
            Some(Event::Read { id, next, chunks })
        });
        if let Some(feed) = self.feeds.get_mut(&id) {
            feed.reading = Some(handle);
        }
    }

    /// Begins a fetch. Its message stands in the guest's memory.
    fn fetch(&mut self, id: u32, vlugin: &str, message: &[u8]) -> wasmtime::Result<()> {
        if id & 1 << 31 == 0 || self.fetches.contains_key(&id) {
            wasmtime::bail!("`fetch` with the number {id}, which is not a new one of the guest's");
        }
        let account = &self.shared.account;
        let entry = account.charge(ENTRY)?;
        let (head, body, running) = copies::request(account, message, FETCH)?;
        let (body, outgoing) = match body {
            Brought::Whole(bytes) => (Body::Bytes(bytes), None),
            Brought::Pieces(len) => {
                let outgoing = Outgoing::default();
                let chunks = outgoing.stream(id, self.shared.clone());
                (Body::stream(len, chunks), Some(outgoing))
            }
        };
        let request = Request { head, body };
        let answer = match vlugin {
            "" => self.host.fetch(request),
            vlugin => self.host.call(vlugin, request),
        };
        let op = self.start(async move {
            let answer = answer.await;
            drop(running);
            Some(Event::Fetched { id, answer })
        });
        let fetch = Fetch {
            op,
            body: outgoing,
            is_answered: false,
            _entry: entry,
        };
        self.fetches.insert(id, fetch);
        Ok(())
    }

    /// Something that runs for it or waits for it.
    pub fn unfinished(&self) -> Option<&'static str> {
        if !self.timers.is_empty() {
            Some("a timer")
        } else if !self.fetches.is_empty() {
            Some("a request to a server or to another vlugin")
        } else if !self.feeds.is_empty() || !self.started.is_empty() {
            Some("a body that it reads")
        } else {
            None
        }
    }

    /// Forgets everything about this number.
    pub fn forget(&mut self, id: u32) {
        self.feeds.remove(&id);
        self.fetches.remove(&id);
    }

    /// Forgets a fetch that has ended, with both of its bodies.
    pub fn settle(&mut self, id: u32) {
        let is_over = |fetch: &Fetch| {
            fetch.is_answered && fetch.body.as_ref().is_none_or(Outgoing::has_ended)
        };
        if !self.feeds.contains_key(&id) && self.fetches.get(&id).is_some_and(is_over) {
            self.fetches.remove(&id);
        }
    }

    /// Arranges a call of `valor_poll`: one for all that ask for it before that.
    fn wake(&mut self) {
        if !std::mem::replace(&mut self.is_woken, true) {
            // It is queued, not called at once: others have their turn first.
            self.started.push(Box::pin(async {
                futures_lite::future::yield_now().await;
                Some(Event::Poll)
            }));
        }
    }

    /// The guest takes this many more bytes of a body.
    fn read_more(&mut self, id: u32, bytes: u32) {
        let Some(feed) = self.feeds.get_mut(&id) else {
            return;
        };
        feed.asked = feed.asked.saturating_add(bytes.into());
        if feed.rest.is_empty() {
            self.read(id);
        } else if !std::mem::replace(&mut feed.is_due, true) {
            // These bytes are here already, but no event can be made inside an import.
            self.started
                .push(Box::pin(async move { Some(Event::Feed(id)) }));
        }
    }
}

type Called<'a> = Caller<'a, Guest>;

/// Bytes of the guest's memory, and what the host keeps.
fn view<'a>(
    caller: &'a mut Called<'_>,
    ptr: u32,
    len: u32,
) -> wasmtime::Result<(&'a mut [u8], &'a mut Guest)> {
    // Work for the guest counts as its time, too.
    caller.data_mut().limits.clock.check()?;
    let memory = caller.data().memory;
    let memory = memory.ok_or_else(|| wasmtime::format_err!("an import before it has begun"))?;
    let (bytes, guest) = memory.data_and_store_mut(caller);
    let range = ptr as usize..ptr as usize + len as usize;
    let size = bytes.len();
    match bytes.get_mut(range) {
        Some(bytes) => Ok((bytes, guest)),
        None => wasmtime::bail!("{len} bytes at {ptr}, but its memory ends at {size}"),
    }
}

/// Everything that a guest can import.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(MODULE, "log", log)?;
    linker.func_wrap(MODULE, "now_ms", |caller: Called<'_>| {
        let now = caller.data().host.now();
        now.duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64() * 1000.0)
    })?;
    linker.func_wrap(MODULE, "monotonic_ns", |caller: Called<'_>| {
        i64::try_from(caller.data().begun.elapsed().as_nanos()).unwrap_or(i64::MAX)
    })?;
    linker.func_wrap_async(MODULE, RANDOM, |caller: Called<'_>, (ptr, len)| {
        Box::new(random(caller, ptr, len))
    })?;
    linker.func_wrap(MODULE, "wake", |mut caller: Called<'_>| {
        caller.data_mut().wake();
    })?;
    linker.func_wrap(MODULE, "ready", ready)?;
    linker.func_wrap(MODULE, "respond", respond)?;
    linker.func_wrap(MODULE, "write", write)?;
    linker.func_wrap(
        MODULE,
        "read_more",
        |mut caller: Called<'_>, id: u32, bytes: u32| caller.data_mut().read_more(id, bytes),
    )?;
    linker.func_wrap(
        MODULE,
        "fetch",
        |mut caller: Called<'_>, id: u32, vlugin: u32, vlugin_len: u32, ptr: u32, len: u32| {
            let vlugin = view(&mut caller, vlugin, vlugin_len)?.0;
            let vlugin = cut(vlugin, text::NAME).into_owned();
            let (bytes, guest) = view(&mut caller, ptr, len)?;
            guest.fetch(id, &vlugin, bytes)
        },
    )?;
    linker.func_wrap(
        MODULE,
        "timer",
        |mut caller: Called<'_>, id: u32, ms: f64| -> wasmtime::Result<()> {
            let Guest { timers, shared, .. } = caller.data_mut();
            Ok(timers.set(id, ms, &shared.account)?)
        },
    )?;
    linker.func_wrap(MODULE, "abort", |mut caller: Called<'_>, id: u32| {
        caller.data_mut().forget(id);
    })?;
    Ok(linker)
}

#[allow(clippy::too_many_arguments)] // As the boundary has it.
fn log(
    mut caller: Called<'_>,
    level: u32,
    target: u32,
    target_len: u32,
    message: u32,
    message_len: u32,
    file: u32,
    file_len: u32,
    line: u32,
) -> wasmtime::Result<()> {
    let mut text = |ptr, len, most| -> wasmtime::Result<String> {
        Ok(cut(view(&mut caller, ptr, len)?.0, most).into_owned())
    };
    let target = text(target, target_len, text::NAME)?;
    let message = text(message, message_len, text::MESSAGE)?;
    let file = text(file, file_len, text::NAME)?;
    caller.data().host.log(&LogRecord {
        level: log::Level::iter()
            .find(|known| *known as u32 == level)
            .unwrap_or(log::Level::Error),
        target: &target,
        message: &message,
        file: &file,
        line,
    });
    Ok(())
}

async fn random(mut caller: Called<'_>, ptr: u32, len: u32) -> wasmtime::Result<()> {
    view(&mut caller, ptr, len)?;
    let host = caller.data().host.clone();
    for at in (0..len).step_by(RANDOM_PART as usize) {
        host.random(view(&mut caller, ptr + at, RANDOM_PART.min(len - at))?.0);
        if caller.data_mut().limits.clock.tick()? == Next::GiveWay {
            futures_lite::future::yield_now().await;
        }
    }
    Ok(())
}

fn ready(mut caller: Called<'_>, ptr: u32, len: u32) -> wasmtime::Result<()> {
    let (bytes, guest) = view(&mut caller, ptr, len)?;
    if guest.ready.is_some() {
        wasmtime::bail!("`ready` was called twice");
    }
    guest.ready = Some(match bytes {
        [] => Ok(()),
        bytes => Err(copies::fault(&guest.shared.account, bytes)?),
    });
    Ok(())
}

fn respond(mut caller: Called<'_>, id: u32, ptr: u32, len: u32) -> wasmtime::Result<()> {
    let (bytes, guest) = view(&mut caller, ptr, len)?;
    if !guest.shared.awaits_response(id) {
        return Ok(());
    }
    let (response, head) = copies::response(&guest.shared.account, bytes)?;
    if !matches!(response, Ok((_, Brought::Pieces(_)))) {
        guest.feeds.remove(&id);
    }
    guest.shared.respond(id, response, Some(head));
    Ok(())
}

fn write(mut caller: Called<'_>, id: u32, ptr: u32, len: u32, flags: u32) -> wasmtime::Result<()> {
    let (bytes, guest) = view(&mut caller, ptr, len)?;
    let Some(kind) = PieceKind::from_flags(flags) else {
        wasmtime::bail!("`write` with the flags {flags}, which mean nothing");
    };
    let of_body = match kind {
        PieceKind::Data | PieceKind::End => bytes.len(),
        PieceKind::Trailers | PieceKind::Failed => 0,
    };
    let fetch = guest.fetches.get(&id).map(|fetch| fetch.body.as_ref());
    let wanted = match fetch {
        Some(body) => body.map_or(Wanted::No, |body| body.wants(of_body)),
        None => guest.shared.wants(id, of_body),
    };
    match wanted {
        Wanted::Yes if kind == PieceKind::Data && bytes.is_empty() => return Ok(()),
        Wanted::Yes => {}
        Wanted::No => return Ok(()),
        Wanted::TooMuch => {
            wasmtime::bail!("`write` of {len} bytes for {id}, which are more than were asked for")
        }
    }
    let piece = copies::piece(&guest.shared.account, bytes, kind)?;
    match fetch {
        Some(Some(body)) => body.write(piece),
        Some(None) => {}
        None => guest.shared.write(id, piece),
    }
    match kind {
        PieceKind::Data => {}
        _ if id & 1 << 31 == 0 => drop(guest.feeds.remove(&id)),
        _ => guest.settle(id),
    }
    Ok(())
}
