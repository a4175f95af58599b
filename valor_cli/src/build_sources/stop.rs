//! [`Stop`]: the end of a build before its time. A program that ends does not leave a cargo behind
//! that builds for nobody.

use std::{
    io,
    process::{Child, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Ends the build that is under way, and each that begins after that. Clones are one.
#[derive(Clone, Default)]
pub struct Stop(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    stopped: bool,
    cargo: Option<Child>,
}

impl Stop {
    /// Ends what is built.
    pub fn now(&self) {
        let mut state = self.state();
        state.stopped = true;
        if let Some(cargo) = &mut state.cargo {
            // Where it has ended by itself, that is as good.
            let _ = cargo.kill();
        }
    }

    /// Whether [`now`](Self::now) was called.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Takes charge of a cargo that was started.
    pub(super) fn watch_over(&self, mut cargo: Child) -> Guarded<'_> {
        let mut state = self.state();
        if state.stopped {
            let _ = cargo.kill();
        }
        state.cargo = Some(cargo);
        Guarded(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
