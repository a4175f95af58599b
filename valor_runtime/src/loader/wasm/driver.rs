//! One instance of a guest from its beginning to its end. It learns of events one after the other, by calls of its
//! exports.
//!
//! `instance` polls [`drive`]. This promises that the guest never runs for longer than some milliseconds at a time,
//! that no export is called from inside an import, and that everyone who waits hears of the instance's end.

use super::{
    exports::Exports,
    imports::{Feed, Guest, Op},
    module::Checked,
    shared::{CREATION, Event, Shared},
    snapshot::{Original, State},
    text::{self, cut},
};
use crate::{
    Body, Bytes, Chunk, Fault, Request, Response,
    account::{Account, Charge},
    loader::engine::{
        self, Running,
        clock::{self, on_the_clock},
        trap::{self, Trap},
    },
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::{
    io,
    sync::{Arc, Mutex},
    task::Poll,
    time::{Duration, Instant},
};
use valor_abi_guest::message::{self, Brought, PieceKind};
use valor_abi_wire::{Host, lock::locked};
use wasmtime::{PoolConcurrencyLimitError, Store};

/// What every instance of a vlugin is made from.
pub(super) struct Recipe {
    pub name: String,
    pub module: Checked,
    pub host: Arc<dyn Host>,
    pub start: Start,
    pub memory: usize,
    pub cpu: Duration,
    /// The vlugin's account. Each instance has a part of it.
    pub account: Account,
}

/// How an instance begins.
pub(super) enum Start {
    /// Its vlugin is created with this message for `valor_init`.
    Create(Vec<u8>),
    /// The same. Then its state is taken, once it has nothing to do any more.
    Freeze(Vec<u8>, Original, Mutex<Option<State>>),
    /// It was created with the module. This is when its time began.
    Frozen(Instant),
}

/// Runs an instance from its beginning to its end. Everyone who waits for it hears of that end.
pub(super) async fn drive(recipe: Arc<Recipe>, shared: Arc<Shared>) {
    let engine = recipe.module.pre.module().engine();
    let (host, memory) = (recipe.host.clone(), recipe.memory);
    let begun = match recipe.start {
        Start::Frozen(begun) => begun,
        Start::Create(_) | Start::Freeze(..) => Instant::now(),
    };
    let mut store = Guest::store(engine, shared.clone(), host, memory, recipe.cpu, begun);
    let Err(error) = run(&recipe, &shared, &mut store).await else {
        return;
    };
    let fault = match error.downcast::<Failed>() {
        Ok(Failed(fault)) => fault,
        // Not its doing: it has not begun.
        Err(error) if error.is::<PoolConcurrencyLimitError>() => {
            Fault::refused(503, engine::no_instance())
        }
        Err(error) => trapped(&recipe, store.data(), &error),
    };
    let fault = match store.data().ready.clone() {
        Some(Ok(())) => fault,
        // The guest gave this reason before a panic in its creation became a trap.
        Some(Err(fault)) => not_created(fault),
        None if fault.status == 503 => fault,
        None => not_created(fault),
    };
    let created = matches!(store.data().ready, Some(Ok(())));
    shared.end(&fault, created);
}

/// The vlugin said itself that it cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(Fault);

fn not_created(fault: Fault) -> Fault {
    Fault {
        status: 502,
        ..fault
    }
}

/// Logs a trap with its backtrace, and gives the fault for everyone who waited.
fn trapped(recipe: &Recipe, guest: &Guest, error: &wasmtime::Error) -> Fault {
    let name = &recipe.name;
    let memory = trap::Memory {
        limit: guest.limits.memory,
        is_exceeded: guest.limits.out_of_memory,
    };
    let trap = Trap::of(error, &memory, trap::cause);
    let Trap { why, frames, .. } = &trap;
    let then = match recipe.start {
        Start::Frozen(_) => "",
        Start::Create(_) | Start::Freeze(..) => " and is started again",
    };
    log::error!(
        target: "valor::wasm", vlugin = name.as_str(), backtrace = frames.as_str();
        "the vlugin `{name}` trapped{then}: {why}; in {frames}"
    );
    trap.fault()
}

/// Calls an export on another stack, one turn at a time.
macro_rules! call {
    ($guest:expr, $export:ident, $arguments:expr) => {{
        let _running = Running::begin();
        let _calling = $guest.shared.call();
        $guest.store.data_mut().limits.clock.begin();
        $guest.store.set_epoch_deadline(1);
        let export = $guest.exports.$export($guest.store)?;
        let call = export.call_async(&mut *$guest.store, $arguments);
        on_the_clock(call).await
    }};
}

async fn run(recipe: &Recipe, shared: &Shared, store: &mut Store<Guest>) -> wasmtime::Result<()> {
    let mut guest = Driven {
        exports: begin(recipe, store).await?,
        store,
        shared,
        told: false,
    };
    match &recipe.start {
        Start::Create(init) | Start::Freeze(init, ..) => {
            let write = |bytes: &mut [u8]| bytes.copy_from_slice(init);
            let (ptr, len) = guest.hand_in(init.len(), write).await?;
            call!(guest, init, (ptr, len))?;
        }
        Start::Frozen(_) => {
            guest.store.data_mut().ready = Some(Ok(()));
            guest.told = true;
        }
    }
    let mut ops: FuturesUnordered<Op> = FuturesUnordered::new();
    let mut held = Vec::new();
    loop {
        if clock::is_poll_over() {
            // Others have their turn in between, just as in the middle of a call.
            let _calling = shared.call();
            futures_lite::future::yield_now().await;
        }
        ops.extend(guest.store.data_mut().started.drain(..));
        if let Some(ready) = guest.said_ready() {
            ready.map_err(Failed)?;
            if let Start::Freeze(_, original, state) = &recipe.start {
                guest.come_to_rest(&mut ops).await?;
                let Exports {
                    instance, memory, ..
                } = &guest.exports;
                let begun = guest.store.data().begun;
                let now = original.state(&mut *guest.store, instance, memory, begun)?;
                *locked(state) = Some(now);
            }
            let created = (empty_head(), Brought::Whole(Bytes::new()));
            shared.respond(CREATION, Ok(created), None);
        }
        let creating = guest.store.data().ready.is_none();
        let event = match held.pop() {
            Some(event) if !creating => event,
            Some(event) => {
                held.push(event);
                next(guest.store.data_mut(), &mut ops).await
            }
            None => next(guest.store.data_mut(), &mut ops).await,
        };
        match event {
            // No request comes before the creation.
            Event::Request(..) if creating => held.insert(0, event),
            event => guest.handle(event).await?,
        }
    }
}

/// How much memory a response takes as a message.
fn size(response: &Response) -> usize {
    let whole = match &response.body {
        Body::Bytes(bytes) => bytes.len(),
        Body::Stream { .. } => 0,
    };
    response.head.as_bytes().len() + whole
}

fn empty_head() -> crate::ResponseHead {
    Response::new(204).head
}

/// The next event: one that came in, a timer, or the result of something that runs.
async fn next(guest: &mut Guest, ops: &mut FuturesUnordered<Op>) -> Event {
    std::future::poll_fn(|cx| {
        if let Poll::Ready(id) = guest.timers.poll(&*guest.host, cx) {
            return Poll::Ready(Event::Timer(id));
        }
        loop {
            if let Some(event) = guest.shared.pop() {
                return Poll::Ready(event);
            }
            if ops.is_empty() {
                return Poll::Pending;
            }
            match ops.poll_next_unpin(cx) {
                Poll::Ready(Some(Some(event))) => return Poll::Ready(event),
                Poll::Ready(Some(None)) => {}
                Poll::Ready(None) => return Poll::Pending,
                // The running operations may have left events themselves.
                Poll::Pending => return guest.shared.pop().map_or(Poll::Pending, Poll::Ready),
            }
        }
    })
    .await
}

/// Puts the module into memory, and asks for its version.
async fn begin<'a>(recipe: &'a Recipe, store: &mut Store<Guest>) -> wasmtime::Result<Exports<'a>> {
    on_the_clock(begin_at_once(recipe, store)).await
}

