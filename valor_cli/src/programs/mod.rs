//! The programs that this one starts (cargo, rustup, esbuild, wasm-opt), and how they are ended early. A [`Stop`]
//! starts them: none of them keeps working after this program has ended, and a build gives way to something more
//! urgent.
//!
//! On Unix, each runs in a process group with everything that it starts, such as cargo's compilers, next to a
//! keeper. The keeper ends the group when this program ends, even after kill -9. A process that has left the group
//! holds nobody up: output is read until the program itself has ended ([`piped`]).

mod piped;

use piped::Piped;
use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, LazyLock, Mutex, MutexGuard, Weak, mpsc},
    time::{Duration, Instant},
};
use valor_runtime::{fifo::waited_for, keeper::Group, lock::locked};

/// The interval between two checks of whether a program has ended.
const LOOK: Duration = Duration::from_millis(100);

/// Why a program did not finish.
#[derive(Debug)]
pub enum Unfinished {
    /// The system's error.
    System(io::Error),
    /// It waited for a writer of a FIFO, whose path is not always known.
    Fifo(Option<PathBuf>),
    /// It took longer or said more than it may.
    Endless,
}

impl From<io::Error> for Unfinished {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// As it follows the name of the program.
impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => write!(f, "cannot be run: {error}"),
            Self::Fifo(Some(path)) => write!(
                f,
                "waits for {}, which is not a regular file: put a file in its place",
                path.display()
            ),
            Self::Endless => f.write_str("does not come to an end"),
            Self::Fifo(None) => f.write_str(
                "waits for a FIFO, which is one of the files that it reads: put a file in its place",
            ),
        }
    }
}

/// Starts programs. It can end those that run, and each that begins after that. Clones share one state.
#[derive(Clone, Default)]
pub struct Stop(Arc<Mutex<Started>>);

#[derive(Default)]
struct Started {
    stopped: bool,
    started: u64,
    running: Vec<Running>,
    parts: Vec<Weak<Mutex<Started>>>,
}

struct Running {
    number: u64,
    /// Until it is waited for.
    child: Option<Child>,
    group: Option<Group>,
}

impl Running {
    /// True without the child too: another thread waits for it then.
    fn has_ended(&mut self) -> bool {
        let child = self.child.as_mut();
        child.is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// If it has ended by itself, that is fine too.
    fn kill(&mut self) {
        match (&self.group, &mut self.child) {
            (Some(group), _) => group.kill(),
            (None, Some(child)) => _ = child.kill(),
            (None, None) => {}
        }
    }
}

/// Starts what runs until this program ends, whoever has started it: `signals` ends it then.
static OF_ALL: LazyLock<Stop> = LazyLock::new(Stop::default);

impl Stop {
    /// A part of the one that ends with this program.
    pub fn of_program() -> Self {
        OF_ALL.part()
    }

    /// Ends every program that such a part has started; whatever waits for one does not go on. This program calls it
    /// before it removes its temporary folders, so that nothing is written to them again, and then ends.
    pub fn all_now() {
        OF_ALL.now();
    }

    /// One that can be stopped separately, and ends with this one too.
    pub fn part(&self) -> Self {
        let part = Self::default();
        let mut state = self.state();
        state.parts.retain(|it| it.strong_count() > 0);
        state.parts.push(Arc::downgrade(&part.0));
        if state.stopped {
            part.now();
        }
        part
    }

    /// Ends everything that runs.
    pub fn now(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.running.iter_mut().for_each(Running::kill);
        for part in state.parts.iter().filter_map(Weak::upgrade) {
            Self(part).now();
        }
    }

    /// Whether [`now`](Self::now) was called.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Starts a program. Its standard input is empty.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, command: &mut Command) -> io::Result<Program<'_>> {
        // Without a keeper, as on a system without /proc, only the program itself is ended.
        let group = Group::new().ok();
        if let Some(group) = &group {
            group.take_in(command);
        }
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut state = self.state();
        state.started += 1;
        let mut running = Running {
            number: state.started,
            child: Some(child),
            group,
        };
        if state.stopped {
            running.kill();
        }
        state.running.push(running);
        let mut program = Program {
            stop: self,
            number: state.started,
            stdout: None,
            stderr: None,
        };
        drop(state);
        program.stdout = stdout.map(|it| program.piped(it)).transpose()?;
        program.stderr = stderr.map(|it| program.piped(it)).transpose()?;
        Ok(program)
    }

    /// Runs a program until it ends, and returns its output.
    ///
    /// # Errors
    /// If it cannot be started, or waits for a FIFO; it has been ended then.
    pub fn output(&self, command: &mut Command) -> Result<Output, Unfinished> {
        self.bounded_output(command, None, u64::MAX)
    }

    /// The same for a program that may take this long, and say this many bytes to each of its output and its errors.
    ///
    /// # Errors
    /// Also if it takes longer or says more; it has been ended then.
    pub fn answer(
        &self,
        command: &mut Command,
        within: Duration,
        most: u64,
    ) -> Result<Output, Unfinished> {
        self.bounded_output(command, Some(within), most)
    }

