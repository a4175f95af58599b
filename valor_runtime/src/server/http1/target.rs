//! What a request asks for: its method, its target, and the host in it. The guard calls this module. A target that
//! passes leaves no doubt about the path that a vlugin sees.

use super::refusal::{Refusal, bad};
use http_types::Method;
use std::{borrow::Cow, net::Ipv6Addr, str::FromStr};

/// Whether a method is known. Methods are case-sensitive; `http_types`' own parser ignores case.
pub(super) fn is_known(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS"
    ) || Method::from_str(method).is_ok_and(|known| known.as_ref() == method)
}

/// The target in origin form, and the authority if it came in absolute form (RFC 9112, section 3.2).
pub(super) fn of<'a>(
    method: &str,
    target: &'a str,
) -> Result<(Cow<'a, str>, Option<&'a str>), Refusal> {
    if method == "CONNECT" {
        return Err(Refusal::new(501, "this server is no proxy"));
    }
    if !target.is_ascii() || target.contains('#') {
        return Err(bad("the target has a character that is not allowed there"));
    }
    if target.starts_with('/') {
        return Ok((target.into(), None));
    }
    if target == "*" && method == "OPTIONS" {
        return Ok((target.into(), None));
    }
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        target
            .get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let Some(scheme) = scheme else {
        return Err(bad("the target is neither a path nor an http URL"));
    };
    let rest = &target[scheme.len()..];
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if !is_authority(authority.as_bytes()) {
        return Err(bad("the target's authority is not a host"));
    }
    let path = match path.as_bytes().first() {
        None if method == "OPTIONS" => "*".into(),
        None => "/".into(),
        Some(b'?') => format!("/{path}").into(),
        Some(_) => path.into(),
    };
    Ok((path, Some(authority)))
}

/// Whether a `Host` header, or the authority of a target, names a host and nothing else:
/// `host [":" port]` of RFC 9110, section 7.2, not empty, and without userinfo, percent-encoding
/// or anything that would end an authority.
pub(super) fn is_authority(value: &[u8]) -> bool {
    let (host, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|&b| b == b']') else {
                return false;
            };
            let address = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            if address.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            (&value[..end + 2], &rest[end + 1..])
        }
        None => {
            let end = value.iter().position(|&b| b == b':');
            value.split_at(end.unwrap_or(value.len()))
        }
    };
    let host_is_valid = value.starts_with(b"[") || host.iter().all(|&b| is_name(b));
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => {
            digits.iter().all(u8::is_ascii_digit)
                && digits
                    .iter()
                    .try_fold(0_u16, |port, digit| {
                        port.checked_mul(10)?.checked_add((digit - b'0').into())
                    })
                    .is_some()
        }
        _ => false,
    };
    !host.is_empty() && host_is_valid && port_is_valid
}

/// `unreserved` and `sub-delims` of RFC 3986.
fn is_name(byte: u8) -> bool {
    const NAMES: [bool; 256] = {
        let mut names = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            names[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let marks = b"-._~!$&'()*+,;=";
        let mut at = 0;
        while at < marks.len() {
            names[marks[at] as usize] = true;
            at += 1;
        }
        names
    };
    NAMES[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    #[test]
    fn hosts() {
        for good in [
            "a",
            "example.com",
            "example.com:80",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "a:",
            "under_score",
            "xn--nxasmq6b.example",
            "a:65535",
        ] {
            assert!(super::is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a/admin", "a?", "a#b", "u@a", "a b", "a:80:80", "a:x", "a:-1", "a:65536",
            "[::1", "[]", "[g::]", "[::1]x", "::1", "a%2fb", "a\\b", "ä", "a\tb", "<a>",
        ] {
            assert!(!super::is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
