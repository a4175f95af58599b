//! Work that has no thread and no task of its own: those who wait for its results poll it when they are polled
//! themselves. So a request is answered on the thread that it came in on, without a detour.
//!
//! `instance` runs each instance of a component so. The work is behind a lock that is tried and never waited for: if it
//! is taken, its holder goes on until nothing new has come in. When the work waits for something and wakes up, it wakes
//! all who wait for it: nobody knows which of them is polled next, as one may wait for its client meanwhile.

use crate::BoxFuture;
use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};
use valor_abi_wire::{
    lock::{locked, try_locked},
    unwind::{Panicked, catch, drop_caught},
};

/// The work, and those who wait for it.
pub(super) struct Driven {
    work: Mutex<Option<BoxFuture<'static, ()>>>,
    waiters: Arc<Waiters>,
    /// What the work is polled with.
    waker: Waker,
    /// The work is to be dropped by whoever polls it.
    is_over: AtomicBool,
}

struct Waiters {
    inner: Mutex<Inner>,
    /// Called if the work has something to do and nobody waits for it at this moment.
    alone: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Inner {
    wakers: BTreeMap<u64, Option<Waker>>,
    last: u64,
    /// The work has something to do, and nobody polls it for that yet.
    is_runnable: bool,
    /// Something came in that the work has not seen.
    is_news: bool,
    /// A task was asked to poll it, and has not begun.
    is_handed_over: bool,
    /// A thread is at it.
    is_polled: bool,
}

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread polls some work at this moment.
pub(super) fn is_busy() -> bool {
    BUSY.get()
}

/// That this thread polls some work, until this is dropped.
struct Busy(());

impl Busy {
    /// `None` if it does already.
    fn begin() -> Option<Self> {
        (!BUSY.replace(true)).then_some(Self(()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

impl Inner {
    fn is_unattended(&self) -> bool {
        self.is_runnable && !self.is_polled && self.wakers.values().all(Option::is_none)
    }
}

impl Driven {
    /// This work. `alone` is called if it has something to do while nobody waits for it who could be woken.
    pub(super) fn new(
        work: BoxFuture<'static, ()>,
        alone: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let waiters = Arc::new(Waiters {
            inner: Mutex::default(),
            alone: Box::new(alone),
        });
        Self {
            work: Mutex::new(Some(work)),
            waker: Waker::from(waiters.clone()),
            waiters,
            is_over: AtomicBool::new(false),
        }
    }

    /// Notes that something came in. Whoever calls this drives the work next.
    pub(super) fn news(&self) {
        locked(&self.waiters.inner).is_news = true;
    }

    /// Whether a thread is at work.
    pub(super) fn is_running(&self) -> bool {
        try_locked(&self.work).is_none()
    }

    /// Whether the work has something to do, and nobody has polled it for that yet.
    pub(super) fn is_runnable(&self) -> bool {
        locked(&self.waiters.inner).is_runnable
    }

    /// The same, and nobody is there to be woken for it.
    pub(super) fn is_unattended(&self) -> bool {
        locked(&self.waiters.inner).is_unattended()
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> usize {
        locked(&self.waiters.inner).wakers.len()
    }

    /// Polls the work, unless another thread does, which then sees all that came in before. A panic in it is returned
    /// once, and ends it.
    ///
    /// Inside of other work, nothing is polled: wasmtime does not run one instance within another. A task does it then.
    pub(super) fn drive(&self) -> Result<(), Panicked> {
        let Some(_busy) = Busy::begin() else {
            let mut inner = locked(&self.waiters.inner);
            let is_first = !std::mem::replace(&mut inner.is_handed_over, true);
            drop(inner);
            if is_first {
                (self.waiters.alone)();
            }
            return Ok(());
        };
        loop {
            let Some(mut work) = try_locked(&self.work) else {
                return Ok(());
            };
            {
                let mut inner = locked(&self.waiters.inner);
                (inner.is_runnable, inner.is_news) = (false, false);
                inner.is_handed_over = false;
                inner.is_polled = true;
            }
            let mut panicked = None;
            if let Some(running) = work.as_mut() {
                let mut cx = Context::from_waker(&self.waker);
                match catch(|| running.as_mut().poll(&mut cx)) {
                    Ok(Poll::Pending) => {}
                    Ok(Poll::Ready(())) => drop(drop_caught(work.take())),
                    Err(error) => {
                        panicked = Some(error);
                        drop(drop_caught(work.take()));
                    }
                }
            }
            if self.is_over.load(Ordering::Acquire) {
                drop(drop_caught(work.take()));
            }
            let has_ended = work.is_none();
            locked(&self.waiters.inner).is_polled = false;
            drop(work);
            if let Some(error) = panicked {
                return Err(error);
            }
            if has_ended {
                // Whoever waits has to hear of it.
                self.wake_all();
            }
            // Something may have come in while the lock was held.
            if has_ended || !locked(&self.waiters.inner).is_news {
                return Ok(());
            }
        }
    }

    /// Wakes all who wait.
    pub(super) fn wake_all(&self) {
        let all: Vec<Waker> = {
            let mut inner = locked(&self.waiters.inner);
            inner.wakers.values_mut().filter_map(Option::take).collect()
        };
        all.into_iter().for_each(Waker::wake);
    }

    /// Drops the work, or has the thread do so that is at it.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(mut work) = try_locked(&self.work) {
            drop(drop_caught(work.take()));
        }
    }

    /// Somebody who waits from now on.
    pub(super) fn wait(&self) -> u64 {
        let mut inner = locked(&self.waiters.inner);
        inner.last += 1;
        let key = inner.last;
        inner.wakers.insert(key, None);
        key
    }

    /// Has the task of this waiter woken when the work goes on.
    pub(super) fn waits(&self, key: u64, cx: &Context<'_>) {
        let mut inner = locked(&self.waiters.inner);
        if let Some(waker) = inner.wakers.get_mut(&key) {
            match waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                waker => *waker = Some(cx.waker().clone()),
            }
        }
        let again = inner.is_runnable;
        drop(inner);
        if again {
            cx.waker().wake_by_ref();
        }
    }

    /// This waiter leaves. Returns whether nobody waits any more.
    pub(super) fn leave(&self, key: u64) -> bool {
        let mut inner = locked(&self.waiters.inner);
        let left = inner.wakers.remove(&key);
        let is_last = inner.wakers.is_empty();
        drop(inner);
        drop(left);
        is_last
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        let (all, is_unattended): (Vec<Waker>, _) = {
            let mut inner = locked(&self.inner);
            inner.is_runnable = true;
            let is_unattended = inner.is_unattended();
            let all = inner.wakers.values_mut().filter_map(Option::take);
            (all.collect(), is_unattended)
        };
        // Without the lock: a vlugin that calls itself leads back here.
        all.into_iter().for_each(Waker::wake);
        if is_unattended {
            (self.alone)();
        }
    }
}
