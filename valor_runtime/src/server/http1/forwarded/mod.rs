//! What proxies say about the client in front of them: its address, its scheme, its host.
//!
//! `connection` hands every head that passed the guard to this module. What a trusted proxy says becomes the
//! request's peer, scheme and host, and the headers are cut down to what that proxy knows. What anybody else says is
//! removed. So a vlugin may believe what it sees, whichever of these it looks at. A request without such headers
//! costs two comparisons.
//!
//! A proxy that passes a client's headers on appends its own part. So the list is read from its end, as far as its
//! writers are trusted.

use super::{admitted::Admitted, target::is_authority};
use crate::server::net::TrustedProxy;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use valor_abi_wire::RequestHead;

/// The peer of a request whose proxy does not name its client (`for=unknown`, `for=_x`, text that is no address, or
/// nothing at all). Nobody has this address, so it is neither local nor trusted.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

const FORWARDED: &str = "forwarded";
const FOR: &str = "x-forwarded-for";
const HOST: &str = "x-forwarded-host";
const PROTO: &str = "x-forwarded-proto";
const REAL_IP: &str = "x-real-ip";

/// Every header that only a proxy may set. The first five are understood.
const HEADERS: [&str; 9] = [
    FORWARDED,
    FOR,
    HOST,
    PROTO,
    REAL_IP,
    "x-forwarded-port",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
];

/// Whether a header is one of those. The guard asks about each header of such a length.
pub(super) fn is_one(name: &str) -> bool {
    matches!(name.as_bytes(), [b'f' | b'F' | b'x' | b'X', ..])
        && HEADERS.iter().any(|it| it.eq_ignore_ascii_case(name))
}

/// Settles who the client is. `peer` is the socket's address, `ip:port`, or empty if it has none.
pub(super) fn settle(admitted: &mut Admitted, peer: &str, is_tls: bool, trusted: &[TrustedProxy]) {
    if is_tls {
        admitted.head.set_https(true);
    }
    if admitted.is_forwarded {
        settle_forwarded(&mut admitted.head, peer, trusted);
    }
}

#[cold]
fn settle_forwarded(head: &mut RequestHead, peer: &str, trusted: &[TrustedProxy]) {
    let is_trusted = |peer| trusted.iter().any(|proxy| proxy.has(peer));
    let is_peer_trusted = match peer {
        "" => is_trusted(None),
        peer => peer
            .parse::<SocketAddr>()
            .is_ok_and(|peer| is_trusted(Some(peer.ip()))),
    };
    if !is_peer_trusted {
        for name in HEADERS {
            head.remove(name);
        }
        return;
    }
    let said = Said::by(head, |address| is_trusted(Some(address)));
    // Each header is written again, so that nothing remains of what was not believed.
    for name in [FORWARDED, FOR, PROTO, HOST] {
        head.remove(name);
    }
    let had_real_ip = head.remove(REAL_IP);
    // The proxy's address would make its clients count as local, as the proxy does.
    head.set_peer(&said.client.unwrap_or(UNKNOWN).to_string());
    if let (Some(client), true) = (said.client, had_real_ip) {
        let _ = head.push(REAL_IP, client.ip().to_string().as_bytes());
    }
    if let Some((name, list)) = said.hops {
        let _ = head.push(name, list.as_bytes());
    }
    if let Some(is_https) = said.is_https {
        head.set_https(is_https);
        let proto: &[u8] = if is_https { b"https" } else { b"http" };
        let _ = head.push(PROTO, proto);
    }
    if let Some(host) = said.host {
        let _ = head.set("host", host.as_bytes());
        let _ = head.push(HOST, host.as_bytes());
    }
}

/// What is believed of the headers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// `None` if the proxy does not name its client.
    client: Option<SocketAddr>,
    is_https: Option<bool>,
    host: Option<String>,
    /// The header that lists the hops, from the client on.
    hops: Option<(&'static str, String)>,
}

impl Said {
    fn by(head: &RequestHead, is_trusted: impl Fn(IpAddr) -> bool) -> Self {
        let [hops, protos, hosts, real_ip] =
            [FOR, PROTO, HOST, REAL_IP].map(|name| list(head, name));
        // A proxy that writes these passes a client's own `Forwarded` on. So `Forwarded` counts only if there is
        // nothing else.
        let others = [&hops, &protos, &hosts, &real_ip];
        if let (Some(text), true) = (list(head, FORWARDED), others.iter().all(|it| it.is_none())) {
            return Self::by_forwarded(&text, is_trusted);
        }
        let hops: Vec<_> = hops.iter().flat_map(|list| list.split(',')).collect();
        let hops: Vec<_> = hops.into_iter().map(str::trim).collect();
        let addresses: Vec<_> = hops.iter().map(|hop| address(hop)).collect();
        let (at, client) = client_of(&addresses, is_trusted);
        let from_end = at.map_or(0, |at| hops.len() - 1 - at);
        let alone = || real_ip.as_deref().and_then(|text| address(text.trim()));
        Self {
            client: match hops.is_empty() {
                true => alone(),
                false => client,
            },
            is_https: protos
                .as_deref()
                .and_then(|list| scheme(entry(list, from_end))),
            host: hosts
                .as_deref()
                .and_then(|list| host(entry(list, from_end))),
            hops: at.map(|at| (FOR, hops[at..].join(", "))),
        }
    }

