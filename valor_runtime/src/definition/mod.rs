//! What plugins.json says: which vlugins there are, where they come from and what each may do.
//!
//! The command line reads a whole file as [`Definitions`], the registry's endpoint reads one
//! [`Definition`] from a request's body, and loaders turn each into a vlugin. A definition that
//! comes out of here keeps every rule that can be seen without touching its files; one that is
//! put together in code is held to the same rules by [`Definition::check`]. Which kinds there are is said from above:
//! [`Kinds`] reads and checks with those that it has.
//!
//! # Layout
//!
//! Each key, limit and kind has one row, and each rule stands once:
//!
//! - `table`: what a row of a key is made of; `keys`: the rows of a file and a definition. `fields`: a [`Definition`].
//! - `kind`: what a kind of vlugin and its row are; `of_kind`: what a key is for a kind.
//! - `limits`: what a vlugin may use; `limit_rows`: the row of each limit; `limit`: what that is made of.
//! - `files`: the rows of the `config` of a `files` vlugin, and the names that it serves.
//! - `script`: what only a `js` vlugin has.
//! - `rules`: what a name, a prefix, a host may be: the rules that are code.
//!
//! From the rows:
//!
//! - `check`: holds values to them, which are a `cursor`: `json` has those of a text, `made` those of a definition made in
//!   code.
//! - `schema`: the JSON Schema of plugins.json.
//! - `written`: a test that holds the book and valor-check.js's data to them, and writes both.
//!
//! Around them:
//!
//! - `text`: from a file to its text. `json`: strict JSON whose values know where they stand.
//! - `kinds`: what reads and checks with the kinds that there are.
//! - `read`: from a text to definitions; `document`: those of a file. `taken`: no name and no prefix is there twice.
//!   `twice`: no key is.
//! - `fault`: what is wrong, with line, column and JSON path. `nearest`: "did you mean …?"

mod check;
mod cursor;
mod document;
mod duplicates;
mod fault;
mod fields;
pub(crate) mod files;
mod json;
mod keys;
mod kind;
mod kinds;
mod limit;
mod limit_rows;
mod limits;
mod made;
mod nearest;
mod of_kind;
mod read;
mod rules;
mod schema;
#[cfg(test)]
mod schema_tests;
mod script;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod twice;
#[cfg(test)]
mod written;

pub use document::Definitions;
pub use fault::{DefinitionFault, DefinitionFaults, Position, TOLD};
pub use fields::Definition;
pub use files::{FilesConfig, is_served};
pub use kind::{InPage, Kind, KindRow};
pub use kinds::{KindError, Kinds};
pub(crate) use limit::{Bound, MIB};
pub(crate) use limit_rows::holds;
pub use limits::Limits;
pub use nearest::nearest;
pub(crate) use rules::name as broken_name;
pub use script::Start;

use serde_json::Value;

/// A JSON value, held to what a plugins.json is held to as a text: no key is there twice in one object.
///
/// ```
/// use valor_runtime::definition::json;
///
/// assert_eq!(json("[1, 2]")?, serde_json::json!([1, 2]));
/// let faults = json(r#"{ "a": { "b": 1, "b": 2 } }"#).unwrap_err();
/// assert_eq!(faults.to_string(), "1:18: a.b: this key is there already at 1:10; take one of them out");
/// # Ok::<(), valor_runtime::definition::DefinitionFaults>(())
/// ```
///
/// # Errors
/// What is wrong with the text, with line and column.
pub fn json(text: &str) -> Result<Value, DefinitionFaults> {
    read::value(text).map_err(|faults| faults.of(None))
}
