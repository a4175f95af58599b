//! [`Deadline`]: a time limit that is postponed again and again, and so costs nothing as long as nothing is late. Each
//! connection of `server` has one for all that it waits for, and `dispatch` each body of a call.

use crate::timer::Timer;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

/// A timer that moves only if it has to ring earlier. A busy connection postpones its limit with every request, and
/// so leaves the timer alone.
#[derive(Debug)]
pub(crate) struct Deadline(Timer);

impl Deadline {
    pub(crate) fn new() -> Self {
        Self(Timer::never())
    }

    /// Whether `at` has passed. If it has not, the task is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> bool {
        let Some(at) = at else { return false };
        loop {
            if self.0.rings_at().is_none_or(|rings| rings > at) {
                self.0.set_at(Some(at));
            }
            match Pin::new(&mut self.0).poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(()) => self.0.set_at(None),
            }
            if Instant::now() >= at {
                return true;
            }
        }
    }
}

/// The earlier of two limits.
pub(crate) fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
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
