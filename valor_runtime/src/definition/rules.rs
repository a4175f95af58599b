//! What a name, a prefix, a checksum, a limit may be.
//!
//! `read` asks for values that come from a text, [`Definition::check`] for those put together in
//! code. Each rule gives `None` for what is right, or else what is wrong and what to do.

use super::{Definition, Kind, fault::shown, files, limits, script};
use std::path::Path;

pub(super) const MAX_NAME: usize = 64;

/// Every rule that a definition breaks, by key.
pub(super) fn broken(definition: &Definition) -> Vec<(String, String)> {
    let file = |file: Option<&Path>| path(&file?.to_string_lossy());
    let found = [
        ("name", name(&definition.name)),
        ("prefix", definition.prefix.as_deref().and_then(prefix)),
        ("rewrite", rewrite(definition.strip, definition.rewrite)),
        ("path", file(definition.path.as_deref())),
        ("source", file(definition.source.as_deref())),
        ("sha256", definition.sha256.as_deref().and_then(sha256)),
        ("group", definition.group.as_deref().and_then(group)),
    ];
    let allowed = definition.allow.iter().flatten().enumerate();
    let allowed =
        allowed.filter_map(|(index, pattern)| Some((format!("allow[{index}]"), allow(pattern)?)));
    let of_kind = match definition.kind {
        Kind::Native | Kind::Wasm | Kind::Js => Vec::new(),
        Kind::Files => files::broken(definition),
    };
    found
        .into_iter()
        .filter_map(|(key, message)| Some((key.to_owned(), message?)))
        .chain(limits::broken(definition))
        .chain(allowed)
        .chain(of_kind)
        .chain(script::broken(definition))
        .collect()
}

pub(super) fn name(name: &str) -> Option<String> {
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
pub(super) fn group(group: &str) -> Option<String> {
    Some(name(group)?.replace("a name", "the name of a group"))
}

/// A vlugin that sees its prefix writes it as well.
pub(super) fn rewrite(strip: bool, rewrite: bool) -> Option<String> {
    (rewrite && !strip).then(|| {
        "`rewrite` has no meaning with `\"strip\": false`: the vlugin sees its prefix; take one of them out".into()
    })
}

pub(super) fn prefix(prefix: &str) -> Option<String> {
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

pub(super) fn path(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("a path has at least one character; leave the key out otherwise".into());
    }
    path.contains('\0')
        .then(|| "a path has no NUL character".into())
}

pub(super) fn sha256(digest: &str) -> Option<String> {
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
pub(super) fn allow(pattern: &str) -> Option<String> {
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
