//! Work that has no thread and no task of its own: those who wait for its results poll it when they are polled
//! themselves. So a request is answered on the thread that it came in on, without a detour.
//!
//! `instance` runs each instance of a component so. The work is behind a lock that is tried and never waited for: if it
//! is taken, its holder goes on until nothing new has come in. When the work waits for something and wakes up, it wakes
//! all who wait for it. If all of them may wait for something else meanwhile, such as a client, a task polls it.

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
    /// The work may block its thread, so it is polled on threads for that alone.
    blocks: bool,
}

struct Waiters {
    inner: Mutex<Inner>,
    /// Called if the work has something to do and nobody waits for it at this moment.
    alone: Box<dyn Fn() + Send + Sync>,
}

/// Somebody who waits.
struct Waiter {
    /// `None` until it is polled again after it was woken.
    waker: Option<Waker>,
    /// It waits for this work alone, so it is polled soon after it was woken.
    is_prompt: bool,
}

#[derive(Default)]
struct Inner {
    waiters: BTreeMap<u64, Waiter>,
    last: u64,
    /// The work has something to do, and nobody polls it for that yet.
    is_runnable: bool,
    /// Something came in that the work has not seen.
    is_news: bool,
    /// A task was asked to poll it, and is not done. There is one at a time, as it may keep a thread.
    is_handed_over: bool,
    /// A thread is at it.
    is_polled: bool,
}

