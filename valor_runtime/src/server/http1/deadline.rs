//! [`Deadline`]: a connection's one timer. Its time limits cost nothing as long as nothing is late.

use smol::Timer;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

/// A timer that moves only if it has to ring earlier. A busy connection postpones its limit with every request, and
/// so leaves the reactor's timers alone.
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

    /// Whether `at` has passed. If it has not, the task is woken when it does.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
