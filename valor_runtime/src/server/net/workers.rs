//! The threads that run the connections. The server starts them. If a watchdog sees vlugins block their threads, it
//! calls [`Workers::relieve`]. That starts as many spare threads as are needed, so that other requests do not wait.

use super::executor::Executor;
use crate::reactor::{self, Events, Reactor};
use smol::channel::{self, Receiver, Sender};
use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use valor_abi_wire::lock::locked;

/// The most spare threads at once.
const MAX_SPARES: usize = 64;
/// A thread counts as blocked once it has run one task for this long.
const BLOCKED: Duration = Duration::from_millis(50);
/// How often a spare thread asks whether it is still needed.
const ASK: Duration = Duration::from_secs(1);
/// How long a spare thread stays after it was last needed: a vlugin that blocked once often blocks again.
const KEEP: Duration = Duration::from_secs(5);
/// The most tasks that a thread still runs once it has to end.
const LAST_STEPS: usize = 100_000;

/// The worker threads of a server. Clones are handles to the same threads.
///
/// ```
/// use valor_runtime::server::Workers;
///
/// let workers = Workers::new()?;
/// workers.start(2)?;
/// assert_eq!(workers.relieve(), 0); // none of them is blocked
/// workers.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Workers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    executor: Arc<Executor>,
    threads: Mutex<Threads>,
    /// Whether the threads have to end.
    stopped: AtomicBool,
    // Closed once they have all ended.
    ended: Receiver<Infallible>,
}

#[derive(Debug)]
struct Threads {
    /// How many should be at work.
    wanted: usize,
    spares: usize,
    last: u64,
    /// The threads that count as being at work, unless they are blocked.
    at_work: HashMap<u64, Arc<Progress>>,
    /// The most that were recently blocked at once, and when.
    peak: Option<(usize, Instant)>,
    /// Every thread has a clone; `None` once they have to end.
    running: Option<Sender<Infallible>>,
}

/// Tells whether a thread is blocked.
#[derive(Debug, Default)]
struct Progress {
    /// When its current task began, in nanoseconds since the first thread began, plus one; 0 while it waits for a
    /// task.
    since: AtomicU64,
}

