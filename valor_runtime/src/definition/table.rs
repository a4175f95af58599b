//! The table of what plugins.json may say: what a row is made of.
//!
//! Each key has one row, a [`Key`]: `keys` has the rows of a file and of a definition, `limits` and `files` those of
//! the objects in it, and `kind` has a row for each kind of vlugin. Everything else is made from the rows: `check`
//! holds texts and definitions made in code to them, `schema` is the JSON Schema, and `written` (a test) writes the
//! tables of the book and the data that valor-check.js works from.
//!
//! A key's row, not a kind's, says which kinds have the key, because the message about a key that a kind has not got
//! depends on the key.

use super::{
    fault::shown,
    kind::{KINDS, Kind, KindRow},
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
    /// These kinds alone, and why: "only those of {types} can be held to it".
    Only(&'static [Kind], &'static str),
    /// All but these; of each, why it has no use for the key, and what to do.
    AllBut(&'static [(Kind, &'static str)]),
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
    pub words: fn() -> Vec<Word>,
    /// Types of vlugin that other versions of Valor know.
    pub later: &'static [&'static str],
    /// The word that holds if none is said.
    pub default: Option<&'static str>,
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
    /// Not by these kinds; what to write.
    By(&'static [Kind], &'static str),
}

/// What holds without a key.
pub(crate) enum Otherwise {
    /// The same for every kind.
    Is(&'static str),
    /// What the kind's row says.
    OfKind(fn(&KindRow) -> &'static str),
}

/// A key that has no meaning while another is false.
pub(crate) struct Against {
    /// The other key, a flag as this one is.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub says: &'static str,
}

impl Key {
    /// What is wrong with this key in a definition of this kind, if the kind does not have it.
    pub fn without_meaning(&self, kind: Kind) -> Option<String> {
        let reason = self.takers.refusal(kind)?;
        let name = self.name;
        Some(format!(
            "`{name}` has no meaning for a `{kind}` vlugin{reason}"
        ))
    }

    /// What it says, behind the kinds that have it: "for `js`: …".
    pub fn sentence(&self) -> String {
        let has = |kind: &Kind| self.takers.refusal(*kind).is_none();
        let (takers, others): (Vec<Kind>, Vec<Kind>) = Kind::ALL.iter().partition(|it| has(it));
        let whose = match (takers.len(), others.as_slice()) {
            (_, []) => String::new(),
            (2.., [other]) => format!("not for `{other}`: "),
            _ => format!("for {}: ", words_of(&takers)),
        };
        format!("{whose}{}", self.says)
    }

    /// What holds without it; `None` if it has to be there.
    pub fn default(&self) -> Option<String> {
        let otherwise = match &self.shape {
            Shape::Flag(default) => format!("`{default}`"),
            Shape::Limit(limit) => limit.defaults(),
            Shape::Text { default, .. } if default.is_some() => {
                format!("`{}`", default.unwrap_or_default())
            }
            Shape::Word(words) if words.default.is_some() => {
                format!("`\"{}\"`", words.default.unwrap_or_default())
            }
            _ => self.otherwise(),
        };
        match self.needed {
            Needed::No => Some(otherwise),
            Needed::Always(_) => None,
            Needed::By(kinds, _) => Some(format!(
                "{otherwise}; for {} it has to be there",
                words_of(kinds)
            )),
        }
    }

    fn otherwise(&self) -> String {
        let of = match self.otherwise {
            Otherwise::Is(text) => return text.to_owned(),
            Otherwise::OfKind(of) => of,
        };
        // "every host for `native`, none for `wasm` and `js`"
        let mut all: Vec<(&str, Vec<Kind>)> = Vec::new();
        let takers = KINDS.iter();
        for row in takers.filter(|row| self.takers.refusal(row.kind).is_none()) {
            match all.iter_mut().find(|(text, _)| *text == of(row)) {
                Some((_, kinds)) => kinds.push(row.kind),
                None => all.push((of(row), vec![row.kind])),
            }
        }
        let all = all.iter();
        let all: Vec<_> = all
            .map(|(text, kinds)| format!("{text} for {}", words_of(kinds)))
            .collect();
        all.join(", ")
    }
}

impl Takers {
    /// What follows "has no meaning for a … vlugin"; `None` if the kind has the key.
    pub fn refusal(&self, kind: Kind) -> Option<String> {
        match self {
            Self::All => None,
            Self::Only(kinds, _) if kinds.contains(&kind) => None,
            Self::Only(kinds, why) => {
                let types = if kinds.len() == 1 { "type" } else { "types" };
                let types = format!("{types} {}", words_of(kinds));
                let why = why.replace("{types}", &types);
                Some(format!(": {why}; take it out"))
            }
            Self::AllBut(others) => {
                let (_, reason) = others.iter().find(|(other, _)| *other == kind)?;
                Some(format!(", {reason}"))
            }
        }
    }
}

impl Needed {
    /// What to write if a definition of this kind has not got the key, and has to.
    pub fn by(&self, kind: Option<Kind>) -> Option<&'static str> {
        match self {
            Self::No => None,
            Self::Always(write) => Some(write),
            Self::By(kinds, write) => kinds.contains(&kind?).then_some(write),
        }
    }
}

impl Words {
    /// What is wrong with a word.
    pub fn broken(&self, word: &str) -> Option<String> {
        let words = (self.words)();
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

/// "`native`, `wasm` and `js`".
pub(super) fn words_of(kinds: &[Kind]) -> String {
    let words: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    listed(&words)
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
