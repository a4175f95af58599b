//! The threads that run the connections. The server starts them; a watchdog that sees one of them
//! blocked by a vlugin calls [`Workers::add_spare`], so that the others do not wait for it.

use super::executor::Executor;
use crate::reactor::{self, Events, Reactor};
use smol::channel::{self, Receiver, Sender};
use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How many spare threads there are at most.
const MAX_SPARES: usize = 64;
/// How often a spare thread asks whether it is still of use.
const ASK: Duration = Duration::from_secs(1);
/// How many tasks a thread runs when it is already to end.
const LAST_STEPS: usize = 100_000;

/// The worker threads of a server. Clones are handles of the same threads.
///
/// ```
/// use valor_runtime::server::Workers;
///
/// let workers = Workers::new()?;
/// workers.start(2)?;
/// assert!(workers.add_spare()); // one of them is blocked
/// workers.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Workers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    executor: Arc<Executor>,
    threads: Mutex<Threads>,
    /// Whether the threads are to end.
    stopped: AtomicBool,
    // Closed when they have ended.
    ended: Receiver<Infallible>,
}

#[derive(Debug)]
struct Threads {
    /// How many are to be at work.
    wanted: usize,
    spares: usize,
    last: u64,
    /// Those that count as being at work, unless they are blocked.
    at_work: HashMap<u64, Arc<Progress>>,
    /// Every thread has a clone; `None` once they are to end.
    running: Option<Sender<Infallible>>,
}

/// By which a thread that is blocked is told from one that is not.
#[derive(Debug, Default)]
struct Progress {
    /// How many tasks it has run.
    ran: AtomicU64,
    /// Whether it runs none, and waits for one.
    waits: AtomicBool,
}

impl Workers {
    /// Workers without threads.
    ///
    /// # Errors
    /// Where the system gives no more file descriptors.
    pub fn new() -> io::Result<Self> {
        let (running, ended) = channel::bounded(1);
        Ok(Self(Arc::new(Inner {
            executor: Arc::new(Executor::new()?),
            threads: Mutex::new(Threads {
                wanted: 0,
                spares: 0,
                last: 0,
                at_work: HashMap::new(),
                running: Some(running),
            }),
            stopped: AtomicBool::new(false),
            ended,
        })))
    }

    /// Starts `count` threads, `valor-worker-0` and on, at least one.
    ///
    /// # Errors
    /// Where the system has no more threads.
    pub fn start(&self, count: usize) -> io::Result<()> {
        for number in 0..count.max(1) {
            self.0.threads().wanted += 1;
            self.spawn_thread(format!("valor-worker-{number}"), false)?;
        }
        Ok(())
    }

    /// Starts a thread in the place of one that is blocked, and says whether it could. It ends
    /// by itself when as many threads are at work again as were started. There are at most 64.
    pub fn add_spare(&self) -> bool {
        let number = {
            let mut threads = self.0.threads();
            if threads.spares >= MAX_SPARES {
                return false;
            }
            threads.spares += 1;
            threads.spares
        };
        let spawned = self.spawn_thread(format!("valor-spare-{number}"), true);
        if let Err(error) = &spawned {
            self.0.threads().spares -= 1;
            log::error!(target: "valor::server", "no spare worker could be started: {error}");
        }
        spawned.is_ok()
    }

    /// How many spare threads there are.
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

    /// What tells the workers' tasks of their sockets.
    pub(super) fn reactor(&self) -> &Arc<Reactor> {
        self.0.executor.reactor()
    }

    /// Ends every thread, once the task that it runs comes to a halt. Nobody is waited for.
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
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Runs tasks until the workers are stopped, or this spare is of no use any more.
    fn work(&self, number: u64, progress: &Progress, is_spare: bool) {
        let _here = reactor::enter(self.executor.reactor());
        let mut events = Events::default();
        let mut asked = HashMap::new();
        let mut ask_at = is_spare.then(|| Instant::now() + ASK);
        while !self.is_stopped() {
            if ask_at.is_some_and(|at| at <= Instant::now()) {
                if self.is_superfluous(number, &mut asked) {
                    break;
                }
                ask_at = Some(Instant::now() + ASK);
            }
            // A task that panics takes its own connection with it, and nothing else.
            let ran = catch_unwind(AssertUnwindSafe(|| {
                self.executor
                    .turn(&mut events, is_spare.then_some(ASK), progress);
            }));
            if ran.is_err() {
                log::error!(target: "valor::server", "a task of the server panicked");
            }
        }
        if self.is_stopped() {
            // What was cancelled is dropped by being run once more. The bound is there for tasks
            // that wake themselves without end.
            let cancelled = (0..LAST_STEPS).take_while(|_| {
                catch_unwind(AssertUnwindSafe(|| self.executor.run_one())).unwrap_or(true)
            });
            cancelled.for_each(drop);
            // Nobody will tell of a socket any more.
            self.executor.reactor().close();
        }
        // The next one that waits has to learn of it too, and what woke this one may have been
        // meant for another.
        self.executor.wake();
    }

    /// Whether there are enough threads at work without this one, which is taken off the list
    /// then: of two spares that ask at once, one stays. `asked` is what the last answer was.
    fn is_superfluous(&self, number: u64, asked: &mut HashMap<u64, u64>) -> bool {
        let mut threads = self.threads();
        let others = threads.at_work.iter().filter(|(of, _)| **of != number);
        let live = others.filter(|(of, progress)| {
            let ran = progress.ran.load(Ordering::Relaxed);
            let before = asked.insert(**of, ran);
            progress.waits.load(Ordering::Relaxed) || before.is_some_and(|before| before != ran)
        });
        if live.count() < threads.wanted {
            return false;
        }
        threads.at_work.remove(&number);
        true
    }
}

impl super::executor::Watcher for Progress {
    fn waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    fn ran(&self) {
        self.ran.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::pending, sync::mpsc};

    #[test]
    fn a_spare_works_while_a_worker_is_blocked_and_ends_when_it_is_back() {
        let workers = Workers::new().unwrap();
        workers.start(1).unwrap();
        let (blocked, is_blocked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let block = workers.spawn(async move {
            blocked.send(()).unwrap();
            released.recv().unwrap();
        });
        is_blocked.recv().unwrap();
        assert!(workers.add_spare());
        assert_eq!(smol::block_on(workers.spawn(async { 7 })), 7);
        // It has asked twice by then whether it is still of use.
        thread::sleep(ASK * 5 / 2);
        assert_eq!(workers.spares(), 1);
        release.send(()).unwrap();
        smol::block_on(block);
        let since = Instant::now();
        while workers.spares() > 0 {
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "the spare is still there"
            );
            thread::sleep(Duration::from_millis(50));
        }
        workers.stop();
        smol::block_on(workers.ended());
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
        assert!((0..MAX_SPARES).all(|_| workers.add_spare()));
        assert!(!workers.add_spare());
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
