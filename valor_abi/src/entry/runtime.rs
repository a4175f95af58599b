//! The tokio runtime of a vlugin, with the feature `tokio`: `scoped` makes one for each mount of a native vlugin and
//! enters it wherever the author's code runs. It ends with the mount's last request, and its threads with it.

use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use valor_abi_wire::{Fault, Host, scope};

/// How many threads run a vlugin's tasks. Handlers run on the host's threads; what blocks is for `spawn_blocking`,
/// whose threads tokio starts as they are needed.
const WORKERS: usize = 2;

pub(super) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    /// Starts the threads. What they run belongs to this host's vlugin.
    pub(super) fn start(host: &Arc<dyn Host>) -> Result<Self, Fault> {
        let own = host.clone();
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            // As much of tokio as the vlugin's crates have switched on.
            .enable_all()
            // A name that the system cannot take would be a panic.
            .thread_name(format!("tokio-{}", host.name().replace('\0', "")))
            .on_thread_start(move || scope::settle(&own))
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
