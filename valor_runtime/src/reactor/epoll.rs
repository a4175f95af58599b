//! The reactor on Linux: edge-triggered epoll (epoll(7)) through rustix, and no unsafe code.
//!
//! The system reports a change once. So a [`Source`] remembers that its socket is readable or writable until an
//! attempt shows otherwise: by `WouldBlock`, or by fewer bytes than were asked for. After that, the system reports
//! the next ones (epoll(7), question 9).

use rustix::event::{
    EventfdFlags, Timespec, epoll,
    epoll::{CreateFlags, EventData, EventFlags},
    eventfd,
};
use slab::Slab;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use valor_abi_wire::lock::locked;

/// How many events are taken at once.
const EVENTS: usize = 256;
/// The number of the reactor's own event.
const WAKE: u64 = u64::MAX;

// What is known about a socket. The bits above these count the events so far.
const READABLE: usize = 1;
const WRITABLE: usize = 2;
/// The peer has sent its last byte, or the connection is broken: reads no longer block.
const ENDED: usize = 4;
const EVENT: usize = 8;

/// The sockets of all workers.
#[derive(Debug)]
pub(crate) struct Reactor {
    epoll: OwnedFd,
    wake: OwnedFd,
    sources: Mutex<Slab<Arc<Readiness>>>,
    /// Whether nobody will wait on it any more.
    closed: AtomicBool,
}

/// What a thread keeps between waits.
pub(crate) struct Events {
    events: Vec<epoll::Event>,
    woken: Vec<Waker>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            events: Vec::with_capacity(EVENTS),
            woken: Vec::with_capacity(EVENTS),
        }
    }
}

#[derive(Debug)]
struct Readiness {
    state: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), flags)?;
        Ok(Self {
            epoll,
            wake,
            sources: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Waits until a socket is ready, somebody calls [`wake`](Self::wake), or the time is over. Then it wakes the
    /// tasks whose sockets are ready.
    pub(crate) fn wait(&self, events: &mut Events, limit: Option<Duration>) {
        let limit = limit.map(|limit| Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        });
        events.events.clear();
        let room = rustix::buffer::spare_capacity(&mut events.events);
        // It fails if a signal comes; otherwise only for wrong arguments.
        if epoll::wait(&self.epoll, room, limit.as_ref()).is_err() {
            return;
        }
        {
            let sources = locked(&self.sources);
            for event in &events.events {
                let (key, flags) = (event.data.u64(), event.flags);
                // A source may have gone while its event was on the way. If another one has its place by now, that
                // one gets a false report, and finds out.
                let source = usize::try_from(key).ok().and_then(|key| sources.get(key));
                events
                    .woken
                    .extend(source.and_then(|source| source.became(flags)));
            }
        }
        // Wakers are other people's code: none of it runs while the lock is held.
        events.woken.drain(..).for_each(Waker::wake);
    }

    /// Nobody will wait any more: from now on, polling a socket that is not ready gives an error.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let sources: Vec<_> = {
            let sources = locked(&self.sources);
            sources.iter().map(|(_, source)| source.clone()).collect()
        };
        for source in sources {
            let waker = locked(&source.waker).take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Ends the wait of one thread, or of the next one that waits.
    pub(crate) fn wake(&self) {
        // It fails only if the counter is full; then what filled it wakes the thread.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Readiness {
    fn became(&self, flags: EventFlags) -> Option<Waker> {
        let mut bits = 0;
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(EventFlags::IN | ended) {
            bits |= READABLE;
        }
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            bits |= WRITABLE;
        }
        if flags.intersects(ended) {
            bits |= ENDED;
        }
        let add = |state: usize| Some((state | bits).wrapping_add(EVENT));
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        locked(&self.waker).take()
    }

    /// Whether an attempt may succeed. If not, the task is woken when it may.
    fn poll(&self, bit: usize, cx: &Context<'_>) -> Poll<usize> {
        let state = self.state.load(Ordering::Acquire);
        if state & bit != 0 {
            return Poll::Ready(state);
        }
        let mut waker = locked(&self.waker);
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        // An event that came meanwhile found no waker, or an old one.
        let state = self.state.load(Ordering::Acquire);
        match state & bit {
            0 => Poll::Pending,
            _ => Poll::Ready(state),
        }
    }

    /// Records that an attempt failed, unless an event has come since `seen`.
    fn clear(&self, bit: usize, seen: usize) {
        let (set, unset) = (Ordering::AcqRel, Ordering::Relaxed);
        let _ = self.state.compare_exchange(seen, seen & !bit, set, unset);
    }
}

