//! What a guest's instance shares with those who wait for it: events on their way in, responses and pieces of bodies
//! on their way out.
//!
//! One lock guards all of it. It is held for moments, and never while a guest runs.

use super::pieces::{self, Piece, Pieces, Taken, Wanted};
use crate::{
    Body, ChunkStream, Fault, Request, Response, ResponseHead,
    account::{Account, Charge},
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use valor_abi_guest::message::Brought;
use valor_abi_wire::lock::locked;

/// The request that stands for an instance's creation.
pub(super) const CREATION: u32 = 0;

/// About how much an request, a fetch or a piece of a body takes beside its bytes.
pub(super) const ENTRY: usize = 256;

/// Something that happened, and that the guest has to hear of.
pub(super) enum Event {
    /// The charge lasts until the guest has the request.
    Request(u32, Request, Charge),
    /// This many more bytes may be written.
    Writable(u32, u32),
    /// Nobody waits for this any more.
    Cancel(u32),
    /// The read of a body that the guest asked for has ended.
    Read {
        id: u32,
        next: Option<io::Result<crate::Chunk>>,
        chunks: ChunkStream,
    },
    /// The guest wants bytes that were already read.
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
struct GuestRequest {
    waker: Option<Waker>,
    response: Option<Result<(ResponseHead, Brought), Fault>>,
    responded: bool,
    pieces: Pieces,
    /// The charge for the response's head. It lasts until the request is over.
    head: Option<Charge>,
}

#[derive(Default)]
struct Inner {
    inbox: VecDeque<Event>,
    requests: BTreeMap<u32, GuestRequest>,
    last: u32,
    /// The driver has something to do, and nobody is polling it for that yet.
    runnable: bool,
    /// Tasks that keep the instance until it has nothing to do. There may be several: one that comes while another has
    /// the driver waits too.
    background: Vec<Waker>,
    /// Why the instance has ended.
    ended: Option<Fault>,
    /// Requests that it had not heard of when it ended.
    unheard: BTreeMap<u32, Request>,
}

impl Inner {
    /// Whether the driver has nothing to do.
    fn is_idle(&self) -> bool {
        self.ended.is_some() || self.inbox.is_empty() && !self.runnable
    }
}

/// Why an instance does not take a request in.
pub(super) enum Refused {
    /// It has ended. Another one can answer.
    Ended(Request),
    /// The host holds as much for it as it may, or nearly as much.
    Full,
}

/// What an instance shares with those who wait for it.
pub(super) struct Shared {
    state: Mutex<Inner>,
    /// What the host holds for the instance.
    pub account: Account,
    /// Bodies of fetches that are being read.
    outgoing: AtomicUsize,
    /// A call of an export has begun and not come back. It runs, or has given way to others.
    calling: AtomicBool,
}

/// A call of an export. It lives as long as the call takes.
pub(super) struct Calling<'a>(&'a Shared);

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.0.calling.store(false, Ordering::Release);
    }
}

impl Shared {
    pub fn new(account: Account) -> Self {
        Self {
            state: Mutex::default(),
            account,
            outgoing: AtomicUsize::new(0),
            calling: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        locked(&self.state)
    }

    /// Notes that an export is called, until the returned value is dropped.
    pub fn call(&self) -> Calling<'_> {
        self.calling.store(true, Ordering::Release);
        Calling(self)
    }

    pub fn is_calling(&self) -> bool {
        self.calling.load(Ordering::Acquire)
    }

    /// The request that waits for the instance's creation.
    pub fn await_creation(&self) {
        self.lock().requests.entry(CREATION).or_default();
    }

    /// Takes a request in and returns its number.
    pub fn begin(&self, request: Request) -> Result<u32, Refused> {
        let whole = match &request.body {
            Body::Bytes(bytes) => bytes.len(),
            Body::Stream { .. } => 0,
        };
        let mut state = self.lock();
        if state.ended.is_some() {
            return Err(Refused::Ended(request));
        }
        let len = ENTRY + request.head.as_bytes().len() + whole;
        let charge = match self.account.charge(len) {
            Ok(charge) if !self.account.is_high() => charge,
            _ => return Err(Refused::Full),
        };
        let id = loop {
            state.last = state.last % 0x7fff_ffff + 1;
            if !state.requests.contains_key(&state.last) {
                break state.last;
            }
        };
        state.requests.insert(id, GuestRequest::default());
        state.inbox.push_back(Event::Request(id, request, charge));
        Ok(id)
    }

