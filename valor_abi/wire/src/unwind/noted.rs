//! Why a value is missing, for the panic of code that unwraps it: `cx.config::<T>().unwrap()` would only say that it
//! was a `None`. `Context::config` notes the reason, and [`Panicked::at`](super::Panicked::at) asks for it.
//!
//! It is formatted before any panic: a module that never asks for its configuration links nothing for it.

use std::{cell::Cell, panic::Location};

struct Noted {
    /// The place that asked for it.
    file: &'static str,
    line: u32,
    why: String,
}

thread_local! {
    static LAST: Cell<Option<Noted>> = const { Cell::new(None) };
}

/// Notes why the code at this place gets nothing.
pub fn note(at: &'static Location<'static>, why: String) {
    let noted = Noted {
        file: at.file(),
        line: at.line(),
        why,
    };
    // While a thread ends, this may already be gone; the panic says less then.
    let _ = LAST.try_with(|last| last.set(Some(noted)));
}

/// The message of a panic, with the note about what was unwrapped: in the same line, or in the next one of a chain of
/// calls.
pub(super) fn explained(message: String, at: Option<&Location<'_>>) -> String {
    let noted = LAST.try_with(Cell::take).ok().flatten();
    let is_its = |noted: &Noted| {
        at.is_some_and(|at| {
            at.file() == noted.file && (noted.line..=noted.line + 1).contains(&at.line())
        })
    };
    match noted.filter(is_its) {
        Some(noted) => format!("{}: {message}", noted.why),
        None => message,
    }
}
