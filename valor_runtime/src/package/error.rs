//! [`PackageError`]: why a file is not accepted as a package, in one line each.

use super::{WASI_TARGET, WASM_TARGET};
use std::{collections::BTreeSet, path::PathBuf};

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

    /// It has no library for a target, but it has WebAssembly, which runs on any.
    #[error(
        "{} has no library for {target}, but a WebAssembly {what}: write `\"type\": \"{kind}\"`, or build the vlugin \
         with `--target {target}` and package it with the {what}",
        file.display()
    )]
    OfAnotherType {
        /// The package.
        file: PathBuf,
        /// The target that was asked for.
        target: String,
        /// What it has: `module` or `component`.
        what: &'static str,
        /// The type of a definition for that.
        kind: &'static str,
    },

    /// It holds a script and no library.
    #[error("{} holds a script: write `\"type\": \"js\"`", file.display())]
    Script {
        /// The package.
        file: PathBuf,
    },

    /// It holds libraries, and no script or no component.
    #[error(
        "{} holds no {what}, but libraries for {}: write {}",
        file.display(), has.join(", "), types(has)
    )]
    WithoutIt {
        /// The package.
        file: PathBuf,
        /// What was asked for: `script` or `component`.
        what: &'static str,
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

/// The types of the definitions that libraries for these targets are for.
fn types(targets: &[String]) -> String {
    let kind = |target: &String| match &**target {
        WASM_TARGET => "`\"type\": \"wasm\"`",
        WASI_TARGET => "`\"type\": \"wasi\"`",
        _ => "`\"type\": \"native\"`",
    };
    let kinds: BTreeSet<_> = targets.iter().map(kind).collect();
    kinds.into_iter().collect::<Vec<_>>().join(" or ")
}
