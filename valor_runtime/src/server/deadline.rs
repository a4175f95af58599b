//! Time limits that cost nothing while things go well: [`Deadline`] is a connection's one timer,
//! and [`Stall`] measures how long a peer has kept the server waiting.

use smol::Timer;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Fewer bytes than this within a limit are no progress: a byte a second is an attack.
const PROGRESS: usize = 1024;

/// A timer that is moved only when it has to ring earlier. A busy connection, which puts its
/// limit off with every request, so leaves the reactor's timers alone.
#[derive(Debug)]
pub(super) struct Deadline {
    timer: Timer,
    armed: Option<Instant>,
}

impl Deadline {
    pub(super) fn new() -> Self {
        Self {
            timer: Timer::never(),
            armed: None,
        }
    }

    /// Whether `at` has passed; where it has not, the task is woken when it does.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> bool {
        let Some(at) = at else { return false };
        loop {
            if self.armed.is_none_or(|armed| armed > at) {
                self.timer.set_at(at);
                self.armed = Some(at);
            }
            match Pin::new(&mut self.timer).poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(_) => self.armed = None,
            }
            if Instant::now() >= at {
                return true;
            }
        }
    }
}

/// The earlier of two limits.
pub(super) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// How long the peer may make no progress, counted only while the server waits for it.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    left: Duration,
    since: Option<Instant>,
    credit: usize,
}

impl Stall {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            left: limit,
            since: None,
            credit: 0,
        }
    }

    /// The server waits from now on, unless it does already.
    pub(super) fn start(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The server is busy with other things.
    pub(super) fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// All that was waited for has come.
    pub(super) fn stop(&mut self) {
        *self = Self::new(self.limit);
    }

    /// The peer took or sent this many bytes.
    pub(super) fn progress(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_add(bytes);
        if self.credit >= PROGRESS {
            self.credit = 0;
            self.left = self.limit;
            if let Some(since) = &mut self.since {
                *since = Instant::now();
            }
        }
    }

    /// When the peer has to have moved on, where it is waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since?.checked_add(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_enough_bytes_put_the_limit_off() {
        let mut stall = Stall::new(Duration::from_secs(30));
        assert_eq!(stall.deadline(), None);
        stall.start();
        let first = stall.deadline();
        stall.progress(1);
        stall.start();
        assert_eq!(stall.deadline(), first);
        stall.progress(PROGRESS);
        assert!(stall.deadline() > first);
    }

    #[test]
    fn a_pause_takes_no_time_and_gives_none_back() {
        let mut stall = Stall::new(Duration::from_secs(30));
        stall.since = Some(Instant::now() - Duration::from_secs(20));
        stall.pause();
        assert_eq!(stall.deadline(), None);
        stall.start();
        let left = stall.deadline().unwrap() - Instant::now();
        assert!(left <= Duration::from_secs(10), "{left:?}");
        stall.stop();
        assert_eq!((stall.since, stall.left), (None, stall.limit));
    }

    #[test]
    fn a_deadline_rings_at_the_latest_time_it_was_given() {
        let mut deadline = Deadline::new();
        let early = Instant::now() + Duration::from_millis(10);
        let late = early + Duration::from_millis(30);
        smol::block_on(std::future::poll_fn(|cx| {
            assert!(!deadline.poll(cx, Some(early)) || Instant::now() >= early);
            if deadline.poll(cx, Some(late)) {
                assert!(Instant::now() >= late);
                return Poll::Ready(());
            }
            Poll::Pending
        }));
    }
}
