//! [`command`]: the command line of a Deno, which is most of what holds scripts inside.
//!
//! `process` starts what it gives. Each platform's own is here as well: groups of processes, and what Windows needs.

use super::link::{Control, Transport};
use smol::process::Command;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

/// What a process has beside the heap of its scripts: V8, code, stacks, buffers.
const BESIDE_HEAP: u64 = 192 << 20;

/// How a process is to be.
pub(super) struct Launch {
    pub(super) program: PathBuf,
    /// Whom its output is logged for: the vlugin, or the group.
    pub(super) name: String,
    /// The folder of its script, where it runs; none if there may be several scripts.
    pub(super) folder: Option<PathBuf>,
    /// The project that its script imports from: a worker's imports are loaded with the rights of the process, and what
    /// it reads with its own. All, where there may be several scripts.
    pub(super) project: PathBuf,
    pub(super) heap: u64,
    /// Whether a script in it may import what is in a `node_modules`.
    pub(super) packages: bool,
    pub(super) transport: Transport,
}

/// Least privilege: the supervisor alone has these permissions, and gives each worker a part of them.
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
    // Many a package asks for NODE_ENV while it is loaded: there is no such variable, which is no error.
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
    // For its umask. No script has a part of it.
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
        // Port 0: to listen wherever there is a port.
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
    // Windows loads what sockets and random numbers need from there.
    #[cfg(windows)]
    command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
    command
}

/// Whether packages are imported. Nothing is fetched from npm either way. With them, a script can read whatever
/// JavaScript and JSON is in any folder called node_modules, so only scripts that need packages get them.
pub(super) fn packages(are_imported: bool) -> &'static str {
    match are_imported {
        true => "--node-modules-dir=manual",
        false => "--no-npm",
    }
}

/// The folder, or the nearest one above whose path has no comma: Deno's lists have no way to write one. The worker,
/// which alone runs code of the script's, is given the folder itself.
fn nameable(folder: &Path) -> &Path {
    let mut folders = folder.ancestors();
    let has_none = |it: &&Path| !it.to_string_lossy().contains(',');
    folders.find(has_none).unwrap_or(folder)
}

/// Keeps from the program whatever this process has open and would hand on: what it has inherited itself, since all
/// that Valor opens ends with an `exec`. A script opens any descriptor of its process by its number.
#[cfg(unix)]
#[allow(unsafe_code)] // A boundary: each block states the invariant it leans on.
fn disinherit(command: &mut std::process::Command) {
    use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
    use std::os::{fd::BorrowedFd, unix::process::CommandExt};
    // SAFETY: No more than its flags are asked for or set, and one that is closed meanwhile has none: an error.
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
    // SAFETY: Between fork and exec it makes system calls alone, and allocates nothing.
    unsafe { command.pre_exec(close) };
}

/// A program that Ctrl-C in a terminal does not reach, as it does a whole group: what runs is to be finished first.
fn apart(program: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    #[cfg(unix)]
    {
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        disinherit(&mut command);
    }
    // Ctrl-Break reaches all of one console: it has its own, without a window.
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        const CREATE_NO_WINDOW: u32 = 0x0800_0000;
        let flags = CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW;
        std::os::windows::process::CommandExt::creation_flags(&mut command, flags);
    }
    command
}
