//! Builds a URL from a request's parts, without a parser for all URLs.
//!
//! The parser of `url` knows every scheme and uses Unicode's tables for hosts. In a WebAssembly module that is half of
//! the module's size. A request needs less, and the host has checked it: one of two schemes, an ASCII host with a port,
//! a path and a query. The rules for these are those of the [URL Standard](https://url.spec.whatwg.org/); the tests
//! compare them with `url`'s own parser.

use crate::parts::{Host, Parts};
use http_types::{Url, url};
use std::{
    cell::RefCell,
    net::{Ipv4Addr, Ipv6Addr},
};
#[cfg(any(target_family = "wasm", test))]
use valor_abi_wire::{Fault, RequestHead};

/// The URL that a module's client makes from a text, without the parser for all URLs: absolute or relative to a base,
/// with HTTP or HTTPS, an ASCII host, and no userinfo. Only for that client and its tests.
#[doc(hidden)]
pub fn http_url(base: Option<&Url>, text: &str) -> Option<Url> {
    let (scheme, rest) = match (split_scheme(text), base) {
        (Some((scheme, rest)), _) if !scheme.contains(['/', '?', '#']) => (http(scheme)?, rest),
        (_, Some(base)) => {
            let scheme = http(base.scheme())?;
            if let Some(rest) = text.strip_prefix("//") {
                return behind_scheme(scheme, rest);
            }
            let authority = &base[url::Position::BeforeHost..url::Position::AfterPort];
            let path = match text.as_bytes() {
                [b'/', ..] => "",
                [b'?', ..] => base.path(),
                [b'#', ..] | [] => &base[url::Position::BeforePath..url::Position::AfterQuery],
                _ => &base.path()[..=base.path().rfind('/')?],
            };
            return assemble(scheme, authority, &[path, text].concat());
        }
        _ => return None,
    };
    behind_scheme(scheme, rest)
}

/// The text before the first `://`, and after it. Searching a text for a text is 3 KB of code.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let at = text.as_bytes().windows(3).position(|it| it == b"://")?;
    Some((&text[..at], &text[at + 3..]))
}

fn http(scheme: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(scheme))
}

/// An authority, and perhaps a target.
fn behind_scheme(scheme: &'static str, rest: &str) -> Option<Url> {
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    match target.as_bytes() {
        [b'/' | b'\\', ..] => assemble(scheme, authority, target),
        _ => assemble(scheme, authority, &["/", target].concat()),
    }
}

/// Whether [`of`] makes a URL of it: all that it may refuse is the host. No URL is made for that, so that a module
/// whose vlugin asks for none has no code for it.
///
/// # Errors
/// Those of [`of`].
#[cfg(any(target_family = "wasm", test))]
pub(crate) fn check(head: &RequestHead) -> Result<(), Fault> {
    let target = head.target();
    let (scheme, authority) = match split_scheme(target) {
        Some((scheme, rest)) if !target.starts_with('/') => {
            let scheme = http(scheme).ok_or_else(|| no_url(target))?;
            let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
            (scheme, &rest[..end])
        }
        _ => (scheme_of(head), host_of(head)),
    };
    let is_same = |last: &Origin| last.scheme == scheme && last.authority == authority;
    LAST.with_borrow_mut(|last| {
        if !last.as_ref().is_some_and(is_same) {
            *last = Some(Origin::of(scheme, authority).ok_or_else(|| no_host(authority))?);
        }
        Ok(())
    })
}

#[cfg(any(target_family = "wasm", test))]
fn no_url(target: &str) -> Fault {
    Fault::error(400, ["the target ", target, " is not a URL"].concat())
}

#[cfg(any(target_family = "wasm", test))]
fn no_host(host: &str) -> Fault {
    Fault::error(400, ["`", host, "` is not a host"].concat())
}

#[cfg(any(target_family = "wasm", test))]
fn scheme_of(head: &RequestHead) -> &'static str {
    if head.is_https() { "https" } else { "http" }
}

#[cfg(any(target_family = "wasm", test))]
fn host_of(head: &RequestHead) -> &str {
    head.header_str("host").unwrap_or("localhost")
}

