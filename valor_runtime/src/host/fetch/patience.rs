//! [`Patience`]: a time limit that moves forward far more often than it runs out.
//!
//! Its timer is set once. Only when it rings does it check whether the wait has begun again.

use crate::timer::Timer;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

/// Runs out once a wait has lasted longer than a limit.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    timer: Option<Timer>,
}

impl Patience {
    /// [`Duration::MAX`] never runs out. The clock starts with the first poll, or later at the moment that `since`
    /// gives.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Ready once the limit has passed since the moment that `since` gives. `since` gets the current time, and is
    /// called only when the timer fires.
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
            ready!(Pin::new(&mut *timer).poll(cx));
            let now = Instant::now();
            match since(now).checked_add(self.limit) {
                Some(due) if due <= now => return Poll::Ready(()),
                // `None` lies beyond the end of the clock.
                due => timer.set_at(due),
            }
        }
    }
}
