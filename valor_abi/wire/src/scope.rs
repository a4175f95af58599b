//! Whose code is running: the hosts of a library or a program, which may be several. The glue around a vlugin enters a
//! host's scope while it polls the vlugin's code, so that free functions such as `valor::sleep` and the `log` crate's
//! macros know whom to ask. A library that is mounted twice has one set of statics, but two hosts. A module has only
//! one host, and no scope.

use crate::host::{Host, LogRecord};
use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
};

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
}

/// The first host of this library: code on threads that the vlugin starts uses it.
static FIRST: OnceLock<Arc<dyn Host>> = OnceLock::new();

/// Runs code with this host as the current one of the thread.
pub fn enter<T>(host: &Arc<dyn Host>, code: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<dyn Host>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let before = self.0.take();
            let _ = CURRENT.try_with(|current| current.replace(before));
        }
    }
    // While a thread ends, there may be no current host any more: then the first one is used.
    let before = CURRENT.try_with(|current| current.replace(Some(host.clone())));
    let _restore = Restore(before.ok().flatten());
    code()
}

/// Makes this host the current one of the thread for as long as that lives: for threads that belong to one vlugin.
pub fn settle(host: &Arc<dyn Host>) {
    let _ = CURRENT.try_with(|current| current.replace(Some(host.clone())));
}

/// The host of the running vlugin; on a thread that the vlugin started itself, the host of the library's first vlugin.
pub fn current() -> Option<Arc<dyn Host>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
        .or_else(|| FIRST.get().cloned())
}

/// Makes this host the one for code outside any vlugin's scope, if it is the first, and sends the `log` crate's records
/// of this library to the current host.
pub fn adopt(host: &Arc<dyn Host>) {
    let _ = FIRST.set(host.clone());
    // This fails if the author has set a logger: that one stays.
    let _ = log::set_logger(&HostLogger);
    if host.max_level() > log::max_level() {
        log::set_max_level(host.max_level());
    }
}

/// Whether a host was adopted. In a program that only links vlugins, none is.
pub fn is_adopted() -> bool {
    FIRST.get().is_some()
}

struct HostLogger;

impl log::Log for HostLogger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        current().is_some_and(|host| metadata.level() <= host.max_level())
    }

    fn log(&self, record: &log::Record<'_>) {
        let Some(host) = current() else { return };
        if record.level() > host.max_level() {
            return;
        }
        host.log(&LogRecord {
            level: record.level(),
            target: record.target(),
            message: &record.args().to_string(),
            file: record.file().unwrap_or_default(),
            line: record.line().unwrap_or_default(),
        });
    }

    fn flush(&self) {}
}
