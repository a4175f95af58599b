//! [`Timer`]: the host's only timer, for time limits that are set with every request and hardly ever run out, and for
//! whatever else waits for a moment: a connection, a child process, a vlugin that sleeps.
//!
//! Setting a smol timer wakes the thread of smol's reactor, which costs as much as everything else that a request does.
//! Here one thread sleeps until the first of all timers is due. Setting a later timer or cancelling one only changes
//! the list, and polling one again for the same task does not even look at it. No timer rings early, and none waits for
//! a thread that a vlugin may block.

use std::{
    collections::BTreeMap,
    mem,
    pin::Pin,
    sync::{Condvar, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};
use valor_abi_wire::{
    lock::{locked, wait},
    unwind::catch,
};

static LIST: Mutex<List> = Mutex::new(List {
    wakers: BTreeMap::new(),
    last: 0,
    rings: None,
    is_watched: false,
});
/// Wakes the thread for a timer that is due before the thread would wake by itself.
static EARLIER: Condvar = Condvar::new();

/// Who is woken when.
struct List {
    wakers: BTreeMap<(Instant, u64), Waker>,
    /// Tells timers for the same moment apart.
    last: u64,
    /// When the thread wakes up by itself.
    rings: Option<Instant>,
    /// Whether the thread exists.
    is_watched: bool,
}

fn list() -> MutexGuard<'static, List> {
    locked(&LIST)
}

/// A moment to be woken at: a future that is ready from then on.
#[derive(Debug)]
pub(crate) struct Timer {
    /// `None` if it never rings.
    at: Option<Instant>,
    /// Its place in the list, and who is woken.
    noted: Option<(u64, Waker)>,
}

impl Timer {
    /// Rings after this time; never, if that lies beyond the end of the clock.
    pub(crate) fn after(time: Duration) -> Self {
        Self::at_or_never(Instant::now().checked_add(time))
    }

    /// Rings at this time.
    pub(crate) fn at(at: Instant) -> Self {
        Self::at_or_never(Some(at))
    }

    /// Does not ring.
    pub(crate) fn never() -> Self {
        Self::at_or_never(None)
    }

    fn at_or_never(at: Option<Instant>) -> Self {
        Self { at, noted: None }
    }

    /// When it rings, if it does.
    pub(crate) fn rings_at(&self) -> Option<Instant> {
        self.at
    }

    /// Makes it ring at another time, or never.
    pub(crate) fn set_at(&mut self, at: Option<Instant>) {
        self.take_back();
        self.at = at;
    }

    fn take_back(&mut self) {
        if let (Some(at), Some((number, _))) = (self.at, self.noted.take()) {
            let waker = list().wakers.remove(&(at, number));
            // Dropping a waker runs other people's code, so the lock is released first.
            drop(waker);
        }
    }
}

impl Future for Timer {
    type Output = ();

