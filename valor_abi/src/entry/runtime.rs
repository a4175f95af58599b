//! The tokio runtime of a vlugin, with the feature `tokio`: `scoped` makes one for each mount of a native vlugin and
//! enters it wherever the author's code runs. It ends with the mount's last request, and its threads with it. What
//! panics in a task is in the host's log.

use super::panics::log_panic;
use std::{
    cell::Cell,
    panic,
    sync::{Arc, Once},
    thread,
};
use tokio::runtime::{Builder, Handle};
use valor_abi_wire::{
    Fault, Host, scope,
    unwind::{Panicked, catch, is_catching, message_of},
};

/// How many threads run a vlugin's tasks. Handlers run on the host's threads; what blocks is for `spawn_blocking`,
/// whose threads tokio starts as they are needed.
const WORKERS: usize = 2;

thread_local! {
    /// Whether this thread is one of a runtime.
    static OWN: Cell<bool> = const { Cell::new(false) };
}

pub(super) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// Starts the threads. What they run belongs to this host's vlugin.
    pub(super) fn start(host: &Arc<dyn Host>) -> Result<Self, Fault> {
        log_panics();
        let own = host.clone();
        // A host that panics is no reason to have no runtime.
        let name = catch(|| host.name().replace('\0', "")).unwrap_or_default();
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            // As much of tokio as the vlugin's crates have switched on.
            .enable_all()
            // A name that the system cannot take would be a panic.
            .thread_name(format!("tokio-{name}"))
            .on_thread_start(move || {
                OWN.set(true);
                scope::settle(&own);
            })
            .build();
        match runtime {
            Ok(runtime) => Ok(Self(Some(runtime))),
            Err(error) => {
                let message = format!("tokio's runtime cannot start: {error}");
                Err(Fault::error(500, message))
            }
        }
    }

    /// Runs code with this runtime as tokio's current one.
    pub(super) fn enter<T>(&self, code: impl FnOnce() -> T) -> T {
        // While a thread ends, tokio has no current runtime any more.
        let ending = Handle::try_current().is_err_and(|it| it.is_thread_local_destroyed());
        let _entered = match &self.0 {
            Some(runtime) if !ending => Some(runtime.enter()),
            _ => None,
        };
        code()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // This may be a thread of the host, which waits for nobody, or one of the runtime itself.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Sends panics on the threads of runtimes to the log. tokio catches them, but only a task that is awaited reports
/// them.
fn log_panics() {
    static HOOK: Once = Once::new();
    // While this thread panics, no hook can be set.
    if thread::panicking() {
        return;
    }
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_task = OWN.try_with(Cell::get).unwrap_or(false) && !is_catching();
            match scope::current() {
                Some(host) if is_task => {
                    let message = message_of(info.payload());
                    log_panic(&*host, Panicked::at(message, info.location()));
                }
                _ => before(info),
            }
        }));
    });
}
