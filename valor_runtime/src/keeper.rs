//! [`Group`]: a process group of one program and everything that it starts. [`keep`]: the keeper, a second instance of
//! this program that leads the group and waits. A pipe connects it to the instance that started it. When that instance
//! has ended, the pipe closes, and the keeper ends the group and itself.
//!
//! `loader/js` puts a Deno there that it asks something, and the command line cargo and esbuild. A program that does
//! not call [`keep`] first of all cannot be its own keeper, and gets no group.
//!
//! `PR_SET_PDEATHSIG` would end cargo and leave its compilers, and only Linux has it. Until someone waits for the
//! keeper, no other process can get the group's number.

pub use of_system::{Group, keep};

/// The argument that makes this program a keeper.
const KEEPER: &str = "__keeper";

#[cfg(unix)]
mod of_system {
    use super::KEEPER;
    use rustix::process::{
        Pid, Signal, getpgrp, getpid, kill_current_process_group, kill_process_group,
    };
    use std::{
        env,
        io::{self, Read},
        os::unix::process::CommandExt,
        path::PathBuf,
        process::{Child, Command, ExitCode, Stdio},
        sync::atomic::{AtomicBool, Ordering},
    };

    /// Whether this program, started once more, would be a keeper.
    static KEEPS: AtomicBool = AtomicBool::new(false);

    /// A process group, as long as this value lives.
    pub struct Group(Child);

    impl Group {
        /// A group with its keeper.
        ///
        /// # Errors
        /// If the keeper cannot be started.
        pub fn new() -> io::Result<Self> {
            if !KEEPS.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let mut keeper = Command::new(this_program()?);
            keeper
                .arg0(env::args_os().next().unwrap_or_default())
                .arg(KEEPER)
                .current_dir("/")
                .env_clear()
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0);
            keeper.spawn().map(Self)
        }

        fn number(&self) -> Pid {
            Pid::from_child(&self.0)
        }

        /// Starts a program in the group. Ctrl-C in a terminal does not reach it there.
        pub fn take_in(&self, command: &mut Command) {
            command.process_group(self.number().as_raw_nonzero().get());
        }

        /// Ends everything in it.
        pub fn kill(&self) {
            let _ = kill_process_group(self.number(), Signal::KILL);
        }
    }

    impl Drop for Group {
        /// Ends only the keeper: what a program has left running on purpose stays.
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// The file of this process, even if another one has replaced it.
    fn this_program() -> io::Result<PathBuf> {
        match cfg!(target_os = "linux") {
            true => Ok("/proc/self/exe".into()),
            false => env::current_exe(),
        }
    }

    /// The keeper's work, if this process is one; it ends with the group. A program calls this first in its `main`,
    /// and ends with the code.
    pub fn keep() -> Option<ExitCode> {
        KEEPS.store(true, Ordering::Relaxed);
        let mut args = env::args_os().skip(1);
        let is_keeper = args.next().is_some_and(|it| it == KEEPER) && args.next().is_none();
        // If someone types it, their group has other processes in it.
        if !is_keeper || getpgrp() != getpid() {
            return None;
        }
        let mut byte = [0];
        while let Err(error) = io::stdin().read(&mut byte) {
            if error.kind() != io::ErrorKind::Interrupted {
                break;
            }
        }
        let _ = kill_current_process_group(Signal::KILL);
        Some(ExitCode::FAILURE)
    }
}

/// On Windows cargo ends its compilers with itself.
#[cfg(not(unix))]
mod of_system {
    use std::{
        io,
        process::{Command, ExitCode},
    };

    /// There is none.
    pub struct Group;

    impl Group {
        /// Nothing.
        ///
        /// # Errors
        /// Always.
        pub fn new() -> io::Result<Self> {
            let _ = super::KEEPER;
            Err(io::ErrorKind::Unsupported.into())
        }

        /// Nothing.
        pub fn take_in(&self, _: &mut Command) {}

        /// Nothing.
        pub fn kill(&self) {}
    }

    /// Nothing: no process is one.
    pub fn keep() -> Option<ExitCode> {
        None
    }
}
