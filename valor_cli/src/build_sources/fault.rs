//! [`BuildFault`]: why a crate was not built.

use crate::programs::Unfinished;
use std::io::ErrorKind;

/// Why a crate was not built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildFault {
    /// What is wrong and what to do, without the vlugin's name.
    pub line: String,
    /// Whether a tool is missing: then an `optional` vlugin is left out.
    pub no_tool: bool,
}

/// A fault of the crate.
pub(super) fn fault(line: String) -> BuildFault {
    BuildFault {
        line,
        no_tool: false,
    }
}

/// A fault of the machine: cargo cannot be run.
pub(super) fn cannot_run(error: Unfinished) -> BuildFault {
    let no_tool =
        matches!(&error, Unfinished::System(error) if error.kind() == ErrorKind::NotFound);
    let line = match no_tool {
        true => {
            "there is no cargo to build it; install Rust from https://rustup.rs, or name cargo in \
                 $CARGO"
                .to_owned()
        }
        false => format!("cargo {error}"),
    };
    BuildFault { line, no_tool }
}
