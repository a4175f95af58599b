//! [`FilesError`]: why a folder is not served. `files` makes them.

use std::path::PathBuf;

/// What is wrong with a folder, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// There is no such folder.
    #[error("the folder {} does not exist: create it, or correct `path`", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },

    /// The path leads to something else.
    #[error("{} is not a folder: give the folder to serve in `path`", file.display())]
    NotAFolder {
        /// The path.
        file: PathBuf,
    },

    /// The folder has no such file to fall back to.
    #[error("{} is not a file that can be served: create it, or correct `fallback`", file.display())]
    NoFallback {
        /// The file.
        file: PathBuf,
    },
}
