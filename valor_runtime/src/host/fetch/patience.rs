//! [`Patience`]: a time limit that is moved forward far more often than it runs out.
//!
//! Its timer is set once, and only when it rings is it seen whether the wait has begun anew in the
//! meantime.

use crate::timer::Timer;
use std::{
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

/// Runs out once something has been waited for longer than a limit.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    timer: Option<Timer>,
}

impl Patience {
    /// [`Duration::MAX`] never runs out. The clock starts with the first poll, or later: with what `since` says.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Ready when the limit has passed since the moment that `since` gives; it is asked, with
    /// the time of now, only when the timer fires.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        since: impl Fn(Instant) -> Instant,
    ) -> Poll<()> {
        if self.limit == Duration::MAX {
            return Poll::Pending;
        }
        let timer = self.timer.get_or_insert_with(|| Timer::after(self.limit));
        loop {
            ready!(timer.poll(cx));
            let now = Instant::now();
            match since(now).checked_add(self.limit) {
                Some(due) if due <= now => return Poll::Ready(()),
                // `None` is beyond the end of the clock.
                due => timer.set_at(due),
            }
        }
    }
}
