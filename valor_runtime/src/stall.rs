//! [`Stall`]: how long the sender or the receiver of a body has kept others waiting. `server` holds clients to it,
//! and `dispatch` vlugins that call others.

use std::time::{Duration, Instant};

/// Fewer bytes than this within a limit are no progress: a byte per second is an attack.
const PROGRESS: usize = 1024;

/// How long the peer may make no progress, counted only while the server waits for it.
#[derive(Debug)]
pub(crate) struct Stall {
    limit: Duration,
    left: Duration,
    since: Option<Instant>,
    credit: usize,
}

impl Stall {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            left: limit,
            since: None,
            credit: 0,
        }
    }

    /// The server waits from now on, if it does not wait already.
    pub(crate) fn start(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The server is busy with other things.
    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// Everything that the server waited for has come.
    pub(crate) fn stop(&mut self) {
        *self = Self::new(self.limit);
    }

    /// The peer took or sent this many bytes.
    pub(crate) fn progress(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_add(bytes);
        if self.credit >= PROGRESS {
            self.credit = 0;
            self.left = self.limit;
            if let Some(since) = &mut self.since {
                *since = Instant::now();
            }
        }
    }

    /// By when the peer has to make progress, if the server waits for it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
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
}
