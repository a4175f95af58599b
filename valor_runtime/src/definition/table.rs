//! The table of what plugins.json may say: what a row is made of.
//!
//! Each key has one row, a [`Key`]: `keys` has the rows of a file and of a definition, `limit_rows` and `files` those of
//! the objects in it, and `kind` has a row for each kind of vlugin. Everything else is made from the rows: `check`
//! holds texts and definitions made in code to them, `schema` is the JSON Schema, and `written` (a test) writes the
//! tables of the book and the data that valor-check.js works from.
//!
//! A key's row says whether only some kinds have the key, and a kind's row which of those keys it has; `of_kind` puts
//! the two together.

use super::{
    fault::shown,
    limit::Limit,
    nearest::{listed, suggestion},
    rules::Rule,
};

/// A key of an object.
pub(crate) struct Key {
    /// The key itself.
    pub name: &'static str,
    /// The kinds of vlugin that have it.
    pub takers: Takers,
    /// What its value is.
    pub shape: Shape,
    /// Whether it may be left out.
    pub needed: Needed,
    /// What holds without it, if its shape has no default.
    pub otherwise: Otherwise,
    /// What it says, for the schema and the book: without a capital letter and a full stop, with the book's links.
    pub says: &'static str,
    /// A key that contradicts it.
    pub against: Option<Against>,
}

/// What most rows have: `Key { name, shape, says, ..KEY }`.
pub(super) const KEY: Key = Key {
    name: "",
    takers: Takers::All,
    shape: Shape::Config,
    needed: Needed::No,
    otherwise: Otherwise::Is("none"),
    says: "",
    against: None,
};

/// The kinds that have a key.
pub(crate) enum Takers {
    /// Every kind.
    All,
    /// Those whose row has it in `takes`, and why: "only those of {types} can be held to it".
    Only(&'static str),
    /// Those whose row does not have it in `lacks`, which says why.
    Most,
}

/// What a value is.
pub(crate) enum Shape {
    /// One of a few words.
    Word(Words),
    /// A text that keeps a rule.
    Text {
        rule: &'static Rule,
        default: Option<&'static str>,
    },
    /// True or false; the default.
    Flag(bool),
    /// An array of texts that each keep a rule, and what such an array is called.
    Texts {
        what: &'static str,
        rule: &'static Rule,
    },
    /// A number in a range. A kind that cannot be held to it has no range either, so its number is not looked at.
    Limit(Limit),
    /// An object that has rows itself.
    Object(Object),
    /// Anything, or for some kinds the object that is in the kind's row.
    Config,
    /// The array of definitions.
    Definitions,
}

/// One of a few words.
pub(crate) struct Words {
    /// Its name among the schema's definitions.
    pub name: &'static str,
    /// What it is, for the schema.
    pub says: &'static str,
    /// What another word is not: "a type of vlugin".
    pub what: &'static str,
    /// The words.
    pub words: Known,
    /// Types of vlugin that other versions of Valor know.
    pub later: &'static [&'static str],
    /// The word that holds if none is said.
    pub default: Option<&'static str>,
}

/// The words that there are.
pub(crate) enum Known {
    /// These.
    These(fn() -> Vec<Word>),
    /// One for each kind of vlugin.
    Kinds,
}

/// A word with what it stands for.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    /// The word.
    pub text: &'static str,
    /// What it stands for, as in [`Key::says`].
    pub says: &'static str,
    /// Words, in lower case, that are used for it elsewhere: for a hint.
    pub elsewhere: &'static [&'static str],
}

/// An object that has rows itself.
pub(crate) struct Object {
    /// Its name among the schema's definitions.
    pub name: &'static str,
    /// What it is, for the schema.
    pub says: &'static str,
    /// One such object, for "expected an object such as …".
    pub example: &'static str,
    /// Its rows.
    pub keys: &'static [Key],
}

/// Whether a key may be left out.
pub(crate) enum Needed {
    /// It may.
    No,
    /// No; what to write.
    Always(&'static str),
    /// Not by those kinds whose row says in `needs` what to write.
    BySome,
}

/// What holds without a key.
pub(crate) enum Otherwise {
    /// The same for every kind.
    Is(&'static str),
    /// The servers that the kind's row opens.
    Servers,
}

/// A key that has no meaning while another is false.
pub(crate) struct Against {
    /// The other key, a flag as this one is.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub says: &'static str,
}

impl Words {
    /// What is wrong with a word, if these are known.
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

/// What stands before a link, its text, and what stands behind it.
fn next_link(sentence: &str) -> Option<(&str, &str, &str)> {
    let (before, link) = sentence.split_once('[')?;
    let (text, target) = link.split_once("](")?;
    let (_, after) = target.split_once(')')?;
    Some((before, text, after))
}

/// The row of this name, found when the program is compiled.
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