async fn begin_at_once<'a>(
    recipe: &'a Recipe,
    store: &mut Store<Guest>,
) -> wasmtime::Result<Exports<'a>> {
    let _running = Running::begin();
    store.data_mut().limits.clock.begin();
    store.set_epoch_deadline(1);
    let (pre, places) = (&recipe.module.pre, &recipe.module.places);
    let is_frozen = matches!(recipe.start, Start::Frozen(_));
    // None of a frozen module's code runs here.
    let instance = match is_frozen && places.is_synchronous {
        true => pre.instantiate(&mut *store)?,
        false => pre.instantiate_async(&mut *store).await?,
    };
    let exports = Exports::of(instance, places, store)?;
    store.data_mut().memory = Some(exports.memory);
    if is_frozen {
        return Ok(exports);
    }
    let abi = instance.get_typed_func::<(), u32>(&mut *store, "valor_abi")?;
    let found = abi.call_async(&mut *store, ()).await?;
    if found != valor_abi_guest::GUEST_ABI {
        let error = crate::loader::GuestError::Abi { found };
        return Err(Failed(Fault::error(502, format!("it {error}"))).into());
    }
    if let Ok(initialize) = instance.get_typed_func::<(), ()>(&mut *store, "_initialize") {
        initialize.call_async(&mut *store, ()).await?;
    }
    Ok(exports)
}

