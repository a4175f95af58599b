//! [`Trouble`]: how often a script has ended in a row, and how long to wait before it is started again.
//!
//! `script` notes each end, and asks before each start: at once the first two times, then after a second, and after
//! twice as long each further time.

use std::time::{Duration, Instant};

/// After a run of this length, earlier failures no longer count.
const SOUND: Duration = Duration::from_secs(60);
/// The longest delay between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How often it has failed in a row.
#[derive(Default)]
pub(super) struct Trouble {
    pub(super) failures: u32,
    until: Option<Instant>,
    pub(super) reason: String,
}

impl Trouble {
    /// Notes that it has ended, after so long.
    pub(super) fn note(&mut self, lived: Duration, reason: String) {
        if lived >= SOUND {
            self.failures = 0;
        }
        self.failures += 1;
        self.reason = reason;
        let wait = match self.failures {
            ..3 => None,
            n => Some(Duration::from_secs(1 << (n - 3).min(6)).min(LONGEST_WAIT)),
        };
        self.until = wait.map(|wait| Instant::now() + wait);
    }

    /// The remaining delay.
    pub(super) fn wait(&self) -> Option<Duration> {
        let left = self.until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, SOUND, Trouble};

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_a_sound_life_makes_up_for_all() {
        let mut trouble = Trouble::default();
        let mut waits = Vec::new();
        let mut fails = |lived, times| {
            for _ in 0..times {
                trouble.note(lived, "ended".into());
                // Part of it may already be over.
                waits.push(
                    trouble
                        .wait()
                        .map_or(0, |wait| wait.as_secs_f64().ceil() as u64),
                );
            }
        };
        fails(Duration::ZERO, 11);
        fails(SOUND - Duration::from_secs(1), 1);
        fails(SOUND, 1);
        fails(Duration::ZERO, 2);
        assert_eq!(waits, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 0, 0, 1]);
    }
}
