//! The tasks of the workers: which of them are to be run, and how a thread waits for one.
//!
//! All threads share one queue and one [`Reactor`]. `workers` starts the threads, each of which
//! calls [`Executor::turn`] over and over; the crate `async-task` makes tasks of futures. Tasks
//! run in the order in which they were woken. Where more is to be run than a thread can run at
//! once, it wakes another that sleeps, so that a task that takes long holds up nobody while
//! there is a thread without work.

use crate::reactor::{Events, Reactor};
use async_task::Runnable;
use smol::Task;
use std::{
    cell::Cell,
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How many tasks are run before the sockets are looked at again.
const TURN: usize = 64;

thread_local! {
    /// The executor whose events this thread is handing out, by its address.
    static HANDING_OUT: Cell<usize> = const { Cell::new(0) };
}

/// Is told what a thread does.
pub(super) trait Watcher {
    /// It waits for something to do, or has ceased to.
    fn waits(&self, waits: bool);
    /// It has run a task.
    fn ran(&self);
}

/// Tasks to be run, and what wakes them.
#[derive(Debug)]
pub(super) struct Executor {
    reactor: Arc<Reactor>,
    queue: Mutex<VecDeque<Runnable>>,
    /// Threads that wait in the reactor, or are about to.
    parked: AtomicUsize,
    /// Whether one of them was woken and has not come back yet.
    is_waking: AtomicBool,
}

impl Executor {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            reactor: Arc::new(Reactor::new()?),
            queue: Mutex::default(),
            parked: AtomicUsize::new(0),
            is_waking: AtomicBool::new(false),
        })
    }

    /// What tells of sockets.
    pub(super) fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }

    /// Runs a future; dropping the task cancels it.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let executor = self.clone();
        let schedule = move |runnable| {
            executor.queue().push_back(runnable);
            // Who hands out events runs what they woke.
            if HANDING_OUT.get() != executor.address() {
                executor.wake_another();
            }
        };
        let (runnable, task) = async_task::spawn(future, schedule);
        runnable.schedule();
        task
    }

    /// Runs some of the tasks, or waits for one, for as long as `limit` says. A task that panics
    /// panics here.
    pub(super) fn turn(
        &self,
        events: &mut Events,
        limit: Option<Duration>,
        watcher: &impl Watcher,
    ) {
        for _ in 0..TURN {
            if !self.run_one() {
                watcher.waits(true);
                self.park(events, limit);
                return watcher.waits(false);
            }
            watcher.ran();
        }
        // There may be more to run, so it only looks.
        self.wait(events, Some(Duration::ZERO));
        // What it saw may have been meant for a thread that sleeps and now goes on to: whoever
        // comes next has to wake that one anew.
        self.is_waking.store(false, Ordering::Release);
    }

    /// Runs a task and says whether there was one.
    pub(super) fn run_one(&self) -> bool {
        let (next, left) = {
            let mut queue = self.queue();
            (queue.pop_front(), queue.len())
        };
        let Some(next) = next else { return false };
        if left > 0 {
            self.wake_another();
        }
        next.run();
        true
    }

    /// Makes every thread that waits come back, one after the other: each that does calls this.
    pub(super) fn wake(&self) {
        self.reactor.wake();
    }

    fn park(&self, events: &mut Events, limit: Option<Duration>) {
        self.parked.fetch_add(1, Ordering::SeqCst);
        // Whoever adds a task looks at `parked` behind that; so one of the two sees the other.
        if self.queue().is_empty() {
            self.wait(events, limit);
        }
        self.parked.fetch_sub(1, Ordering::SeqCst);
        self.is_waking.store(false, Ordering::Release);
    }

    fn wait(&self, events: &mut Events, limit: Option<Duration>) {
        HANDING_OUT.set(self.address());
        self.reactor.wait(events, limit);
        HANDING_OUT.set(0);
    }

    fn wake_another(&self) {
        if self.parked.load(Ordering::SeqCst) > 0 && !self.is_waking.swap(true, Ordering::AcqRel) {
            self.reactor.wake();
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Runnable>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    struct Unwatched;

    impl Watcher for Unwatched {
        fn waits(&self, _: bool) {}
        fn ran(&self) {}
    }

    #[test]
    fn a_wake_that_a_busy_thread_saw_is_not_the_last() {
        let executor = Arc::new(Executor::new().unwrap());
        // Somebody sleeps, and is to be woken for these.
        executor.parked.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=TURN {
            executor.spawn(async {}).detach();
        }
        // This thread is busy, and looks at the sockets in between.
        let mut events = Events::default();
        executor.turn(&mut events, None, &Unwatched);
        while executor.run_one() {}

        let sleeping = executor.clone();
        thread::spawn(move || {
            let mut events = Events::default();
            loop {
                sleeping.turn(&mut events, Some(Duration::from_secs(60)), &Unwatched);
            }
        });
        let (done, was_done) = mpsc::channel();
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(100));
            let done = done.clone();
            executor.spawn(async move { done.send(()) }).detach();
            let woken = was_done.recv_timeout(Duration::from_secs(20));
            assert!(woken.is_ok(), "the thread sleeps on");
        }
    }
}
