//! Loops in the Workers that a script creates, and in Deno's work for a script on other threads (crypto, compression).
//! `supervisor.js` makes sure that the script's own worker answers in time. It knows nothing of the others, so `loops`
//! asks here what their threads do.
//!
//! Linux reports how long each thread of a process has run, and how long it waited for a processor. A Worker that did
//! nothing else between two looks has not paused: its run since its last pause is compared with `limits.cpu`. Other
//! systems do not report this, and such a Worker runs until its script is ended.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

/// What a thread does for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// It runs the Worker to which Deno gave this number.
    Worker(u32),
    /// It does work that would block a Worker.
    Helper,
}

/// How long threads have run without a pause.
pub(super) struct Busy {
    /// Each Worker, in the order of creation.
    pub(super) workers: Vec<Duration>,
    /// The helper that has run longest.
    pub(super) helper: Duration,
}

/// The threads of one process.
pub(super) struct Threads {
    /// `/proc/PID/task`
    tasks: String,
    seen: HashMap<String, Thread>,
}

struct Thread {
    task: Option<Task>,
    ran: u64,
    waited: u64,
    /// When that was read.
    at: Instant,
    /// Its run since its last pause.
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

    /// How long they have run without a pause.
    pub(super) fn busy(&mut self) -> Busy {
        for thread in self.seen.values_mut() {
            thread.is_there = false;
        }
        let threads = fs::read_dir(&self.tasks).into_iter().flatten().flatten();
        for id in threads.filter_map(|it| it.file_name().into_string().ok()) {
            self.look(id);
        }
        self.seen.retain(|_, thread| thread.is_there);
        let (mut workers, mut helper) = (Vec::new(), Duration::ZERO);
        for thread in self.seen.values() {
            match thread.task {
                Some(Task::Worker(number)) => workers.push((number, thread.busy)),
                Some(Task::Helper) => helper = helper.max(thread.busy),
                None => {}
            }
        }
        workers.sort_unstable();
        let workers = workers.into_iter().map(|(_, busy)| busy).collect();
        Busy { workers, helper }
    }

    fn look(&mut self, id: String) {
        let read = |file: &str| fs::read_to_string(format!("{}/{id}/{file}", self.tasks)).ok();
        let task = match self.seen.get(&id) {
            Some(thread) => thread.task,
            None => read("comm").and_then(|name| task(&name)),
        };
        let times = task.and_then(|_| times(&read("schedstat")?));
        let (ran, waited) = times.unwrap_or_default();
        let now = Instant::now();
        let thread = self.seen.entry(id).or_insert(Thread {
            task,
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
        if task == Some(Task::Helper) && passed < WINDOW {
            return;
        }
        (thread.ran, thread.waited, thread.at) = (ran, waited, now);
        // The difference is the cost of counting, and of a garbage collection that others helped with.
        match has_run + has_waited >= passed.mul_f64(0.9) {
            true => thread.busy += has_run,
            false => thread.busy = Duration::ZERO,
        }
    }
}

/// The length of a look at helpers. They may take many times `limits.cpu`, and one of so many short looks would seem to
/// be a pause: the system counts in ticks, and does not count at all while the virtual machine itself waits for a
/// processor.
const WINDOW: Duration = Duration::from_millis(250);

/// The purpose of a thread with this name.
fn task(name: &str) -> Option<Task> {
    match name.trim_end() {
        // As much of Tokio's word for it as there is room for.
        "tokio-runtime-w" | "tokio-rt-worker" => Some(Task::Helper),
        name => name.strip_prefix("worker-")?.parse().ok().map(Task::Worker),
    }
}

/// The nanoseconds that a thread has run, and has waited for a processor.
fn times(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_known_by_its_name() {
        for (name, found) in [
            ("worker-1\n", Some(Task::Worker(1))),
            ("worker-12", Some(Task::Worker(12))),
            ("worker-", None),
            ("worker-x", None),
            ("tokio-runtime-w\n", Some(Task::Helper)),
            ("V8 DefaultWorke\n", None),
        ] {
            assert_eq!(task(name), found, "{name}");
        }
        assert_eq!(times("12 345 6\n"), Some((12, 345)));
        assert_eq!(times("12\n"), None);
    }
}