    /// Whether it is time. If it is not, the task is woken when it is.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(at) = this.at else {
            return Poll::Pending;
        };
        if at <= Instant::now() {
            this.take_back();
            return Poll::Ready(());
        }
        // It has not rung, so it is still in the list.
        if let Some((_, noted)) = &this.noted
            && noted.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        let waker = cx.waker().clone();
        let mut list = list();
        let number = match &this.noted {
            Some((number, _)) => *number,
            None => {
                list.last += 1;
                list.last
            }
        };
        let before = list.wakers.insert((at, number), waker);
        if list.rings.is_none_or(|rings| at < rings) {
            watch(list);
        } else {
            drop(list);
        }
        drop(before);
        this.noted = Some((number, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// Makes the thread look at the list.
fn watch(mut list: MutexGuard<'_, List>) {
    if list.is_watched {
        return EARLIER.notify_one();
    }
    let spawned = thread::Builder::new()
        .name("valor-timer".into())
        .spawn(ring);
    list.is_watched = spawned.is_ok();
    if let Err(error) = spawned {
        // The next timer that is set tries again.
        log::error!(target: "valor", "time limits are not enforced, since there is no thread for them: {error}");
    }
}

/// Wakes the tasks that are due, and sleeps until the next one is.
fn ring() {
    let mut list = list();
    loop {
        let later = list.wakers.split_off(&(Instant::now(), u64::MAX));
        let due = mem::replace(&mut list.wakers, later);
        if !due.is_empty() {
            // Wakers are other people's code: they run without the lock, and a panic of one is not everybody's end.
            drop(list);
            for waker in due.into_values() {
                if let Err(panicked) = catch(|| waker.wake()) {
                    let message = panicked.message;
                    log::error!(target: "valor", "a task could not be woken: its waker panicked: {message}");
                }
            }
            list = self::list();
            continue;
        }
        list.rings = list.wakers.first_key_value().map(|((at, _), _)| *at);
        let limit = list
            .rings
            .map(|at| at.saturating_duration_since(Instant::now()));
        list = wait(&EARLIER, list, limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::{self, block_on, poll_fn};

    async fn rung(timer: Timer) -> Instant {
        timer.await;
        Instant::now()
    }

    fn poll(timer: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(timer).poll(cx)
    }

    fn key(timer: &Timer) -> Option<(Instant, u64)> {
        timer
            .at
            .zip(timer.noted.as_ref().map(|(number, _)| *number))
    }

    fn is_noted(timer: &Timer) -> bool {
        key(timer).is_some_and(|key| list().wakers.contains_key(&key))
    }

    #[test]
    fn an_earlier_one_that_is_set_later_rings_first() {
        let begin = Instant::now();
        let mut late = Timer::after(Duration::from_secs(3600));
        let soon = Timer::after(Duration::from_millis(20));
        block_on(async {
            // The thread sleeps for an hour when the other timer is set.
            poll_fn(|cx| {
                assert!(poll(&mut late, cx).is_pending());
                Poll::Ready(())
            })
            .await;
            smol::Timer::after(Duration::from_millis(5)).await;
            let rung = future::or(rung(late), rung(soon)).await;
            assert!(rung - begin >= Duration::from_millis(20));
        });
    }

    #[test]
    fn whoever_polled_last_is_woken() {
        let mut timer = Timer::after(Duration::from_millis(30));
        let mut forgotten = Context::from_waker(Waker::noop());
        assert!(poll(&mut timer, &mut forgotten).is_pending());
        block_on(rung(timer));
    }

    #[test]
    fn nothing_is_left_of_one_that_is_dropped_or_has_rung_or_is_moved() {
        let mut nobody = Context::from_waker(Waker::noop());
        let hour = Duration::from_secs(3600);
        let mut timer = Timer::after(hour);
        assert!(!is_noted(&timer));
        assert!(poll(&mut timer, &mut nobody).is_pending());
        assert!(is_noted(&timer));
        let before = key(&timer).unwrap();
        timer.set_at(before.0.checked_sub(hour));
        assert!(!list().wakers.contains_key(&before));
        assert!(poll(&mut timer, &mut nobody).is_ready());
        assert!(!is_noted(&timer));
        timer.set_at(Some(before.0));
        assert!(poll(&mut timer, &mut nobody).is_pending());
        let noted = key(&timer).unwrap();
        drop(timer);
        assert!(!list().wakers.contains_key(&noted));
        assert!(poll(&mut Timer::after(Duration::MAX), &mut nobody).is_pending());
    }

    #[test]
    fn a_waker_that_panics_does_not_end_the_others() {
        struct Panics;
        impl std::task::Wake for Panics {
            fn wake(self: std::sync::Arc<Self>) {
                panic!("on purpose");
            }
        }
        let panics = Waker::from(std::sync::Arc::new(Panics));
        let mut first = Timer::after(Duration::from_millis(5));
        assert!(poll(&mut first, &mut Context::from_waker(&panics)).is_pending());
        block_on(rung(Timer::after(Duration::from_millis(30))));
    }

    #[test]
    fn each_of_many_rings_at_its_time() {
        let waits = (1..200).map(|n| {
            let time = Duration::from_micros(n * 97 % 50_000);
            let due = Instant::now() + time;
            smol::spawn(async move { rung(Timer::after(time)).await >= due })
        });
        let waits: Vec<_> = waits.collect();
        block_on(async {
            for wait in waits {
                assert!(wait.await);
            }
        });
    }
}
