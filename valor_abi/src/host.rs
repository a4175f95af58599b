//! What a vlugin may ask of its host, and how the code of a vlugin finds it.
//!
//! [`Host`] is implemented by the runtime itself (for vlugins that are compiled in), by the
//! native glue over the host's vtable, by the guest's glue over its imports, and by the test
//! kit. The glue around a vlugin enters a scope for as long as it polls the vlugin's code, so
//! that free functions such as [`sleep`] and the `log` crate's macros know whom to ask: a
//! library that is mounted twice has one set of statics, but two hosts.

use crate::{
    fault::Fault,
    wire::{BoxFuture, Request, Response},
};
use std::{
    cell::RefCell,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

/// What a host does for one vlugin.
pub trait Host: Send + Sync + 'static {
    /// The vlugin's name, as plugins.json gives it.
    fn name(&self) -> &str;

    /// Takes a line for the host's log.
    fn log(&self, record: &LogRecord<'_>);

    /// The most verbose level that the host's log keeps.
    fn max_level(&self) -> log::LevelFilter;

    /// Sends a request whose target is an absolute URL and gives the response, redirects not
    /// followed. Fails with [`FaultKind::Refused`](crate::fault::FaultKind::Refused) where the
    /// vlugin may not reach that host.
    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>>;

    /// Hands a request to another vlugin by its name, inside the process. The target's path is
    /// what that vlugin sees: it has no prefix.
    fn call(&self, vlugin: &str, request: Request) -> BoxFuture<'static, Result<Response, Fault>>;

    /// Ends after this time.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;

    /// The time of day.
    fn now(&self) -> SystemTime;

    /// Fills the buffer from the system's random source.
    fn random(&self, buffer: &mut [u8]);
}

/// A line for the host's log.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// How grave it is.
    pub level: log::Level,
    /// The module that it comes from.
    pub target: &'a str,
    /// The line itself.
    pub message: &'a str,
    /// Source file, empty where it is not known.
    pub file: &'a str,
    /// Source line, 0 where it is not known.
    pub line: u32,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Host>>> = const { RefCell::new(None) };
}

/// The first host of this library: whom code asks that runs on a thread of its own.
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
    // As a thread ends there may be no current host any more: then the first one stands in.
    let before = CURRENT.try_with(|current| current.replace(Some(host.clone())));
    let _restore = Restore(before.ok().flatten());
    code()
}

/// The host of the vlugin whose code runs here; on a thread that the vlugin started itself, the
/// host of the library's first vlugin.
pub fn current() -> Option<Arc<dyn Host>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
        .or_else(|| FIRST.get().cloned())
}

/// Makes this host the one for code outside of any vlugin's scope, if it is the first, and
/// sends the `log` crate's records of this library to the current host.
pub(crate) fn adopt(host: &Arc<dyn Host>) {
    let _ = FIRST.set(host.clone());
    // Fails where the author has set a logger of his own: that one stays.
    let _ = log::set_logger(&HostLogger);
    if host.max_level() > log::max_level() {
        log::set_max_level(host.max_level());
    }
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

/// Waits on the host's timer.
///
/// # Panics
/// On a thread that no vlugin of this library has been created on or for.
pub async fn sleep(time: Duration) {
    must_be_current().sleep(time).await;
}

/// The time of day, by the host's clock.
///
/// # Panics
/// As [`sleep`].
pub fn now() -> SystemTime {
    must_be_current().now()
}

/// Fills the buffer with random bytes that are fit for keys.
///
/// # Panics
/// As [`sleep`].
pub fn random(buffer: &mut [u8]) {
    must_be_current().random(buffer);
}

pub(crate) fn must_be_current() -> Arc<dyn Host> {
    current().expect("valor's functions are called from a vlugin that a host has created")
}
