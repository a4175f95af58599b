//! Watches for loops that the supervisor cannot see: in Workers that a script creates, and in Deno's work for a script
//! on other threads.
//!
//! `process` spawns [`watch`] for each Deno, on Linux only. `nested` measures the threads. This compares their times
//! with `limits.cpu` and has a process killed that exceeds it.

use super::{nested::Threads, roster::Roster, worker::End};
use crate::timer::Timer;
use std::{sync::Weak, time::Duration};

/// The interval between two looks at the threads of a process.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(1);
/// Deno's work for scripts on other threads, such as deriving keys, may take so many times their `limits.cpu`: such a
/// thread does one job after the other, and has no pause under load.
const HELPERS: u32 = 10;

/// Looks at the threads of a process until it ends, and has it killed if one has run for too long without a pause.
/// `is_alone`: the process is for one script, not for a group.
pub(super) async fn watch(process: u32, roster: Weak<Roster>, is_alone: bool) {
    let mut threads = Threads::of(process);
    loop {
        let Some(roster) = roster.upgrade().filter(|it| !it.is_gone()) else {
            return;
        };
        let workers: Vec<_> = roster.workers().values().cloned().collect();
        let limit = workers
            .iter()
            .map(|it| it.cpu)
            .max()
            .unwrap_or(LONGEST_LOOK);
        let busy = threads.busy();
        let takes_long = busy.helper > limit.saturating_mul(HELPERS);
        let busy = busy.workers;
        let looping = |busy: &&Duration| **busy > limit;
        // The first is the script's own, which the supervisor watches. In a group it is unknown which those are.
        let is_in_loop = match is_alone {
            true => busy.iter().skip(1).any(|it| looping(&it)),
            false => busy.iter().filter(looping).count() > workers.len(),
        };
        if is_in_loop || takes_long {
            let others =
                "a Worker of a script of its group, or what Deno did for one, was in a loop";
            roster.last(End::Died(others.into()));
            if is_alone {
                workers.iter().for_each(|worker| worker.end(End::Blocked));
            }
            roster.kill();
            return;
        }
        drop((workers, roster));
        Timer::after((limit / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK)).await;
    }
}
