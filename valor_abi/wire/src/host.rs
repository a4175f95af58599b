//! What a vlugin may ask of its host.
//!
//! The runtime implements [`Host`] (for vlugins that are compiled in, and for what it loads). So do the native boundary
//! over the host's vtable, the guest boundary over its imports, and the test kit.

use crate::{
    body::BoxFuture,
    fault::Fault,
    request::{Request, Response},
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

    /// Sends a request whose target is an absolute URL and returns the response; redirects are not followed. Fails with
    /// [`FaultKind::Refused`](crate::FaultKind::Refused) if the vlugin may not reach that host.
    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>>;

    /// Sends a request to another vlugin by its name, inside the process. The target's path is what that vlugin sees:
    /// it has no prefix.
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
    /// Its level.
    pub level: log::Level,
    /// The module that it comes from.
    pub target: &'a str,
    /// The line itself.
    pub message: &'a str,
    /// The source file, empty if it is not known.
    pub file: &'a str,
    /// The source line, 0 if it is not known.
    pub line: u32,
}