thread_local! {
    static BUSY: Cell<bool> = const { Cell::new(false) };
    /// Whether work may block this thread.
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// That this thread polls or drops some work, until this is dropped.
struct Busy(());

impl Busy {
    /// `None` if it does already.
    fn begin() -> Option<Self> {
        (!BUSY.replace(true)).then(|| Self(()))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.set(false);
    }
}

/// Goes on with this, on a thread that `work` does not block if it may block it.
pub(super) fn on_its_thread(work: &Driven, on: impl Future<Output = ()> + Send + 'static) {
    match work.blocks {
        true => smol::unblock(|| {
            MAY_BLOCK.set(true);
            smol::block_on(on);
            MAY_BLOCK.set(false);
        })
        .detach(),
        false => smol::spawn(on).detach(),
    }
}

impl Inner {
    fn is_unattended(&self) -> bool {
        let mut waiters = self.waiters.values();
        let comes = |it: &Waiter| it.is_prompt || it.waker.is_some();
        self.is_runnable && !self.is_polled && !self.is_handed_over && !waiters.any(comes)
    }

    /// Whether the caller is to hand it over, as nobody has been asked to poll it.
    fn hand_over_if(&mut self, is_needed: bool) -> bool {
        is_needed && !std::mem::replace(&mut self.is_handed_over, true)
    }

    /// The wakers of all who can be woken.
    fn take_wakers(&mut self) -> Vec<Waker> {
        let waiters = self.waiters.values_mut();
        waiters.filter_map(|it| it.waker.take()).collect()
    }
}

impl Driven {
    /// This work. `alone` is called if it has something to do while nobody waits for it who could be woken. If it
    /// `blocks`, it is called for everything that there is to do, to go on with it [`on_its_thread`].
    pub(super) fn new(
        work: BoxFuture<'static, ()>,
        blocks: bool,
        alone: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let inner = Inner {
            // It has to begin.
            is_runnable: true,
            ..Inner::default()
        };
        let waiters = Arc::new(Waiters {
            inner: Mutex::new(inner),
            alone: Box::new(alone),
        });
        Self {
            work: Mutex::new(Some(work)),
            waker: Waker::from(waiters.clone()),
            waiters,
            is_over: AtomicBool::new(false),
            blocks,
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

    /// Whether it has something to do, and nobody is there to be woken for it. Then the caller has a task drive it
    /// until it [is settled](Self::is_settled).
    pub(super) fn take_unattended(&self) -> bool {
        let mut inner = locked(&self.waiters.inner);
        let is_unattended = inner.is_unattended();
        inner.hand_over_if(is_unattended)
    }

    /// Asks in the task that it was handed over to, behind each drive, whether that is done. If it is not, the task is
    /// woken when it can go on.
    pub(super) fn is_settled(&self, key: u64, cx: &Context<'_>) -> bool {
        let mut inner = locked(&self.waiters.inner);
        // Whoever polls it sees what has come in, and wakes all if it is runnable then.
        if !inner.is_runnable && (!inner.is_news || inner.is_polled) {
            inner.is_handed_over = false;
            return true;
        }
        let is_polled = inner.is_polled;
        if let Some(waiter) = inner.waiters.get_mut(&key) {
            waiter.waker = Some(cx.waker().clone());
        }
        drop(inner);
        if !is_polled {
            cx.waker().wake_by_ref();
        }
        false
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> usize {
        locked(&self.waiters.inner).waiters.len()
    }

    /// Polls the work, unless another thread does, which then sees all that came in before. A panic in it is returned
    /// once, and ends it.
    ///
    /// Inside of other work, nothing is polled: wasmtime does not run one instance within another. A task does it then.
    pub(super) fn drive(&self) -> Result<(), Panicked> {
        let is_here = !self.blocks || MAY_BLOCK.get();
        let Some(_busy) = is_here.then(Busy::begin).flatten() else {
            let mut inner = locked(&self.waiters.inner);
            let is_due = inner.is_runnable || inner.is_news;
            let is_first = inner.hand_over_if(is_due);
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
            let mut inner = locked(&self.waiters.inner);
            inner.is_polled = false;
            // Those who came meanwhile did not poll it, and wait for the next turn.
            let waiting = match inner.is_runnable {
                true => inner.take_wakers(),
                false => Vec::new(),
            };
            drop(inner);
            drop(work);
            waiting.into_iter().for_each(Waker::wake);
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
        let all = locked(&self.waiters.inner).take_wakers();
        all.into_iter().for_each(Waker::wake);
    }

    /// Drops the work, or has the thread do so that is at it.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(mut work) = try_locked(&self.work) {
            discard(work.take());
        }
    }

    /// Somebody who waits from now on, for this work alone.
    pub(super) fn wait(&self) -> u64 {
        let mut inner = locked(&self.waiters.inner);
        inner.last += 1;
        let key = inner.last;
        let waiter = Waiter {
            waker: None,
            is_prompt: true,
        };
        inner.waiters.insert(key, waiter);
        key
    }

    /// This waiter may wait for something else from now on, such as a slow client.
    pub(super) fn waits_elsewhere(&self, key: u64) {
        let mut inner = locked(&self.waiters.inner);
        if let Some(waiter) = inner.waiters.get_mut(&key) {
            waiter.is_prompt = false;
        }
    }

    /// Has the task of this waiter woken when the work goes on.
    pub(super) fn waits(&self, key: u64, cx: &Context<'_>) {
        let mut inner = locked(&self.waiters.inner);
        if let Some(waiter) = inner.waiters.get_mut(&key) {
            match &mut waiter.waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                waker => *waker = Some(cx.waker().clone()),
            }
        }
        // Whoever polls it or has taken it over wakes all when that is done.
        let again = inner.is_runnable && !inner.is_handed_over && !inner.is_polled;
        drop(inner);
        if again {
            cx.waker().wake_by_ref();
        }
    }

    /// This waiter leaves. Returns whether nobody waits any more.
    pub(super) fn leave(&self, key: u64) -> bool {
        let mut inner = locked(&self.waiters.inner);
        let left = inner.waiters.remove(&key);
        let is_last = inner.waiters.is_empty();
        drop(inner);
        drop(left);
        is_last
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        discard(locked(&self.work).take());
    }
}

/// Drops work that nobody is at. An instance's calls of others are dropped with it, and must not run those meanwhile:
/// to wasmtime, it is still running. Inside of other work, a task does it, for the same reason.
fn discard(work: Option<BoxFuture<'static, ()>>) {
    if work.is_none() {
        return;
    }
    match Busy::begin() {
        Some(_busy) => drop(drop_caught(work)),
        None => smol::spawn(async move { discard(work) }).detach(),
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        let (all, is_unattended) = {
            let mut inner = locked(&self.inner);
            inner.is_runnable = true;
            let is_unattended = inner.is_unattended();
            (inner.take_wakers(), inner.hand_over_if(is_unattended))
        };
        // Without the lock: a vlugin that calls itself leads back here.
        all.into_iter().for_each(Waker::wake);
        if is_unattended {
            (self.alone)();
        }
    }
}

#[cfg(test)]
mod tests;
