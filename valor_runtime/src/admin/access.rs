//! Who may speak to `/_plugins`, which loads code, and see `/_welcome`, which shows what that does.
//!
//! Without a token, only loopback peers may. Their `Host` has to be a loopback name too, otherwise a page whose name
//! was re-bound to 127.0.0.1 could speak to it. Requests that a browser sends on behalf of a page may not; their
//! `Origin` gives them away. With a token, every request that brings it may.

use crate::{RequestHead, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::net::{IpAddr, SocketAddr};
use subtle::ConstantTimeEq;

/// Who may register vlugins at run time.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum RegistryAccess {
    /// Nobody: there is no `/_plugins`.
    #[default]
    Off,
    /// Programs on this machine.
    Loopback,
    /// Every program that sends `Authorization: Bearer` and the token.
    Token(Token),
}

/// A secret. It is compared in constant time and never printed.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl Token {
    /// A token with this text, without the white space around it. `None` if it is shorter than 16 characters, contains
    /// white space, or is not ASCII.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fit = text.len() >= 16 && text.bytes().all(|b| b.is_ascii_graphic());
        fit.then(|| Self(text.into()))
    }

    fn is(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl RegistryAccess {
    /// Lets a request through, or returns the refusal.
    ///
    /// # Errors
    /// 401 for a missing or wrong token, 403 for a client that may not speak here at all.
    pub fn check(&self, head: &RequestHead) -> Result<(), Response> {
        match self {
            Self::Off => Err(Response::problem(404, "there is no /_plugins here")),
            Self::Token(token) => {
                let bearer = head.header("authorization").and_then(bearer);
                if bearer.is_some_and(|bearer| token.is(bearer)) {
                    return Ok(());
                }
                let mut refusal =
                    Response::problem(401, "send `Authorization: Bearer` and the registry's token");
                let _ = refusal.head.push("www-authenticate", b"Bearer");
                Err(refusal)
            }
            Self::Loopback => {
                loopback_only(head, "/_plugins").map_err(|reason| Response::problem(403, &reason))
            }
        }
    }
}

impl RegistryAccess {
    /// The same for the welcome page, which shows what the registry does. A browser sends the token as a password (RFC
    /// 7617), which it asks for. Without a registry, programs on this machine may see it.
    ///
    /// # Errors
    /// As [`RegistryAccess::check`].
    pub fn check_page(&self, head: &RequestHead) -> Result<(), Response> {
        match self {
            Self::Off | Self::Loopback => {
                loopback_only(head, "/_welcome").map_err(|reason| Response::problem(403, &reason))
            }
            Self::Token(token) => {
                let value = head.header("authorization");
                if value.and_then(bearer).is_some_and(|it| token.is(it))
                    || value.and_then(password).is_some_and(|it| token.is(&it))
                {
                    return Ok(());
                }
                let line = "the registry's token is the password of this page, with any name";
                let mut refusal = Response::problem(401, line);
                let _ = refusal.head.push(
                    "www-authenticate",
                    b"Basic realm=\"Valor\", charset=\"UTF-8\"",
                );
                Err(refusal)
            }
        }
    }

    /// Whether a request brings the token in an `Authorization` header: in whichever of several, and behind whatever
    /// scheme.
    pub fn is_in(&self, head: &RequestHead) -> bool {
        let Self::Token(token) = self else {
            return false;
        };
        let values = head.headers().filter(|(name, _)| *name == "authorization");
        let mut words = values.flat_map(|(_, value)| value.split(|byte| b" \t,".contains(byte)));
        words.any(|word| token.is(word) || password_in(word).is_some_and(|it| token.is(&it)))
    }
}

/// The password of an `Authorization` header (RFC 7617, section 2).
fn password(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = value.split_at_checked(6)?;
    scheme
        .eq_ignore_ascii_case(b"basic ")
        .then(|| password_in(rest.trim_ascii()))?
}

/// The password of a name and a password in base64.
fn password_in(word: &[u8]) -> Option<Vec<u8>> {
    let pair = STANDARD.decode(word).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(pair[colon + 1..].to_vec())
}

/// The token of an `Authorization` header (RFC 6750, section 2.1). The scheme may be in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| rest.trim_ascii())
}

