//! The host for an author's code: functions that ask the host of the running vlugin.

use std::time::{Duration, SystemTime};

#[cfg(target_family = "wasm")]
pub(crate) use valor_abi_guest::host::{HostRef, must_be_current};

/// The host, for the glue.
#[cfg(not(target_family = "wasm"))]
pub(crate) type HostRef = std::sync::Arc<dyn valor_abi_wire::Host>;

#[cfg(not(target_family = "wasm"))]
pub(crate) fn must_be_current() -> HostRef {
    valor_abi_wire::scope::current()
        .expect("valor's functions are called from a vlugin that a host has created")
}

/// The host of the running code, if there is one.
#[cfg(feature = "tracing")]
pub(crate) fn current() -> Option<HostRef> {
    #[cfg(target_family = "wasm")]
    return Some(must_be_current());
    #[cfg(not(target_family = "wasm"))]
    valor_abi_wire::scope::current()
}

/// Whether a host has loaded this code, or a test creates vlugins: in a program that links a vlugin, what is global is
/// the program's.
#[cfg(feature = "tracing")]
pub(crate) fn is_adopted() -> bool {
    #[cfg(target_family = "wasm")]
    return true;
    #[cfg(not(target_family = "wasm"))]
    valor_abi_wire::scope::is_adopted()
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
