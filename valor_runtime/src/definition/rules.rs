//! What a name, a prefix, a checksum, a host may be: the rules that need code.
//!
//! A row of the table names a [`Rule`]. valor-check.js has the same rules by the same names, in JavaScript; the cases
//! in `tests/web/definitions.txt` hold the two together. A number's range or a choice of a few words needs no code: it
//! is data of the row.

use super::fault::shown;

/// What a text may be.
pub(crate) struct Rule {
    /// Its name in valor-check.js.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "it is for valor-keys.js, which a test writes")
    )]
    pub name: &'static str,
    /// As much of it as the schema can say.
    pub form: Form,
    /// `None` for what is right, or else what is wrong and what to do.
    pub broken: fn(&str) -> Option<String>,
}

/// What a JSON Schema can say of a text.
pub(crate) enum Form {
    Any,
    NotEmpty,
    Pattern(&'static str),
}

const NAMES: Form = Form::Pattern(r"^[A-Za-z0-9-][A-Za-z0-9_.-]{0,63}$");
const PREFIXES: Form = Form::Pattern(r"^(/|/[^/_?#\s\\][^/?#\s\\]*(/[^/?#\s\\]+)*)$");

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

/// What is wrong with a name.
pub(crate) fn name(name: &str) -> Option<String> {
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
            "`{}` cannot stand in a name; letters, digits, `_`, `.` and `-` can",
            shown(bad.encode_utf8(&mut [0; 4]))
        ));
    }
    let reserved = name.starts_with(['_', '.']);
    reserved.then(|| {
        format!("names that begin with `_` or `.` are Valor's own; begin `{name}` otherwise")
    })
}

/// A group is called as a vlugin is.
fn group(group: &str) -> Option<String> {
    Some(name(group)?.replace("a name", "the name of a group"))
}

/// A vlugin's name, that of something the host offers, or `*`.
fn callee(callee: &str) -> Option<String> {
    if callee == "*" {
        return None;
    }
    name(callee.strip_prefix('_').unwrap_or(callee))
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
            format!("`{what}` cannot stand in a prefix, which is a path without a query")
        } else {
            format!(
                "`{what}` stands in a path percent-encoded; write `{}` for it",
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
    let decoded = segments.to_ascii_lowercase();
    if let Some(slash) = ["%2f", "%5c"].iter().find(|it| decoded.contains(**it)) {
        return Some(format!(
            "`{slash}` (an encoded slash) cannot stand in a prefix"
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

/// A pattern of `allow`. Here only what no pattern can be: what the patterns mean is known to
/// the host, which judges them when the vlugin is loaded.
fn host(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("a host has at least one character".into());
    }
    if let Some((scheme, rest)) = pattern.split_once("://") {
        return Some(format!(
            "a host stands here without its scheme; write `{}` for `{}://…`",
            shown(rest.split('/').next().unwrap_or_default()),
            shown(scheme)
        ));
    }
    pattern
        .chars()
        .find(|&c| c.is_whitespace() || c.is_control() || "/?#@".contains(c))
        .map(|bad| {
            format!(
                "`{}` cannot stand in a host; write `host`, `host:port`, `*.domain` or `*`",
                shown(bad.encode_utf8(&mut [0; 4]))
            )
        })
}

fn percent_encoded(character: char) -> String {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).bytes();
    bytes.map(|byte| format!("%{byte:02X}")).collect()
}
