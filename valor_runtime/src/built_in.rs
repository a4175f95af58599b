//! Definitions with Valor's own kinds: [`Definition::from_json`] and what else reads and checks without a runtime.
//!
//! `definition` works with the kinds that it is given; here those are the kinds in `loader/table`. A program that
//! brings kinds reads with [`Kinds`] instead.

use crate::{
    Definition, Kind,
    definition::{DefinitionFaults, Definitions, Kinds},
};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;
use std::{borrow::Cow, path::Path};

impl Definition {
    /// A definition of one vlugin, as the registry takes it.
    ///
    /// # Errors
    /// Every fault of the text, with line and column.
    pub fn from_json(text: &str) -> Result<Self, DefinitionFaults> {
        Kinds::default().definition(text)
    }

    /// Holds a definition that was put together in code to the rules of plugins.json.
    ///
    /// # Errors
    /// Every rule that it breaks, by key, without a position.
    pub fn check(&self) -> Result<(), DefinitionFaults> {
        Kinds::default().check(self)
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
        Kinds::default().sound_from_file(path.as_ref())
    }

    /// The same of bytes that were read already; `file` is what they are called in faults.
    pub fn sound_from_bytes(bytes: Vec<u8>, file: &Path) -> (Self, Option<DefinitionFaults>) {
        Kinds::default().sound_from_bytes(bytes, file)
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
        Kinds::default().definitions(text)
    }
}

/// The JSON Schema (draft 2020-12) of plugins.json; see [`Kinds::json_schema`].
pub fn json_schema() -> Value {
    Kinds::default().json_schema()
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<str>::deserialize(deserializer)?;
        let found = Self::ALL.iter().find(|kind| kind.as_str() == word);
        let unknown = || D::Error::custom(format!("`{word}` is not a type of vlugin"));
        found.copied().ok_or_else(unknown)
    }
}
