//! What the definition of a `js` vlugin has beside the keys of all others: [`Start`], its group, and
//! that nothing is built for it.
//!
//! `read` and `rules` ask here, for `js` and for the other kinds, which have none of it.

use super::{
    Definition, Kind,
    fault::shown,
    nearest::suggestion,
    read::{Node, Reader},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a `js` vlugin's process is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// When the vlugin is loaded; a script that cannot be started is not loaded.
    #[default]
    Eager,
    /// By the first request; it is stopped again when there is none for a while.
    Lazy,
}

impl Start {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The value that a word stands for.
    fn of(word: &str) -> Option<Self> {
        match word {
            "eager" => Some(Self::Eager),
            "lazy" => Some(Self::Lazy),
            _ => None,
        }
    }
}

/// Reads the `start` of a text.
pub(super) fn read_start<'t>(reader: &mut Reader<'t>, node: Node<'t>, key: &str) -> Option<Start> {
    let word = reader.text(node, key)?;
    let start = Start::of(&word);
    if start.is_none() {
        let message = format!(
            "`{}` is not a way to start; {}",
            shown(&word),
            suggestion(&word, &["eager", "lazy"])
        );
        reader.fault(node.at, key, message);
    }
    start
}

/// Every rule that the keys of `js` break, by key; for a definition made in code.
pub(super) fn broken(definition: &Definition) -> Vec<(String, String)> {
    let kind = definition.kind;
    let files = definition.files.iter().enumerate();
    let files = files.filter_map(|(index, path)| Some((format!("files[{index}]"), file(path)?)));
    let strange = [
        ("files", !definition.files.is_empty()),
        ("group", definition.group.is_some()),
        ("start", !definition.start.is_default()),
        ("source", kind == Kind::Js && definition.source.is_some()),
    ]
    .into_iter()
    .filter(|(_, is_said)| *is_said)
    .filter_map(|(key, _)| Some((key.to_owned(), without_meaning(key, kind)?)));
    files.chain(strange).collect()
}

/// What is wrong with one of the `files`: a path that stays in the folder that it starts from.
pub(super) fn file(path: &str) -> Option<String> {
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
            "`{}` is no path in the script's folder; write one like data/words.txt, or . for all of it",
            shown(path)
        )
    })
}

/// What is wrong with this key in a definition of this kind.
pub(super) fn without_meaning(key: &str, kind: Kind) -> Option<String> {
    match (key, kind) {
        ("source", Kind::Js) => Some(
            "`source` has no meaning for a `js` vlugin, which is not built; give its file in `path`"
                .into(),
        ),
        ("files" | "group" | "start", Kind::Native | Kind::Wasm | Kind::Files) => Some(format!(
            "`{key}` has no meaning for a `{kind}` vlugin: only a `js` vlugin has its own process; take it out"
        )),
        _ => None,
    }
}
