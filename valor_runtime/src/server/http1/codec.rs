//! From responses to bytes. `exchange` asks how a response is framed ([`Plan`]) and writes its head and its chunks
//! through here. Framing belongs to the server: whatever a vlugin says about it is replaced. A test holds the bytes
//! to those of async-h1's `server::Encoder`.

use super::buffer::Output;
use crate::status::{self, BadHeader, Content, bad_header, is_value};
use bytes::Bytes;
use smallvec::SmallVec;
use std::{
    cell::RefCell,
    io::Write,
    time::{SystemTime, UNIX_EPOCH},
};
use valor_abi_wire::{Body, ChunkStream, Response, ResponseHead};

/// What a response depends on in its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestFacts {
    /// Whether the method is `HEAD`.
    pub(super) head_only: bool,
    /// 10 or 11.
    pub(super) version: u8,
}

/// The header that says where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// No header: there is no body, or it ends with the connection.
    None,
    Length(u64),
    Chunked,
}

/// What follows the head.
pub(super) enum Payload {
    Whole(Bytes),
    Stream(Sending),
}

/// A stream on its way.
pub(super) struct Sending {
    pub(super) chunks: ChunkStream,
    pub(super) framing: Framing,
    /// Whether the client cannot tell its end from a cut unless the connection is reset.
    pub(super) until_close: bool,
}

/// How a response is sent.
pub(super) struct Plan {
    pub(super) framing: Framing,
    pub(super) payload: Payload,
    /// Whether the connection has to be closed after it.
    pub(super) closes: bool,
}

impl Plan {
    /// Takes the body out of `response` and decides how to send it (RFC 9112, section 6.3).
    pub(super) fn of(asked: RequestFacts, response: &mut Response) -> Self {
        let status = response.head.status();
        let body = std::mem::take(&mut response.body);
        let nothing = Payload::Whole(Bytes::new());
        let without = match status::content(status) {
            Content::Body => None,
            Content::Empty => Some(Framing::Length(0)),
            Content::Nothing | Content::Head | Content::Protocol => Some(Framing::None),
        };
        if let Some(framing) = without {
            return Self {
                framing,
                payload: nothing,
                closes: false,
            };
        }
        let framing = match body.len() {
            Some(0) if asked.head_only => Framing::Length(promised(&response.head).unwrap_or(0)),
            Some(len) => Framing::Length(len),
            None if asked.version == 10 => Framing::None,
            None => Framing::Chunked,
        };
        let until_close = framing == Framing::None;
        let payload = match body {
            _ if asked.head_only => nothing,
            Body::Bytes(bytes) => Payload::Whole(bytes),
            Body::Stream { len: Some(0), .. } => nothing,
            Body::Stream { chunks, .. } => Payload::Stream(Sending {
                chunks,
                framing,
                until_close,
            }),
        };
        Self {
            framing,
            payload,
            closes: until_close,
        }
    }
}

/// The length that a vlugin promises in answer to `HEAD` when it leaves the body out.
fn promised(head: &ResponseHead) -> Option<u64> {
    let value = head.header_str("content-length")?;
    value.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    value.parse().ok()
}

/// Whether a vlugin's head can be written.
pub(super) fn check(head: &ResponseHead) -> Result<(), BadHeader> {
    bad_header(head).map_or(Ok(()), Err)
}

