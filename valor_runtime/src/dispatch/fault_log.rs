//! Logs a vlugin's faults, in its response and in its bodies.

use crate::{Fault, FaultKind, registry::Mount};

/// Logs a fault, with the vlugin's name and the request's id.
pub(super) fn log_fault(mount: &Mount, fault: &Fault, id: &str) {
    log_at(log::Level::Error, mount, fault, id);
}

/// The same, if the request's body broke off: anyone can cause that, and most faults after it are not the vlugin's.
pub(super) fn log_after_broken_body(mount: &Mount, fault: &Fault, id: &str) {
    log_at(log::Level::Debug, mount, fault, id);
}

fn log_at(failed: log::Level, mount: &Mount, fault: &Fault, id: &str) {
    let name = &*mount.name;
    let (level, what) = match fault.kind {
        FaultKind::Panic => (log::Level::Error, "panicked"),
        FaultKind::Timeout => (log::Level::Error, "was stopped"),
        _ if fault.status >= 500 => (failed, "failed"),
        _ => (log::Level::Debug, "refused a request"),
    };
    log::log!(
        target: "valor::dispatch", level, vlugin = name, id = id;
        "the vlugin `{name}` {what}: {fault}"
    );
}
