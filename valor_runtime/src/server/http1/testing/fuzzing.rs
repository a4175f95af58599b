//! What the guard and the framing of bodies promise, as one check of any bytes: no panic, one verdict for every
//! split, one meaning, bounded memory. The fuzz target (`valor_runtime/fuzz`) calls [`check`]. The differential test
//! compares [`read`] with async-h1.

use crate::server::{
    config::ServerConfig,
    http1::{
        body_error::BodyError,
        buffer::{Input, READ},
        chunked::Trailers,
        forwarded,
        framing::{Framing, Part},
        guard::{Guard, Step},
    },
    net::TrustedProxy,
};
use ipnet::Ipv4Net;
use std::{io::Write, net::SocketAddr};
use valor_abi_http::request_from_wire;
use valor_abi_wire::{Body, Request, RequestHead};

/// The address of the sender.
const PEER: &str = "127.0.0.1:8080";

/// A request as a vlugin would get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) head: RequestHead,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Trailers,
    /// The head once the client's address is settled.
    settled: RequestHead,
    keep_alive: bool,
    expects_continue: bool,
    about_server: bool,
}

/// Why no further request was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The input ended between two requests.
    Clean,
    /// In a head: refused, or incomplete. A split may reveal a fault earlier, or another fault.
    Head,
    /// In an incomplete body.
    Cut,
    Body(BodyError),
}

/// Reads requests as a connection does, from segments of these lengths, over and over.
///
/// # Panics
/// If more is kept than the limits allow.
pub(super) fn read(bytes: &[u8], segments: &[usize], config: &ServerConfig) -> (Vec<Message>, End) {
    let mut rest = bytes;
    let mut lengths = segments.iter().cycle();
    let mut segment = || {
        let length = lengths.next().map_or(READ, |&length| length.clamp(1, READ));
        let (now, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        now
    };
    let (mut input, mut guard, mut messages) = (Input::default(), Guard::default(), Vec::new());
    loop {
        let step = match input.is_empty() {
            true => Step::More,
            false => guard.check(input.unread(), PEER, config),
        };
        match step {
            Step::More => {
                assert!(
                    input.len() < config.max_head,
                    "a head over its limit is kept"
                );
                match segment() {
                    [] if input.is_empty() => return (messages, End::Clean),
                    [] => return (messages, End::Head),
                    bytes => input.push(bytes),
                }
            }
            Step::Skip(amount) => input.consume(amount),
            Step::Refuse(refusal) => {
                assert!((400..600).contains(&refusal.status), "{refusal:?}");
                return (messages, End::Head);
            }
            Step::Head(amount, mut admitted) => {
                input.consume(amount);
                let head = admitted.head.clone();
                forwarded::settle(&mut admitted, PEER, false, &config.trusted_proxies);
                let (body, trailers) = match read_body(admitted.framing, &mut input, &mut segment) {
                    Ok(body) => body,
                    Err(end) => return (messages, end),
                };
                messages.push(Message {
                    head,
                    settled: admitted.head,
                    body,
                    trailers,
                    keep_alive: admitted.keep_alive,
                    expects_continue: admitted.expects_continue,
                    about_server: admitted.about_server,
                });
            }
        }
    }
}

fn read_body<'a>(
    mut framing: Framing,
    input: &mut Input,
    mut segment: impl FnMut() -> &'a [u8],
) -> Result<(Vec<u8>, Trailers), End> {
    if let Some(whole) = framing.take_whole(input) {
        return Ok((whole.to_vec(), Trailers::new()));
    }
    let mut body = Vec::new();
    loop {
        match framing.take(input).map_err(End::Body)? {
            Part::Data(data) => {
                assert!(!data.is_empty() && data.len() <= 2 * READ);
                body.extend_from_slice(&data);
            }
            Part::End(trailers) => return Ok((body, trailers)),
            Part::More => {
                assert!(input.is_empty(), "what was read of a body is kept");
                match segment() {
                    [] => return Err(End::Cut),
                    bytes => input.push(bytes),
                }
            }
        }
    }
}

/// Writes a request in a way that leaves only one reading.
fn write(message: &Message) -> Vec<u8> {
    let (head, body) = (&message.head, &message.body);
    let version = match head.version() {
        10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    let mut bytes = format!("{} {} {version}\r\n", head.method(), head.target()).into_bytes();
    let field = |bytes: &mut Vec<u8>, name: &str, value: &[u8]| {
        bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    };
    for (name, value) in head.headers() {
        field(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    if head.header("transfer-encoding").is_none() {
        bytes.extend_from_slice(body);
        return bytes;
    }
    if !body.is_empty() {
        let _ = write!(bytes, "{:x}\r\n", body.len());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n");
    for (name, value) in &message.trailers {
        field(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Holds every promise against these bytes, on a connection with small limits.
///
/// # Panics
/// If a promise is broken.
pub fn check(bytes: &[u8]) {
    let small = ServerConfig {
        max_head: 1024,
        max_headers: 16,
        max_target: 200,
        trusted_proxies: vec![TrustedProxy::Network(
            Ipv4Net::new_assert([127, 0, 0, 0].into(), 8).into(),
        )],
        ..ServerConfig::default()
    };
    let whole = read(bytes, &[bytes.len()], &small);
    // The same bytes are always split the same way, so that a finding can be reproduced.
    let seed = bytes.iter().fold(bytes.len() as u64, |seed, &byte| {
        seed.wrapping_mul(31).wrapping_add(byte.into())
    });
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lengths = |most| (0..16).map(|_| random.usize(1..most)).collect::<Vec<_>>();
    for segments in [vec![1], lengths(5), lengths(100)] {
        let split = read(bytes, &segments, &small);
        assert_eq!(split, whole, "in segments of {segments:?}");
    }

    let (messages, _) = whole;
    for message in messages {
        let head = &message.head;
        let target = head.target();
        assert!(target.starts_with('/') || (target == "*" && head.method() == "OPTIONS"));
        let host = head.headers().filter(|(name, _)| *name == "host");
        let hosts = host.count();
        assert!(hosts == 1 || (hosts == 0 && head.version() == 10));
        let framings = head
            .headers()
            .filter(|(name, _)| ["content-length", "transfer-encoding"].contains(name));
        assert!(framings.count() <= 1, "there are two framings");

        // Whatever a trusted proxy says, there is a peer and a host, and nothing panics over them.
        let settled = message.settled.clone();
        let peer = settled.peer().unwrap_or_default();
        assert!(peer.parse::<SocketAddr>().is_ok(), "{peer}");
        assert!(
            settled
                .headers()
                .filter(|(name, _)| *name == "host")
                .count()
                <= 1
        );
        let body = Body::from(message.body.clone());
        let _ = request_from_wire(Request {
            head: settled,
            body,
        });

        // Nothing can have been added, but names and values may stand further apart.
        let again = write(&message);
        let roomy = ServerConfig {
            trusted_proxies: small.trusted_proxies.clone(),
            ..ServerConfig::default()
        };
        let read = read(&again, &[again.len()], &roomy);
        assert_eq!(
            read,
            (vec![message], End::Clean),
            "{}",
            again.escape_ascii()
        );
    }
}
