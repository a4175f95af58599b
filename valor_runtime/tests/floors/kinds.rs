//! What is said in one place alone. What depends on the kind of a vlugin, or on the feature `wasm`, is said in the
//! table of kinds and in the kinds' own folders; what Valor's headers are called, in `in_band`. Everything else takes
//! it from the rows, so that a new kind is one row and one folder. Anything that waits for a moment asks `timer`.
//!
//! That no `match` has a kind as a case needs no test: `Kind` is no enum, and the compiler refuses its constants there.

use crate::imports::{OF_TESTS, end_of_item, is_path, walk};
use proc_macro2::{TokenStream, TokenTree};
use std::{collections::BTreeSet, fs, path::Path};

/// The kinds that have a name in Rust.
const NAMES: [&str; 4] = ["Native", "Wasm", "Js", "Files"];

/// What a file has in it, outside of its tests.
#[derive(Default)]
pub struct Found {
    /// Kinds that it names: `Kind::Native`.
    pub kinds: BTreeSet<String>,
    /// Whether it asks for the feature `wasm`.
    pub asks_for_wasm: bool,
    /// Headers whose names begin with `x-`.
    pub headers: BTreeSet<String>,
    /// Whether it takes smol's timer.
    pub takes_smols_timer: bool,
}

/// What each file of a crate has in it, by its path below `src`.
pub fn found(src: &Path) -> Vec<(String, Found)> {
    let mut files = Vec::new();
    walk(src, &mut files);
    let found = files.iter().map(|file| {
        let text = fs::read_to_string(file).expect("a source file");
        let tokens: TokenStream = text.parse().expect("Rust");
        let mut found = Found::default();
        scan(tokens, &mut found);
        let path = file.strip_prefix(src).expect("a file of it");
        (path.to_string_lossy().replace('\\', "/"), found)
    });
    found.collect()
}

fn scan(tokens: TokenStream, found: &mut Found) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Punct(punct) if punct.as_char() == '#' => {
                let attribute = tokens.get(at + 1).map(ToString::to_string);
                let attribute = attribute.unwrap_or_default().replace(' ', "");
                if OF_TESTS.iter().any(|it| attribute.starts_with(it)) {
                    at = end_of_item(&tokens, at + 2);
                    continue;
                }
            }
            TokenTree::Ident(word) if *word == "Kind" && is_path(&tokens, at + 1) => {
                let name = tokens.get(at + 3).map(ToString::to_string);
                let name = name.filter(|name| NAMES.contains(&&**name));
                found.kinds.extend(name);
            }
            TokenTree::Ident(word) if *word == "smol" && is_path(&tokens, at + 1) => {
                found.takes_smols_timer |= tokens.get(at + 3).is_some_and(is_timer);
            }
            TokenTree::Ident(word) if *word == "feature" => {
                let feature = tokens.get(at + 2).map(ToString::to_string);
                found.asks_for_wasm |= feature.is_some_and(|it| it == "\"wasm\"");
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let name = text.trim_matches('"');
                let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
                if name.starts_with("x-") && is_name {
                    found.headers.insert(name.to_owned());
                }
            }
            TokenTree::Group(group) => scan(group.stream(), found),
            _ => {}
        }
        at += 1;
    }
}

/// Whether this is `Timer`, or a list of names with it.
fn is_timer(token: &TokenTree) -> bool {
    match token {
        TokenTree::Ident(word) => *word == "Timer",
        TokenTree::Group(group) => group.stream().into_iter().any(|it| is_timer(&it)),
        _ => false,
    }
}
