//! [`Definitions`]: all of a plugins.json as it was read. `read` makes them of a text, `text` of a file.

use super::{
    fault::{DefinitionFault, Position, join},
    fields::Definition,
};
use std::path::{Path, PathBuf};

/// All of a plugins.json, in its order, each with the positions of its keys in the text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Definitions {
    pub(super) file: Option<PathBuf>,
    pub(super) entries: Vec<(Definition, Positions)>,
}

/// Where the parts of one definition stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Positions {
    /// From the root: `plugins[2]`.
    pub(super) key: String,
    pub(super) whole: Position,
    pub(super) values: Vec<(String, Position)>,
}

impl Positions {
    /// A fault of the value of one of its keys, such as `path` or `config.limits[2]`; of all of it, if it has no such
    /// key.
    pub fn fault(&self, key: &str, message: String) -> DefinitionFault {
        let mut key = key;
        let found = loop {
            match self.values.iter().find(|(known, _)| known == key) {
                Some((_, position)) => break Some(*position),
                // Of a key inside of `config` that is not there, what it should be in.
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
