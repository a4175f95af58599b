//! [`Trap`]: what ended a guest against its will, in the words of the log and of the fault that its clients get.
//!
//! The drivers of modules and of components make one of every error of wasmtime's.

use super::clock::OutOfTime;
use crate::{Fault, FaultKind, account::Over, escape::one_line};
use wasmtime::WasmBacktrace;

/// A guest's limit of memory, for [`Trap::of`].
pub(in crate::loader) struct Memory {
    /// Bytes.
    pub limit: usize,
    /// Whether the guest wanted more.
    pub is_exceeded: bool,
}

/// Why a guest trapped, and where.
pub(in crate::loader) struct Trap {
    /// One line.
    pub why: String,
    /// Its functions, the innermost first, in one line.
    pub frames: String,
    is_late: bool,
}

impl Trap {
    /// What this error says. `otherwise` words what none of the limits explains.
    pub fn of(
        error: &wasmtime::Error,
        memory: &Memory,
        otherwise: impl FnOnce(&wasmtime::Error) -> String,
    ) -> Self {
        let why = if memory.is_exceeded {
            format!(
                "it wanted more than its {} bytes of memory (`limits.memory`)",
                memory.limit
            )
        } else if let Some(out) = error.downcast_ref::<OutOfTime>() {
            out.to_string()
        } else if let Some(over) = error.downcast_ref::<Over>() {
            over.to_string()
        } else {
            otherwise(error)
        };
        // Names come from the guest, and are as long as it likes.
        let frames: Vec<String> = error
            .downcast_ref::<WasmBacktrace>()
            .map(|trace| trace.frames().iter().map(frame).collect())
            .unwrap_or_default();
        let frames = match frames.is_empty() {
            true => "no function".to_owned(),
            false => one_line(&frames.join(" < ")),
        };
        Self {
            why,
            frames,
            is_late: error.is::<OutOfTime>(),
        }
    }

    /// What everyone who waited for the guest gets.
    pub fn fault(&self) -> Fault {
        let (kind, status) = match self.is_late {
            true => (FaultKind::Timeout, 504),
            false => (FaultKind::Error, 502),
        };
        Fault::new(kind, status, format!("the instance trapped: {}", self.why))
    }
}

/// The innermost cause of an error, in one line.
pub(in crate::loader) fn cause(error: &wasmtime::Error) -> String {
    one_line(&error.root_cause().to_string())
}

fn frame(frame: &wasmtime::FrameInfo) -> String {
    match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    }
}
