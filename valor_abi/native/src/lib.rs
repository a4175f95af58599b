//! The native boundary: what a library exports, and how messages cross into it and out of it. The version of this crate
//! is the version of the ABI.
//!
//! [`types`] are the few flat types that cross, [`bytes`] the parts of bodies; [`stream`] is a body in pieces;
//! [`mod@export`] is the library's side and [`import`] the host's. Both sides are here so that they are compiled from
//! the same source. The [metadata block](valor_abi_wire::metadata) and `abi_stable`'s check of every layout decide
//! which builds may meet.

#![deny(unsafe_op_in_unsafe_fn)]

/// `env!`, with the package name of the types of ABI 1: `abi_stable` records it with each type that derives its trait,
/// and considers types of another package different types. Libraries that were built before this crate existed have
/// that name, so it stays as long as ABI 1 does.
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
