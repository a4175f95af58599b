//! [`Kinds`]: the kinds of vlugin that a plugins.json may name, and how to read and check definitions with them.
//!
//! [`Definition::from_json`] and its like use Valor's own kinds; a runtime reads requests to `/_plugins` with the kinds
//! that it has.

use super::{
    check,
    document::{Definitions, Positions},
    fault::DefinitionFaults,
    fields::Definition,
    keys,
    kind::Kind,
    limit_rows, of_kind, read, rules, schema,
    table::{Key, Needed, Takers},
    text,
};
use serde_json::Value;
use std::path::Path;

/// A set of kinds of vlugin: Valor's own, which are the default, and those that a program adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds(Vec<Kind>);

/// Why a kind cannot be added to others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KindError {
    /// Another kind has the same word.
    #[error("there is a kind `{0}` already; give this one another word")]
    Duplicates(Kind),
    /// Its word cannot be written in a plugins.json.
    #[error("`{kind}` is not a word for a kind: {reason}")]
    Word {
        /// The kind.
        kind: Kind,
        /// What is wrong with its word.
        reason: String,
    },
    /// Its row names a key that does not depend on the kind, or that does not exist.
    #[error("the row of `{kind}` names `{key}`, which no row can")]
    Key {
        /// The kind.
        kind: Kind,
        /// The key.
        key: &'static str,
    },
}

impl Kinds {
    /// Valor's own kinds; serde must know the first of them.
    pub(crate) fn of(kinds: &[Kind]) -> Self {
        Self(kinds.to_vec())
    }

    /// These kinds, and one more.
    ///
    /// # Errors
    /// If its row does not fit with the others, or names keys that no row can name.
    pub fn with(mut self, kind: Kind) -> Result<Self, KindError> {
        if of_kind::named(&self.0, kind.as_str()).is_some() {
            return Err(KindError::Duplicates(kind));
        }
        if let Some(reason) = rules::name(kind.as_str()) {
            return Err(KindError::Word { kind, reason });
        }
        match misnamed(kind) {
            Some(key) => Err(KindError::Key { kind, key }),
            None => {
                self.0.push(kind);
                Ok(self)
            }
        }
    }

    /// All kinds, in the order of the table.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Kind> {
        self.0.iter().copied()
    }

    /// The definition in a text, as the registry reads it.
    ///
    /// # Errors
    /// Every fault of the text, with line and column.
    pub fn definition(&self, text: &str) -> Result<Definition, DefinitionFaults> {
        self.located(text).map(|(definition, _)| definition)
    }

    /// The same, and where its parts stand, for faults that come to light later.
    pub(crate) fn located(&self, text: &str) -> Result<(Definition, Positions), DefinitionFaults> {
        read::one(text, &self.0).map_err(|faults| faults.of(None))
    }

    /// The definitions in the text of a plugins.json.
    ///
    /// # Errors
    /// Every fault in it.
    pub fn definitions(&self, text: &str) -> Result<Definitions, DefinitionFaults> {
        match read::all(text, &self.0) {
            (definitions, faults) if faults.is_empty() => Ok(definitions),
            (_, faults) => Err(faults.of(None)),
        }
    }

    /// The sound definitions of a plugins.json, and every fault in it.
    pub fn sound_from_file(&self, path: &Path) -> (Definitions, Option<DefinitionFaults>) {
        match text::file(path) {
            Ok(bytes) => self.sound_from_bytes(bytes, path),
            Err(faults) => (Definitions::default(), Some(faults.of(Some(path)))),
        }
    }

    /// The same from bytes that have been read; `file` is their name in faults.
    pub fn sound_from_bytes(
        &self,
        bytes: Vec<u8>,
        file: &Path,
    ) -> (Definitions, Option<DefinitionFaults>) {
        let (mut definitions, faults) = text::bytes(bytes, &self.0);
        definitions.file = Some(file.to_owned());
        let faults = (!faults.is_empty()).then(|| faults.of(Some(file)));
        (definitions, faults)
    }

    /// Checks a definition that was made in code against the rules of plugins.json.
    ///
    /// # Errors
    /// Every rule that it breaks, by key, without a position.
    pub fn check(&self, definition: &Definition) -> Result<(), DefinitionFaults> {
        check::made(definition, &self.0)
    }

    /// The JSON Schema (draft 2020-12) of a plugins.json with these kinds.
    ///
    /// [`Kinds::definitions`] refuses every file that the schema refuses. It also finds what a schema cannot express,
    /// such as a duplicate name.
    pub fn json_schema(&self) -> Value {
        schema::of(&self.0)
    }
}

/// A key that a kind's row names in the wrong list: the key does not exist, or does not depend on the kind in this way.
fn misnamed(kind: Kind) -> Option<&'static str> {
    let row = kind.row();
    let stands = |name: &str, fits: fn(&Key) -> bool| {
        let mut keys = keys::DEFINITION.iter().chain(limit_rows::KEYS);
        keys.any(|key| key.name == name && fits(key))
    };
    let takes = row.takes.iter().copied();
    let mut takes = takes.filter(|name| !stands(name, |key| matches!(key.takers, Takers::Only(_))));
    let lacks = row.lacks.iter().map(|(name, _)| *name);
    let mut lacks = lacks.filter(|name| !stands(name, |key| matches!(key.takers, Takers::Most)));
    let needs = row.needs.iter().map(|(name, _)| *name);
    let mut needs = needs.filter(|name| !stands(name, |key| matches!(key.needed, Needed::BySome)));
    takes.next().or(lacks.next()).or(needs.next())
}