/// The target after scheme and host, as `url::of` does it elsewhere.
#[cfg(any(target_family = "wasm", test))]
pub(crate) fn of(head: &RequestHead) -> Result<Url, Fault> {
    let target = head.target();
    if !target.starts_with('/') && split_scheme(target).is_some() {
        return http_url(None, target).ok_or_else(|| no_url(target));
    }
    let (scheme, host) = (scheme_of(head), host_of(head));
    let url = match target.starts_with('/') {
        true => assemble(scheme, host, target),
        false => assemble(scheme, host, &["/", target].concat()),
    };
    url.ok_or_else(|| no_host(host))
}

/// The URL of `scheme` (`http` or `https`), an authority without userinfo, and a target that begins with a slash.
/// `None` if the authority is invalid, or has a host that is not ASCII.
pub(crate) fn assemble(scheme: &'static str, authority: &str, target: &str) -> Option<Url> {
    LAST.with_borrow_mut(|last| {
        let origin = match last {
            Some(last) if last.scheme == scheme && last.authority == authority => last,
            last => last.insert(Origin::of(scheme, authority)?),
        };
        let mut url = String::with_capacity(origin.text.len() + target.len() + 8);
        url.push_str(&origin.text);
        let (target, fragment) = split(target, b'#');
        let (path, query) = split(target, b'?');
        push_path(&mut url, path);
        let query_start = query.map(|query| push_part(&mut url, '?', query, b"\"<>'"));
        let fragment_start = fragment.map(|text| push_part(&mut url, '#', text, b"\"<>`"));
        let parts = Parts {
            text: url,
            scheme_end: scheme.len(),
            host_start: scheme.len() + "://".len(),
            host_end: origin.host_end,
            host: origin.host,
            port: origin.port,
            path_start: origin.text.len(),
            query_start,
            fragment_start,
        };
        parts.into_url()
    })
}

thread_local! {
    /// The beginning of the last URL: most requests are for the same host.
    static LAST: RefCell<Option<Origin>> = const { RefCell::new(None) };
}

/// The part of a URL before its path.
struct Origin {
    scheme: &'static str,
    authority: String,
    /// As it is in the URL.
    text: String,
    host_end: usize,
    host: Host,
    port: Option<u16>,
}

impl Origin {
    fn of(scheme: &'static str, authority: &str) -> Option<Self> {
        let (host, port) = split_port(authority)?;
        let mut text = [scheme, "://"].concat();
        let host = push_host(&mut text, host)?;
        let host_end = text.len();
        let port = port.filter(|port| *port != if scheme == "https" { 443 } else { 80 });
        if let Some(port) = port {
            text.push(':');
            push_number(&mut text, port);
        }
        Some(Self {
            scheme,
            authority: authority.to_owned(),
            text,
            host_end,
            host,
            port,
        })
    }
}

/// The text before a mark, and after it.
fn split(text: &str, mark: u8) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == mark) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address are in brackets.
    let from = authority.rfind(']').unwrap_or(0);
    match authority[from..].find(':') {
        None => Some((authority, None)),
        Some(at) => {
            let (host, port) = (&authority[..from + at], &authority[from + at + 1..]);
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            match port {
                "" => Some((host, None)),
                _ if is_number => Some((host, Some(port.parse().ok()?))),
                _ => None,
            }
        }
    }
}

/// Writes the host as it appears in a URL, and returns `Url`'s form of it.
fn push_host(url: &mut String, host: &str) -> Option<Host> {
    if let Some(address) = host.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        url.push('[');
        push_ipv6(url, address);
        url.push(']');
        return Some(Host::Ipv6(address.octets()));
    }
    let forbidden = |byte: u8| !byte.is_ascii_graphic() || b"#/:<>?@[\\]^|%".contains(&byte);
    if host.is_empty() || host.bytes().any(forbidden) {
        return None;
    }
    let host = host.to_ascii_lowercase();
    // For a name in Unicode's letters, only its form is checked here.
    let mut labels = host.strip_suffix('.').unwrap_or(&host).rsplit('.');
    if is_number(labels.next()?) {
        let address = ipv4(host.strip_suffix('.').unwrap_or(&host))?;
        for (at, byte) in address.octets().into_iter().enumerate() {
            if at > 0 {
                url.push('.');
            }
            push_number(url, byte.into());
        }
        return Some(Host::Ipv4(address.octets()));
    }
    url.push_str(&host);
    Some(Host::Domain)
}

/// Writes a number in decimal digits.
fn push_number(url: &mut String, number: u16) {
    if number > 9 {
        push_number(url, number / 10);
    }
    url.push(char::from(b'0' + (number % 10) as u8));
}

