//! [`NativeError`]: why a native library is not loaded. `native` makes them.

use crate::escape::one_line;
use std::{io, path::PathBuf, sync::Arc};
use valor_abi_wire::metadata::Metadata;

/// What is wrong with a library, in one line without its file's name, which
/// [`LoadError::Native`](crate::loader::LoadError::Native) puts in front.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// It is not a library of any platform.
    #[error("is not a library but {found}: {remedy}")]
    NotALibrary {
        /// What it is instead.
        found: String,
        /// What to do about it.
        remedy: &'static str,
    },

    /// It is cut off, or contradicts itself.
    #[error("is damaged: {reason}; build it or copy it again")]
    Damaged {
        /// What is wrong in it.
        reason: String,
    },

    /// It is for another system or processor.
    #[error("is {found}, but this host needs {host}: build it for {target}")]
    Platform {
        /// What it is, such as `PE for x86_64`.
        found: String,
        /// What the host needs.
        host: String,
        /// The host's target triple.
        target: &'static str,
    },

    /// It is code for this platform, but not code that can be loaded.
    #[error(
        "is {found} and not a dynamic library: set `crate-type = [\"cdylib\"]` in its Cargo.toml"
    )]
    NotDynamic {
        /// What it is instead.
        found: &'static str,
    },

    /// Its metadata cannot be read.
    #[error(
        "has Valor metadata that cannot be read: {reason}; build it again with valor_abi {VERSION}"
    )]
    BadMetadata {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// Several vlugins were linked into it.
    #[error("holds several vlugins ({}): build a separate library for each", one_line(&names.join(", ")))]
    SeveralVlugins {
        /// The names of their crates.
        names: Vec<String>,
    },

    /// It speaks another major version of the ABI.
    #[error(
        "speaks version {found} of Valor's ABI, but this host speaks {ours}: build it again with valor_abi {VERSION}, \
         or run it in a host that speaks {found}"
    )]
    AbiVersion {
        /// Its version, `major.minor`.
        found: String,
        /// The host's version, `major.minor`.
        ours: String,
    },

    /// A panic in it would end the process.
    #[error(
        "was built with panic = \"abort\", and a panic in it would end this host: build it with panic = \"unwind\", \
         which is the default"
    )]
    PanicAborts,

    /// It is for this kind of system and processor, but for another target triple.
    #[error(
        "was built for {}, but this host for {ours}: build it with `--target {ours}`",
        one_line(found)
    )]
    Target {
        /// Its target triple.
        found: String,
        /// The host's target triple.
        ours: &'static str,
    },

    /// It does not export the symbol that its metadata names.
    #[error(
        "does not export `{}`, which its metadata names: build it again, with its exported symbols left in",
        one_line(symbol)
    )]
    NoSymbol {
        /// The symbol.
        symbol: String,
    },

    /// The private copy that is loaded could not be written.
    #[error("cannot be copied to {}, from where it is loaded: {error}; {remedy}", dir.display())]
    Copy {
        /// The folder of the copy.
        dir: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
        /// What to do about it.
        remedy: &'static str,
    },

    /// The folder for the private copy does not let code run.
    #[error(
        "cannot be loaded from {}, where no code may run (mounted noexec): set TMPDIR to a folder where it may",
        dir.display()
    )]
    NoExec {
        /// The folder of the copy.
        dir: PathBuf,
    },

    /// The system's loader refused it.
    #[error(
        "is refused by the system's loader: {}; make sure that its dependencies are installed",
        one_line(reason)
    )]
    Open {
        /// What the system says.
        reason: String,
    },

    /// The types that cross the boundary have another layout in it.
    #[error(
        "does not fit this host: {}; it was built by rustc {}, this host by rustc {}: build it again with valor_abi \
         {VERSION}",
        one_line(mismatch),
        one_line(rustc),
        Metadata::this_rustc()
    )]
    Layout {
        /// The first difference.
        mismatch: String,
        /// The compiler of the library.
        rustc: String,
    },
}

/// The version of `valor_abi` that fits this host.
const VERSION: &str = env!("CARGO_PKG_VERSION");