/// A socket whose readiness is reported.
#[derive(Debug)]
pub(crate) struct Source<T> {
    readiness: Arc<Readiness>,
    key: usize,
    reactor: Arc<Reactor>,
    // Closing it removes it from epoll's list.
    io: T,
}

impl<T: AsFd> Source<T> {
    /// Registers a socket that does not block.
    pub(crate) fn new(reactor: &Arc<Reactor>, io: T) -> io::Result<Self> {
        let readiness = Arc::new(Readiness {
            // Nothing is known yet: the first attempt finds out.
            state: AtomicUsize::new(READABLE | WRITABLE),
            waker: Mutex::default(),
        });
        let key = locked(&reactor.sources).insert(readiness.clone());
        let source = Self {
            readiness,
            key,
            reactor: reactor.clone(),
            io,
        };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = EventData::new_u64(key as u64);
        epoll::add(&reactor.epoll, &source.io, data, flags)?;
        Ok(source)
    }
}

impl Reactor {
    /// How many sockets are registered.
    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        locked(&self.sources).len()
    }
}

impl<T> Source<T> {
    pub(crate) fn get_ref(&self) -> &T {
        &self.io
    }

    /// Pending with the waker stored, as long as somebody will wake it.
    fn pending<R>(&self) -> Poll<io::Result<R>> {
        if !self.reactor.closed.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        let error = "the server on whose threads the connection was made has ended";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::NotConnected, error)))
    }

    /// Attempts to read up to `len` bytes, or to accept if `len` is 0.
    pub(crate) fn poll_read_with<R: Amount>(
        &self,
        cx: &Context<'_>,
        len: usize,
        mut read: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            let Poll::Ready(seen) = self.readiness.poll(READABLE, cx) else {
                return self.pending();
            };
            match read(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.clear(READABLE, seen);
                }
                Ok(amount) => {
                    // This was all there was. But an end that came with it would not be reported again.
                    if amount.is_below(len) && seen & ENDED == 0 {
                        self.readiness.clear(READABLE, seen);
                    }
                    return Poll::Ready(Ok(amount));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Attempts to write `len` bytes.
    pub(crate) fn poll_write_with(
        &self,
        cx: &Context<'_>,
        len: usize,
        mut write: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(seen) = self.readiness.poll(WRITABLE, cx) else {
                return self.pending();
            };
            match write(&self.io) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readiness.clear(WRITABLE, seen);
                }
                Ok(amount) => {
                    if amount > 0 && amount < len {
                        self.readiness.clear(WRITABLE, seen);
                    }
                    return Poll::Ready(Ok(amount));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<T> Drop for Source<T> {
    fn drop(&mut self) {
        locked(&self.reactor.sources).try_remove(self.key);
    }
}

/// The result of an attempt to read.
pub(crate) trait Amount {
    /// Whether it is less than was asked for, so that there is no more for now. The end of a stream does not count:
    /// it can be read again and again.
    fn is_below(&self, len: usize) -> bool;
}

impl Amount for usize {
    fn is_below(&self, len: usize) -> bool {
        *self > 0 && *self < len
    }
}

/// An accepted client: more of them may wait.
impl<S, A> Amount for (S, A) {
    fn is_below(&self, _: usize) -> bool {
        false
    }
}
