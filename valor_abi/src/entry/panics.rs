//! Panics of an author's code that no response can report: in a body, in a destructor, in a task. `scoped` and
//! `runtime` send them to the host's log, where each is one line.

use valor_abi_wire::{Fault, Host, LogRecord, unwind::Panicked};

/// Logs a panic, with its message and place.
pub(super) fn log_panic(host: &dyn Host, panicked: Panicked) {
    host.log(&LogRecord {
        level: log::Level::Error,
        target: "valor::panic",
        message: &Fault::from(panicked).to_string(),
        file: "",
        line: 0,
    });
}
