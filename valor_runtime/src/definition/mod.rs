//! What plugins.json says: the vlugins, where they come from, and what each may do.
//!
//! The command line reads a whole file as [`Definitions`], the registry's endpoint reads one [`Definition`] from a
//! request's body, and loaders turn each into a vlugin. A definition from here keeps every rule that can be checked
//! without its files. For a definition made in code, [`Definition::check`] checks the same rules. The caller says which
//! kinds there are: [`Kinds`] reads and checks with its own.
//!
//! # Layout
//!
//! Each key, limit and kind has one row, and each rule is written once:
//!
//! - `table`: the parts of a key's row; `keys`: the rows of a file and a definition. `fields`: a [`Definition`].
//! - `kind`: a kind of vlugin and the parts of its row; `of_kind`: what a key means for a kind.
//! - `limits`: what a vlugin may use; `limit_rows`: the row of each limit; `limit`: the parts of that row.
//! - `files`: the rows of the `config` of a `files` vlugin, and the names that it serves.
//! - `script`: what only a `js` vlugin has.
//! - `rules`: the rules that need code, such as those of a name, a prefix, a host.
//!
//! Derived from the rows:
//!
//! - `check`: compares values with them. A value is a `cursor`: `json` has those of a text, `made` those of a
//!   definition made in code.
//! - `schema`: the JSON Schema of plugins.json.
//! - `listed`: what `/_plugins` says of a definition.
//! - `written`: a test that compares the book and valor-check.js's data with them, and can write both.
//!
//! Around them:
//!
//! - `text`: from a file to its text. `json`: strict JSON whose values know their position.
//! - `kinds`: reads and checks with a set of kinds.
//! - `read`: from a text to definitions; `document`: those of a file. `duplicates`: names and prefixes are unique.
//!   `twice`: so are keys.
//! - `fault`: what is wrong, with line, column and JSON path. `nearest`: "did you mean …?"

mod check;
mod component;
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
mod listed;
mod made;
mod nearest;
mod of_kind;
mod read;
#[cfg(test)]
mod row_tests;
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

pub use component::Instance;
pub use document::{Definitions, Faulty};
pub use fault::{DefinitionFault, DefinitionFaults, Position, TOLD};
pub use fields::Definition;
pub use files::{FilesConfig, is_served};
pub use kind::{InPage, Kind, KindRow};
pub use kinds::{KindError, Kinds};
pub(crate) use limit::{Bound, MIB};
pub(crate) use limit_rows::holds;
pub use limits::Limits;
pub(crate) use listed::listed;
pub use nearest::nearest;
pub use rules::name as broken_name;
pub use script::Start;

use serde_json::Value;

/// A JSON value, with the same rule as for plugins.json: no object has a key twice.
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
