//! The native boundary: what a library exports, and how messages cross into it and out of it.
//!
//! [`types`] are the few flat types that cross, [`bytes`] what bodies are made of; [`stream`]
//! is a body in pieces; [`metadata`]
//! is the block that can be read from a file without running it; [`export`] is the library's
//! side and [`import`] the host's. Both sides are here so that they are compiled from the same
//! source; which of two builds may meet is decided by [`metadata`] and by `abi_stable`'s check
//! of every layout.

pub mod bytes;
pub mod export;
pub mod import;
pub mod stream;
pub mod types;

#[cfg(test)]
mod tests;

pub use crate::metadata::{self, ABI_MAJOR, ABI_MINOR, Metadata};
pub use import::{AbiHeader, AbiHeaderRef, LibraryError, LoadedModule, Unfit};
