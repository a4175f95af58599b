//! The last lines of the log, for the welcome page: a ring of bounded size. The program writes to it, and each stream
//! of events reads what is new to it.

use std::{collections::VecDeque, sync::Mutex};
use valor_abi_wire::lock::locked;

/// The most lines.
const LINES: usize = 200;
/// The most bytes of a line.
const LONGEST: usize = 2000;

/// The ring.
#[derive(Debug, Default)]
pub struct Lines(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<String>,
    /// How many lines there were before those.
    gone: u64,
}

impl Lines {
    /// Appends a line, without its end. What is too long is cut off.
    pub fn push(&self, line: &str) {
        let line = line.trim_end();
        let mut kept = line[..line.floor_char_boundary(LONGEST)].to_owned();
        if kept.len() < line.len() {
            kept.push('…');
        }
        let mut ring = locked(&self.0);
        if ring.lines.len() == LINES {
            ring.lines.pop_front();
            ring.gone += 1;
        }
        ring.lines.push_back(kept);
    }

    /// The lines from this number on, as far as they are still there, and the number of the next one.
    pub fn since(&self, number: u64) -> (Vec<String>, u64) {
        let ring = locked(&self.0);
        let known = number.saturating_sub(ring.gone);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let new = ring.lines.iter().skip(known).cloned().collect();
        (new, ring.gone + ring.lines.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_more() {
        let lines = Lines::default();
        assert_eq!(lines.since(0), (Vec::new(), 0));
        for number in 0..LINES + 50 {
            lines.push(&format!("line {number}\n"));
        }
        let (all, next) = lines.since(0);
        assert_eq!((all.len(), next), (LINES, LINES as u64 + 50));
        assert_eq!((&*all[0], &*all[LINES - 1]), ("line 50", "line 249"));
        // Only what is new to somebody who has read all but two.
        assert_eq!(lines.since(next - 2).0, ["line 248", "line 249"]);
        assert!(lines.since(next).0.is_empty());
        lines.push(&"ä".repeat(LONGEST));
        let (last, _) = lines.since(next);
        assert_eq!(last, ["ä".repeat(LONGEST / 2) + "…"]);
    }
}
