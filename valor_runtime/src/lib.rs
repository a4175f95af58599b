//! Valor's host as a library.

#![deny(unsafe_code)]

pub mod definition;
pub mod host;
mod vlugin;

pub use definition::{Definition, Kind, Limits};
pub use http_types as http;
pub use vlugin::*;
