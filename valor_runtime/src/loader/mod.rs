//! From a definition to a vlugin. Each kind of vlugin has a loader of its own; loaders do not
//! know each other. The runtime calls them when it starts and when a vlugin is registered.
//!
//! A loader promises that bad input of any sort ends as a [`LoadError`] and never as the end of
//! the process, and that nothing of a file runs before all that can be checked was checked.

mod error;
pub(crate) mod files;
pub(crate) mod js;
pub mod native;
mod npm;
mod paths;
mod script_error;
mod search;
pub(crate) mod unpack;
#[cfg(feature = "wasm")]
pub mod wasm;

pub(crate) use crate::escape::one_line;
pub use error::LoadError;
pub use native::{Loaded, NativeLoader, images_mapped};
pub use script_error::ScriptError;
pub use search::read;
#[cfg(feature = "wasm")]
pub use wasm::{LoadedGuest, WasmLoader};
