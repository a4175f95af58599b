//! From the path of a request to the names of entries, one folder at a time. `answer` asks. No name in the result can
//! lead out of the folder, or to something hidden.

use crate::definition::files::is_served;
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestedPath {
    /// Relative to the folder: no `..`, no root, no empty name. Empty for the folder itself.
    pub(super) path: PathBuf,
    /// Whether it ends with a slash, as the path of a folder does.
    pub(super) is_folder: bool,
}

/// What the path of a URL asks for; `None` if no file can have that name. Each segment is decoded once, by itself. So
/// an encoded slash stays inside its segment, and no slash is allowed there.
pub(super) fn asked(path: &str) -> Option<RequestedPath> {
    let names = path.strip_prefix('/')?;
    let mut path = PathBuf::new();
    if names.is_empty() {
        return Some(RequestedPath {
            path,
            is_folder: true,
        });
    }
    let (names, is_folder) = match names.strip_suffix('/') {
        Some(names) => (names, true),
        None => (names, false),
    };
    for segment in names.split('/') {
        path.push(name(segment)?);
    }
    Some(RequestedPath { path, is_folder })
}

fn name(segment: &str) -> Option<String> {
    let encoded = segment.match_indices('%').all(|(at, _)| {
        let digits = segment.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    (encoded && is_served(name.as_bytes())).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    fn path(asked: Option<RequestedPath>) -> Option<(String, bool)> {
        asked.map(|it| (it.path.to_str().unwrap().replace('\\', "/"), it.is_folder))
    }

    #[test]
    fn paths() {
        for (url, file, is_folder) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.txt", "a/b.txt", false),
            ("/a%20b/%C3%A9", "a b/é", false),
            ("/%61", "a", false),
            ("/100%25", "100%", false),
            ("/a%2541", "a%41", false),
        ] {
            assert_eq!(path(asked(url)), Some((file.into(), is_folder)), "{url}");
        }
    }

    #[test]
    fn what_no_file_can_be_named() {
        for url in [
            "",
            "a",
            "//",
            "/a//b",
            "//a",
            "/a//",
            "/.",
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/%2E",
            "/..%2fa",
            "/a%2fb",
            "/a%2Fb",
            "/%2f",
            "/a%5cb",
            "/..%5C..%5Ca",
            "/a\\b",
            "/a%00",
            "/%00",
            "/%",
            "/%2",
            "/%zz",
            "/a%0a",
            "/%ff",
            "/%c0%ae%c0%ae/a",
            "/%c0%afetc",
            "/.git",
            "/.git/config",
            "/a/.htaccess",
            "/%2egit",
            "/%E2%80%8C.git",
        ] {
            assert_eq!(asked(url), None, "{url}");
        }
    }

    proptest! {
        // For any path: only names, one to a segment, and none that is hidden.
        #[test]
        fn no_name_gets_out(url in "/([./\\\\:~a]|%2[eEfF]|%5[cC]|%00|%25|%C0%AE|\\PC|NUL|C:){0,16}") {
            if let Some(asked) = asked(&url) {
                let segments = url.trim_matches('/').split('/').filter(|it| !it.is_empty());
                let components: Vec<_> = asked.path.components().collect();
                prop_assert_eq!(components.len(), segments.count());
                for component in components {
                    let Component::Normal(name) = component else {
                        return Err(TestCaseError::fail(format!("{component:?}")));
                    };
                    let name = name.to_str().unwrap();
                    prop_assert!(!name.starts_with('.') && !name.contains(['/', '\\', '\0']));
                }
                prop_assert!(asked.path.is_relative());
            }
        }
    }
}
