//! Brings paths to one form before they are routed, so that dots cannot lead out of a prefix.

use std::borrow::Cow;

/// A target whose path has no dot segments (RFC 3986, section 5.2.4) and no backslashes.
///
/// `%2e` counts as a dot, in either case, and a backslash as a slash, as in the URL standard (whatwg.org, "special"
/// schemes). The vlugin's own URL parser would read them so later. Empty segments, every other percent-encoding and
/// the query stay.
pub fn resolve(target: &str) -> Cow<'_, str> {
    let end = target.bytes().position(|b| matches!(b, b'?' | b'#'));
    let end = end.unwrap_or(target.len());
    let (path, query) = target.split_at(end);
    // Most paths have none of these characters and need no second look.
    if !path.bytes().any(|b| matches!(b, b'.' | b'%' | b'\\')) {
        return Cow::Borrowed(target);
    }
    if !path.contains('\\') && !path.split('/').any(is_dots) {
        return Cow::Borrowed(target);
    }
    let path = path.replace('\\', "/");
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(&path).split('/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let dots = dots(segment);
        if dots == 2 {
            kept.pop();
        }
        if dots == 0 {
            kept.push(segment);
        } else if index + 1 == segments.len() {
            // `/a/.` and `/a/b/..` name the folder `/a/`.
            kept.push("");
        }
    }
    Cow::Owned(format!("/{}{query}", kept.join("/")))
}

fn is_dots(segment: &str) -> bool {
    dots(segment) > 0
}

/// 1 for `.`, 2 for `..`, 0 for anything else.
fn dots(segment: &str) -> usize {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() && count < 3 {
        let dot = rest.strip_prefix('.').or_else(|| {
            let encoded = rest.get(..3)?;
            encoded.eq_ignore_ascii_case("%2e").then(|| &rest[3..])
        });
        let Some(after) = dot else { return 0 };
        rest = after;
        count += 1;
    }
    if count > 2 { 0 } else { count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_way_to_write_dots() {
        for (target, resolved) in [
            ("/", "/"),
            ("/a/b?x=../y", "/a/b?x=../y"),
            ("/a/../b", "/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e/b", "/a/b"),
            ("/a\\..\\b", "/b"),
            ("\\\\a", "//a"),
            ("//a//b", "//a//b"),
            ("/a//../b", "/a/b"),
            ("/a/.../b", "/a/.../b"),
            ("/a/.b/..c", "/a/.b/..c"),
            ("/a/%2f../b", "/a/%2f../b"),
            ("/é/../b", "/b"),
        ] {
            assert_eq!(resolve(target), resolved, "{target}");
        }
    }

    proptest! {
        // The URL parser that a vlugin's request goes through is the reference.
        #[test]
        fn as_the_url_standard_resolves(target in "/([.a/\\\\]|%2[eE]|%41){0,12}") {
            let url = http_types::Url::parse(&format!("http://host{target}")).unwrap();
            let resolved = resolve(&target);
            prop_assert_eq!(&resolved, url.path());
            prop_assert_eq!(resolve(&resolved), resolved.as_ref());
        }
    }
}
