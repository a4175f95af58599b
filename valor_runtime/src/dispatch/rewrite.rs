//! Adds the prefix to the response of a vlugin that knows nothing of it: `"rewrite": true`.
//! [`Dispatch`](super::Dispatch) calls it for requests from outside; `web/valor-rules.js` does the same in a page.
//!
//! Only paths from the root are changed, always and once. A URL with a host stays as it is.

use crate::ResponseHead;

/// Puts the prefix in front of `location`, `content-location`, and the `Path` of each cookie.
pub(super) fn add_prefix(head: &mut ResponseHead, prefix: &str) {
    if prefix == "/" {
        return;
    }
    for name in ["location", "content-location"] {
        if let Some(value) = head.header(name).and_then(|value| below(prefix, value)) {
            // A header's value with a prefix in front is still one.
            let _ = head.set(name, &value);
        }
    }
    let cookies: Vec<_> = head
        .headers()
        .filter(|(name, _)| *name == "set-cookie")
        .map(|(_, cookie)| scoped(prefix, cookie))
        .collect();
    if !cookies.is_empty() {
        head.remove("set-cookie");
        for cookie in cookies {
            let _ = head.push("set-cookie", &cookie);
        }
    }
}

/// A path from the root (RFC 3986, section 4.2: `path-absolute`) below the prefix; `None` for anything else.
fn below(prefix: &str, reference: &[u8]) -> Option<Vec<u8>> {
    let is_path = reference.starts_with(b"/") && !matches!(reference.get(1), Some(b'/' | b'\\'));
    is_path.then(|| [prefix.as_bytes(), reference].concat())
}

/// A `Set-Cookie` (RFC 6265, section 5.2). If its path is one from the root, it is put below the prefix. A cookie
/// whose name begins with `__Host-` is left alone: browsers drop one with a path other than `/` (RFC 6265bis, section
/// 4.1.3.2).
fn scoped(prefix: &str, cookie: &[u8]) -> Vec<u8> {
    const HOST: &[u8] = b"__Host-";
    let start = cookie.trim_ascii_start();
    if start.len() >= HOST.len() && start[..HOST.len()].eq_ignore_ascii_case(HOST) {
        return cookie.to_vec();
    }
    let attribute = |part: &[u8]| {
        let at = part.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&part[..at], part[at + 1..].trim_ascii());
        let is_path = name.trim_ascii().eq_ignore_ascii_case(b"path") && value.starts_with(b"/");
        // A path of `/x/` would not match `/x` itself.
        let value = if value == b"/" { b"" } else { value };
        is_path.then(|| [&part[..=at], prefix.as_bytes(), value].concat())
    };
    let mut parts = cookie.split(|byte| *byte == b';');
    // The first is the cookie's name and value.
    let mut whole = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        whole.push(b';');
        whole.extend(attribute(part).unwrap_or_else(|| part.to_vec()));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_from_the_root_get_the_prefix() {
        for (before, after) in [
            ("/", "/p/"),
            ("/a?b#c", "/p/a?b#c"),
            ("/p/a", "/p/p/a"),
            ("a", "a"),
            ("./a", "./a"),
            ("?a", "?a"),
            ("", ""),
            ("//host/a", "//host/a"),
            ("/\\host/a", "/\\host/a"),
            ("https://host/a", "https://host/a"),
        ] {
            let mut head = ResponseHead::new(302).unwrap();
            for name in ["location", "content-location"] {
                head.push(name, before.as_bytes()).unwrap();
            }
            add_prefix(&mut head, "/p");
            assert_eq!(head.header_str("location"), Some(after), "{before}");
            assert_eq!(head.header_str("content-location"), Some(after), "{before}");
        }
    }

    #[test]
    fn cookies_get_the_prefix_each_by_itself() {
        let cases = [
            ("a=b; Path=/; HttpOnly", "a=b; Path=/p; HttpOnly"),
            ("a=b;path = /x/y;Secure", "a=b;path =/p/x/y;Secure"),
            ("a=b", "a=b"),
            ("path=/x; Max-Age=1", "path=/x; Max-Age=1"),
            ("a=b; Path=x", "a=b; Path=x"),
            ("a=b; Path", "a=b; Path"),
            ("__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/"),
            ("__Secure-a=b; Path=/", "__Secure-a=b; Path=/p"),
        ];
        let mut head = ResponseHead::new(200).unwrap();
        for (before, _) in cases {
            head.push("set-cookie", before.as_bytes()).unwrap();
        }
        head.push("x-other", b"/").unwrap();
        add_prefix(&mut head, "/p");
        let cookies = head.headers().filter(|(name, _)| *name == "set-cookie");
        let cookies: Vec<_> = cookies.map(|(_, value)| value.to_vec()).collect();
        let expected: Vec<_> = cases
            .iter()
            .map(|(_, after)| after.as_bytes().to_vec())
            .collect();
        assert_eq!(cookies, expected);
        assert_eq!(head.header_str("x-other"), Some("/"));
    }

    #[test]
    fn at_the_root_nothing_changes() {
        let mut head = ResponseHead::new(302).unwrap();
        head.push("location", b"/a").unwrap();
        add_prefix(&mut head, "/");
        assert_eq!(head.header_str("location"), Some("/a"));
    }
}