    /// RFC 7239.
    fn by_forwarded(text: &str, is_trusted: impl Fn(IpAddr) -> bool) -> Self {
        let elements = elements(text);
        let addresses: Vec<_> = elements.iter().map(|it| address(it.get("for")?)).collect();
        let (Some(at), client) = client_of(&addresses, is_trusted) else {
            return Self::default();
        };
        let texts: Vec<_> = elements[at..].iter().map(|it| it.text).collect();
        Self {
            client,
            is_https: elements[at].get("proto").and_then(scheme),
            host: elements[at].get("host").and_then(host),
            hops: Some((FORWARDED, texts.join(", "))),
        }
    }
}

/// All lines of a header as one list. Bytes that are not text spoil only the entry that has them.
fn list(head: &RequestHead, name: &str) -> Option<String> {
    let lines = head.headers().filter(|(it, _)| *it == name);
    let lines: Vec<_> = lines
        .map(|(_, value)| String::from_utf8_lossy(value))
        .collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// The first hop that is believed, and the client: the rightmost address that is not trusted, or the leftmost of all
/// if each is trusted. Behind a trusted proxy that names no address, the client is unknown.
fn client_of(
    hops: &[Option<SocketAddr>],
    is_trusted: impl Fn(IpAddr) -> bool,
) -> (Option<usize>, Option<SocketAddr>) {
    let mut found = None;
    for (at, hop) in hops.iter().enumerate().rev() {
        let Some(hop) = hop else {
            return (found, None);
        };
        found = Some(at);
        if !is_trusted(hop.ip()) {
            break;
        }
    }
    (found, found.and_then(|at| hops[at]))
}

/// The entry at the client's position in the list of addresses, counted from the end. It is the first entry if a
/// proxy overwrote what others had said.
fn entry(list: &str, from_end: usize) -> &str {
    let entries: Vec<_> = list.split(',').map(str::trim).collect();
    let at = entries.len().saturating_sub(1 + from_end);
    entries[at]
}

/// An address with or without a port and brackets; the port is 0 if the text has none.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let ip: IpAddr = bare.unwrap_or(text).parse().ok()?;
    Some(SocketAddr::new(ip.to_canonical(), 0))
}

/// Whether a scheme is a secure one. Some proxies say `ws` or `wss` for an upgrade.
fn scheme(text: &str) -> Option<bool> {
    let is = |scheme: &str| text.eq_ignore_ascii_case(scheme);
    match () {
        () if is("https") || is("wss") => Some(true),
        () if is("http") || is("ws") => Some(false),
        () => None,
    }
}

fn host(text: &str) -> Option<String> {
    is_authority(text.as_bytes()).then(|| text.to_owned())
}

/// An element of `Forwarded`, and its text as it arrived.
struct Element<'t> {
    text: &'t str,
    pairs: Vec<(&'t str, String)>,
}

impl Element<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.pairs.iter();
        let (_, value) = pairs.find(|(it, _)| it.eq_ignore_ascii_case(name))?;
        Some(value)
    }
}

/// The elements of `Forwarded` (RFC 7239, section 4). One that is malformed has no pairs.
fn elements(text: &str) -> Vec<Element<'_>> {
    let texts = split(text, ',').into_iter();
    let texts = texts.filter(|text| !text.is_empty());
    let element = |text| {
        let pairs = split(text, ';').into_iter().filter(|it| !it.is_empty());
        let pairs: Option<_> = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((name, unquoted(value)?))
            })
            .collect();
        Element {
            text,
            pairs: pairs.unwrap_or_default(),
        }
    };
    texts.map(element).collect()
}

/// Splits outside of quotes. It works from the end to the beginning: a quote that a client left open swallows nothing
/// that a proxy wrote behind it.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut end) = (Vec::new(), text.len());
    let mut is_quoted = false;
    for (at, c) in text.char_indices().rev() {
        if c == '"' && !text[..at].ends_with('\\') {
            is_quoted = !is_quoted;
        } else if c == separator && !is_quoted {
            parts.push(text[at + 1..end].trim());
            end = at;
        }
    }
    parts.push(text[..end].trim());
    parts.reverse();
    parts
}

/// A token, or what a quoted string says (RFC 9110, section 5.6.4).
fn unquoted(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.contains(['"', ' ', '\t'])).then(|| value.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let (mut text, mut is_escaped) = (String::new(), false);
    for c in inner.chars() {
        match c {
            '\\' if !is_escaped => is_escaped = true,
            '"' if !is_escaped => return None,
            c => {
                text.push(c);
                is_escaped = false;
            }
        }
    }
    (!is_escaped).then_some(text)
}

#[cfg(test)]
mod tests;
