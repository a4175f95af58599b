//! What a guest's instance and those who wait for it have in common: events on their way in,
//! responses and pieces of bodies on their way out.
//!
//! All of it stands behind one lock that is held for moments, and never while a guest runs.

use super::pieces::{Piece, Pieces};
use crate::{Chunk, ChunkStream, Fault, Request, Response, ResponseHead};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use valor::guest::message::Brought;

/// The exchange that stands for an instance's creation.
pub(super) const CREATION: u32 = 0;

/// What happened, for the guest.
pub(super) enum Event {
    Request(u32, Request),
    /// So many bytes more may be written.
    Writable(u32, u32),
    /// Nobody waits for this any more.
    Cancel(u32),
    /// A read of a body that the guest reads has ended.
    Read {
        id: u32,
        next: Option<io::Result<Chunk>>,
        chunks: ChunkStream,
    },
    /// The guest wants what was read before.
    Feed(u32),
    Fetched {
        id: u32,
        answer: Result<Response, Fault>,
    },
    Timer(u32),
    Poll,
}

/// A request that an instance works for.
#[derive(Default)]
struct Exchange {
    waker: Option<Waker>,
    response: Option<Result<(ResponseHead, Brought), Fault>>,
    responded: bool,
    pieces: Pieces,
}

#[derive(Default)]
struct State {
    inbox: VecDeque<Event>,
    exchanges: BTreeMap<u32, Exchange>,
    last: u32,
    /// The driver has something to do and is not being polled for it yet.
    runnable: bool,
    background: Option<Waker>,
    /// Why the instance has ended.
    ended: Option<Fault>,
    /// Requests that it never heard of before it ended.
    unheard: BTreeMap<u32, Request>,
}

/// What an instance and those who wait for it have in common.
#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// A call of an export has begun and not come back: it runs, or it has given way to others.
    calling: AtomicBool,
}

