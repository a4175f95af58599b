//! The nearest of a few known words, for "did you mean …?".

/// The known word that was most likely meant by `word`, if any is near enough.
///
/// ```
/// use valor_runtime::definition::nearest;
///
/// assert_eq!(nearest("prefx", ["name", "prefix", "path"]), Some("prefix"));
/// assert_eq!(nearest("colour", ["name", "prefix", "path"]), None);
/// ```
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // One typo in a short word, one per three letters in a longer one. The length is bounded, since the word comes from
    // outside and the distance takes time proportional to the product of both lengths.
    let length = word.chars().count();
    if length > 64 {
        return None;
    }
    let slips = (length / 3).max(1);
    known
        .into_iter()
        .map(|known| {
            let distance = strsim::damerau_levenshtein(&word, &known.to_lowercase());
            (distance, known)
        })
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Keys as others call them, behind the keys of a definition.
const OTHERS: [(&str, &[&str]); 9] = [
    ("type", &["kind"]),
    ("name", &["id"]),
    (
        "path",
        &["file", "script", "module", "library", "lib", "main"],
    ),
    ("source", &["src", "crate", "manifest"]),
    ("prefix", &["mount", "route", "base"]),
    ("strip", &["strip_prefix"]),
    ("config", &["env", "settings", "options"]),
    ("sha256", &["sha", "hash", "digest", "checksum"]),
    ("limits", &["timeout", "memory", "cpu"]),
];

/// The known word that another one stands for.
fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut rows = OTHERS.iter().filter(|(_, others)| others.contains(&word));
    rows.find_map(|(meant, _)| known.iter().find(|it| *it == meant).copied())
}

/// " did you mean `x`?" or the list of known words, as the end of a message.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    match meant(word, known).or_else(|| nearest(word, known.iter().copied())) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("known are {}", listed(known)),
    }
}

/// "`a`, `b` and `c`".
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}
