//! The faults of a plugins.json, each with its position, its key and what to do.
//!
//! `read` and `rules` create them; the command line prints them, and the registry's endpoint answers with them. A fault
//! is one line, whatever the text contains.

use crate::escape::Shown;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A position in a text. Both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One fault of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionFault {
    /// Its position; `None` if there is no text, or none that could be read.
    pub position: Option<Position>,
    /// The key, from the root: `plugins[2].limits.timeout`. Empty for the text as a whole.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for DefinitionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position {
            write!(f, "{position}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// The most faults that get a line each; those after them are only counted.
pub const TOLD: usize = 100;

/// All faults, in the order of the text; at least one.
///
/// It prints as one line for each of the first hundred, `FILE:LINE:COLUMN: KEY: MESSAGE`, and one line with the number
/// of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionFaults {
    /// The file, if the text came from one.
    pub file: Option<PathBuf>,
    /// The faults.
    pub faults: Vec<DefinitionFault>,
    /// The number of further faults, which were only counted.
    pub further: usize,
}

impl DefinitionFaults {
    /// All faults on one line, with semicolons between them.
    pub fn on_one_line(&self) -> String {
        self.to_string().replace('\n', "; ")
    }
}

impl fmt::Display for DefinitionFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().take(TOLD).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            if let Some(file) = &self.file {
                let separator = if fault.position.is_some() { ":" } else { ": " };
                write!(f, "{}{separator}", Shown(file.display()))?;
            }
            write!(f, "{fault}")?;
        }
        let further = self.faults.len().saturating_sub(TOLD) + self.further;
        match further {
            0 => Ok(()),
            1 => f.write_str("\n1 further fault"),
            further => write!(f, "\n{further} further faults"),
        }
    }
}

impl std::error::Error for DefinitionFaults {}

/// The faults of a text: the first ones, and how many there are.
#[derive(Debug, Default)]
pub(super) struct Faults {
    first: Vec<DefinitionFault>,
    count: usize,
}

impl Faults {
    pub fn one(fault: DefinitionFault) -> Self {
        Self {
            first: vec![fault],
            count: 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the next fault would be shown; otherwise it is only counted.
    pub fn are_all_told(&self) -> bool {
        self.first.len() < TOLD
    }

    /// Counts a fault, and keeps it if there are few.
    pub fn note(&mut self, fault: impl FnOnce() -> DefinitionFault) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push(fault());
        }
    }

    /// In the order of the text.
    pub fn of(mut self, file: Option<&Path>) -> DefinitionFaults {
        self.first.sort_by_key(|fault| fault.position);
        DefinitionFaults {
            file: file.map(Path::to_owned),
            further: self.count - self.first.len(),
            faults: self.first,
        }
    }
}

/// A word from outside for a message: on one line, and not too long.
pub(super) fn shown(word: &str) -> String {
    const MAX: usize = 64;
    let mut shown: String = word
        .chars()
        .take(MAX)
        .flat_map(char::escape_debug)
        .collect();
    if word.chars().nth(MAX).is_some() {
        shown.push('…');
    }
    // A quote needs no escape between back-ticks.
    shown.replace("\\\"", "\"").replace("\\'", "'")
}

/// The key of a value inside another: `plugins[2]` and `name` give `plugins[2].name`.
pub(super) fn join(key: &str, name: &str) -> String {
    if key.is_empty() {
        return name.to_owned();
    }
    format!("{key}.{name}")
}