/// A call of an export, for as long as it takes.
pub(super) struct Calling<'a>(&'a Shared);

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.calling.store(false, Ordering::Release);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an export is called, until what comes back is dropped.
    pub fn call(&self) -> Calling<'_> {
        self.calling.store(true, Ordering::Release);
        Calling(self)
    }

    pub fn is_calling(&self) -> bool {
        self.calling.load(Ordering::Acquire)
    }

    /// The exchange that waits for the instance's creation.
    pub fn await_creation(&self) {
        self.lock().exchanges.entry(CREATION).or_default();
    }

    /// Takes a request in and gives its number, or the request where the instance has ended.
    pub fn begin(&self, request: Request) -> Result<u32, Request> {
        let mut state = self.lock();
        if state.ended.is_some() {
            return Err(request);
        }
        let id = loop {
            state.last = state.last % 0x7fff_ffff + 1;
            if !state.exchanges.contains_key(&state.last) {
                break state.last;
            }
        };
        state.exchanges.insert(id, Exchange::default());
        state.inbox.push_back(Event::Request(id, request));
        Ok(id)
    }

    /// A request that the instance never heard of: another one can still answer it.
    pub fn take_back(&self, id: u32) -> Option<Request> {
        self.lock().unheard.remove(&id)
    }

    /// How many requests there are.
    pub fn load(&self) -> usize {
        self.lock().exchanges.len()
    }

    pub fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    pub fn push(&self, event: Event) {
        self.lock().inbox.push_back(event);
    }

    pub fn pop(&self) -> Option<Event> {
        self.lock().inbox.pop_front()
    }

    /// Whether something came in that the driver has not seen.
    pub fn has_new_events(&self) -> bool {
        let state = self.lock();
        !state.inbox.is_empty() && !state.runnable && state.ended.is_none()
    }

    /// The driver is about to be polled.
    pub fn begin_poll(&self) {
        self.lock().runnable = false;
    }

    /// Notes a response. One for a request that is gone is let go.
    pub fn respond(&self, id: u32, response: Result<(ResponseHead, Brought), Fault>) {
        let waker = {
            let mut state = self.lock();
            let Some(exchange) = state.exchanges.get_mut(&id) else {
                return;
            };
            if exchange.responded {
                return;
            }
            exchange.responded = true;
            exchange.response = Some(response);
            exchange.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes a piece of a response's body; whether it is within what may be written.
    #[must_use]
    pub fn write(&self, id: u32, piece: Piece) -> bool {
        let waker = {
            let mut state = self.lock();
            let Some(exchange) = state.exchanges.get_mut(&id) else {
                return true;
            };
            if !exchange.pieces.push(piece) {
                return false;
            }
            exchange.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// The response, where it is there; otherwise the task is woken when it is, or when the
    /// driver wants to be polled.
    pub fn poll_response(
        &self,
        id: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(ResponseHead, Brought), Fault>> {
        let mut state = self.lock();
        let ended = state.ended.clone();
        let Some(exchange) = state.exchanges.get_mut(&id) else {
            return Poll::Ready(Err(ended.unwrap_or_else(lost)));
        };
        if let Some(response) = exchange.response.take() {
            // One that has no more to come is over.
            if !matches!(response, Ok((_, Brought::Pieces(_)))) {
                state.exchanges.remove(&id);
            }
            return Poll::Ready(response);
        }
        if let Some(fault) = ended {
            state.exchanges.remove(&id);
            return Poll::Ready(Err(fault));
        }
        let again = wait(&mut state, id, cx);
        drop(state);
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The next chunk of a response's body, and whether the driver has something new to do.
    pub fn poll_chunk(
        &self,
        id: u32,
        cx: &mut Context<'_>,
    ) -> (Poll<Option<io::Result<Chunk>>>, bool) {
        let mut state = self.lock();
        let ended = state.ended.clone();
        let Some(exchange) = state.exchanges.get_mut(&id) else {
            return (Poll::Ready(None), false);
        };
        if let Some(next) = exchange.pieces.queue.pop_front() {
            if !matches!(next, Ok(Some(_))) {
                state.exchanges.remove(&id);
            }
            return (Poll::Ready(next.transpose()), false);
        }
        if let Some(fault) = ended {
            state.exchanges.remove(&id);
            let error = io::Error::other(fault.to_string());
            return (Poll::Ready(Some(Err(error))), false);
        }
        let more = exchange.pieces.allow();
        if let Some(more) = more {
            state.inbox.push_back(Event::Writable(id, more));
        }
        let again = wait(&mut state, id, cx);
        drop(state);
        if again {
            cx.waker().wake_by_ref();
        }
        (Poll::Pending, more.is_some())
    }

    /// Takes out who does not wait any more; whether the guest has to know.
    pub fn leave(&self, id: u32) -> bool {
        let mut state = self.lock();
        let gone = state.exchanges.remove(&id).is_some();
        let unheard = state.unheard.remove(&id);
        let tells = gone && state.ended.is_none();
        if tells {
            // Where the guest never heard of it, it need not hear of its end.
            let before = state.inbox.len();
            let mine = |event: &Event| matches!(event, Event::Request(of, _) if *of == id);
            let removed: Vec<Event> = match state.inbox.iter().position(mine) {
                Some(at) => state.inbox.remove(at).into_iter().collect(),
                None => Vec::new(),
            };
            if removed.is_empty() && before == state.inbox.len() {
                state.inbox.push_back(Event::Cancel(id));
            }
            drop(state);
            drop(removed);
        } else {
            drop(state);
        }
        drop(unheard);
        tells
    }

    /// Wakes somebody to poll the driver; whether there is one.
    pub fn pass_on(&self) -> bool {
        let waker = {
            let mut state = self.lock();
            let waiting = state.exchanges.values_mut();
            let waker = waiting.filter_map(|it| it.waker.take()).next();
            waker.or_else(|| state.background.take())
        };
        match waker {
            Some(waker) => {
                waker.wake();
                true
            }
            None => false,
        }
    }

    /// Whether there is nothing to do for who polls in the background.
    pub fn poll_background(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.ended.is_some() || state.inbox.is_empty() && !state.runnable {
            return Poll::Ready(());
        }
        state.background = Some(cx.waker().clone());
        let again = state.runnable;
        drop(state);
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The instance has ended: everyone who waits for it is told. Where it was `created`, others like
    /// it can be, and the requests that it never heard of are kept for them.
    pub fn end(&self, fault: &Fault, created: bool) {
        let (wakers, events) = {
            let mut state = self.lock();
            state.ended = Some(fault.clone());
            let (mut events, mut unheard) = (Vec::new(), BTreeMap::new());
            for event in state.inbox.drain(..) {
                match event {
                    Event::Request(id, request) if created => drop(unheard.insert(id, request)),
                    event => events.push(event),
                }
            }
            state.unheard = unheard;
            let wakers: Vec<_> = (state.exchanges.values_mut())
                .filter_map(|exchange| exchange.waker.take())
                .chain(None)
                .collect();
            (wakers, events)
        };
        drop(events);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Notes whom to wake; whether that is to be at once, since the driver waits for somebody. Not
/// here: where a vlugin calls itself, the way of the waker leads back to the lock.
fn wait(state: &mut State, id: u32, cx: &mut Context<'_>) -> bool {
    if let Some(exchange) = state.exchanges.get_mut(&id) {
        match &mut exchange.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            waker => *waker = Some(cx.waker().clone()),
        }
    }
    state.runnable
}

fn lost() -> Fault {
    Fault::error(502, "the request was lost")
}

impl Wake for Shared {
    /// The driver has something to do: whoever waits for anything of it polls it.
    fn wake(self: Arc<Self>) {
        self.lock().runnable = true;
        self.pass_on();
    }
}
