//! The rules that need code: what a name, a prefix, a checksum or a host may be.
//!
//! A row of the table names a [`Rule`]. valor-check.js has the same rules under the same names, in JavaScript; the
//! cases in `tests/web/definitions.txt` keep the two equal. The range of a number or a choice of a few words needs no
//! code: it is data in the row.

use super::fault::shown;

/// What a text may be.
pub(crate) struct Rule {
    /// Its name in valor-check.js.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "it is for valor-keys.js, which a test writes")
    )]
    pub name: &'static str,
    /// The part of it that the schema can express.
    pub form: Form,
    /// `None` for a valid text, or else what is wrong and what to do.
    pub broken: fn(&str) -> Option<String>,
}

/// What a JSON Schema can say about a text.
pub(crate) enum Form {
    Any,
    NotEmpty,
    Pattern(&'static str),
}

const NAMES: Form = Form::Pattern(r"^[A-Za-z0-9-][A-Za-z0-9_.-]{0,63}$");
const PREFIXES: Form = Form::Pattern(concat!(
    r"^(/|/([^/_?#\s\\%]|%[0-9A-Fa-f]{2})([^/?#\s\\%]|%[0-9A-Fa-f]{2})*",
    r"(/([^/?#\s\\%]|%[0-9A-Fa-f]{2})+)*)$"
));

pub(super) const ANY: &Rule = &rule("any", Form::Any, |_| None);
pub(super) const NAME: &Rule = &rule("name", NAMES, name);
pub(super) const GROUP: &Rule = &rule("group", NAMES, group);
pub(super) const PREFIX: &Rule = &rule("prefix", PREFIXES, prefix);
pub(super) const PATH: &Rule = &rule("path", Form::NotEmpty, path);
pub(super) const SHA256: &Rule = &rule("sha256", Form::Pattern(r"^[0-9A-Fa-f]{64}$"), sha256);
pub(super) const HOST: &Rule = &rule("host", Form::NotEmpty, host);

pub(super) const CALLEE: &Rule = &rule(
    "callee",
    Form::Pattern(r"^(\*|_?[A-Za-z0-9-][A-Za-z0-9_.-]{0,63})$"),
    callee,
);

pub(super) const fn rule(
    name: &'static str,
    form: Form,
    broken: fn(&str) -> Option<String>,
) -> Rule {
    Rule { name, form, broken }
}

const MAX_NAME: usize = 64;

/// What is wrong with a vlugin's name, and what to do; `None` if nothing is.
///
/// ```
/// use valor_runtime::definition::broken_name;
///
/// assert_eq!(broken_name("greet"), None);
/// assert_eq!(broken_name("").as_deref(), Some("a name has at least one character"));
/// ```
pub fn name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name has at least one character".into());
    }
    if name.len() > MAX_NAME {
        return Some(format!(
            "a name has at most {MAX_NAME} characters; this one has {}",
            name.chars().count()
        ));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if let Some(bad) = name.chars().find(|&c| !allowed(c)) {
        return Some(format!(
            "`{}` is not allowed in a name; letters, digits, `_`, `.` and `-` are",
            shown(bad.encode_utf8(&mut [0; 4]))
        ));
    }
    let reserved = name.starts_with(['_', '.']);
    reserved.then(|| {
        format!("names that begin with `_` or `.` are Valor's own; begin `{name}` otherwise")
    })
}

/// A group's name follows the rules of a vlugin's.
fn group(group: &str) -> Option<String> {
    Some(name(group)?.replace("a name", "the name of a group"))
}

/// A vlugin's name, the name of something the host offers, or `*`.
fn callee(callee: &str) -> Option<String> {
    if callee == "*" {
        return None;
    }
    let Some(offered) = callee.strip_prefix('_') else {
        return name(callee);
    };
    let is_bare = offered.is_empty() || offered.starts_with(['_', '.']);
    match is_bare {
        true => Some(format!(
            "`{}` names nothing that a host can offer; write `_` once and a name behind it, such as `_count`",
            shown(callee)
        )),
        false => name(offered),
    }
}