    fn bounded_output(
        &self,
        command: &mut Command,
        within: Option<Duration>,
        most: u64,
    ) -> Result<Output, Unfinished> {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = self.start(command)?;
        let end = within.map(|it| Instant::now() + it);
        let (stdout, stderr) = (program.stdout.take(), program.stderr.take());
        // The other end is dropped when everything is read.
        let (reading, is_read) = mpsc::channel::<()>();
        let (stdout, stderr, ended) = std::thread::scope(|scope| {
            let said = |from| {
                let bytes = said(from, most);
                if bytes.is_none() {
                    program.with(Running::kill);
                }
                bytes
            };
            let stderr = scope.spawn(move || said(stderr));
            let ended = scope.spawn(|| program.is_in_vain(is_read, end));
            let stdout = said(stdout);
            let stderr = stderr.join().unwrap_or_default();
            drop(reading);
            (stdout, stderr, ended.join().unwrap_or_default())
        });
        let status = program.wait()?;
        while OF_ALL.is_stopped() {
            // This program ends too, and says nothing more about what it has ended.
            std::thread::park();
        }
        match (ended, stdout.zip(stderr)) {
            (Some(why), _) => Err(why),
            (None, None) => Err(Unfinished::Endless),
            (None, Some((stdout, stderr))) => Ok(Output {
                status,
                stdout,
                stderr,
            }),
        }
    }

    /// Whether a program has ended. It is waited for then, and its number is nobody's.
    fn has_ended(&self, number: u64) -> bool {
        let mut state = self.state();
        let running = state.running.iter_mut().find(|it| it.number == number);
        running.is_none_or(Running::has_ended)
    }

    fn state(&self) -> MutexGuard<'_, Started> {
        locked(&self.0)
    }
}

/// Describes a program that has failed without a word.
pub fn silent(program: impl fmt::Display, status: ExitStatus) -> String {
    format!("{program} ended with {status} and said nothing")
}

/// Everything that can be read; `None` if it is more than this many bytes.
fn said(from: Option<impl Read>, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What came before an error counts.
        let _ = from.take(most.saturating_add(1)).read_to_end(&mut bytes);
    }
    (bytes.len() as u64 <= most).then_some(bytes)
}

/// A program that a [`Stop`] may end. It ends when this is dropped.
pub struct Program<'a> {
    stop: &'a Stop,
    number: u64,
    /// Its output, if it was piped.
    pub stdout: Option<Piped>,
    /// As above.
    pub stderr: Option<Piped>,
}

impl Program<'_> {
    fn piped(&self, pipe: impl Read + Send + 'static) -> io::Result<Piped> {
        let (stop, number) = (self.stop.clone(), self.number);
        Piped::new(pipe, move || stop.has_ended(number))
    }

    /// Waits for it to end. Call this when it has closed its output: then it takes no time. If someone else has ended
    /// it, what it started ends with it.
    ///
    /// # Errors
    /// If the system does not report its end.
    pub fn wait(self) -> io::Result<ExitStatus> {
        let child = self.with(|running| running.child.take()).flatten();
        let status = match child {
            Some(mut child) => child.wait(),
            None => Err(io::Error::other("it was waited for already")),
        };
        if status.as_ref().is_ok_and(was_killed) {
            self.with(Running::kill);
        }
        status
    }

    /// Ends it if it waits for a FIFO or runs at this time, and returns that as the reason.
    fn is_in_vain(&self, is_read: mpsc::Receiver<()>, end: Option<Instant>) -> Option<Unfinished> {
        let process = self.with(|running| running.child.as_ref().map(Child::id))??;
        while let Err(mpsc::RecvTimeoutError::Timeout) = is_read.recv_timeout(LOOK) {
            // Another process may have its number now.
            if self.stop.has_ended(self.number) {
                return None;
            }
            let why = match waited_for(process) {
                Some(fifo) => Some(Unfinished::Fifo(fifo)),
                None => end
                    .filter(|end| Instant::now() >= *end)
                    .map(|_| Unfinished::Endless),
            };
            if why.is_some() {
                self.with(Running::kill);
                return why;
            }
        }
        None
    }

    fn with<T>(&self, what: impl FnOnce(&mut Running) -> T) -> Option<T> {
        let mut state = self.stop.state();
        let mut running = state.running.iter_mut();
        running.find(|it| it.number == self.number).map(what)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        let mut state = self.stop.state();
        let at = state.running.iter().position(|it| it.number == self.number);
        let Some(mut running) = at.map(|at| state.running.swap_remove(at)) else {
            return;
        };
        drop(state);
        if running.child.is_some() {
            running.kill();
        }
        if let Some(mut child) = running.child.take() {
            let _ = child.wait();
        }
    }
}

#[cfg(unix)]
fn was_killed(status: &ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(status).is_some()
}

#[cfg(not(unix))]
fn was_killed(_: &ExitStatus) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process};

    /// It holds both pipes open, and would do so for ten minutes.
    #[test]
    fn who_has_left_the_group_is_not_waited_for() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "setsid sleep 600 & echo $!; echo no >&2; exit 3"]);
        let output = Stop::default().output(&mut shell).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let left = Pid::from_raw(said.trim().parse().unwrap()).unwrap();
        kill_process(left, Signal::KILL).unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(output.stderr, b"no\n");
    }

    #[test]
    fn who_says_too_much_is_ended() {
        let ask = |script: &str| {
            let mut shell = Command::new("sh");
            let hour = Duration::from_secs(3600);
            Stop::default().answer(shell.args(["-c", script]), hour, 1000)
        };
        // The last one goes on when nobody reads.
        let deaf = "trap '' PIPE; while :; do echo yes; done 2>/dev/null";
        for endless in ["exec yes", "exec yes >&2", deaf] {
            assert!(matches!(ask(endless), Err(Unfinished::Endless)));
        }
        assert_eq!(ask("echo yes").unwrap().stdout, b"yes\n");
    }
}
