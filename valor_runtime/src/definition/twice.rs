//! Finds keys that are there twice in one object, at any depth: in a definition, and in the vlugin's `config`. JSON
//! readers silently take the last one or the first (RFC 8259, section 4).
//!
//! `read` calls it with a text that is well-formed. It goes through the text once.

use super::{
    TOLD,
    fault::{join, shown},
};
use std::{borrow::Cow, collections::HashMap};

/// A duplicate key.
pub(super) struct Twice {
    /// The byte where it begins.
    pub at: usize,
    /// The byte where the first one begins.
    pub first: usize,
    /// From the root: `plugins[0].config.port`. Empty for faults that are only counted.
    pub key: String,
}

/// What the scan is inside.
enum Level<'t> {
    Object {
        keys: HashMap<Cow<'t, str>, usize>,
        /// The last key.
        key: Cow<'t, str>,
        /// Whether a key comes next, and not a value.
        is_key_next: bool,
    },
    Array {
        index: usize,
    },
}

/// All of them, in the order of the text.
pub(super) fn of(text: &str) -> Vec<Twice> {
    let bytes = text.as_bytes();
    let mut levels: Vec<Level<'_>> = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => levels.push(Level::Object {
                keys: HashMap::new(),
                key: "".into(),
                is_key_next: true,
            }),
            b'[' => levels.push(Level::Array { index: 0 }),
            b'}' | b']' => drop(levels.pop()),
            b',' => match levels.last_mut() {
                Some(Level::Object { is_key_next, .. }) => *is_key_next = true,
                Some(Level::Array { index }) => *index += 1,
                None => {}
            },
            b'"' => {
                let string = string(&text[at..]);
                if let Some(first) = note(&mut levels, string, at) {
                    found.push(Twice {
                        at,
                        first,
                        key: match found.len() < TOLD {
                            true => path(&levels),
                            false => String::new(),
                        },
                    });
                }
                at += string.len() - 1;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// The string that the text begins with, quotes included.
fn string(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => return &text[..=end],
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    text
}

/// Notes a string, if it is a key; returns where the first one of it is, if there is one.
fn note<'t>(levels: &mut [Level<'t>], string: &'t str, at: usize) -> Option<usize> {
    let Some(Level::Object {
        keys,
        key,
        is_key_next: is_next @ true,
    }) = levels.last_mut()
    else {
        return None;
    };
    *is_next = false;
    *key = match string.contains('\\') {
        // One key can be written in several ways.
        true => serde_json::from_str::<String>(string)
            .unwrap_or_default()
            .into(),
        false => string.trim_matches('"').into(),
    };
    match keys.get(key) {
        Some(first) => Some(*first),
        None => {
            keys.insert(key.clone(), at);
            None
        }
    }
}

fn path(levels: &[Level<'_>]) -> String {
    let mut path = String::new();
    for level in levels {
        path = match level {
            Level::Object { key, .. } => join(&path, &shown(key)),
            Level::Array { index } => format!("{path}[{index}]"),
        };
    }
    path
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn keys_are_there_once_in_each_object() {
        for (text, wanted) in [
            (r#"{}"#, ""),
            (r#"{"a": {"a": [{"a": 1}, {"a": 1}]}, "b": "a"}"#, ""),
            (r#"{"a": 1, "a": 2}"#, "a"),
            (r#"{"a": 1, "\u0061": 2, "A": 3}"#, "a"),
            (r#"{"a\"": 1, "a\\": 2, "b": ",\"b\":"}"#, ""),
            (
                r#"[{"a": [1, {"b": {}, "b": {"c": 1, "c": "c"}}]}]"#,
                "[0].a[1].b [0].a[1].b.c",
            ),
            (r#"{"": 1, "": 2, "a\n": 3, "a\u000a": 4}"#, " a\\n"),
            (r#"{"a": 1, "a": 2, "a": 3}"#, "a a"),
        ] {
            let found = of(text);
            let keys: Vec<_> = found.iter().map(|it| &*it.key).collect();
            assert_eq!(keys.join(" "), wanted, "{text}");
            for it in found {
                assert!(
                    it.first < it.at && text[it.first..].starts_with('"'),
                    "{text}"
                );
            }
        }
    }
}
