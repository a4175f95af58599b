//! [`Lines`]: what one vlugin logs, held to a rate.
//!
//! A [`RuntimeHost`](super::RuntimeHost) has one for what its vlugin logs, for every kind of vlugin. A script's
//! process has another one for its standard output. Lines over the rate are counted, and the count is logged as one
//! line.

use crate::timer::Timer;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use valor_abi_wire::lock::locked;

/// How many lines and bytes are logged per second.
const LINES: u32 = 2000;
const BYTES: usize = 1 << 20;
const WINDOW: Duration = Duration::from_secs(1);

/// Limits how much of one source is logged. Lines over the limit are counted, and the count is logged.
pub(crate) struct Lines {
    name: String,
    state: Mutex<Window>,
}

/// The current second.
struct Window {
    since: Instant,
    lines: u32,
    bytes: usize,
    left_out: u64,
}

impl Lines {
    /// For lines that are logged in this vlugin's name.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            state: Mutex::new(Window {
                since: Instant::now(),
                lines: 0,
                bytes: 0,
                left_out: 0,
            }),
        })
    }

    /// The vlugin's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether to log a line. `bytes` is how many it takes in the log, and is called only if that matters.
    pub(crate) fn admit(self: &Arc<Self>, bytes: impl FnOnce() -> usize) -> bool {
        let mut window = locked(&self.state);
        if window.left_out == 0 && window.since.elapsed() >= WINDOW {
            (window.since, window.lines, window.bytes) = (Instant::now(), 0, 0);
        }
        if window.left_out == 0 && window.lines < LINES && window.bytes < BYTES {
            window.lines += 1;
            window.bytes = window.bytes.saturating_add(bytes());
            return true;
        }
        self.count(&mut window, 1);
        false
    }

    /// Records that lines were left out before they got here.
    pub(crate) fn leave_out(self: &Arc<Self>, count: u64) {
        let mut window = locked(&self.state);
        self.count(&mut window, count);
    }

    fn count(self: &Arc<Self>, window: &mut Window, more: u64) {
        if window.left_out == 0 {
            let lines = self.clone();
            let end = window.since + WINDOW;
            smol::spawn(async move {
                Timer::at(end).await;
                lines.tell();
            })
            .detach();
        }
        window.left_out = window.left_out.saturating_add(more);
    }

    /// Logs how many lines were left out, and starts counting again.
    fn tell(&self) {
        let mut window = locked(&self.state);
        let left_out = std::mem::take(&mut window.left_out);
        (window.since, window.lines, window.bytes) = (Instant::now(), 0, 0);
        drop(window);
        let name = &*self.name;
        log::warn!(
            target: "valor::host", vlugin = name;
            "{left_out} lines of `{name}` were left out: at most {LINES} lines and {BYTES} bytes are logged in a second"
        );
    }

    /// Whether lines are being left out now.
    pub(crate) fn is_flooded(&self) -> bool {
        let window = locked(&self.state);
        window.left_out > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_rate_is_counted_and_not_logged() {
        let lines = Lines::new("a");
        let admitted = |number: u32, len| (0..number).filter(|_| lines.admit(|| len)).count();
        assert_eq!(admitted(LINES + 7, 1), LINES as usize);
        assert!(lines.is_flooded());
        lines.tell();
        assert!(!lines.is_flooded());
        // By bytes: the one that goes over the limit is the last.
        assert_eq!(admitted(10, BYTES / 4 + 1), 4);
        lines.tell();
        assert_eq!(admitted(1, usize::MAX), 1);
    }
}
