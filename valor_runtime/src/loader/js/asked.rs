//! [`answer`]: the output of a Deno that answers a question and exits, without running a script.
//!
//! `deno` asks for the version, `graph` for a script's imports. Deno reads whatever a script's text names. So on Linux
//! such a process has a memory limit, and is ended if it waits for a FIFO. It ends with Valor, or as soon as nobody
//! waits for the answer. So does everything that it starts: the program named for Deno may be a script that calls one.
//! It uses no folder that could be left behind.

use super::command::spawn;
use crate::{fifo::waited_for, keeper::Group, private_dir::PrivateDir, timer::Timer};
use futures_lite::{AsyncReadExt, future};
use smol::{
    channel::bounded,
    process::{Child, Command},
};
use std::{
    io,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

/// Deno takes a few hundredths of a second.
pub(super) const LONGEST: Duration = Duration::from_secs(20);
/// The memory that it may use. For a large project it needs less than a tenth of that.
pub(super) const MOST_MEMORY: u64 = 512 << 20;
/// What V8 reserves before it does anything, which counts too. Without it, a Deno on one processor has too little to
/// begin.
#[cfg(target_os = "linux")]
const RESERVED: u64 = 256 << 20;
/// Each thread has a stack, which counts, and Deno has several threads per core.
#[cfg(target_os = "linux")]
const FOR_A_CORE: u64 = 16 << 20;
/// The longest answer.
const MOST_SAID: u64 = 64 << 20;
/// The interval between two checks of what it waits for.
const LOOK: Duration = Duration::from_millis(100);

/// Its output, and how it ended.
pub(super) struct Answer {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    System(io::Error),
    /// It took more than [`LONGEST`].
    Late,
    /// It said more than [`MOST_SAID`].
    Long,
    /// It waits for a writer of a FIFO, whose path is not always known.
    Fifo(Option<PathBuf>),
}

impl From<io::Error> for Unanswered {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Runs the program until it ends.
///
/// # Errors
/// Why there is no answer; the program has ended then, too.
pub(super) async fn answer(mut command: std::process::Command) -> Result<Answer, Unanswered> {
    // The other end is dropped with this future.
    let (_waiting, gone) = bounded::<()>(1);
    // A thread that waits for it: Linux ends a process with the thread that started it.
    smol::unblock(move || {
        smol::block_on(async {
            let scratch = scratch(&mut command)?;
            #[cfg(target_os = "linux")]
            hold(&mut command);
            let group = Group::new().ok();
            match &group {
                Some(group) => group.take_in(&mut command),
                None => alone(&mut command),
            }
            let mut command = Command::from(command);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true);
            let mut child = spawn(&mut command)?;
            let waits = waits_for_a_fifo(child.id());
            let over = async {
                let _ = gone.recv().await;
                Err(io::Error::from(io::ErrorKind::Interrupted).into())
            };
            let late = async {
                Timer::after(LONGEST).await;
                Err(Unanswered::Late)
            };
            let stopped = future::or(over, future::or(late, waits));
            let answer = future::or(said(&mut child), stopped).await;
            if answer.is_err() {
                match &group {
                    Some(group) => group.kill(),
                    None => kill_all(child.id()),
                }
                let _ = child.kill();
                let _ = child.status().await;
            }
            drop(scratch);
            answer
        })
    })
    .await
}

/// Has a program lead a process group.
fn alone(command: &mut std::process::Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Ends all of the group that a process leads, which was not waited for yet.
fn kill_all(leader: u32) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let leader = i32::try_from(leader).ok().and_then(Pid::from_raw);
        let _ = leader.map(|it| kill_process_group(it, Signal::KILL));
    }
    #[cfg(not(unix))]
    let _ = leader;
}

/// Where Deno caches: nowhere. Windows has no path that is certain not to be a folder.
fn scratch(command: &mut std::process::Command) -> io::Result<Option<PrivateDir>> {
    command.env("DENO_NO_UPDATE_CHECK", "1");
    if cfg!(unix) {
        command.env("DENO_DIR", "/dev/null/none");
        return Ok(None);
    }
    let scratch = PrivateDir::create("valor-deno-")?;
    command.env("DENO_DIR", scratch.path());
    Ok(Some(scratch))
}

async fn said(child: &mut Child) -> Result<Answer, Unanswered> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = future::try_zip(read(out), read(err)).await?;
    let status = child.status().await?;
    Ok(Answer {
        status,
        stdout,
        stderr,
    })
}

async fn read(from: Option<impl AsyncReadExt + Unpin>) -> Result<Vec<u8>, Unanswered> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let mut from = from.take(MOST_SAID);
        from.read_to_end(&mut bytes).await?;
        if from.limit() == 0 {
            return Err(Unanswered::Long);
        }
    }
    Ok(bytes)
}

/// Makes the program end with the thread that starts it, and limits its memory.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // A boundary: the block states the invariant it leans on.
fn hold(command: &mut std::process::Command) {
    use rustix::process::{
        Resource, Rlimit, Signal, getpid, getppid, getrlimit, set_parent_process_death_signal,
        setrlimit,
    };
    use std::os::unix::process::CommandExt;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = MOST_MEMORY + RESERVED + FOR_A_CORE * cores as u64;
    let parent = getpid();
    let hold = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(parent) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let Rlimit { current, maximum } = getrlimit(Resource::Data);
        let current = Some(current.map_or(most, |it| it.min(most)));
        setrlimit(Resource::Data, Rlimit { current, maximum })?;
        Ok(())
    };
    // SAFETY: Between fork and exec it only makes system calls, and allocates nothing.
    unsafe { command.pre_exec(hold) };
}

/// Ends when it waits for a FIFO, if the system reports that.
async fn waits_for_a_fifo<T>(process: u32) -> Result<T, Unanswered> {
    loop {
        Timer::after(LOOK).await;
        if let Some(path) = waited_for(process) {
            return Err(Unanswered::Fifo(path));
        }
    }
}
