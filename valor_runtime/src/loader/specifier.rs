//! Names of modules that are paths: what a server takes them for, and what is wrong with one that it does not find.
//!
//! `js` asks for what a script imports, and `valor_cli web` for what is put into a page, so that both read the same
//! files and say the same of others.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};
use url::Url;

/// The ends of the names of files that a name without one may mean.
const ENDS: [&str; 8] = ["js", "ts", "mjs", "mts", "cjs", "cts", "jsx", "tsx"];

/// Whether a module is named by its path, and not by that of a package or a URL of another kind.
pub fn is_path(specifier: &str) -> bool {
    let starts = ["./", "../", "/", "file:"];
    matches!(specifier, "." | "..") || starts.iter().any(|it| specifier.starts_with(it))
}

/// The file that a server takes for a path in this file. It need not be there.
pub fn file(importer: &Path, specifier: &str) -> Option<PathBuf> {
    let base = Url::from_file_path(importer).ok()?;
    base.join(specifier).ok()?.to_file_path().ok()
}

/// Why a path is refused, if it is written in percent-encoding: a server decodes it, and what bundles for a page does
/// not.
pub fn misnamed(specifier: &str) -> Option<String> {
    let end = specifier.find(['?', '#']).unwrap_or(specifier.len());
    let (path, rest) = specifier.split_at(end);
    let plain = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    (is_path(specifier) && plain != path).then(|| {
        format!(
            "it imports `{specifier}`, which a page would look for by that very name: write the name as the file has \
             it, `{plain}{rest}`"
        )
    })
}

/// What may be wrong with the name of a missing file: ` Maybe …`, or nothing.
pub fn maybe(file: &Path) -> Cow<'static, str> {
    if file.is_dir() {
        return " Maybe name a file that is in that folder".into();
    }
    let with = |end: &&str| {
        let mut name = file.as_os_str().to_owned();
        name.push(".");
        name.push(end);
        Path::new(&name).is_file()
    };
    match ENDS.into_iter().find(with) {
        Some(end) => format!(" Maybe add a '.{end}' extension").into(),
        None => "".into(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_url_and_written_as_the_file_is() {
        let at = |specifier: &str| file(Path::new("/app/js/it.js"), specifier);
        for (specifier, path) in [
            ("./a.js", "/app/js/a.js"),
            ("../a.js?v=1#x", "/app/a.js"),
            ("/a b.js", "/a b.js"),
            ("./a%20b.js", "/app/js/a b.js"),
            ("file:///a.js", "/a.js"),
            ("..", "/app/"),
        ] {
            assert!(is_path(specifier), "{specifier}");
            assert_eq!(
                at(specifier).as_deref(),
                Some(Path::new(path)),
                "{specifier}"
            );
        }
        for specifier in [
            "hono",
            "@a/b",
            "#a",
            "npm:a",
            "https://a.example/a.js",
            "data:,1",
        ] {
            assert!(!is_path(specifier), "{specifier}");
        }
        for (specifier, plain) in [
            ("./a%20b.js", Some("`./a b.js`")),
            ("./a%20b.js?v=%20", Some("`./a b.js?v=%20`")),
            ("./a b.js", None),
            ("./a%.js", None),
            ("./a.js?v=%20", None),
            ("@a/b%20c", None),
        ] {
            let line = misnamed(specifier);
            assert_eq!(line.is_some(), plain.is_some(), "{line:?}");
            assert!(line.unwrap_or_default().ends_with(plain.unwrap_or("")));
        }
    }
}
