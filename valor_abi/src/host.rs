//! What a vlugin may ask of its host, and how the code of a vlugin finds it.
//!
//! [`Host`] is implemented by the runtime itself (for vlugins that are compiled in), by the
//! native glue over the host's vtable, by the guest's glue over its imports, and by the test
//! kit. The glue around a vlugin enters a scope for as long as it polls the vlugin's code, so
//! that free functions such as [`sleep`] and the `log` crate's macros know whom to ask: a
//! library that is mounted twice has one set of statics, but two hosts. `scope` does that. A module has
//! one host alone, and no scope: there it is `guest::host` that answers.

#[cfg(not(target_family = "wasm"))]
mod scope;

#[cfg(target_family = "wasm")]
pub(crate) use crate::guest::host::must_be_current;
#[cfg(target_family = "wasm")]
pub use crate::guest::host::{HostRef, current, enter};
#[cfg(not(target_family = "wasm"))]
pub use scope::{HostRef, current, enter};
#[cfg(not(target_family = "wasm"))]
pub(crate) use scope::{adopt, must_be_current};

use crate::{
    fault::Fault,
    wire::{BoxFuture, Request, Response},
};
use std::time::{Duration, SystemTime};

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
