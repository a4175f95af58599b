//! What `js` vlugins have: [`Start`], and the files that a script may read. Those of a component follow the same rule.

use super::{
    fault::shown,
    rules::{Form, Rule, rule},
    table::Word,
};
use serde::{Deserialize, Serialize};

/// When a `js` vlugin's process starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// When the vlugin is loaded; a script that cannot be started is not loaded.
    #[default]
    Eager,
    /// With the first request; it stops again after a while without requests.
    Lazy,
}

/// Every way to start, with its word.
pub(super) const STARTS: &[(Start, Word)] = &[
    (
        Start::Eager,
        Word {
            text: "eager",
            says: "when the vlugin is loaded (a script that cannot be started is not loaded)",
            elsewhere: &[],
        },
    ),
    (
        Start::Lazy,
        Word {
            text: "lazy",
            says: "[by the first request](js.md#start-and-stop), and stopped again when there is none for a while",
            elsewhere: &[],
        },
    ),
];

impl Start {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The word in plugins.json.
    pub(super) fn as_str(self) -> &'static str {
        let found = STARTS.iter().find(|(start, _)| *start == self);
        found.map_or("", |(_, word)| word.text)
    }
}

/// One of the `files`: a path that stays in the folder where it starts.
pub(super) const FILE: &Rule = &rule("file", Form::NotEmpty, file);

fn file(path: &str) -> Option<String> {
    let is_name = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.contains(['\\', ':'])
            && !part.contains(char::is_control)
    };
    let stays = path == "."
        || path
            .strip_suffix('/')
            .unwrap_or(path)
            .split('/')
            .all(is_name);
    (!stays).then(|| {
        format!(
            "`{}` is not a path in the vlugin's folder; write one like data/words.txt, or . for all of it",
            shown(path)
        )
    })
}
