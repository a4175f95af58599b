//! Whether a `Host` header, or the authority of a target, names a host and nothing else. The
//! guard asks; what passes cannot move the path that a vlugin sees.

use std::net::Ipv6Addr;

/// `host [":" port]` of RFC 9110, section 7.2: not empty, and without userinfo, percent-encoding
/// or anything that would end an authority.
pub(super) fn is_valid(value: &[u8]) -> bool {
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
                && (digits.is_empty()
                    || std::str::from_utf8(digits).is_ok_and(|d| d.parse::<u16>().is_ok()))
        }
        _ => false,
    };
    !host.is_empty() && host_is_valid && port_is_valid
}

/// `unreserved` and `sub-delims` of RFC 3986.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
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
            assert!(super::is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a/admin", "a?", "a#b", "u@a", "a b", "a:80:80", "a:x", "a:-1", "a:65536",
            "[::1", "[]", "[g::]", "[::1]x", "::1", "a%2fb", "a\\b", "ä", "a\tb", "<a>",
        ] {
            assert!(!super::is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