/// `what` is the path of the vlugin that asks.
fn loopback_only(head: &RequestHead, what: &str) -> Result<(), String> {
    // A request without a peer came from this program, or over a Unix socket that its file's permissions guard. If a
    // proxy does not name its client, the client's address belongs to nobody.
    let peer_is_loopback = head.peer().is_none_or(|peer| {
        peer.parse::<SocketAddr>()
            .is_ok_and(|peer| is_loopback(peer.ip()))
    });
    if !peer_is_loopback {
        return Err(format!(
            "{what} is only for this machine unless a registry token is set"
        ));
    }
    if !head.header_str("host").is_some_and(is_loopback_host) {
        return Err(format!(
            "the Host of a request to {what} must be localhost or a loopback address"
        ));
    }
    if head.header("origin").is_some() {
        return Err(format!(
            "{what} is not for pages: the request has an Origin"
        ));
    }
    Ok(())
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    match bare {
        Some(ip) => ip.parse().is_ok_and(is_loopback),
        None => {
            name.eq_ignore_ascii_case("localhost")
                || name
                    .parse::<std::net::Ipv4Addr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(peer: &str, headers: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new("GET", "/").unwrap();
        head.set_peer(peer);
        for (name, value) in headers {
            head.push(name, value.as_bytes()).unwrap();
        }
        head
    }

    #[test]
    fn this_machine_alone() {
        let local = ("host", "localhost:8080");
        for (peer, headers, allowed) in [
            ("127.0.0.1:5", vec![local], true),
            ("[::1]:5", vec![("host", "[::1]:8080")], true),
            ("[::ffff:127.0.0.1]:5", vec![("host", "127.0.0.1")], true),
            ("", vec![("host", "LOCALHOST")], true),
            ("192.0.2.1:5", vec![local], false),
            ("0.0.0.0:0", vec![local], false),
            ("not an address", vec![local], false),
            ("127.0.0.1:5", vec![], false),
            ("127.0.0.1:5", vec![("host", "example.com")], false),
            (
                "127.0.0.1:5",
                vec![("host", "localhost.example.com")],
                false,
            ),
            (
                "127.0.0.1:5",
                vec![("host", "127.0.0.1.example.com")],
                false,
            ),
            ("127.0.0.1:5", vec![("host", "[::2]")], false),
            (
                "127.0.0.1:5",
                vec![local, ("origin", "http://localhost")],
                false,
            ),
            ("127.0.0.1:5", vec![local, ("origin", "null")], false),
        ] {
            let checked = RegistryAccess::Loopback.check(&head(peer, &headers));
            assert_eq!(checked.is_ok(), allowed, "{peer} {headers:?}");
        }
    }

    #[test]
    fn whoever_brings_the_token() {
        let access = RegistryAccess::Token(Token::new(" 0123456789abcdef\n").unwrap());
        for (value, status) in [
            ("Bearer 0123456789abcdef", None),
            ("bearer 0123456789abcdef", None),
            ("Bearer 0123456789abcdeF", Some(401)),
            ("Bearer 0123456789abcde", Some(401)),
            ("Bearer ", Some(401)),
            ("Basic 0123456789abcdef", Some(401)),
            ("", Some(401)),
        ] {
            let head = head("192.0.2.1:5", &[("authorization", value)]);
            let refused = access.check(&head).err().map(|r| r.head.status());
            assert_eq!(refused, status, "{value}");
        }
        assert!(access.check(&head("127.0.0.1:5", &[])).is_err());
        // A browser has it as a password: "any:0123456789abcdef", and one that is wrong.
        for (value, allowed) in [
            ("Basic YW55OjAxMjM0NTY3ODlhYmNkZWY=", true),
            ("basic OjAxMjM0NTY3ODlhYmNkZWY=", true),
            ("Bearer 0123456789abcdef", true),
            ("Basic YW55OjAxMjM0NTY3ODlhYmNkZQ==", false),
            ("Basic MDEyMzQ1Njc4OWFiY2RlZg==", false),
            ("Basic 0123456789abcdef", false),
            ("Basic", false),
        ] {
            let head = head("192.0.2.1:5", &[("authorization", value)]);
            assert_eq!(access.check_page(&head).is_ok(), allowed, "{value}");
        }
        let refusal = access.check_page(&head("127.0.0.1:5", &[])).unwrap_err();
        assert_eq!(refusal.head.status(), 401);
        assert!(
            refusal
                .head
                .header_str("www-authenticate")
                .unwrap()
                .starts_with("Basic ")
        );
        assert!(Token::new("short").is_none());
        assert!(!format!("{access:?}").contains("0123"));
    }
}
