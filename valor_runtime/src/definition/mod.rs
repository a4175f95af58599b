//! What plugins.json says: which vlugins there are, where they come from and what each may do.
//!
//! The command line reads a whole file as [`Definitions`], the registry's endpoint reads one
//! [`Definition`] from a request's body, and loaders turn each into a vlugin. A definition that
//! comes out of here keeps every rule that can be seen without touching its files; one that is
//! put together in code is held to the same rules by [`Definition::check`].
//!
//! # Layout
//!
//! Each key, limit and kind has one row, and each rule stands once:
//!
//! - `table`: what a row of a key is made of; `keys`: the rows of a file and a definition.
//! - `kind`: the kinds of vlugin, with a row for each.
//! - `limits`: what a vlugin may use, with a row for each limit; `limit`: what that is made of.
//! - `files`: the rows of the `config` of a `files` vlugin, and the names that it serves.
//! - `script`: what only a `js` vlugin has.
//! - `rules`: what a name, a prefix, a host may be: the rules that are code.
//!
//! From the rows:
//!
//! - `check`: holds values to them. `cursor`: the values, of a text or of a definition made in code.
//! - `schema`: the JSON Schema of plugins.json.
//! - `written`: a test that holds the book and valor-check.js's data to them, and writes both.
//!
//! Around them:
//!
//! - `text`: from a file to its text. `json`: strict JSON whose values know where they stand.
//! - `read`: from a text to definitions. `taken`: no name and no prefix is there twice.
//! - `fault`: what is wrong, with line, column and JSON path. `nearest`: "did you mean …?"

mod check;
mod cursor;
mod fault;
pub(crate) mod files;
mod json;
mod keys;
pub(crate) mod kind;
mod limit;
mod limits;
mod nearest;
mod read;
mod rules;
mod schema;
#[cfg(test)]
mod schema_tests;
mod script;
mod table;
mod taken;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
mod written;

pub use fault::{DefinitionFault, DefinitionFaults, Position, TOLD};
pub use files::{FilesConfig, is_served};
pub use kind::Kind;
pub use limits::Limits;
pub(crate) use limits::holds;
pub use nearest::nearest;
pub use schema::json_schema;
pub use script::Start;

use check::Checker;
use cursor::Made;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One vlugin of plugins.json.
///
/// ```
/// use valor_runtime::{Definition, Kind};
///
/// let hello = Definition::from_json(r#"{ "type": "native", "name": "hello" }"#)?;
/// assert_eq!((hello.kind, &*hello.prefix()), (Kind::Native, "/hello"));
///
/// let faults = Definition::from_json(r#"{ "type": "nativ", "name": "hello" }"#).unwrap_err();
/// assert_eq!(
///     faults.to_string(),
///     "1:11: type: `nativ` is not a type of vlugin; did you mean `native`?"
/// );
/// # Ok::<(), valor_runtime::definition::DefinitionFaults>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Which loader turns it into a vlugin.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The name: in the log, in `x-valor-plugin`, and for `call`. Letters, digits, `_`, `.` and
    /// `-`, at most 64, the first neither `_` nor `.`.
    pub name: String,
    /// Where it is mounted; `/` and the name, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the prefix is taken off the path. An app with a base path takes all of it.
    #[serde(default = "stripped", skip_serializing_if = "Clone::clone")]
    pub strip: bool,
    /// Whether the prefix is put in front of paths in `location`, `content-location` and cookies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewrite: bool,
    /// The library's file, or a bare name to look for; where it is not said, the library of
    /// `source`, or else the name. For `js`, the script; for `files`, the folder, which has to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The folder of the crate that it is built from, relative to plugins.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Handed to the vlugin as it is; what `files` has of it is said there.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// The SHA-256 that the file must have, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The hosts that it may reach, `host`, `host:port` or `*.domain`, or `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// `js` alone: the files and folders that the script may read, from its folder; `.` is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// `js` alone: vlugins of the same group share a process, and its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `js` alone: whether it is started when it is loaded, or by its first request.
    #[serde(default, skip_serializing_if = "Start::is_default")]
    pub start: Start,
    /// Whether to serve the rest where this one cannot be built or loaded for want of a tool or a package.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

fn stripped() -> bool {
    const { keys::flag("strip") }
}

