//! What a vlugin was not given of its configuration, for the message of a panic: `cx.config::<T>().unwrap()` alone
//! would say that a `None` was unwrapped. [`Context::config`](crate::Context::config) notes it, and `unwind` and the
//! hook of guests ask for it.
//!
//! It is a text before anybody panics: a module that never asks for its configuration links nothing for it.

use std::{cell::RefCell, panic::Location};

struct Missed {
    /// The place that asked for it.
    file: &'static str,
    line: u32,
    why: String,
}

thread_local! {
    static LAST: RefCell<Option<Missed>> = const { RefCell::new(None) };
}

/// Notes that there is no configuration for who asked at this place, and why.
pub(crate) fn note(at: &'static Location<'static>, why: String) {
    let missed = Missed {
        file: at.file(),
        line: at.line(),
        why,
    };
    // As a thread ends this may be gone already; the panic says less then.
    let _ = LAST.try_with(|last| last.replace(Some(missed)));
}

/// The message of a panic, with what was missed if that is what was unwrapped: in the same line, or in the next one of
/// a chain of calls.
pub(crate) fn explained(message: String, at: Option<&Location<'_>>) -> String {
    let missed = LAST
        .try_with(|last| last.borrow_mut().take())
        .ok()
        .flatten();
    let is_its = |missed: &Missed| {
        at.is_some_and(|at| {
            at.file() == missed.file && (missed.line..=missed.line + 1).contains(&at.line())
        })
    };
    match missed.filter(is_its) {
        Some(missed) => format!("{}: {message}", missed.why),
        None => message,
    }
}
