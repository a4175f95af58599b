//! [`Timer`]: a time limit that is set for every request and hardly ever runs out.
//!
//! `dispatch` and `host/fetch` hold what they wait for to one. Setting a smol timer wakes the thread of smol's
//! reactor, which costs as much as everything else that a request does. Here one thread sleeps until the first of all
//! timers is due. Setting a later timer or cancelling one only changes the list. No timer rings early, and none waits
//! for a thread that a vlugin may block.

use crate::lock::locked;
use std::{
    collections::BTreeMap,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
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

/// A moment to be woken at.
#[derive(Debug)]
pub(crate) struct Timer {
    /// `None` if it lies beyond the end of the clock.
    at: Option<Instant>,
    number: Option<u64>,
}

impl Timer {
    /// Rings after this time.
    pub(crate) fn after(time: Duration) -> Self {
        Self {
            at: Instant::now().checked_add(time),
            number: None,
        }
    }

    /// Makes it ring at another time, or never.
    pub(crate) fn set_at(&mut self, at: Option<Instant>) {
        self.take_back();
        self.at = at;
    }

    /// Whether it is time. If it is not, the task is woken when it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        if at <= Instant::now() {
            self.take_back();
            return Poll::Ready(());
        }
        let mut list = list();
        let number = *self.number.get_or_insert_with(|| {
            list.last += 1;
            list.last
        });
        let noted = list.wakers.get(&(at, number));
        if noted.is_none_or(|noted| !noted.will_wake(cx.waker())) {
            list.wakers.insert((at, number), cx.waker().clone());
        }
        if list.rings.is_none_or(|rings| at < rings) {
            watch(list);
        }
        Poll::Pending
    }

    fn take_back(&mut self) {
        if let (Some(at), Some(number)) = (self.at, self.number.take()) {
            let waker = list().wakers.remove(&(at, number));
            // Dropping a waker runs other people's code, so the lock is released first.
            drop(waker);
        }
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
            // Wakers are other people's code and run without the lock.
            drop(list);
            due.into_values().for_each(Waker::wake);
            list = self::list();
            continue;
        }
        list.rings = list.wakers.first_key_value().map(|((at, _), _)| *at);
        list = match list.rings {
            None => EARLIER.wait(list).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let time = at.saturating_duration_since(Instant::now());
                let woken = EARLIER.wait_timeout(list, time);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::future::{self, block_on, poll_fn};

    fn rung(mut timer: Timer) -> impl Future<Output = Instant> {
        poll_fn(move |cx| timer.poll(cx).map(|()| Instant::now()))
    }

    fn is_noted(timer: &Timer) -> bool {
        let key = timer.at.zip(timer.number);
        key.is_some_and(|key| list().wakers.contains_key(&key))
    }

    #[test]
    fn an_earlier_one_that_is_set_later_rings_first() {
        let begin = Instant::now();
        let mut late = Timer::after(Duration::from_secs(3600));
        let soon = Timer::after(Duration::from_millis(20));
        block_on(async {
            // The thread sleeps for an hour when the other timer is set.
            poll_fn(|cx| {
                assert!(late.poll(cx).is_pending());
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
        assert!(timer.poll(&mut forgotten).is_pending());
        block_on(rung(timer));
    }

    #[test]
    fn nothing_is_left_of_one_that_is_dropped_or_has_rung_or_is_moved() {
        let mut nobody = Context::from_waker(Waker::noop());
        let hour = Duration::from_secs(3600);
        let mut timer = Timer::after(hour);
        assert!(!is_noted(&timer));
        assert!(timer.poll(&mut nobody).is_pending());
        assert!(is_noted(&timer));
        let before = (timer.at.unwrap(), timer.number.unwrap());
        timer.set_at(before.0.checked_sub(hour));
        assert!(!list().wakers.contains_key(&before));
        assert!(timer.poll(&mut nobody).is_ready());
        assert!(!is_noted(&timer));
        timer.set_at(Some(before.0));
        assert!(timer.poll(&mut nobody).is_pending());
        let noted = (before.0, timer.number.unwrap());
        drop(timer);
        assert!(!list().wakers.contains_key(&noted));
        assert!(Timer::after(Duration::MAX).poll(&mut nobody).is_pending());
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