/// A guest that has begun.
struct Driven<'a> {
    exports: Exports<'a>,
    store: &'a mut Store<Guest>,
    shared: &'a Shared,
    /// Whether those who wait have heard that the vlugin is created.
    told: bool,
}

impl Driven<'_> {
    /// What the guest said about its creation. Only the first call after that returns it.
    fn said_ready(&mut self) -> Option<Result<(), Fault>> {
        if self.told {
            return None;
        }
        let said = self.store.data().ready.clone();
        self.told = said.is_some();
        said
    }

    /// Lets the guest go on until it has nothing to do.
    async fn come_to_rest(&mut self, ops: &mut FuturesUnordered<Op>) -> wasmtime::Result<()> {
        loop {
            if clock::is_poll_over() {
                let _calling = self.shared.call();
                futures_lite::future::yield_now().await;
            }
            ops.extend(self.store.data_mut().started.drain(..));
            let is_woken = self.store.data().is_woken;
            let next = next(self.store.data_mut(), ops);
            let event = match is_woken {
                true => Some(next.await),
                false => futures_lite::future::poll_once(next).await,
            };
            match event {
                Some(event) => self.handle(event).await?,
                None => break,
            }
        }
        match self.store.data().unfinished() {
            None => Ok(()),
            Some(what) => Err(Failed(Fault::error(
                502,
                format!(
                    "it left {what} when it was created, and nothing that runs is kept for the requests, which find it \
                     as it was then (`\"instance\": \"request\"`): end that in `on_create`, begin it with a request, \
                     or write `\"instance\": \"shared\"`"
                ),
            ))
            .into()),
        }
    }

    /// Lets the guest allocate `len` bytes, and writes to them.
    async fn hand_in(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut [u8]) + Send,
    ) -> wasmtime::Result<(u32, u32)> {
        let size = u32::try_from(len)
            .map_err(|_| wasmtime::format_err!("{len} bytes do not fit into its memory"))?;
        if size == 0 {
            return Ok((0, 0));
        }
        let ptr = match self.exports.is_synchronous() {
            true => self.alloc(size)?,
            false => call!(self, alloc, size)?,
        };
        let bytes = self.exports.memory.data_mut(&mut *self.store);
        let range = ptr as usize..ptr as usize + len;
        match bytes.get_mut(range) {
            Some(bytes) if ptr != 0 => write(bytes),
            _ => wasmtime::bail!("`valor_alloc` has no {len} bytes"),
        }
        Ok((ptr, size))
    }

    /// Calls `valor_alloc` on this stack. That costs less, and leaves it little time.
    fn alloc(&mut self, size: u32) -> wasmtime::Result<u32> {
        let _running = Running::begin();
        self.store.data_mut().limits.clock.begin_synchronous();
        self.store.set_epoch_deadline(1);
        let alloc = self.exports.alloc(self.store)?;
        alloc.call(&mut *self.store, size)
    }

    async fn handle(&mut self, event: Event) -> wasmtime::Result<()> {
        match event {
            Event::Request(id, request, held) => self.request(id, request, held).await,
            Event::Writable(id, bytes) => call!(self, writable, (id, bytes)),
            Event::Cancel(id) => {
                // The answer of a fetch may still come after everyone stopped reading its request's body.
                if id & 1 << 31 == 0 {
                    self.store.data_mut().forget(id);
                } else if let Some(fetch) = self.store.data_mut().fetches.get_mut(&id) {
                    fetch.body = None;
                    self.store.data_mut().settle(id);
                }
                call!(self, cancel, id)
            }
            Event::Read { id, next, chunks } => self.read(id, next, chunks).await,
            Event::Feed(id) => self.feed(id).await,
            Event::Fetched { id, answer } => self.fetched(id, answer).await,
            Event::Timer(id) => call!(self, timer, id),
            Event::Poll => {
                self.store.data_mut().is_woken = false;
                call!(self, poll, ())
            }
        }
    }

    async fn request(&mut self, id: u32, request: Request, held: Charge) -> wasmtime::Result<()> {
        let mut chunks = None;
        let len = message::request_len(&request);
        let write = |block: &mut [u8]| {
            chunks = message::write_request(request, block);
        };
        let (ptr, len) = self.hand_in(len, write).await?;
        drop(held);
        if let Some(chunks) = chunks {
            self.store.data_mut().feeds.insert(id, Feed::of(chunks));
        }
        call!(self, request, (id, ptr, len))
    }

    async fn fetched(&mut self, id: u32, answer: Result<Response, Fault>) -> wasmtime::Result<()> {
        let guest = self.store.data_mut();
        let Some(fetch) = guest.fetches.get_mut(&id) else {
            return Ok(());
        };
        fetch.is_answered = true;
        // If the answer does not fit, the fetch has failed. The guest goes on: it did not choose the size.
        let counted = answer.and_then(|response| {
            let charge = guest.shared.account.charge(size(&response))?;
            Ok((response, charge))
        });
        let ((block, chunks), _held) = match counted {
            Ok((response, charge)) => (message::encode_response(response), Some(charge)),
            Err(mut fault) => {
                fault.message = cut(fault.message.as_bytes(), text::MESSAGE).into_owned();
                ((message::encode_fault_message(&fault), None), None)
            }
        };
        match chunks {
            Some(chunks) => {
                self.store.data_mut().feeds.insert(id, Feed::of(chunks));
            }
            // The fetch is over. Only its request's body may still be needed.
            None => {
                self.store.data_mut().feeds.remove(&id);
                self.store.data_mut().settle(id);
            }
        }
        let write = |bytes: &mut [u8]| bytes.copy_from_slice(&block);
        let (ptr, len) = self.hand_in(block.len(), write).await?;
        call!(self, fetch_response, (id, ptr, len))
    }

    /// A chunk of a body that the guest reads.
    async fn read(
        &mut self,
        id: u32,
        next: Option<io::Result<Chunk>>,
        chunks: crate::ChunkStream,
    ) -> wasmtime::Result<()> {
        let guest = self.store.data_mut();
        let account = &guest.shared.account;
        let Some(feed) = guest.feeds.get_mut(&id) else {
            return Ok(());
        };
        feed.reading = None;
        let (bytes, kind) = match next {
            Some(Ok(Chunk::Data(data))) => match account.charge(data.len()) {
                Ok(charge) => {
                    feed.chunks = Some(chunks);
                    feed.rest = data;
                    feed.held = Some(charge);
                    return self.feed(id).await;
                }
                Err(over) => (over.to_string().into_bytes(), PieceKind::Failed),
            },
            Some(Ok(Chunk::Trailers(trailers))) => {
                (message::encode_trailers(&trailers), PieceKind::Trailers)
            }
            Some(Err(error)) => {
                let why = error.to_string();
                let why = cut(why.as_bytes(), text::MESSAGE).into_owned();
                (why.into_bytes(), PieceKind::Failed)
            }
            None => (Vec::new(), PieceKind::End),
        };
        drop(chunks);
        self.store.data_mut().feeds.remove(&id);
        self.store.data_mut().settle(id);
        self.body(id, &bytes, kind).await
    }

    /// Sends as much of what was read as the guest wants. If that was all, reads more.
    async fn feed(&mut self, id: u32) -> wasmtime::Result<()> {
        let Some(feed) = self.store.data_mut().feeds.get_mut(&id) else {
            return Ok(());
        };
        feed.is_due = false;
        let now = feed
            .rest
            .len()
            .min(usize::try_from(feed.asked).unwrap_or(usize::MAX));
        let piece = feed.rest.split_to(now);
        feed.asked -= now as u64;
        // The charge for what was read lasts until the guest has the last piece.
        let _held = match feed.rest.is_empty() {
            true => feed.held.take(),
            false => None,
        };
        if !piece.is_empty() {
            self.body(id, &piece, PieceKind::Data).await?;
        }
        self.store.data_mut().read(id);
        Ok(())
    }

    async fn body(&mut self, id: u32, bytes: &[u8], kind: PieceKind) -> wasmtime::Result<()> {
        let write = |block: &mut [u8]| block.copy_from_slice(bytes);
        let (ptr, len) = self.hand_in(bytes.len(), write).await?;
        call!(self, body, (id, ptr, len, kind as u32))
    }
}
