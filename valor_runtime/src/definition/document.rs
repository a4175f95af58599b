//! [`Definitions`]: a whole plugins.json as it was read. `read` makes one from a text, `text` from a file.

use super::{
    fault::{DefinitionFault, Position, join},
    fields::Definition,
};
use std::path::{Path, PathBuf};

/// A whole plugins.json: its definitions in order, each with the positions of its keys in the text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definitions {
    pub(super) file: Option<PathBuf>,
    pub(super) entries: Vec<(Definition, Positions)>,
    pub(super) faulty: Vec<Faulty>,
}

/// What is known of a definition with a fault: a name and a prefix that no other one has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faulty {
    /// From the root: `plugins[2]`. The keys of its faults begin with it.
    pub key: String,
    /// The vlugin's name.
    pub name: String,
    /// Where it is to be mounted.
    pub prefix: String,
}

/// The positions of the parts of one definition in its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Positions {
    /// From the root: `plugins[2]`.
    pub(super) key: String,
    pub(super) whole: Position,
    pub(super) values: Vec<(String, Position)>,
}

impl Positions {
    /// A fault of the value of one of its keys, such as `path` or `config.limits[2]`. If it has no such key, a fault of
    /// the whole definition.
    pub fn fault(&self, key: &str, message: String) -> DefinitionFault {
        let mut key = key;
        let found = loop {
            match self.values.iter().find(|(known, _)| known == key) {
                Some((_, position)) => break Some(*position),
                // If a key inside of `config` is missing, what should contain it.
                None => match key.rfind(['.', '[']) {
                    Some(end) => key = &key[..end],
                    None => break None,
                },
            }
        };
        let (position, key) = match found {
            Some(position) => (position, join(&self.key, key)),
            None => (self.whole, self.key.clone()),
        };
        DefinitionFault {
            position: Some(position),
            key,
            message,
        }
    }
}

impl Definitions {
    /// The file that it was read from, if any.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The number of definitions.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The definitions, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Definition> {
        self.entries.iter().map(|(definition, _)| definition)
    }

    /// The definitions with faults of which the name and the prefix are sound.
    pub fn faulty(&self) -> &[Faulty] {
        &self.faulty
    }

    /// A fault that shows only later, such as a missing file. Its position is the value of a key of the definition at
    /// `index`, or the definition itself if it has no such key.
    ///
    /// # Panics
    /// If `index` is out of range.
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
