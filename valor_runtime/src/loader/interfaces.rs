//! [`Interfaces`]: what a file imports and exports by name, and what made it. A kind whose files have such names fills
//! it in when it looks at a file; `inspect` shows it without knowing the kind.

use serde::Serialize;

/// What a file imports, what it exports, and what made it. Empty for a format that has no names for that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Interfaces {
    /// The worlds that its exports make it fit for: `wasi:http/proxy@0.2.12`.
    pub worlds: Vec<String>,
    /// The interfaces and functions that it exports.
    pub exports: Vec<String>,
    /// The interfaces and functions that it imports.
    pub imports: Vec<String>,
    /// The languages and tools that made it.
    pub producers: Vec<Producer>,
    /// How many core modules it has.
    pub modules: u64,
}

/// A language or a tool that had a part in making a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Producer {
    /// Its part: `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Its name.
    pub name: String,
    /// Its version, which may be empty.
    pub version: String,
}

impl Interfaces {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