/// Whether a host with this last label can only be an IPv4 address.
fn is_number(label: &str) -> bool {
    let all_digits = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    all_digits || number(label).is_some()
}

/// A part of an IPv4 address: decimal, octal after a `0`, hexadecimal after a `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    match digits {
        "" if radix == 16 => Some(0),
        _ if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
        _ => u64::from_str_radix(digits, radix).ok(),
    }
}

/// Up to four numbers, the last of which covers all remaining bytes.
fn ipv4(host: &str) -> Option<Ipv4Addr> {
    let mut address = 0;
    let mut parts = host.split('.');
    let count = parts.clone().count();
    let last = number(parts.next_back()?)?;
    for (at, part) in parts.enumerate() {
        let byte = number(part).filter(|byte| *byte < 256 && at < 3)?;
        address |= (byte as u32) << (24 - 8 * at);
    }
    // Too many parts were refused above.
    let left = 8 * (5 - count.min(4)) as u32;
    (count <= 4 && last < 1 << left).then(|| Ipv4Addr::from(address | last as u32))
}

/// As the URL Standard writes it: the first of the longest runs of zeros is left out.
fn push_ipv6(url: &mut String, address: Ipv6Addr) {
    let pieces = address.segments();
    let (mut longest, mut len) = (8, 1);
    let mut at = 0;
    while at < 8 {
        let run = pieces[at..].iter().take_while(|piece| **piece == 0).count();
        if run > len {
            (longest, len) = (at, run);
        }
        at += run.max(1);
    }
    let mut at = 0;
    while at < 8 {
        if at == longest {
            url.push_str(if at == 0 { "::" } else { ":" });
            at += len;
            continue;
        }
        let digits = [12, 8, 4, 0].map(|shift| pieces[at] >> shift & 15);
        let first = digits.iter().position(|digit| *digit != 0).unwrap_or(3);
        let shown = digits[first..].iter().map(|digit| HEX[*digit as usize]);
        url.extend(shown.map(|digit| digit.to_ascii_lowercase() as char));
        at += 1;
        if at < 8 {
            url.push(':');
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Writes a path with its dots resolved.
fn push_path(url: &mut String, path: &str) {
    // Most paths have no dots to resolve and nothing to encode.
    let mut before = 0;
    let is_plain = path.bytes().all(|byte| {
        let dot = byte == b'.' && before == b'/';
        before = byte;
        byte.is_ascii_graphic() && !dot && !b"\"<>`{}\\%".contains(&byte)
    });
    if is_plain {
        return url.push_str(path);
    }
    let start = url.len();
    let mut segments = path[1..].split(['/', '\\']).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match dots(segment) {
            Some(dots) => {
                if dots == 2 {
                    let end = url[start..].rfind('/').unwrap_or(0);
                    url.truncate(start + end);
                }
                if is_last {
                    url.push('/');
                }
            }
            None => {
                url.push('/');
                push_encoded(url, segment, b"\"<>`{}");
            }
        }
    }
}

/// Whether a segment is one dot or two, each perhaps percent-encoded.
fn dots(segment: &str) -> Option<usize> {
    let mut rest = segment.as_bytes();
    let mut dots = 0;
    loop {
        rest = match rest {
            [] => return (dots > 0).then_some(dots),
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] if dots < 2 => rest,
            _ => return None,
        };
        dots += 1;
    }
}

/// Writes a mark and the text after it, and returns the mark's place.
fn push_part(url: &mut String, mark: char, text: &str, encoded: &[u8]) -> usize {
    let start = url.len();
    url.push(mark);
    push_encoded(url, text, encoded);
    start
}

/// Writes a text; these bytes, and all that are not visible ASCII, are percent-encoded.
fn push_encoded(url: &mut String, text: &str, encoded: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !encoded.contains(&byte) {
            url.push(byte as char);
        } else {
            url.push('%');
            url.push(HEX[usize::from(byte >> 4)] as char);
            url.push(HEX[usize::from(byte & 15)] as char);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Both ways, comparing everything that a URL reports about itself.
    fn check(scheme: &'static str, authority: &str, target: &str) -> Result<(), TestCaseError> {
        let parsed = Url::parse(&format!("{scheme}://{authority}{target}")).ok();
        let assembled = assemble(scheme, authority, target);
        prop_assert_eq!(&assembled, &parsed, "{} {}", authority, target);
        let told = |url: &Url| {
            let host = url.host().map(|host| format!("{host:?}"));
            let parts = (url.path().to_owned(), url.query().map(str::to_owned));
            let fragment = url.fragment().map(str::to_owned);
            (url.scheme().to_owned(), host, url.port(), parts, fragment)
        };
        prop_assert_eq!(assembled.as_ref().map(told), parsed.as_ref().map(told));
        Ok(())
    }

    const HOST: &str = "[a-zA-Z0-9.-]{1,12}|[a-z]{1,5}\\.[a-z]{1,3}|[0-9a-fx.]{1,14}        \
                        |(0x|0)?[0-9a-f]{1,3}(\\.(0x|0)?[0-9]{1,3}){0,4}\\.?|127\\.0\\.0\\.[0-9]{1,3}        \
                        |\\[[0-9a-f:]{1,20}\\]|\\[(0|1|f00)?(:(0|1|f00)){7}\\]|\\[::ffff:1\\.2\\.3\\.4\\]        \
                        |[!-.;-~]{1,6}";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]
        #[test]
        fn it_is_what_the_parser_makes_of_it(
            host in HOST,
            port in "|:|:80|:443|:[0-9]{1,6}|:[0-9a]{1,3}",
            target in "/[!-~]{0,20}|/[./a%2eE\\\\]{0,20}|/[a-z/.]{0,9}\\?[!-~ä]{0,9}|/[aä#?]{0,9}",
            https: bool,
        ) {
            // Such names follow Unicode's rules, and userinfo is refused before.
            prop_assume!(!host.to_ascii_lowercase().contains("xn--"));
            prop_assume!(!host.contains(['@', '%', '/', '?', '#', '\\']));
            let scheme = if https { "https" } else { "http" };
            check(scheme, &(host + &port), &target)?;
        }
    }

    proptest! {
        #[test]
        fn a_request_has_the_same_url_either_way(
            target in "/[!-~]{0,9}|https?://[a-z]{1,5}[/?#]?[a-z]{0,5}|[a-z*]{1,9}|//[!-~]{1,9}",
            host in prop::option::of("[a-z]{1,5}(:[0-9]{1,3})?|[!-/;-~]{0,3}"),
            https: bool,
        ) {
            prop_assume!(!host.as_ref().is_some_and(|host| host.contains('%')));
            let mut head = RequestHead::new("GET", &target).unwrap();
            if let Some(host) = host {
                head.push("host", host.as_bytes()).unwrap();
            }
            head.set_https(https);
            let url = crate::url::of(&head).ok();
            // What passes now can be made later.
            prop_assert_eq!(super::check(&head).is_ok(), url.is_some(), "{:?}", head);
            prop_assert_eq!(of(&head).ok(), url, "{:?}", head);
        }
    }

    proptest! {
        #[test]
        fn what_is_relative_is_resolved_as_the_parser_does(
            base in "https?://[a-z]{1,5}(:[0-9]{1,3})?(/[a-z/]{0,9}(\\?[a-z]{1,3})?)?",
            text in "[a-z./]{0,9}[?#]?[a-z]{0,4}|//[a-z]{1,5}/?[a-z]{0,4}|HTTPS?://[a-z]{1,4}(/[a-z]{0,4})?",
        ) {
            let base = Url::parse(&base).unwrap();
            let joined = base.join(&text).ok();
            prop_assert_eq!(http_url(Some(&base), &text), joined, "{} {}", base, text);
        }
    }

    #[test]
    fn a_host_that_was_seen_before_changes_nothing() {
        for authority in ["a:443", "a:80", "A:443", "127.0.0.1", "a", "a:b"] {
            for (scheme, target) in [
                ("http", "/"),
                ("https", "/x?y#z"),
                ("https", "/"),
                ("http", "/."),
            ] {
                check(scheme, authority, target).unwrap();
                check(scheme, authority, "/again/.x/%2e").unwrap();
            }
        }
    }

    #[test]
    fn names_that_are_not_ascii_are_left_to_others() {
        for host in ["ä.example", "%61.example", "a b"] {
            assert!(assemble("http", host, "/").is_none(), "{host}");
        }
        for text in [
            "/path",
            "ftp://a.example/",
            "http://me@a.example/",
            "no URL",
        ] {
            assert!(http_url(None, text).is_none(), "{text}");
        }
    }
}