/// Nanoseconds since the first call.
fn nanos(at: Instant) -> u64 {
    static BASE: OnceLock<Instant> = OnceLock::new();
    let since = at.duration_since(*BASE.get_or_init(|| at));
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Progress {
    fn is_blocked(&self, now: Instant) -> bool {
        match self.since.load(Ordering::Relaxed) {
            0 => false,
            since => Duration::from_nanos(nanos(now).saturating_sub(since - 1)) >= BLOCKED,
        }
    }
}

/// How many threads to start if this many are wanted and this many of those at work are blocked.
fn missing(wanted: usize, at_work: usize, blocked: usize) -> usize {
    match at_work.saturating_sub(blocked) {
        0 => blocked.max(wanted),
        live => wanted.saturating_sub(live),
    }
}

impl Threads {
    /// How many threads are blocked now.
    fn blocked(&self, now: Instant) -> usize {
        let at_work = self.at_work.values();
        at_work.filter(|it| it.is_blocked(now)).count()
    }

    /// The most that were recently blocked at once.
    fn peak(&mut self, now: Instant) -> usize {
        let blocked = self.blocked(now);
        match self.peak {
            Some((most, at)) if most > blocked && now - at < KEEP => most,
            _ => {
                self.peak = Some((blocked, now));
                blocked
            }
        }
    }
}

impl Workers {
    /// Workers without threads.
    ///
    /// # Errors
    /// If the system has no more file descriptors.
    pub fn new() -> io::Result<Self> {
        let (running, ended) = channel::bounded(1);
        Ok(Self(Arc::new(Inner {
            executor: Arc::new(Executor::new()?),
            threads: Mutex::new(Threads {
                wanted: 0,
                spares: 0,
                last: 0,
                at_work: HashMap::new(),
                peak: None,
                running: Some(running),
            }),
            stopped: AtomicBool::new(false),
            ended,
        })))
    }

    /// Starts `count` threads, at least one, named `valor-worker-0` and so on.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub fn start(&self, count: usize) -> io::Result<()> {
        for number in 0..count.max(1) {
            self.0.threads().wanted += 1;
            self.spawn_thread(format!("valor-worker-{number}"), false)?;
        }
        Ok(())
    }

    /// Starts threads to replace the blocked ones, and returns how many. If every thread is blocked, it starts as
    /// many as are blocked: the waiting tasks may block those too, and nobody should wait for ever until one is free.
    /// There are at most 64 at once. They end by themselves once they are no longer needed.
    pub fn relieve(&self) -> usize {
        let (wanted, first) = {
            let mut threads = self.0.threads();
            let now = Instant::now();
            let blocked = threads.blocked(now);
            threads.peak(now);
            let missing = missing(threads.wanted, threads.at_work.len(), blocked);
            let wanted = missing.min(MAX_SPARES - threads.spares);
            // Nothing to do, or nobody to do it for.
            if wanted == 0 || threads.running.is_none() {
                return 0;
            }
            threads.spares += wanted;
            (wanted, threads.spares - wanted)
        };
        for number in 1..=wanted {
            let name = format!("valor-spare-{}", first + number);
            if let Err(error) = self.spawn_thread(name, true) {
                self.0.threads().spares -= wanted - number + 1;
                log::error!(target: "valor::server", "no spare worker could be started: {error}");
                return number - 1;
            }
        }
        wanted
    }

    /// How many spare threads exist.
    pub fn spares(&self) -> usize {
        self.0.threads().spares
    }

    /// Runs a future on the workers; dropping the task cancels it.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> smol::Task<T> {
        self.0.executor.spawn(future)
    }

    /// The source of socket events for the workers' tasks.
    pub(crate) fn reactor(&self) -> &Arc<Reactor> {
        self.0.executor.reactor()
    }

    /// Ends every thread as soon as its current task pauses. It waits for none of them.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        self.0.executor.wake();
        self.0.threads().running = None;
    }

    /// Resolves when every thread has ended, after [`Workers::stop`].
    pub async fn ended(&self) {
        // Nothing is ever sent.
        let _: Result<Infallible, _> = self.0.ended.recv().await;
    }

    fn spawn_thread(&self, name: String, is_spare: bool) -> io::Result<()> {
        let progress = Arc::new(Progress::default());
        let (number, running) = {
            let mut threads = self.0.threads();
            threads.last += 1;
            let number = threads.last;
            threads.at_work.insert(number, progress.clone());
            (number, threads.running.clone())
        };
        let inner = self.0.clone();
        let spawned = thread::Builder::new().name(name).spawn(move || {
            inner.work(number, &progress, is_spare);
            let mut threads = inner.threads();
            threads.at_work.remove(&number);
            threads.spares -= usize::from(is_spare);
            drop(running);
        });
        if spawned.is_err() {
            self.0.threads().at_work.remove(&number);
        }
        spawned.map(drop)
    }
}

impl Inner {
    fn threads(&self) -> MutexGuard<'_, Threads> {
        locked(&self.threads)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Runs tasks until the workers are stopped, or until this spare is no longer needed.
    fn work(&self, number: u64, progress: &Progress, is_spare: bool) {
        let _here = reactor::enter(self.executor.reactor());
        let mut events = Events::default();
        let mut ask_at = is_spare.then(|| Instant::now() + ASK);
        while !self.is_stopped() {
            if ask_at.is_some_and(|at| at <= Instant::now()) {
                if self.is_superfluous(number) {
                    break;
                }
                ask_at = Some(Instant::now() + ASK);
            }
            // A task that panics ends only its own connection.
            let ran = catch_unwind(AssertUnwindSafe(|| {
                self.executor
                    .turn(&mut events, is_spare.then_some(ASK), progress);
            }));
            if ran.is_err() {
                log::error!(target: "valor::server", "a task of the server panicked");
            }
        }
        if self.is_stopped() {
            // Running a cancelled task once more drops it. The bound is for tasks that wake themselves without end.
            let cancelled = (0..LAST_STEPS).take_while(|_| {
                catch_unwind(AssertUnwindSafe(|| self.executor.run_one())).unwrap_or(true)
            });
            cancelled.for_each(drop);
            // From now on nobody reports sockets.
            self.executor.reactor().close();
        }
        // The next waiting thread has to learn of the stop too. Besides, the event that woke this thread may have
        // been meant for another.
        self.executor.wake();
    }

    /// Whether enough threads are at work without this one, even if as many block again as recently did. It then
    /// leaves the list: if two spares ask at once, one stays.
    fn is_superfluous(&self, number: u64) -> bool {
        let mut threads = self.threads();
        let needed = threads.wanted + threads.peak(Instant::now());
        if threads.at_work.len() <= needed {
            return false;
        }
        threads.at_work.remove(&number);
        true
    }
}

