//! The tasks of the workers: which one runs next, and how a thread waits for one.
//!
//! `workers` starts the threads. Each calls [`Executor::turn`] over and over; all share one queue and one
//! [`Reactor`]. The crate `async-task` turns futures into tasks. A thread that finds more than it can run at once
//! wakes another that sleeps.
//!
//! A long computation delays no other task for long. A thread looks at the sockets after [`LOOK`] of work. A task
//! goes behind all others if it ran for [`SLICE`] without a pause, or if it wakes itself while it runs: tasks that a
//! socket or a timer wakes run first. The tasks behind still get a quarter of the time that the others take, so that
//! no load in front starves them.

use crate::reactor::{Events, Reactor};
use async_task::{Runnable, ScheduleInfo, WithInfo};
use smol::Task;
use std::{
    cell::Cell,
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use valor_abi_wire::lock::locked;

/// How many tasks run before a thread looks at the sockets again, however short they are.
const TURN: usize = 64;

/// How long tasks run before a thread looks at the sockets again.
const LOOK: Duration = Duration::from_millis(1);

/// A task that runs for this long goes behind the others the next time.
const SLICE: Duration = Duration::from_millis(1);

/// The tasks in front get this many times the time of those behind, if there are enough of both.
const FRONT: i64 = 4;

/// The most nanoseconds that the tasks behind may be owed, or owe.
const CREDIT: i64 = 2_000_000;

thread_local! {
    /// The executor whose events this thread is handing out, by its address.
    static HANDING_OUT: Cell<usize> = const { Cell::new(0) };
    /// When the task that runs on this thread began, or when the last one ended. One look at the clock serves for
    /// both. A thread sets it anew after each wait.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Observes what a thread does.
pub(super) trait Watcher {
    /// Its task began at this time.
    fn works(&self, since: Instant);
    /// It waits for something to do.
    fn waits(&self);
}

#[derive(Debug, Default)]
struct Queue {
    front: VecDeque<Runnable>,
    /// Tasks that used up their turn.
    behind: VecDeque<Runnable>,
}

impl Queue {
    fn len(&self) -> usize {
        self.front.len() + self.behind.len()
    }
}

/// Tasks to run, and the means to wake them.
#[derive(Debug)]
pub(super) struct Executor {
    reactor: Arc<Reactor>,
    queue: Mutex<Queue>,
    /// How many nanoseconds the tasks behind are owed.
    credit: AtomicI64,
    /// Threads that wait in the reactor, or are about to.
    parked: AtomicUsize,
    /// Whether one of them was woken and has not returned yet.
    is_waking: AtomicBool,
}

impl Executor {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            reactor: Arc::new(Reactor::new()?),
            queue: Mutex::default(),
            credit: AtomicI64::new(0),
            parked: AtomicUsize::new(0),
            is_waking: AtomicBool::new(false),
        })
    }

    /// The source of socket events.
    pub(super) fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }

    /// How many tasks wait for a thread.
    pub(super) fn waiting(&self) -> usize {
        self.queue().len()
    }

    /// Runs a future; dropping the task cancels it.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let executor = self.clone();
        // Whether the last run took the task's whole turn.
        let spent = Arc::new(AtomicBool::new(false));
        let used_up = spent.clone();
        let schedule = move |runnable, info: ScheduleInfo| {
            let behind = info.woken_while_running || used_up.load(Ordering::Relaxed);
            let mut queue = executor.queue();
            match behind {
                true => queue.behind.push_back(runnable),
                false => queue.front.push_back(runnable),
            }
            drop(queue);
            // The thread that hands out events also runs the tasks that they woke.
            if HANDING_OUT.get() != executor.address() {
                executor.wake_another();
            }
        };
        let timed = async move {
            let mut future = std::pin::pin!(future);
            std::future::poll_fn(|cx| {
                let polled = future.as_mut().poll(cx);
                let began = SINCE.get();
                let ended = Instant::now();
                SINCE.set(Some(ended));
                let took = began.map_or(Duration::ZERO, |began| ended - began);
                spent.store(took >= SLICE, Ordering::Relaxed);
                polled
            })
            .await
        };
        let (runnable, task) = async_task::spawn(timed, WithInfo(schedule));
        runnable.schedule();
        task
    }

    /// Runs some tasks, or waits for one up to `limit`. If a task panics, the panic comes out of this call.
    pub(super) fn turn(
        &self,
        events: &mut Events,
        limit: Option<Duration>,
        watcher: &impl Watcher,
    ) {
        let began = Instant::now();
        SINCE.set(Some(began));
        watcher.works(began);
        for _ in 0..TURN {
            if !self.run_one() {
                watcher.waits();
                return self.park(events, limit);
            }
            let now = SINCE.get().unwrap_or(began);
            watcher.works(now);
            if now - began >= LOOK {
                break;
            }
        }
        // There may be more to run, so this only looks.
        self.wait(events, Some(Duration::ZERO));
        // Its events may have been meant for a thread that now sleeps on. The next event has to wake that thread
        // anew.
        self.is_waking.store(false, Ordering::Release);
    }

    /// Runs a task. Returns whether there was one.
    pub(super) fn run_one(&self) -> bool {
        let (next, is_behind, others, left) = {
            let mut queue = self.queue();
            let owed = self.credit.load(Ordering::Relaxed) > 0;
            let is_behind = !queue.behind.is_empty() && (owed || queue.front.is_empty());
            let next = match is_behind {
                true => queue.behind.pop_front(),
                false => queue.front.pop_front(),
            };
            let others = match is_behind {
                true => !queue.front.is_empty(),
                false => !queue.behind.is_empty(),
            };
            (next, is_behind, others, queue.len())
        };
        let Some(next) = next else { return false };
        if left > 0 {
            self.wake_another();
        }
        let began = SINCE.get();
        next.run();
        // Time counts as a debt only if a task of the other kind was waiting.
        if others && let (Some(began), Some(ended)) = (began, SINCE.get()) {
            self.account(is_behind, ended - began);
        }
        true
    }

    fn account(&self, is_behind: bool, took: Duration) {
        let took = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        let credit = self.credit.load(Ordering::Relaxed);
        let credit = match is_behind {
            true => credit.saturating_sub(took),
            false => credit.saturating_add(took / FRONT),
        };
        // If two threads do this at once, a share of one is lost. Nobody misses it.
        let credit = credit.clamp(-CREDIT, CREDIT);
        self.credit.store(credit, Ordering::Relaxed);
    }

    /// Wakes every waiting thread, one after the other: each that returns calls this again.
    pub(super) fn wake(&self) {
        self.reactor.wake();
    }

    fn park(&self, events: &mut Events, limit: Option<Duration>) {
        self.parked.fetch_add(1, Ordering::SeqCst);
        // A thread that adds a task looks at `parked` afterwards. So one of the two sees the other.
        if self.waiting() == 0 {
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

    fn queue(&self) -> MutexGuard<'_, Queue> {
        locked(&self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    struct Unwatched;

    impl Watcher for Unwatched {
        fn works(&self, _: Instant) {}
        fn waits(&self) {}
    }

    #[test]
    fn a_wake_that_a_busy_thread_saw_is_not_the_last() {
        let executor = Arc::new(Executor::new().unwrap());
        // Pretend that another thread sleeps and has to be woken for these.
        executor.parked.fetch_add(1, Ordering::SeqCst);
        for _ in 0..=TURN {
            executor.spawn(async {}).detach();
        }
        // This thread is busy and looks at the sockets in between.
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

    /// Pretends to compute for five milliseconds.
    fn compute() {
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
    }

    /// Spawns a task that calls this, and yields, again and again. Returns how often it did.
    fn spin(executor: &Arc<Executor>, work: fn()) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let spinning = async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                work();
                futures_lite::future::yield_now().await;
            }
        };
        executor.spawn(spinning).detach();
        count
    }

    fn total(counts: &[Arc<AtomicUsize>]) -> usize {
        counts.iter().map(|it| it.load(Ordering::Relaxed)).sum()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[test]
    fn a_socket_that_becomes_ready_comes_before_tasks_that_compute_or_yield() {
        use crate::reactor::Source;
        use futures_lite::AsyncReadExt;
        use std::{io::Write, os::unix::net::UnixStream};

        // Ten tasks of each kind, and how many of their turns a socket may have to wait.
        for (work, most) in [(compute as fn(), 2), (|| {}, 2 * TURN)] {
            let executor = Arc::new(Executor::new().unwrap());
            let mut events = Events::default();
            let (mut one, other) = UnixStream::pair().unwrap();
            other.set_nonblocking(true).unwrap();
            let mut other = Source::new(executor.reactor(), other).unwrap();
            let (read, was_read) = mpsc::channel();
            executor
                .spawn(async move {
                    let mut byte = [0];
                    while let Ok(1) = other.read(&mut byte).await {
                        read.send(()).unwrap();
                    }
                })
                .detach();
            let counts: Vec<_> = (0..10).map(|_| spin(&executor, work)).collect();
            for _ in 0..20 {
                executor.turn(&mut events, None, &Unwatched);
            }
            let mut turns: Vec<_> = (0..15)
                .map(|_| {
                    one.write_all(b"x").unwrap();
                    let before = total(&counts);
                    while was_read.try_recv().is_err() {
                        executor.turn(&mut events, None, &Unwatched);
                    }
                    total(&counts) - before
                })
                .collect();
            turns.sort();
            // A machine with other work may interrupt the reader, which then counts as one that computes.
            let median = turns[turns.len() / 2];
            assert!(
                median <= most,
                "{turns:?} turns of others before the socket"
            );
        }
    }

    #[test]
    fn tasks_that_compute_go_on_while_others_never_cease() {
        let executor = Arc::new(Executor::new().unwrap());
        let mut events = Events::default();
        // Each wakes the next, so that there is always one in front.
        let ring: Vec<_> = (0..3).map(|_| smol::channel::unbounded::<()>()).collect();
        let passed = Arc::new(AtomicUsize::new(0));
        for (at, (_, heard)) in ring.iter().enumerate() {
            let (heard, next) = (heard.clone(), ring[(at + 1) % ring.len()].0.clone());
            let passed = passed.clone();
            let pass_on = async move {
                while heard.recv().await.is_ok() {
                    passed.fetch_add(1, Ordering::Relaxed);
                    next.send(()).await.unwrap();
                }
            };
            executor.spawn(pass_on).detach();
        }
        for (tell, _) in &ring {
            tell.try_send(()).unwrap();
        }
        let spun = spin(&executor, compute);
        while spun.load(Ordering::Relaxed) < 10 {
            executor.turn(&mut events, None, &Unwatched);
        }
        let passed = passed.load(Ordering::Relaxed);
        assert!(passed > 10, "only {passed} of those in front ran");
    }
}