fn prefix(prefix: &str) -> Option<String> {
    let Some(segments) = prefix.strip_prefix('/') else {
        return Some(format!(
            "a prefix begins with `/`; write `/{}`",
            shown(prefix)
        ));
    };
    if segments.is_empty() {
        return None;
    }
    if let Some(bad) = prefix
        .chars()
        .find(|&c| matches!(c, '?' | '#' | '\\') || !c.is_ascii_graphic())
    {
        let what = shown(bad.encode_utf8(&mut [0; 4]));
        return Some(if bad.is_ascii() {
            format!("`{what}` is not allowed in a prefix, which is a path without a query")
        } else {
            format!(
                "`{what}` must be percent-encoded in a path; write `{}` for it",
                percent_encoded(bad)
            )
        });
    }
    if let Some(rest) = segments.strip_suffix('/') {
        return Some(format!(
            "a prefix ends without `/`; write `/{}`",
            rest.trim_end_matches('/')
        ));
    }
    if let Some(bad) = bad_escape(segments) {
        return Some(format!(
            "`{bad}` is not a percent-encoded byte: write `%` and two hexadecimal digits, or `%25` for a `%`"
        ));
    }
    let decoded = segments.to_ascii_lowercase();
    if let Some(slash) = ["%2f", "%5c"].iter().find(|it| decoded.contains(**it)) {
        return Some(format!(
            "`{slash}` (an encoded slash) is not allowed in a prefix"
        ));
    }
    for segment in decoded.replace("%2e", ".").split('/') {
        match segment {
            "" => return Some("a prefix has no empty segment (`//`)".into()),
            "." | ".." => {
                return Some(format!(
                    "a prefix has no `{segment}` segment: paths are resolved before routing, \
                     so it would never be reached"
                ));
            }
            _ => {}
        }
    }
    segments
        .starts_with('_')
        .then(|| "prefixes that begin with `/_` are Valor's own; choose another".into())
}

/// The first `%` that two hexadecimal digits do not follow, with the two characters after it.
fn bad_escape(path: &str) -> Option<&str> {
    let escapes = path.match_indices('%');
    let mut escapes = escapes.map(|(at, _)| &path[at..path.len().min(at + 3)]);
    escapes.find(|it| it.len() < 3 || !it[1..].bytes().all(|b| b.is_ascii_hexdigit()))
}

fn path(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("a path has at least one character; leave the key out otherwise".into());
    }
    path.contains('\0')
        .then(|| "a path has no NUL character".into())
}

fn sha256(digest: &str) -> Option<String> {
    let hexadecimal = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (digest.len() != 64 || !hexadecimal).then(|| {
        format!(
            "a SHA-256 is 64 hexadecimal digits, as `sha256sum FILE` prints them; found {}",
            match hexadecimal {
                true => format!("{} digits", digest.len()),
                false => format!("`{}`", shown(digest)),
            }
        )
    })
}

/// A pattern of `allow`. This only refuses what no pattern can be. The host knows what patterns mean, and checks them
/// when the vlugin is loaded.
fn host(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("a host has at least one character".into());
    }
    if let Some((scheme, rest)) = pattern.split_once("://") {
        return Some(format!(
            "a host is written here without its scheme; write `{}` for `{}://…`",
            shown(rest.split('/').next().unwrap_or_default()),
            shown(scheme)
        ));
    }
    pattern
        .chars()
        .find(|&c| c.is_whitespace() || c.is_control() || "/?#@".contains(c))
        .map(|bad| {
            format!(
                "`{}` is not allowed in a host; write `host`, `host:port`, `*.domain` or `*`",
                shown(bad.encode_utf8(&mut [0; 4]))
            )
        })
}

fn percent_encoded(character: char) -> String {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}