impl super::executor::Watcher for Progress {
    fn works(&self, since: Instant) {
        self.since.store(nanos(since) + 1, Ordering::Relaxed);
    }

    fn waits(&self) {
        self.since.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, sync::mpsc};

    /// Tasks that block their threads until released.
    struct Blocking {
        began: mpsc::Receiver<()>,
        release: mpsc::Sender<()>,
        tasks: Vec<smol::Task<()>>,
    }

    impl Blocking {
        fn on(workers: &Workers, count: usize) -> Self {
            let (begin, began) = mpsc::channel();
            let (release, released) = mpsc::channel::<()>();
            let released = Arc::new(Mutex::new(released));
            let block = || {
                let (begin, released) = (begin.clone(), released.clone());
                workers.spawn(async move {
                    begin.send(()).unwrap();
                    released.lock().unwrap().recv().unwrap();
                })
            };
            let tasks = (0..count).map(|_| block()).collect();
            Self {
                began,
                release,
                tasks,
            }
        }

        fn await_began(&self, count: usize) {
            for _ in 0..count {
                self.began.recv_timeout(PATIENCE).expect("another began");
            }
        }

        fn release(self) {
            for _ in &self.tasks {
                self.release.send(()).unwrap();
            }
            self.tasks.into_iter().for_each(smol::block_on);
        }
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Tries again and again until this is true.
    fn eventually(what: &str, is_true: impl Fn() -> bool) {
        let since = Instant::now();
        while !is_true() {
            assert!(since.elapsed() < PATIENCE, "not yet: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_spare_works_while_a_worker_is_blocked_and_ends_when_it_is_back() {
        let workers = Workers::new().unwrap();
        workers.start(1).unwrap();
        assert_eq!(workers.relieve(), 0);
        let blocking = Blocking::on(&workers, 1);
        blocking.await_began(1);
        eventually("a spare", || workers.relieve() == 1);
        assert_eq!(smol::block_on(workers.spawn(async { 7 })), 7);
        // By then it has asked whether it is still needed; one is enough.
        thread::sleep(KEEP + ASK * 2);
        assert_eq!((workers.relieve(), workers.spares()), (0, 1));
        blocking.release();
        eventually("the end of the spare", || workers.spares() == 0);
        workers.stop();
        smol::block_on(workers.ended());
    }

    #[test]
    fn when_nobody_is_left_as_many_spares_start_as_threads_are_blocked() {
        for (wanted, at_work, blocked, expected) in [
            (2, 2, 0, 0),
            (2, 2, 1, 1),
            (2, 2, 2, 2),
            (2, 4, 4, 4),
            (2, 8, 8, 8),
            (2, 8, 7, 1),
            (2, 8, 6, 0),
            (1, 1, 1, 1),
            // A thread that is just about to begin.
            (2, 0, 0, 2),
        ] {
            let missing = missing(wanted, at_work, blocked);
            assert_eq!(missing, expected, "{wanted} {at_work} {blocked}");
        }
    }

    #[test]
    fn a_panic_in_a_task_leaves_the_thread_at_work() {
        let workers = Workers::new().unwrap();
        workers.start(1).unwrap();
        workers.spawn(async { panic!("on purpose") }).detach();
        assert_eq!(smol::block_on(workers.spawn(async { 7 })), 7);
        workers.stop();
    }

    #[test]
    fn there_are_at_most_64_spares() {
        let workers = Workers::new().unwrap();
        workers.start(1).unwrap();
        let blocking = Blocking::on(&workers, MAX_SPARES + 2);
        eventually("all spares", || {
            workers.relieve();
            workers.spares() == MAX_SPARES
        });
        blocking.await_began(MAX_SPARES + 1);
        // By now each of them is blocked, and there is no other.
        thread::sleep(BLOCKED * 2);
        assert_eq!((workers.relieve(), workers.spares()), (0, MAX_SPARES));
        blocking.release();
        workers.stop();
        smol::block_on(workers.ended());
        assert_eq!(workers.spares(), 0);
    }

    #[test]
    fn what_is_cancelled_is_dropped_before_the_threads_end() {
        let workers = Workers::new().unwrap();
        workers.start(2).unwrap();
        let held = Arc::new(());
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let held = held.clone();
                workers.spawn(async move {
                    pending::<()>().await;
                    drop(held);
                })
            })
            .collect();
        drop(tasks);
        workers.stop();
        smol::block_on(workers.ended());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
