//! What a key means for a kind of vlugin: whether the kind has it, what applies without it, and what else is wrong. The
//! key's row and the kind's row determine it together; `check`, the schema and the book ask here.

use super::{
    kind::{Kind, KindRow},
    limit::{Bound, Limit},
    nearest::listed,
    table::{Key, Known, Needed, Otherwise, Shape, Takers, Word, Words},
};

/// The one of these kinds that has this word in plugins.json.
pub(super) fn named(kinds: &[Kind], word: &str) -> Option<Kind> {
    kinds.iter().copied().find(|kind| kind.as_str() == word)
}

/// Whether the kind has the key.
pub(super) fn has(kind: Kind, key: &Key) -> bool {
    let KindRow { takes, lacks, .. } = kind.row();
    match key.takers {
        Takers::All => true,
        Takers::Only(_) => takes.contains(&key.name),
        Takers::Most => lacks.iter().all(|(name, _)| *name != key.name),
    }
}

/// The kinds that have the key.
pub(super) fn takers(key: &Key, kinds: &[Kind]) -> Vec<Kind> {
    let kinds = kinds.iter().copied();
    kinds.filter(|kind| has(*kind, key)).collect()
}

/// What follows "has no meaning for a … vlugin"; `None` if the kind has the key.
pub(super) fn refusal(key: &Key, kind: Kind, kinds: &[Kind]) -> Option<String> {
    if has(kind, key) {
        return None;
    }
    if let Takers::Only(why) = key.takers {
        let takers = takers(key, kinds);
        let types = if takers.len() == 1 { "type" } else { "types" };
        let words = words_of(&takers);
        let why = why.replace("{types}", &format!("{types} {words}"));
        let why = why.replace("{kinds}", &words);
        return Some(format!(": {why}; take it out"));
    }
    let mut lacks = kind.row().lacks.iter();
    let (_, reason) = lacks.find(|(name, _)| *name == key.name)?;
    Some(format!(", {reason}"))
}

/// The fault of this key in a definition of this kind, if the kind does not have it.
pub(super) fn without_meaning(key: &Key, kind: Kind, kinds: &[Kind]) -> Option<String> {
    let reason = refusal(key, kind, kinds)?;
    let name = key.name;
    Some(format!(
        "`{name}` has no meaning for a `{kind}` vlugin{reason}"
    ))
}

/// What to write if a definition of this kind lacks the key and needs it.
pub(super) fn needed(key: &Key, kind: Option<Kind>) -> Option<&'static str> {
    match key.needed {
        Needed::No => None,
        Needed::Always(write) => Some(write),
        Needed::BySome => {
            let mut needs = kind?.row().needs.iter();
            let (_, write) = needs.find(|(name, _)| *name == key.name)?;
            Some(write)
        }
    }
}

/// What differs for the kind from a limit's row.
pub(super) fn bound(kind: Kind, limit: &str) -> Option<&'static Bound> {
    kind.row().bounds.iter().find(|bound| bound.limit == limit)
}

/// The default of a limit.
pub(super) fn default(kind: Kind, name: &str, limit: &Limit) -> f64 {
    bound(kind, name).map_or(limit.default, |bound| bound.default)
}

/// The fault of a limit's number, for this kind of vlugin if it is known.
pub(super) fn broken(
    name: &str,
    limit: &Limit,
    number: f64,
    shown: &str,
    kind: Option<Kind>,
) -> Option<String> {
    let bound = kind.and_then(|kind| bound(kind, name));
    limit.broken(number, shown, bound)
}

/// The words of a row.
pub(super) fn words(row: &Words, kinds: &[Kind]) -> Vec<Word> {
    match row.words {
        Known::These(words) => words(),
        Known::Kinds => kinds.iter().map(|kind| kind.row().word).collect(),
    }
}

/// What a key says, after the kinds that have it: "for `js`: …".
pub(super) fn sentence(key: &Key, kinds: &[Kind]) -> String {
    let (takers, others): (Vec<Kind>, Vec<Kind>) = kinds.iter().partition(|kind| has(**kind, key));
    let whose = match (takers.len(), others.as_slice()) {
        (_, []) => String::new(),
        (2.., [other]) => format!("not for `{other}`: "),
        _ => format!("for {}: ", words_of(&takers)),
    };
    format!("{whose}{}", key.says)
}

/// What applies without a key; `None` if it is required.
pub(super) fn without(key: &Key, kinds: &[Kind]) -> Option<String> {
    let otherwise = match &key.shape {
        Shape::Flag(default) => format!("`{default}`"),
        Shape::Limit(limit) => defaults(key.name, limit, kinds),
        Shape::Text { default, .. } if default.is_some() => {
            format!("`{}`", default.unwrap_or_default())
        }
        Shape::Word(words) if words.default.is_some() => {
            format!("`\"{}\"`", words.default.unwrap_or_default())
        }
        _ => otherwise(key, kinds),
    };
    match key.needed {
        Needed::No => Some(otherwise),
        Needed::Always(_) => None,
        Needed::BySome => {
            let needing = kinds.iter().copied();
            let needing: Vec<_> = needing
                .filter(|kind| needed(key, Some(*kind)).is_some())
                .collect();
            let needing = words_of(&needing);
            Some(format!("{otherwise}; for {needing} it has to be there"))
        }
    }
}

/// "67108864 (64 MiB), for `js` 268435456 (256 MiB)"
fn defaults(name: &str, limit: &Limit, kinds: &[Kind]) -> String {
    let bounds = kinds.iter().filter_map(|kind| {
        let default = limit.with_name(bound(*kind, name)?.default);
        Some(format!(", for `{kind}` {default}"))
    });
    limit.with_name(limit.default) + &bounds.collect::<String>()
}

fn otherwise(key: &Key, kinds: &[Kind]) -> String {
    if let Otherwise::Is(text) = key.otherwise {
        return text.to_owned();
    }
    // "every server for `native`, none for `wasm` and `js`"
    let (every, none): (Vec<Kind>, Vec<Kind>) = takers(key, kinds)
        .into_iter()
        .partition(|kind| kind.reaches_every_host());
    let all = [("every server", every), ("none", none)];
    let all = all.iter().filter(|(_, kinds)| !kinds.is_empty());
    let all: Vec<_> = all
        .map(|(text, kinds)| format!("{text} for {}", words_of(kinds)))
        .collect();
    all.join(", ")
}

/// "`native`, `wasm` and `js`".
fn words_of(kinds: &[Kind]) -> String {
    let words: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
    listed(&words)
}
