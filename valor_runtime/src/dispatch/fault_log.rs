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

/// What became of the vlugin, in a few words: "panicked: …".
pub(super) fn told(fault: &Fault) -> String {
    format!("it {}: {fault}", what(fault))
}

fn what(fault: &Fault) -> &'static str {
    match fault.kind {
        FaultKind::Panic => "panicked",
        FaultKind::Timeout => "was stopped",
        _ if fault.status >= 500 => "failed",
        _ => "refused a request",
    }
}

fn log_at(failed: log::Level, mount: &Mount, fault: &Fault, id: &str) {
    let name = &*mount.name;
    let what = what(fault);
    let level = match fault.kind {
        FaultKind::Panic | FaultKind::Timeout => log::Level::Error,
        _ if fault.status >= 500 => failed,
        _ => log::Level::Debug,
    };
    log::log!(
        target: "valor::dispatch", level, vlugin = name, id = id;
        "the vlugin `{name}` {what}: {fault}"
    );
}
