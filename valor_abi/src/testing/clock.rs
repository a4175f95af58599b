//! The clock of a test: it stands still while there is something to do, and otherwise jumps to the end of the shortest
//! sleep.

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant, SystemTime},
};
use valor_abi_wire::lock::locked;

/// How long, in real time, a test may wait without anything happening.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Clock(Mutex<Timeline>);

/// What time it is, and who sleeps until when.
struct Timeline {
    now: SystemTime,
    next_id: u64,
    sleepers: BTreeMap<(SystemTime, u64), Waker>,
    /// The threads that wait in [`Clock::run`], to let time pass for a sleep that another thread begins.
    waiting: Vec<Thread>,
}

impl Clock {
    pub(super) fn new(now: SystemTime) -> Self {
        Self(Mutex::new(Timeline {
            now,
            next_id: 0,
            sleepers: BTreeMap::new(),
            waiting: Vec::new(),
        }))
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        locked(&self.0)
    }

    pub(super) fn now(&self) -> SystemTime {
        self.timeline().now
    }

    pub(super) fn set(&self, now: SystemTime) {
        self.timeline().now = now;
    }

    pub(super) fn sleep(self: &Arc<Self>, time: Duration) -> Sleep {
        let mut timeline = self.timeline();
        timeline.next_id += 1;
        Sleep {
            // A time that no clock can show is an endless wait.
            until: timeline
                .now
                .checked_add(time)
                .map(|end| (end, timeline.next_id)),
            clock: self.clone(),
        }
    }

    /// Jumps to the end of the shortest sleep. If nobody sleeps, a sleep that begins unparks this thread.
    fn jump(&self) -> bool {
        let mut timeline = self.timeline();
        let Some(((end, _), waker)) = timeline.sleepers.pop_first() else {
            let this = thread::current();
            if !timeline.waiting.iter().any(|it| it.id() == this.id()) {
                timeline.waiting.push(this);
            }
            return false;
        };
        timeline.now = timeline.now.max(end);
        drop(timeline);
        waker.wake();
        true
    }

    /// Runs a future to its end, letting time pass as needed.
    ///
    /// # Panics
    /// If nothing happens for a minute: someone forgot to wake the future, or waits for themselves.
    #[track_caller]
    pub(super) fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let bell = Arc::new(Bell {
            thread: thread::current(),
            rung: AtomicBool::new(false),
        });
        let waker = Waker::from(bell.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            let since = Instant::now();
            while !bell.rung.swap(false, Ordering::Acquire) {
                if self.jump() {
                    continue;
                }
                match PATIENCE.checked_sub(since.elapsed()) {
                    Some(left) => thread::park_timeout(left),
                    None => panic!(
                        "the vlugin waits for something, but nothing happened for a minute: \
                         was its waker dropped?"
                    ),
                }
            }
        }
    }
}

struct Bell {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

pub(super) struct Sleep {
    until: Option<(SystemTime, u64)>,
    clock: Arc<Clock>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else {
            return Poll::Pending;
        };
        let mut timeline = self.clock.timeline();
        if timeline.now >= until.0 {
            return Poll::Ready(());
        }
        timeline.sleepers.insert(until, cx.waker().clone());
        timeline
            .waiting
            .drain(..)
            .for_each(|thread| thread.unpark());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(until) = self.until {
            self.clock.timeline().sleepers.remove(&until);
        }
    }
}
