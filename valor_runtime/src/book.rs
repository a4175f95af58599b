//! The pages of the book that are for programs with a runtime inside: their Rust examples are
//! the doctests of this module, which exists for nothing else.

#[doc = include_str!("../../docs/src/embedding.md")]
mod embedding {}
#[doc = include_str!("../../docs/src/plugins-json.md")]
mod plugins_json {}