/// All of a plugins.json, in its order, each with the positions of its keys in the text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definitions {
    file: Option<PathBuf>,
    entries: Vec<(Definition, read::Positions)>,
}

impl Definition {
    /// A definition of one vlugin, as the registry takes it.
    ///
    /// # Errors
    /// Every fault of the text, with line and column.
    pub fn from_json(text: &str) -> Result<Self, DefinitionFaults> {
        read::one(text).map_err(|faults| faults.of(None))
    }

    /// A definition with nothing but the two keys that each has.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            prefix: None,
            strip: stripped(),
            rewrite: false,
            path: None,
            source: None,
            config: Value::Null,
            sha256: None,
            allow: None,
            limits: Limits::default(),
            files: Vec::new(),
            group: None,
            start: Start::default(),
            optional: false,
        }
    }

    /// Where it is mounted.
    pub fn prefix(&self) -> String {
        self.prefix
            .clone()
            .unwrap_or_else(|| format!("/{}", self.name))
    }

    /// Holds a definition that was put together in code to the rules of plugins.json.
    ///
    /// # Errors
    /// Every rule that it breaks, by key, without a position.
    pub fn check(&self) -> Result<(), DefinitionFaults> {
        let mut checker = Checker::of(None);
        checker.definition(&Made::Definition(self), "");
        match checker.faults {
            faults if faults.is_empty() => Ok(()),
            faults => Err(faults.of(None)),
        }
    }
}

impl Definitions {
    /// Reads a plugins.json.
    ///
    /// # Errors
    /// That it cannot be read, or every fault that is in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, DefinitionFaults> {
        match Self::sound_from_file(path) {
            (definitions, None) => Ok(definitions),
            (_, Some(faults)) => Err(faults),
        }
    }

    /// Reads a plugins.json and gives the definitions in it that are sound, beside every fault:
    /// to serve what can be served, or to look for faults in what they name as well.
    pub fn sound_from_file(path: impl AsRef<Path>) -> (Self, Option<DefinitionFaults>) {
        let path = path.as_ref();
        match text::file(path) {
            Ok(bytes) => Self::sound_from_bytes(bytes, path),
            Err(faults) => (Self::default(), Some(faults.of(Some(path)))),
        }
    }

    /// The same of bytes that were read already; `file` is what they are called in faults.
    pub fn sound_from_bytes(bytes: Vec<u8>, file: &Path) -> (Self, Option<DefinitionFaults>) {
        let (mut definitions, faults) = text::bytes(bytes);
        definitions.file = Some(file.to_owned());
        let faults = (!faults.is_empty()).then(|| faults.of(Some(file)));
        (definitions, faults)
    }

    /// Reads the text of a plugins.json.
    ///
    /// ```
    /// use valor_runtime::definition::Definitions;
    ///
    /// let faults = Definitions::from_json(r#"{
    ///     "plugins": [{ "type": "native", "name": "hello", "prefx": "/" }]
    /// }"#).unwrap_err();
    /// assert_eq!(
    ///     faults.to_string(),
    ///     "2:54: plugins[0].prefx: unknown key; did you mean `prefix`?"
    /// );
    /// ```
    ///
    /// # Errors
    /// Every fault that is in it.
    pub fn from_json(text: &str) -> Result<Self, DefinitionFaults> {
        match read::all(text) {
            (definitions, faults) if faults.is_empty() => Ok(definitions),
            (_, faults) => Err(faults.of(None)),
        }
    }

    /// The file that it was read from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The definitions, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Definition> {
        self.entries.iter().map(|(definition, _)| definition)
    }

    /// A fault that came to light later, such as a file that is not there: at the value of a key
    /// of the definition at `index`, or at the definition itself where it has no such key.
    ///
    /// # Panics
    /// Where there are not so many definitions.
    pub fn fault(&self, index: usize, key: &str, message: impl Into<String>) -> DefinitionFault {
        let (_, positions) = &self.entries[index];
        positions.fault(key, message.into())
    }
}

impl IntoIterator for Definitions {
    type Item = Definition;
    type IntoIter = std::vec::IntoIter<Definition>;

    fn into_iter(self) -> Self::IntoIter {
        let definitions: Vec<_> = self.entries.into_iter().map(|(it, _)| it).collect();
        definitions.into_iter()
    }
}
