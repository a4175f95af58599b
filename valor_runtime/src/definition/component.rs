//! What only `wasm` and `wasi` vlugins have: [`Instance`].

use super::table::Word;
use serde::{Deserialize, Serialize};

/// What an instance of a `wasm` or `wasi` vlugin answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instance {
    /// One request, and ends.
    Request,
    /// One request after the other; a module and a component of WASI 0.3 several at once.
    Shared,
}

impl Instance {
    /// The word in plugins.json.
    pub(super) fn as_str(self) -> &'static str {
        let found = INSTANCES.iter().find(|(it, _)| *it == self);
        found.map_or("", |(_, word)| word.text)
    }
}

/// Each of them, with its word.
pub(super) const INSTANCES: &[(Instance, Word)] = &[
    (
        Instance::Request,
        Word {
            text: "request",
            says: "one request, and ends",
            elsewhere: &[],
        },
    ),
    (
        Instance::Shared,
        Word {
            text: "shared",
            says: "one request after the other; a module and a component of WASI 0.3 several at once",
            elsewhere: &[],
        },
    ),
];
