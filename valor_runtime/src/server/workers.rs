//! The threads that run the connections. The server starts them; a watchdog that sees one of them
//! blocked by a vlugin calls [`Workers::add_spare`], so that the others do not wait for it.

use smol::{
    Executor, Timer,
    channel::{self, Receiver, Sender},
    future,
};
use std::{
    convert::Infallible,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
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
/// let workers = Workers::new();
/// workers.start(2)?;
/// assert!(workers.add_spare()); // one of them is blocked
/// workers.stop();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Workers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    executor: Executor<'static>,
    threads: Mutex<Threads>,
    // Closed when the workers are to end.
    stop: Sender<Infallible>,
    stopped: Receiver<Infallible>,
    // Closed when they have ended.
    ended: Receiver<Infallible>,
}

#[derive(Debug)]
struct Threads {
    /// How many are to be at work.
    wanted: usize,
    spares: usize,
    last: u64,
    /// Every thread takes what is sent here out again, unless it is blocked.
    pings: Vec<(u64, Sender<()>)>,
    /// Every thread has a clone; `None` once they are to end.
    running: Option<Sender<Infallible>>,
}

impl Workers {
    /// Workers without threads.
    pub fn new() -> Self {
        let (stop, stopped) = channel::bounded(1);
        let (running, ended) = channel::bounded(1);
        Self(Arc::new(Inner {
            executor: Executor::new(),
            threads: Mutex::new(Threads {
                wanted: 0,
                spares: 0,
                last: 0,
                pings: Vec::new(),
                running: Some(running),
            }),
            stop,
            stopped,
            ended,
        }))
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

    /// Ends every thread, once the task that it runs comes to a halt. Nobody is waited for.
    pub fn stop(&self) {
        self.0.stop.close();
        self.0.threads().running = None;
    }

    /// Resolves when every thread has ended, after [`Workers::stop`].
    pub async fn ended(&self) {
        // Nothing is ever sent.
        let _: Result<Infallible, _> = self.0.ended.recv().await;
    }

    fn spawn_thread(&self, name: String, is_spare: bool) -> io::Result<()> {
        let (ping, pinged) = channel::bounded(1);
        let (number, running) = {
            let mut threads = self.0.threads();
            threads.last += 1;
            let number = threads.last;
            threads.pings.push((number, ping));
            (number, threads.running.clone())
        };
        let inner = self.0.clone();
        let spawned = thread::Builder::new().name(name).spawn(move || {
            inner.work(number, &pinged, is_spare);
            let mut threads = inner.threads();
            threads.pings.retain(|(of, _)| *of != number);
            threads.spares -= usize::from(is_spare);
            drop(running);
        });
        if spawned.is_err() {
            self.0.threads().pings.retain(|(of, _)| *of != number);
        }
        spawned.map(drop)
    }
}

impl Default for Workers {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs tasks until the workers are stopped, or this spare is of no use any more.
    fn work(&self, number: u64, pinged: &Receiver<()>, is_spare: bool) {
        let mut superfluous = false;
        while !superfluous && !self.stopped.is_closed() {
            let stopped = async {
                let _ = self.stopped.recv().await;
                false
            };
            let answer = async {
                while pinged.recv().await.is_ok() {}
                true
            };
            let ask = async {
                if !is_spare {
                    return future::pending().await;
                }
                self.threads().ping();
                loop {
                    Timer::after(ASK).await;
                    if self.is_superfluous(number) {
                        return true;
                    }
                }
            };
            let until = future::or(stopped, future::or(answer, ask));
            // A task that panics takes its own connection with it, and nothing else.
            let ran = catch_unwind(AssertUnwindSafe(|| {
                smol::block_on(self.executor.run(until))
            }));
            superfluous = ran.unwrap_or_else(|_| {
                log::error!(target: "valor::server", "a task of the server panicked");
                false
            });
        }
        if self.stopped.is_closed() {
            // What was cancelled is dropped by being run once more. The bound is there for tasks
            // that wake themselves without end.
            let cancelled = (0..LAST_STEPS).take_while(|_| {
                catch_unwind(AssertUnwindSafe(|| self.executor.try_tick())).unwrap_or(true)
            });
            cancelled.for_each(drop);
        }
    }

    /// Whether there are enough threads that answered the last ping without this one, which is
    /// taken off the list then: of two spares that ask at once, one stays.
    fn is_superfluous(&self, number: u64) -> bool {
        let mut threads = self.threads();
        let live = threads.pings.iter();
        let live = live.filter(|(of, ping)| *of != number && ping.is_empty());
        if live.count() >= threads.wanted {
            threads.pings.retain(|(of, _)| *of != number);
            return true;
        }
        threads.ping();
        false
    }
}

impl Threads {
    fn ping(&self) {
        for (_, ping) in &self.pings {
            let _ = ping.try_send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Instant};

    #[test]
    fn a_spare_works_while_a_worker_is_blocked_and_ends_when_it_is_back() {
        let workers = Workers::new();
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
        let workers = Workers::new();
        workers.start(1).unwrap();
        workers.spawn(async { panic!("on purpose") }).detach();
        assert_eq!(smol::block_on(workers.spawn(async { 7 })), 7);
        workers.stop();
    }

    #[test]
    fn there_are_at_most_64_spares() {
        let workers = Workers::new();
        assert!((0..MAX_SPARES).all(|_| workers.add_spare()));
        assert!(!workers.add_spare());
        workers.stop();
        smol::block_on(workers.ended());
        assert_eq!(workers.spares(), 0);
    }

    #[test]
    fn what_is_cancelled_is_dropped_before_the_threads_end() {
        let workers = Workers::new();
        workers.start(2).unwrap();
        let held = Arc::new(());
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let held = held.clone();
                workers.spawn(async move {
                    future::pending::<()>().await;
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
