//! The table of what plugins.json may contain: the parts of a row.
//!
//! Each key has one row, a [`Key`]: `keys` has the rows of a file and of a definition, `limit_rows` and `files` those
//! of the objects in it, and `kind` has a row for each kind of vlugin. Everything else is derived from the rows:
//! `check` compares texts and definitions made in code with them, `schema` is the JSON Schema, and `written` (a test)
//! writes the tables of the book and the data of valor-check.js.
//!
//! A key's row says whether only some kinds have the key, and a kind's row which of those keys it has; `of_kind`
//! combines the two.

use super::{
    fault::shown,
    limit::Limit,
    nearest::{listed, suggestion},
    rules::Rule,
};

/// A key of an object.
pub(crate) struct Key {
    /// The key.
    pub name: &'static str,
    /// The kinds of vlugin that have it.
    pub takers: Takers,
    /// The shape of its value.
    pub shape: Shape,
    /// Whether it may be missing.
    pub needed: Needed,
    /// What applies without it, if its shape has no default.
    pub otherwise: Otherwise,
    /// Its description, for the schema and the book: without a capital letter and a full stop, with the book's links.
    pub says: &'static str,
    /// A key that contradicts it.
    pub against: Option<Against>,
    /// Whether `/_plugins` lists it. What may be a secret is not listed.
    pub is_listed: bool,
}

/// The values of most rows: `Key { name, shape, says, ..KEY }`.
pub(super) const KEY: Key = Key {
    name: "",
    takers: Takers::All,
    shape: Shape::Config,
    needed: Needed::No,
    otherwise: Otherwise::Is("none"),
    says: "",
    against: None,
    is_listed: true,
};

/// The kinds that have a key.
pub(crate) enum Takers {
    /// Every kind.
    All,
    /// Those whose row has it in `takes`, and the reason for the others: "only those of {types} have it".
    Only(&'static str),
    /// All except those whose row has it in `lacks`, with the reason.
    Most,
}

/// The shape of a value.
pub(crate) enum Shape {
    /// One of a few words.
    Word(Words),
    /// A text that follows a rule.
    Text {
        rule: &'static Rule,
        default: Option<&'static str>,
    },
    /// True or false; with the default.
    Flag(bool),
    /// An array of texts that each follow a rule, and the name of such an array.
    Texts {
        what: &'static str,
        rule: &'static Rule,
    },
    /// A number in a range. A kind that does not have the limit has no range either, so its number is not checked.
    Limit(Limit),
    /// An object with its own rows.
    Object(Object),
    /// Anything; for some kinds, the object in the kind's row.
    Config,
    /// The array of definitions.
    Definitions,
}

/// One of a few words.
pub(crate) struct Words {
    /// Its name among the schema's definitions.
    pub name: &'static str,
    /// Its description, for the schema.
    pub says: &'static str,
    /// What other words are not: "a type of vlugin".
    pub what: &'static str,
    /// The words.
    pub words: Known,
    /// Types of vlugin that other versions of Valor know.
    pub later: &'static [&'static str],
    /// The word that applies if none is given.
    pub default: Option<&'static str>,
}

/// The possible words.
pub(crate) enum Known {
    /// These.
    These(fn() -> Vec<Word>),
    /// One for each kind of vlugin.
    Kinds,
}

/// A word and its meaning.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    /// The word.
    pub text: &'static str,
    /// Its meaning, as in [`Key::says`].
    pub says: &'static str,
    /// Other words for it, in lower case, for a hint.
    pub elsewhere: &'static [&'static str],
}

/// An object with its own rows.
pub(crate) struct Object {
    /// Its name among the schema's definitions.
    pub name: &'static str,
    /// Its description, for the schema.
    pub says: &'static str,
    /// An example, for "expected an object such as …".
    pub example: &'static str,
    /// Its rows.
    pub keys: &'static [Key],
}

/// Whether a key may be missing.
pub(crate) enum Needed {
    /// It may.
    No,
    /// No; with what to write.
    Always(&'static str),
    /// Not for those kinds whose row says in `needs` what to write.
    BySome,
}

/// What applies without a key.
pub(crate) enum Otherwise {
    /// The same for every kind.
    Is(&'static str),
    /// The servers that the kind's row allows.
    Servers,
}

/// A key that has no meaning while another one is false.
pub(crate) struct Against {
    /// The other key, which is a flag too.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub says: &'static str,
}

impl Words {
    /// The fault of an unknown word, if these are known.
    pub fn broken(&self, word: &str, words: &[Word]) -> Option<String> {
        let known: Vec<_> = words.iter().map(|it| it.text).collect();
        if known.contains(&word) {
            return None;
        }
        if self.later.contains(&word) {
            return Some(format!(
                "vlugins of type `{word}` are not supported by this version of Valor, which runs {} ones; take the \
                 entry out",
                listed(&known)
            ));
        }
        let lower = word.to_ascii_lowercase();
        let hint = match words.iter().find(|it| it.elsewhere.contains(&&*lower)) {
            Some(meant) => format!("did you mean `{}`?", meant.text),
            None => suggestion(word, &known),
        };
        Some(format!("`{}` is not {}; {hint}", shown(word), self.what))
    }
}

/// A sentence without the book's links.
pub(super) fn plain(sentence: &str) -> String {
    let mut plain = String::new();
    let mut rest = sentence;
    while let Some((before, text, after)) = next_link(rest) {
        plain.push_str(before);
        plain.push_str(text);
        rest = after;
    }
    plain + rest
}

/// The text before a link, the link's text, and the text after it.
fn next_link(sentence: &str) -> Option<(&str, &str, &str)> {
    let (before, link) = sentence.split_once('[')?;
    let (text, target) = link.split_once("](")?;
    let (_, after) = target.split_once(')')?;
    Some((before, text, after))
}

/// The row of this name, found at compile time.
pub(super) const fn find(keys: &'static [Key], name: &str) -> &'static Key {
    let mut index = 0;
    while index < keys.len() {
        if is_same(keys[index].name.as_bytes(), name.as_bytes()) {
            return &keys[index];
        }
        index += 1;
    }
    panic!("there is no row of this name")
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}

/// The default of a text that has one.
pub(super) const fn text_default(key: &Key) -> &'static str {
    match key.shape {
        Shape::Text {
            default: Some(default),
            ..
        } => default,
        _ => panic!("this key is no text with a default"),
    }
}
