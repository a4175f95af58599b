//! This process's log, kept so that its lines can be looked for. If a library's future is dropped, no response can
//! show what happens inside the library; only the log does.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

struct Keep(Mutex<Vec<String>>);

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if let Ok(mut lines) = self.0.lock() {
            lines.push(format!("{} {}", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

static KEPT: Keep = Keep(Mutex::new(Vec::new()));

/// Keeps every line from here on, and forgets the earlier ones.
pub fn keep() {
    if let Ok(mut lines) = KEPT.0.lock() {
        lines.clear();
    }
    if log::set_logger(&KEPT).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
}

/// Waits for a line that contains this.
///
/// # Errors
/// If there is none within 20 seconds.
pub fn wait_for(part: &str) -> Result<(), String> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let lines = KEPT.0.lock().map_err(|error| error.to_string())?;
        if lines.iter().any(|line| line.contains(part)) {
            return Ok(());
        }
        drop(lines);
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("`{part}` is not in the log"))
}