    /// A request that the instance had not heard of when it ended. Another one can still answer it.
    pub fn take_back(&self, id: u32) -> Option<Request> {
        self.lock().unheard.remove(&id)
    }

    /// How many requests there are.
    pub fn load(&self) -> usize {
        self.lock().requests.len()
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

    /// Whether something came in that the driver has not seen. If there is nothing to do at all, this also wakes the
    /// background tasks: they need not keep the instance any longer.
    pub fn has_new_events(&self) -> bool {
        let mut state = self.lock();
        let is_new = !state.inbox.is_empty() && !state.runnable && state.ended.is_none();
        let background = match state.is_idle() {
            true => std::mem::take(&mut state.background),
            false => Vec::new(),
        };
        drop(state);
        background.into_iter().for_each(Waker::wake);
        is_new
    }

    /// The driver is about to be polled.
    pub fn begin_poll(&self) {
        self.lock().runnable = false;
    }

    /// Whether somebody waits for this response.
    pub fn awaits_response(&self, id: u32) -> bool {
        let state = self.lock();
        (state.requests.get(&id)).is_some_and(|request| !request.responded)
    }

    /// Notes a response if somebody still waits for it. `head` is the charge for its head.
    pub fn respond(
        &self,
        id: u32,
        response: Result<(ResponseHead, Brought), Fault>,
        head: Option<Charge>,
    ) {
        let waker = {
            let mut state = self.lock();
            let Some(request) = state.requests.get_mut(&id) else {
                return;
            };
            request.responded = true;
            request.response = Some(response);
            request.head = head;
            request.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What should become of a piece of a response's body.
    pub fn wants(&self, id: u32, bytes: usize) -> Wanted {
        let state = self.lock();
        let request = state.requests.get(&id);
        request.map_or(Wanted::No, |request| request.pieces.wants(bytes))
    }

    /// Notes a piece of a response's body that is wanted.
    pub fn write(&self, id: u32, piece: Piece) {
        let waker = {
            let mut state = self.lock();
            let Some(request) = state.requests.get_mut(&id) else {
                return;
            };
            request.pieces.push(piece);
            request.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Somebody begins to read a fetch's body, or stops.
    pub fn reads(&self, begins: bool) {
        match begins {
            true => self.outgoing.fetch_add(1, Ordering::Relaxed),
            false => self.outgoing.fetch_sub(1, Ordering::Relaxed),
        };
    }

    /// How many bytes the guest may write ahead of each reader.
    pub fn window(&self) -> u32 {
        self.window_of(&self.lock())
    }

    fn window_of(&self, state: &Inner) -> u32 {
        let readers = state.requests.len() + self.outgoing.load(Ordering::Relaxed);
        pieces::window(self.account.limit(), readers)
    }

    /// The response, if it has come. Otherwise the task is woken when it comes, or when the driver needs to be polled.
    pub fn poll_response(
        &self,
        id: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(ResponseHead, Brought), Fault>> {
        let mut state = self.lock();
        let ended = state.ended.clone();
        let Some(request) = state.requests.get_mut(&id) else {
            return Poll::Ready(Err(ended.unwrap_or_else(lost)));
        };
        if let Some(response) = request.response.take() {
            // A response without further pieces ends the request.
            if !matches!(response, Ok((_, Brought::Pieces(_)))) {
                state.requests.remove(&id);
            }
            return Poll::Ready(response);
        }
        if let Some(fault) = ended {
            state.requests.remove(&id);
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
    pub fn poll_chunk(&self, id: u32, cx: &mut Context<'_>) -> (Poll<Taken>, bool) {
        let mut state = self.lock();
        let ended = state.ended.clone();
        let window = self.window_of(&state);
        let Some(request) = state.requests.get_mut(&id) else {
            return (Poll::Ready((Ok(None), None)), false);
        };
        if let Some(taken) = request.pieces.queue.pop_front() {
            if !matches!(taken, (Ok(Some(_)), _)) {
                state.requests.remove(&id);
            }
            return (Poll::Ready(taken), false);
        }
        if let Some(fault) = ended {
            state.requests.remove(&id);
            let error = io::Error::other(fault.to_string());
            return (Poll::Ready((Err(error), None)), false);
        }
        let more = request.pieces.allow(window);
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

    /// Removes an request that nobody waits for any more. Returns whether the guest needs to know.
    pub fn leave(&self, id: u32) -> bool {
        let mut state = self.lock();
        let request = state.requests.remove(&id);
        let gone = request.is_some();
        let unheard = state.unheard.remove(&id);
        let tells = gone && state.ended.is_none();
        if tells {
            // If the guest never heard of the request, it need not hear of its end.
            let before = state.inbox.len();
            let mine = |event: &Event| matches!(event, Event::Request(of, ..) if *of == id);
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
        drop((request, unheard));
        tells
    }

    /// Wakes somebody to poll the driver. Returns whether there is anybody.
    pub fn pass_on(&self) -> bool {
        let waker = {
            let mut state = self.lock();
            let waiting = state.requests.values_mut();
            let waker = waiting.filter_map(|it| it.waker.take()).next();
            waker.or_else(|| state.background.pop())
        };
        match waker {
            Some(waker) => {
                waker.wake();
                true
            }
            None => false,
        }
    }

    /// Ready once a background task has nothing more to do.
    pub fn poll_background(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.is_idle() {
            return Poll::Ready(());
        }
        if !state.background.iter().any(|it| it.will_wake(cx.waker())) {
            state.background.push(cx.waker().clone());
        }
        let again = state.runnable;
        drop(state);
        if again {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The instance has ended, and everyone who waits for it hears so. If it was `created`, others like it can be
    /// created too: they get the requests that it had not heard of.
    pub fn end(&self, fault: &Fault, created: bool) {
        let (wakers, events) = {
            let mut state = self.lock();
            state.ended = Some(fault.clone());
            let (mut events, mut unheard) = (Vec::new(), BTreeMap::new());
            for event in state.inbox.drain(..) {
                match event {
                    Event::Request(id, request, _) if created => {
                        unheard.insert(id, request);
                    }
                    event => events.push(event),
                }
            }
            state.unheard = unheard;
            let wakers: Vec<_> = (state.requests.values_mut())
                .filter_map(|request| request.waker.take())
                .collect();
            (wakers, events)
        };
        drop(events);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Notes whom to wake. Returns whether to wake them at once, because the driver waits for somebody. That must not
/// happen in here: if a vlugin calls itself, waking leads back to the lock.
fn wait(state: &mut Inner, id: u32, cx: &mut Context<'_>) -> bool {
    if let Some(request) = state.requests.get_mut(&id) {
        match &mut request.waker {
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
    /// The driver has something to do. Somebody who waits for it polls it.
    fn wake(self: Arc<Self>) {
        self.lock().runnable = true;
        self.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn nobody_waits_in_the_background_for_what_others_have_done() {
        let ends: [fn(&Shared); 2] = [
            |shared| drop(shared.pop()),
            |shared| shared.end(&lost(), true),
        ];
        for end in ends {
            let shared = Shared::new(Account::new(&Limits::default()).instance());
            let tasks = [(); 2].map(|()| Arc::new(Woken::default()));
            let poll = |task: &Arc<Woken>| {
                let waker = Waker::from(task.clone());
                shared.poll_background(&mut Context::from_waker(&waker))
            };
            shared.push(Event::Poll);
            // Another thread has the driver, and handles the event.
            for task in &tasks {
                assert!(poll(task).is_pending());
            }
            assert!(shared.has_new_events());
            assert!(!tasks.iter().any(|task| task.0.load(Ordering::SeqCst)));
            end(&shared);
            assert!(!shared.has_new_events());
            for task in &tasks {
                assert!(task.0.load(Ordering::SeqCst));
                assert!(poll(task).is_ready());
            }
        }
    }
}
