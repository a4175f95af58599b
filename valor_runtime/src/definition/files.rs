//! What the definition of a `files` vlugin may contain: the rows of its `config`, and the names that it serves.
//!
//! The loader of that kind reads its [`FilesConfig`], and calls [`is_served`] with every name in a request. A name that
//! passes is one entry of one folder, and not a hidden one, on the system that this runs on.

use super::{
    fault::shown,
    rules::{Form, Rule, rule},
    table::{KEY, Key, Object, Otherwise, Shape, find, text_default},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::RangeInclusive;

/// The `config` of a `files` vlugin.
///
/// ```
/// use valor_runtime::{Definition, definition::FilesConfig};
///
/// let site = Definition::from_json(
///     r#"{ "type": "files", "name": "site", "path": "public", "config": { "fallback": "app.html" } }"#,
/// )?;
/// let config: FilesConfig = serde_json::from_value(site.config).unwrap();
/// assert_eq!((&*config.index, config.fallback.as_deref()), ("index.html", Some("app.html")));
/// # Ok::<(), valor_runtime::definition::DefinitionFaults>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesConfig {
    /// The file that is served for a folder.
    #[serde(default = "FilesConfig::index")]
    pub index: String,
    /// The file that is served with status 200 if there is no such file; by default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// The value of `cache-control`; by default, there is no such header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
}

/// The `config` of a `files` vlugin.
pub(crate) const CONFIG: &Object = &Object {
    name: "FilesConfig",
    says: "How the files are served.",
    example: "{ \"index\": \"index.html\" }",
    keys: KEYS,
};

const KEYS: &[Key] = &[
    Key {
        name: "index",
        shape: Shape::Text {
            rule: INDEX,
            default: Some("index.html"),
        },
        says: "the file that is served for a folder",
        ..KEY
    },
    Key {
        name: "fallback",
        shape: Shape::Text {
            rule: SERVED,
            default: None,
        },
        says: "the file that is served, with status 200, if there is none: for applications that make their pages in \
               the browser",
        ..KEY
    },
    Key {
        name: "cache_control",
        shape: Shape::Text {
            rule: FIELD_VALUE,
            default: None,
        },
        otherwise: Otherwise::Is("no such header"),
        says: "the value of `cache-control`",
        ..KEY
    },
];

const INDEX: &Rule = &rule("index", Form::NotEmpty, index);
const SERVED: &Rule = &rule("served", Form::NotEmpty, path);
const FIELD_VALUE: &Rule = &rule(
    "field",
    Form::Pattern(r"^[!-~]([ -~]*[!-~])?$"),
    field_value,
);

impl FilesConfig {
    fn index() -> String {
        const { text_default(find(KEYS, "index")) }.into()
    }

    /// The `config` of a definition; `null` means all defaults.
    ///
    /// # Errors
    /// What is wrong with its shape, in one line.
    pub(crate) fn of(config: &Value) -> Result<Self, String> {
        if config.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(config.clone()).map_err(|error| error.to_string())
    }
}

impl Default for FilesConfig {
    fn default() -> Self {
        Self {
            index: Self::index(),
            fallback: None,
            cache_control: None,
        }
    }
}

fn index(name: &str) -> Option<String> {
    let served = is_served(name.as_bytes()) && !name.contains(['/', '\\']);
    (!served).then(|| {
        format!(
            "`{}` cannot be served as the page of a folder; write the name of a file, such as index.html",
            shown(name)
        )
    })
}

fn path(path: &str) -> Option<String> {
    let served = path.split('/').all(|name| is_served(name.as_bytes()));
    (!served).then(|| {
        format!(
            "`{}` is not a file that can be served; write its path from the folder, such as index.html",
            shown(path)
        )
    })
}

/// `field-value` of RFC 9110, section 5.5, in ASCII.
fn field_value(value: &str) -> Option<String> {
    let is_one = !value.is_empty()
        && value.trim_ascii() == value
        && value.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    (!is_one).then(|| {
        format!(
            "`{}` is not the value of a header; write one such as max-age=3600",
            shown(value)
        )
    })
}

/// Whether an entry with this name may be served: a single name, not hidden, without a second meaning.
pub fn is_served(name: &[u8]) -> bool {
    std::str::from_utf8(name)
        .is_ok_and(|name| is_plain(name) && (!cfg!(windows) || is_plain_on_windows(name)))
}

/// The rules for every system: no separator, no control character, no dot at the start.
fn is_plain(name: &str) -> bool {
    // HFS+ ignores these when it compares names, so that one of them could hide the dot.
    const IGNORED: [RangeInclusive<char>; 4] = [
        '\u{200b}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
    ];
    let ignored = |c| IGNORED.iter().any(|range| range.contains(&c));
    let first = name.chars().find(|&c| !ignored(c));
    first.is_some_and(|first| first != '.')
        && !name
            .chars()
            .any(|c| matches!(c, '/' | '\\') || c.is_control())
}

/// Names that Windows reads differently: devices, drives and streams, endings that it drops, wildcards, and the short
/// names of files (`PROGRA~1`), which may be hidden ones.
fn is_plain_on_windows(name: &str) -> bool {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let numbered = |stem: &str| {
        let port = stem.get(..3).map(str::to_ascii_uppercase);
        let number = stem.get(3..).unwrap_or_default();
        matches!(port.as_deref(), Some("COM" | "LPT"))
            && matches!(
                number,
                "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
            )
    };
    let is_device = DEVICES.iter().any(|it| it.eq_ignore_ascii_case(stem)) || numbered(stem);
    let is_short = name.match_indices('~').any(|(at, _)| {
        let rest = &name[at + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && matches!(rest.as_bytes().get(digits), None | Some(b'.'))
    });
    !is_device
        && !is_short
        && !name.ends_with(['.', ' '])
        && !name.contains([':', '<', '>', '"', '|', '?', '*'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_one_meaning() {
        for good in [
            "index.html",
            "a",
            "a.b.c",
            "~",
            "a~",
            "é.txt",
            "a b",
            "con-cert.txt",
            "console",
            "nul1",
            "com.txt",
            "com10",
            "lpt",
            "~1x",
            "👨\u{200d}👩.png",
        ] {
            assert!(is_plain(good) && is_plain_on_windows(good), "{good}");
        }
        for hidden in [
            "",
            ".",
            "..",
            ".git",
            ".htaccess",
            "a/b",
            "/",
            "a\\b",
            "\\",
            "a\0b",
            "a\nb",
            "\u{7f}",
            "\u{200c}.git",
            "\u{feff}",
            "\u{200d}..",
        ] {
            assert!(!is_plain(hidden), "{hidden:?}");
        }
        for windows in [
            "CON",
            "con",
            "Nul.txt",
            "nul.tar.gz",
            "aux .txt",
            "COM1",
            "com9.log",
            "LPT¹",
            "conin$",
            "a:b",
            "C:",
            "c:x",
            "a::$DATA",
            "a.",
            "a..",
            "a ",
            "a. ",
            "PROGRA~1",
            "GIT~1.TXT",
            "a~12",
            "a*",
            "a?",
            "a|b",
            "<a>",
            "\"",
        ] {
            assert!(!is_plain_on_windows(windows), "{windows:?}");
        }
        assert!(!is_served(b"\xff"));
    }
}