/// Writes a head that passed [`check`]: headers in the order of their names, like async-h1's `Encoder`.
pub(super) fn head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    framing: Framing,
    connection: Option<&'static str>,
) {
    let mut length = [0; 20];
    // Most heads have fewer, and need no memory of their own.
    let mut headers: SmallVec<[(&[u8], &[u8]); 24]> = SmallVec::new();
    let mut dated = false;
    // The protocol that was switched to, or those that the client has to choose from.
    let tells_upgrade = matches!(head.status(), 101 | 426);
    for (name, value) in head.fields() {
        dated |= name == b"date";
        if !is_framing(name) || (name == b"upgrade" && tells_upgrade) {
            headers.push((name, value));
        }
    }
    match framing {
        Framing::None => {}
        Framing::Length(len) => headers.push((b"content-length", digits(&mut length, len))),
        Framing::Chunked => headers.push((b"transfer-encoding", b"chunked")),
    }
    // A sender of `Upgrade` has to send it in `Connection` too (RFC 9110, section 7.8).
    let connection = match connection {
        Some("close") if head.status() == 426 => Some("upgrade, close"),
        None if head.status() == 426 => Some("upgrade"),
        connection => connection,
    };
    if let Some(connection) = connection {
        headers.push((b"connection", connection.as_bytes()));
    }
    let date = (!dated).then(date);
    if let Some(date) = &date {
        headers.push((b"date", date));
    }
    headers.sort_by_key(|(name, _)| *name);

    let status = head.status();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(digits(&mut [0; 20], status.into()));
    out.push(b' ');
    out.extend_from_slice(reason(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    out.reserve(
        headers
            .iter()
            .map(|(n, v)| n.len() + v.len() + 4)
            .sum::<usize>()
            + 2,
    );
    for (name, value) in headers {
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// What a server says about a message and a connection; a vlugin has no say in it.
fn is_framing(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection"
            | b"content-length"
            | b"keep-alive"
            | b"proxy-connection"
            | b"trailer"
            | b"transfer-encoding"
            | b"upgrade"
    )
}

fn reason(status: u16) -> &'static str {
    match status {
        // `http_types` says "Modified".
        304 => "Not Modified",
        _ => {
            http_types::StatusCode::try_from(status).map_or("", |status| status.canonical_reason())
        }
    }
}

fn digits(buf: &mut [u8; 20], mut number: u64) -> &[u8] {
    let mut at = buf.len();
    loop {
        at -= 1;
        buf[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buf[at..];
        }
    }
}

/// The current date (RFC 9110, section 5.6.7), formatted once a second.
fn date() -> [u8; 29] {
    thread_local! {
        static LAST: RefCell<(u64, [u8; 29])> = const { RefCell::new((u64::MAX, [0; 29])) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second {
            *last = second;
            let _ = write!(&mut text[..], "{}", httpdate::HttpDate::from(now));
        }
        *text
    })
}

/// Writes a chunk of a stream. An empty chunk would mean the end, and is left out.
pub(super) fn chunk(out: &mut Output, data: Bytes) {
    if !data.is_empty() {
        let _ = write!(out.bytes(), "{:X}\r\n", data.len());
        out.push(data, b"\r\n");
    }
}

/// Writes the end of a chunked body.
pub(super) fn end(out: &mut Output, trailers: &[(String, Vec<u8>)]) {
    let bytes = out.bytes();
    bytes.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
}

/// Whether these may follow a body.
pub(super) fn are_trailers(trailers: &[(String, Vec<u8>)]) -> bool {
    // Trailers obey the rules of heads. Framing fields are refused, because somebody would obey them.
    let mut head = Response::new(200).head;
    trailers.iter().all(|(name, value)| {
        head.push(name, value).is_ok()
            && !is_framing(name.to_ascii_lowercase().as_bytes())
            && is_value(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_h1::server::Encoder;
    use futures_lite::{AsyncReadExt, stream};
    use proptest::prelude::*;
    use valor_abi_http::response_from_wire;
    use valor_abi_wire::Chunk;

    const GET: RequestFacts = RequestFacts {
        head_only: false,
        version: 11,
    };

    /// Everything written for a response of bytes, or of a stream that is ready.
    fn ours(asked: RequestFacts, mut response: Response) -> Vec<u8> {
        let plan = Plan::of(asked, &mut response);
        let mut out = Output::new(std::time::Duration::ZERO);
        head(out.bytes(), &response.head, plan.framing, None);
        match plan.payload {
            Payload::Whole(bytes) => out.push(bytes, b""),
            Payload::Stream(mut sending) => loop {
                let next = std::pin::pin!(futures_lite::StreamExt::next(&mut sending.chunks));
                match smol::block_on(next).transpose().unwrap() {
                    Some(Chunk::Data(data)) => chunk(&mut out, data),
                    Some(Chunk::Trailers(trailers)) => break end(&mut out, &trailers),
                    None => break end(&mut out, &[]),
                }
            },
        }
        std::mem::take(out.bytes())
    }

    /// The same by async-h1. `Connection` is left out: only the server writes it.
    fn theirs(asked: RequestFacts, response: Response) -> Vec<u8> {
        let method = match asked.head_only {
            true => http_types::Method::Head,
            false => http_types::Method::Get,
        };
        let mut encoder = Encoder::new(response_from_wire(response).unwrap().into(), method);
        let mut bytes = Vec::new();
        // If the reads are large enough, its chunks are those of the stream.
        let mut buf = vec![0; 64 * 1024];
        loop {
            match smol::block_on(encoder.read(&mut buf)).unwrap() {
                0 => return bytes,
                amount => bytes.extend_from_slice(&buf[..amount]),
            }
        }
    }

    fn response(status: u16, headers: &[(String, String)], body: impl Into<Body>) -> Response {
        let mut response = Response::new(status);
        for (name, value) in headers {
            response.head.push(name, value.as_bytes()).unwrap();
        }
        response.body = body.into();
        response
    }

    fn streamed(parts: &[Vec<u8>]) -> Response {
        let parts: Vec<_> = parts
            .iter()
            .cloned()
            .map(|part| Ok(Chunk::Data(part.into())))
            .collect();
        let mut response = response(200, &[("date".into(), "now".into())], "");
        response.body = Body::stream(None, stream::iter(parts));
        response
    }

    #[test]
    fn dates_are_those_of_the_encoder() {
        for _ in 0..100 {
            let plain = || response(200, &[], "x");
            let (ours, theirs) = (ours(GET, plain()), theirs(GET, plain()));
            if ours == theirs {
                return;
            }
            // The clock may have ticked between the two.
        }
        panic!("they differ in more than the second");
    }

    #[test]
    fn streams_are_those_of_the_encoder() {
        for sizes in [&[1][..], &[15, 16, 255, 256], &[]] {
            let parts: Vec<_> = sizes.iter().map(|&size| vec![b'x'; size]).collect();
            for head_only in [false, true] {
                let asked = RequestFacts { head_only, ..GET };
                let (ours, theirs) = (
                    ours(asked, streamed(&parts)),
                    theirs(asked, streamed(&parts)),
                );
                assert_eq!(
                    ours.escape_ascii().to_string(),
                    theirs.escape_ascii().to_string()
                );
            }
        }
    }

    #[test]
    fn an_empty_chunk_is_no_end() {
        let part = |size| vec![b'x'; size];
        let with = ours(GET, streamed(&[part(1), part(0), part(2)]));
        assert_eq!(with, ours(GET, streamed(&[part(1), part(2)])));
    }

    #[test]
    fn where_the_encoder_is_wrong() {
        // async-h1 calls 304 "Modified", and sends a length and a body with 204 and 304.
        for (status, reason) in [(204, "No Content"), (304, "Not Modified")] {
            let bytes = ours(
                GET,
                response(status, &[("date".into(), "now".into())], "body"),
            );
            let expected = format!("HTTP/1.1 {status} {reason}\r\ndate: now\r\n\r\n");
            assert_eq!(
                bytes.escape_ascii().to_string(),
                expected.escape_default().to_string()
            );
        }
    }

    #[test]
    fn values_that_cannot_be_sent() {
        for (value, good) in [
            (&b"a\tb"[..], true),
            (b"", true),
            (b"\x80\xff", true),
            (b"a\x01", false),
            (b"\x7f", false),
        ] {
            let mut head = Response::new(200).head;
            head.push("x", value).unwrap();
            assert_eq!(check(&head).is_ok(), good, "{}", value.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn responses_are_those_of_the_encoder(
            status in prop::sample::select(vec![200u16, 201, 206, 301, 400, 404, 418, 429, 500, 503]),
            headers in prop::collection::vec(("[a-zA-Z][a-z0-9-]{0,10}", "[!-~]([ -~]{0,20}[!-~])?"), 0..12),
            body in prop::collection::vec(any::<u8>(), 0..200),
            head_only: bool,
        ) {
            let mut headers = headers;
            headers.retain(|(name, _)| !is_framing(name.to_ascii_lowercase().as_bytes()));
            headers.push(("date".into(), "now".into()));
            let asked = RequestFacts { head_only, ..GET };
            let ours = ours(asked, response(status, &headers, body.clone()));
            let theirs = theirs(asked, response(status, &headers, body));
            prop_assert_eq!(ours.escape_ascii().to_string(), theirs.escape_ascii().to_string());
        }
    }
}
