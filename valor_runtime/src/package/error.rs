//! [`PackageError`]: why a file is not accepted as a package, in one line each.

use std::path::PathBuf;

/// What is wrong with a package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The bytes are inconsistent.
    #[error(
        "{} is not a sound package: {reason}; copy it again, or make it again",
        file.display()
    )]
    Unsound {
        /// The package.
        file: PathBuf,
        /// What is inconsistent.
        reason: String,
    },

    /// It has no library for a target.
    #[error(
        "{} has no library for {target}, but for {}: build the vlugin with `--target {target}` and package it with the \
         others",
        file.display(), has.join(", ")
    )]
    NoTarget {
        /// The package.
        file: PathBuf,
        /// The target that was asked for.
        target: String,
        /// The targets that it has libraries for, in its order.
        has: Vec<String>,
    },

    /// It has no library for a target, but it has a WebAssembly module, which runs on any.
    #[error(
        "{} has no library for {target}, but a WebAssembly module: write `\"type\": \"wasm\"`, or build the vlugin \
         with `--target {target}` and package it with the module",
        file.display()
    )]
    Module {
        /// The package.
        file: PathBuf,
        /// The target that was asked for.
        target: String,
    },

    /// It holds a script and no library.
    #[error("{} holds a script: write `\"type\": \"js\"`", file.display())]
    Script {
        /// The package.
        file: PathBuf,
    },

    /// It holds libraries and no script.
    #[error(
        "{} holds no script, but libraries for {}: write `\"type\": \"native\"` or `\"type\": \"wasm\"`",
        file.display(), has.join(", ")
    )]
    NoScript {
        /// The package.
        file: PathBuf,
        /// The targets that it has libraries for, in its order.
        has: Vec<String>,
    },

    /// A library contradicts its package's manifest.
    #[error(
        "{} says that its library for {target} is of {key} `{told}`, but that says `{found}` itself: make the package \
         again",
        file.display()
    )]
    Differs {
        /// The package.
        file: PathBuf,
        /// The target of the library.
        target: String,
        /// What they differ in: `name`, `version`, `abi` or `target`.
        key: &'static str,
        /// What the manifest says.
        told: String,
        /// What the library says.
        found: String,
    },

    /// The package would not be readable afterwards.
    #[error("no package can be made of this: {reason}")]
    Unwritable {
        /// What is wrong with it.
        reason: String,
    },
}
