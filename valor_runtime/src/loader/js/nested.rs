//! Loops in the Workers that a script makes for itself. `supervisor.js` has the script's own worker answer in time; it
//! knows nothing of those, so `process` asks here what their threads do.
//!
//! Linux tells how long each thread of a process ran and how long it waited to be run. A Worker that did nothing else
//! between two looks has not paused: what it has run since its last pause is held to `limits.cpu`. Elsewhere nobody
//! tells, and such a Worker runs until its script is ended.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

/// The threads of the Workers of one process.
pub(super) struct Threads {
    /// `/proc/PID/task`
    tasks: String,
    seen: HashMap<String, Thread>,
}

struct Thread {
    /// The number that Deno gave to the Worker that it runs; none, if it runs none.
    worker: Option<u32>,
    ran: u64,
    waited: u64,
    /// When that was read.
    at: Instant,
    /// What it has run since its last pause.
    busy: Duration,
    is_there: bool,
}

impl Threads {
    pub(super) fn of(process: u32) -> Self {
        Self {
            tasks: format!("/proc/{process}/task"),
            seen: HashMap::new(),
        }
    }

    /// How long each Worker that runs has run without a pause, in the order in which they were made.
    pub(super) fn busy(&mut self) -> Vec<Duration> {
        for thread in self.seen.values_mut() {
            thread.is_there = false;
        }
        let threads = fs::read_dir(&self.tasks).into_iter().flatten().flatten();
        for id in threads.filter_map(|it| it.file_name().into_string().ok()) {
            self.look(id);
        }
        self.seen.retain(|_, thread| thread.is_there);
        let workers = self.seen.values();
        let mut workers: Vec<_> = workers
            .filter_map(|thread| Some((thread.worker?, thread.busy)))
            .collect();
        workers.sort_unstable();
        workers.into_iter().map(|(_, busy)| busy).collect()
    }

    fn look(&mut self, id: String) {
        let read = |file: &str| fs::read_to_string(format!("{}/{id}/{file}", self.tasks)).ok();
        let worker = match self.seen.get(&id) {
            Some(thread) => thread.worker,
            None => read("comm").and_then(|name| number(&name)),
        };
        let times = worker.and_then(|_| times(&read("schedstat")?));
        let (ran, waited) = times.unwrap_or_default();
        let now = Instant::now();
        let thread = self.seen.entry(id).or_insert(Thread {
            worker,
            ran,
            waited,
            at: now,
            busy: Duration::ZERO,
            is_there: true,
        });
        thread.is_there = true;
        let has_run = Duration::from_nanos(ran.saturating_sub(thread.ran));
        let has_waited = Duration::from_nanos(waited.saturating_sub(thread.waited));
        let passed = now.duration_since(thread.at);
        (thread.ran, thread.waited, thread.at) = (ran, waited, now);
        // What is short of it is what counting costs, and a collection of garbage that others helped with.
        match has_run + has_waited >= passed.mul_f64(0.9) {
            true => thread.busy += has_run,
            false => thread.busy = Duration::ZERO,
        }
    }
}

/// The number in the name of a Worker's thread.
fn number(name: &str) -> Option<u32> {
    name.trim_end().strip_prefix("worker-")?.parse().ok()
}

/// Nanoseconds that a thread has run, and waited to be run.
fn times(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_thread_is_known_by_its_name() {
        for (name, found) in [
            ("worker-1\n", Some(1)),
            ("worker-12", Some(12)),
            ("worker-", None),
            ("worker-x", None),
            ("tokio-runtime-w\n", None),
        ] {
            assert_eq!(number(name), found, "{name}");
        }
        assert_eq!(times("12 345 6\n"), Some((12, 345)));
        assert_eq!(times("12\n"), None);
    }
}
