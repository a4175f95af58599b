//! [`command`]: the command line of a Deno, which does most of the confinement of scripts.
//!
//! `process` starts the result with [`spawn`], as `asked` does with a Deno that only answers. The platform-specific
//! parts are here as well: process groups, and what Windows needs.

use super::link::{Control, Transport};
use smol::process::{Child, Command};
use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

/// The memory of a process besides the heap of its scripts: V8, code, stacks, buffers.
const BESIDE_HEAP: u64 = 192 << 20;

/// The properties of a process.
pub(super) struct Launch {
    pub(super) program: PathBuf,
    /// The log target of its output: the vlugin, or the group.
    pub(super) name: String,
    /// The folder of its script, where it runs; `None` if it may run several scripts.
    pub(super) folder: Option<PathBuf>,
    /// The project that its script imports from. A worker's imports are loaded with the permissions of the process;
    /// reading uses the worker's own. Everything, if there may be several scripts.
    pub(super) project: PathBuf,
    pub(super) heap: u64,
    /// Whether a script in it may import from a `node_modules`.
    pub(super) packages: bool,
    pub(super) transport: Transport,
}

/// Least privilege: only the supervisor has these permissions, and it gives each worker a part of them.
pub(super) fn command(
    launch: &Launch,
    dir: &Path,
    control: &Control,
    sockets: &[PathBuf],
) -> Command {
    let list = |items: &[String]| items.join(",");
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut command = Command::from(apart(&launch.program));
    command.args(["run", "--quiet", "--no-prompt", "--no-config", "--no-lock"]);
    command.args(["--no-remote", "--no-code-cache"]);
    command.arg(packages(launch.packages));
    command.args(["--unstable-worker-options", "--unstable-no-legacy-abort"]);
    // Many packages ask for NODE_ENV while they are loaded: it is unset, which is not an error.
    command.arg("--ignore-env");
    command.arg(format!(
        "--v8-flags=--max-old-space-size={}",
        launch.heap >> 20
    ));
    command.arg(match launch.folder {
        Some(_) => format!(
            "--allow-read={}",
            list(&[path(dir), path(nameable(&launch.project))])
        ),
        None => "--allow-read".to_owned(),
    });
    command.arg(format!("--allow-write={}", path(dir)));
    // For its umask. No script gets this permission.
    if cfg!(unix) {
        command.arg("--allow-sys");
    }
    let link = control.argument();
    let net: Vec<_> = match control {
        #[cfg(unix)]
        Control::Unix { path: link, .. } => {
            let all = sockets.iter().chain([link]);
            all.map(|it| format!("unix:{}", path(it))).collect()
        }
        // Port 0: to listen on any free port.
        Control::Tcp { .. } => {
            debug_assert!(sockets.is_empty(), "none has a name");
            ["0", &link].map(|port| format!("127.0.0.1:{port}")).into()
        }
    };
    command.arg(format!("--allow-net={}", list(&net)));
    command.arg(dir.join("supervisor.js")).arg(link);
    let beside = BESIDE_HEAP.saturating_add(launch.heap);
    command.arg(beside.to_string());
    command
        .env_clear()
        .env("DENO_DIR", dir.join("deno"))
        .env("DENO_NO_UPDATE_CHECK", "1")
        .env("NO_COLOR", "1")
        .current_dir(launch.folder.as_deref().unwrap_or(dir))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // Windows loads the code for sockets and random numbers from there.
    #[cfg(windows)]
    command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
    command
}

/// Starts a Deno. On Windows, it ends with this process, and Ctrl-C in a console does not reach it.
///
/// # Errors
/// The system's error.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    #[cfg(windows)]
    return super::job::spawn(command);
    #[cfg(not(windows))]
    command.spawn()
}

/// Whether packages are imported. Nothing is fetched from npm either way. With them, a script can read any JavaScript
/// and JSON in any folder called node_modules, so only scripts that need packages get them.
pub(super) fn packages(are_imported: bool) -> &'static str {
    match are_imported {
        true => "--node-modules-dir=manual",
        false => "--no-npm",
    }
}

/// The folder, or the nearest one above it whose path has no comma: Deno's lists cannot contain one. The worker, which
/// alone runs the script's code, gets the folder itself.
fn nameable(folder: &Path) -> &Path {
    let mut folders = folder.ancestors();
    let has_none = |it: &&Path| !it.to_string_lossy().contains(',');
    folders.find(has_none).unwrap_or(folder)
}

/// Keeps the open descriptors of this process from the program. Only inherited ones matter, since all that Valor opens
/// close with an `exec`. A script can open any descriptor of its process by its number.
#[cfg(unix)]
#[allow(unsafe_code)] // A boundary: each block states the invariant it leans on.
fn disinherit(command: &mut std::process::Command) {
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
    use std::os::{fd::BorrowedFd, unix::process::CommandExt};
    // SAFETY: This only reads and sets flags, and for a descriptor that was closed meanwhile it returns an error.
    let borrowed = |fd| unsafe { BorrowedFd::borrow_raw(fd) };
    let open = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|it| it.file_name().to_str()?.parse().ok());
    let handed_on = numbers.filter(|&fd: &i32| {
        let flags = (fd > 2).then(|| fcntl_getfd(borrowed(fd)));
        matches!(flags, Some(Ok(flags)) if !flags.contains(FdFlags::CLOEXEC))
    });
    let handed_on: Vec<_> = handed_on.collect();
    // Without one, the program is started in the quicker way.
    if handed_on.is_empty() {
        return;
    }
    let close = move || {
        for &fd in &handed_on {
            let _ = fcntl_setfd(borrowed(fd), FdFlags::CLOEXEC);
        }
        Ok(())
    };
    // SAFETY: Between fork and exec it only makes system calls, and allocates nothing.
    unsafe { command.pre_exec(close) };
}

/// A program that Ctrl-C in a terminal does not reach, as it would a whole group: running requests finish first.
fn apart(program: &Path) -> std::process::Command {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the flags are `job`'s"))]
    let mut command = std::process::Command::new(program);
    #[cfg(unix)]
    {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        disinherit(&mut command);
    }
    command
}
