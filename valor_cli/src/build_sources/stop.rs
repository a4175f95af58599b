//! [`Stop`]: the end of a build before its time. A program that ends does not leave a cargo behind that builds for
//! nobody, and a build that something more urgent comes before gives way to it.

use std::{
    io,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

/// Ends the build that is under way, and each that begins after that. Clones are one.
#[derive(Clone, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    is_part: bool,
}

#[derive(Default)]
struct State {
    stopped: bool,
    cargo: Option<Child>,
    parts: Vec<Weak<Inner>>,
}

impl Stop {
    /// One that can be stopped by itself, and ends with this one too. Another build may begin as soon as it has ended:
    /// so the compilers that its cargo runs end with it.
    pub fn part(&self) -> Self {
        let part = Self(Arc::new(Inner {
            is_part: true,
            ..Inner::default()
        }));
        let mut state = self.state();
        state.parts.retain(|it| it.strong_count() > 0);
        state.parts.push(Arc::downgrade(&part.0));
        if state.stopped {
            part.now();
        }
        part
    }

    /// Ends what is built.
    pub fn now(&self) {
        let mut state = self.state();
        state.stopped = true;
        if let Some(cargo) = &mut state.cargo {
            self.kill(cargo);
        }
        for part in state.parts.iter().filter_map(Weak::upgrade) {
            Self(part).now();
        }
    }

    /// Whether [`now`](Self::now) was called.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// To be called before a cargo is started.
    pub(super) fn prepare(&self, command: &mut Command) {
        // In a separate group, so that Ctrl-C in a terminal does not reach it: the signals come from here.
        #[cfg(unix)]
        if self.0.is_part {
            std::os::unix::process::CommandExt::process_group(command, 0);
        }
        // On Windows, cargo ends its compilers with itself.
        #[cfg(not(unix))]
        let _ = (command, self.0.is_part);
    }

    /// Takes charge of a cargo that was started.
    pub(super) fn watch_over(&self, mut cargo: Child) -> Guarded<'_> {
        let mut state = self.state();
        if state.stopped {
            self.kill(&mut cargo);
        }
        state.cargo = Some(cargo);
        Guarded(self)
    }

    /// If it has ended by itself, that is as good.
    fn kill(&self, cargo: &mut Child) {
        #[cfg(unix)]
        if self.0.is_part {
            use rustix::process::{Pid, Signal, kill_process_group};
            let _ = kill_process_group(Pid::from_child(cargo), Signal::KILL);
            return;
        }
        let _ = cargo.kill();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cargo that a [`Stop`] may end.
pub(super) struct Guarded<'a>(&'a Stop);

impl Guarded<'_> {
    /// Waits for its end; to be called when it has closed its output, from where on it takes no time.
    pub(super) fn wait(self) -> io::Result<ExitStatus> {
        let cargo = self.0.state().cargo.take();
        match cargo {
            Some(mut cargo) => cargo.wait(),
            None => Err(io::Error::other("it was waited for already")),
        }
    }
}
