//! [`irregular`]: which of the files that a script's text names is not a regular file, if Deno could not say.
//!
//! `graph` calls it if Deno waited for such a file. It is a guess from the text, good enough for an error message and
//! nothing else: whatever follows `from` or `import` counts as a name, even in comments.

use crate::file;
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

/// At most so many files are looked at, of at most that size.
const MOST: usize = 1000;
const LARGEST: u64 = 4 << 20;

/// Whether it exists, and is neither a file nor a folder.
pub(super) fn is_irregular(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir())
}

/// The first irregular file that this script, or one that it imports, names.
pub(super) fn irregular(script: &Path) -> Option<PathBuf> {
    let mut seen = HashSet::new();
    let mut left = vec![script.to_owned()];
    while let Some(file) = left.pop() {
        if seen.len() == MOST {
            return None;
        }
        if !seen.insert(file.clone()) {
            continue;
        }
        if is_irregular(&file) {
            return Some(file);
        }
        let Ok(text) = file::read(&file, LARGEST) else {
            continue;
        };
        let text = String::from_utf8_lossy(&text);
        let base = url::Url::from_file_path(&file).ok();
        let names = names(&text).filter_map(|it| {
            let is_path = ["/", "./", "../", "file:"]
                .iter()
                .any(|start| it.starts_with(start));
            let url = base.as_ref().filter(|_| is_path)?.join(it).ok()?;
            url.to_file_path().ok()
        });
        left.extend(names);
    }
    None
}

/// What is in quotes after `from`, `import` and `import(`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text
        .match_indices("from")
        .chain(text.match_indices("import"));
    words.filter_map(|(at, word)| {
        let rest = text[at + word.len()..].trim_start();
        let rest = rest.strip_prefix('(').unwrap_or(rest).trim_start();
        let quote = rest.chars().next().filter(|it| matches!(it, '"' | '\''))?;
        rest[1..].split_once(quote).map(|(name, _)| name)
    })
}
