//! Valor's host as a library.

#![deny(unsafe_code)]

pub mod definition;
mod inspect;
pub mod loader;
mod vlugin;

pub use definition::{Definition, Kind, Limits};
pub use http_types as http;
pub use inspect::{Inspection, inspect};
pub use loader::{LoadError, NativeLoader};
pub use vlugin::*;
