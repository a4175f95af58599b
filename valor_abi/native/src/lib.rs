//! The native boundary: what a library exports, and how messages cross into it and out of it. The version of this crate
//! is the version of the ABI.
//!
//! [`types`] are the few flat types that cross, [`bytes`] what bodies are made of; [`stream`] is a body in pieces;
//! [`mod@export`] is the library's side and [`import`] the host's. Both sides are here so that they are compiled from
//! the same source; which of two builds may meet is decided by the
//! [metadata block](valor_abi_wire::metadata) and by `abi_stable`'s check of every layout.

#![deny(unsafe_op_in_unsafe_fn)]

/// `env!`, with the name that the types of ABI 1 have their package by: `abi_stable` notes it with each type where that
/// is derived, and takes types of another package for other types. Libraries that were built before this crate was one
/// have it, so it stays as long as ABI 1 does.
macro_rules! env {
    ("CARGO_PKG_NAME") => {
        "valor_abi"
    };
    ($name:literal) => {
        ::core::env!($name)
    };
}

pub mod bytes;
pub mod export;
pub mod import;
pub mod stream;
pub mod types;
mod version;

#[cfg(test)]
mod tests;

pub use import::{AbiHeader, AbiHeaderRef, LibraryError, LoadedModule, Unfit};
pub use version::{ABI_MAJOR, ABI_MINOR};
