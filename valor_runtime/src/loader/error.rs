//! [`LoadError`]: every reason why a vlugin is not loaded, in one line each.

use super::{
    ComponentError, FilesError, GuestError, NativeError, ScriptError,
    lists::{Any, Outside},
};
use crate::{
    Fault, FaultKind,
    escape::one_line,
    file::remedy,
    package::{PackageError, SignatureError},
};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Why a vlugin was not loaded.
///
/// Every message is one line that says what is wrong with which file or vlugin, both sides if two do not fit, and what
/// to do about it. None mentions an option of a program: what a program's options could do about it, the program adds.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No file of a bare name is in any of the places.
    #[error(
        "no {what} for `{name}` was found: {} is not in {}; put it there, or give its file in `path`",
        Any(files),
        Any(looked)
    )]
    NotFound {
        /// What was looked for: a `library` or a `script`.
        what: &'static str,
        /// The bare name.
        name: String,
        /// The file names that it may have, on this platform.
        files: Vec<String>,
        /// The folders that were looked into, in this order.
        looked: Vec<PathBuf>,
    },

    /// There is no such file.
    #[error("{} does not exist: put it there, or correct `path`", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },

    /// The path is a directory.
    #[error("{} is a directory: give the vlugin's file in `path`", file.display())]
    Directory {
        /// The directory.
        file: PathBuf,
    },

    /// The path is a device, a pipe or a socket.
    #[error("{} is not a regular file: give the vlugin's file in `path`", file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
    },

    /// The file cannot be read.
    #[error("{} cannot be read: {error}; {}", file.display(), remedy(error))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: Arc<io::Error>,
    },

    /// The file is too large to be a library that is read whole.
    #[error("{} has more than {limit} bytes, which no library needs: strip its debug information", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },

    /// The file is not in a plugin directory, and has to be.
    #[error(
        "{}{}", Outside { file, dirs, is_link: *is_link, meant },
        if dirs.is_empty() || meant.is_some() || file.file_name().is_none() { "" } else { ": put it there" }
    )]
    Outside {
        /// The file.
        file: PathBuf,
        /// The plugin directories.
        dirs: Vec<PathBuf>,
        /// Whether its path is in one of them, and a symbolic link leads out.
        is_link: bool,
        /// The file of that name in one of them.
        meant: Option<PathBuf>,
    },

    /// `sha256` of a definition is not one.
    #[error(
        "`sha256` of vlugin `{name}` is `{given}`, which is not 64 hexadecimal digits: write what `sha256sum \
         FILE` prints"
    )]
    Sha256Invalid {
        /// The vlugin.
        name: String,
        /// What the definition says.
        given: String,
    },

    /// The file is not the one that the definition means.
    #[error(
        "{} has the SHA-256 {actual}, but its definition says {expected}: bring back the file that was meant, \
         or correct `sha256`",
        file.display()
    )]
    Sha256 {
        /// The file.
        file: PathBuf,
        /// What the definition says.
        expected: String,
        /// What it is.
        actual: String,
    },

    /// This program cannot run WebAssembly.
    #[error(
        "the vlugin `{name}` is of type `wasm`, which this program was built without: build it with the feature `wasm`"
    )]
    NoWasm {
        /// The vlugin.
        name: String,
    },

    /// The file is not a library that can be a vlugin here.
    #[error("{} {error}", file.display())]
    Native {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: NativeError,
    },

    /// The file is not a WebAssembly module that can be a vlugin.
    #[error("{} {error}", file.display())]
    Guest {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: GuestError,
    },

    /// The file is not a WebAssembly component that can be a vlugin.
    #[error("{} {error}", file.display())]
    Component {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: Box<ComponentError>,
    },

    /// The library says nothing of Valor.
    #[error("{} is not a vlugin: it has no Valor metadata; was it built with #[vlugin]?", file.display())]
    NoMetadata {
        /// The file.
        file: PathBuf,
    },

    /// The code that a library runs as it is opened does not return.
    #[error(
        "{} was not read and opened within {} s: the storage does not answer, or code that the library runs when it is \
         opened does not return; its thread is lost",
        file.display(), limit.as_secs_f64()
    )]
    OpenTimedOut {
        /// The file, or what the definition says of it while it was not found yet.
        file: PathBuf,
        /// How long was waited.
        limit: Duration,
    },

    /// A vlugin's creation ended with an error.
    #[error("vlugin `{name}` could not be created: {}", one_line(message))]
    CreateFailed {
        /// The vlugin.
        name: String,
        /// What it said.
        message: String,
    },

    /// A vlugin's creation panicked.
    #[error(
        "vlugin `{name}` panicked as it was created: {}{}",
        one_line(message),
        At(place)
    )]
    CreatePanicked {
        /// The vlugin.
        name: String,
        /// What the panic said.
        message: String,
        /// `file:line:column`, if it is known.
        place: Option<String>,
    },

    /// A vlugin's creation waits for something that never comes.
    #[error(
        "vlugin `{name}` was not created within {} s: its `on_create` waits for something that never comes",
        limit.as_secs_f64()
    )]
    CreateTimedOut {
        /// The vlugin.
        name: String,
        /// How long was waited.
        limit: Duration,
    },

    /// A vlugin's creation takes too long, and it is not known to wait.
    #[error(
        "vlugin `{name}` was not created within {} s: its code still runs, or this machine is too busy to run it; do \
         less as it begins, or start it again when the machine is less busy",
        limit.as_secs_f64()
    )]
    CreateTooSlow {
        /// The vlugin.
        name: String,
        /// How long was waited.
        limit: Duration,
    },

    /// A vlugin's creation blocks the thread that it runs on, which is lost until it returns.
    #[error(
        "vlugin `{name}` was not created within {} s: its `on_create` blocks its thread; let it wait with \
         `.await` and `valor::sleep`",
        limit.as_secs_f64()
    )]
    CreateBlocks {
        /// The vlugin.
        name: String,
        /// How long was waited.
        limit: Duration,
    },

    /// A folder that cannot be served.
    #[error(transparent)]
    Files(#[from] FilesError),

    /// A package that is not sound, or has nothing for this host.
    #[error(transparent)]
    Package(#[from] PackageError),

    /// A file that is not signed by those who are trusted.
    #[error(transparent)]
    Signature(#[from] SignatureError),

    /// A script that cannot be run.
    #[error(transparent)]
    Script(#[from] ScriptError),

    /// The system gives no thread to load on.
    #[error(
        "vlugin `{name}` cannot be loaded: the system cannot start a thread for it: {error}; raise the limit on threads"
    )]
    NoThread {
        /// The vlugin.
        name: String,
        /// What the system says.
        error: Arc<io::Error>,
    },
}

impl LoadError {
    /// A vlugin whose creation ended with this fault.
    pub(super) fn not_created(name: String, fault: Fault) -> Self {
        match fault.kind {
            FaultKind::Panic => Self::CreatePanicked {
                name,
                message: fault.message,
                place: fault.place,
            },
            _ => Self::CreateFailed {
                name,
                message: fault.message,
            },
        }
    }

    /// Whether the file is a sound library for another platform than this host's.
    pub fn is_for_another_host(&self) -> bool {
        matches!(
            self,
            Self::Native {
                error: NativeError::Platform { .. } | NativeError::Target { .. },
                ..
            }
        )
    }
}

impl NativeError {
    /// This is wrong with `file`.
    pub(super) fn of(self, file: &Path) -> LoadError {
        LoadError::Native {
            file: file.to_owned(),
            error: self,
        }
    }
}

struct At<'a>(&'a Option<String>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .as_deref()
            .map_or(Ok(()), |place| write!(f, " at {}", one_line(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_one_line() {
        let error = LoadError::CreateFailed {
            name: "a".into(),
            message: "no\n  such \x1b[31mtable\r\n".into(),
        };
        assert_eq!(
            error.to_string(),
            "vlugin `a` could not be created: no such \\u{1b}[31mtable"
        );
    }

    #[test]
    fn places_are_listed_as_people_do() {
        let not_found = |looked: &[&str]| {
            LoadError::NotFound {
                what: "library",
                name: "a".into(),
                files: vec!["liba.so".into()],
                looked: looked.iter().map(PathBuf::from).collect(),
            }
            .to_string()
        };
        let line = "no library for `a` was found: liba.so is not in";
        assert!(not_found(&[]).starts_with(&format!("{line} any place;")));
        assert!(not_found(&["/1"]).starts_with(&format!("{line} /1;")));
        assert!(not_found(&["/1", "/2", "/3"]).starts_with(&format!("{line} /1, /2 or /3;")));
    }
}
