//! The guard: reads a request's head, judges it, and builds its [`RequestHead`] in one pass.
//!
//! `connection` shows it the bytes as they come. Every rule that a head can break is here, with the status that
//! answers it. A head that passes has one meaning for everybody behind the guard. So no proxy in front and no vlugin
//! behind can be made to see another request than the server did (RFC 9112, section 11.2).

use super::{
    admitted::Admitted,
    fields::{Fields, length_of, list},
    forwarded,
    refusal::{Refusal, bad},
    target,
};
use crate::server::config::ServerConfig;
use memchr::{memchr, memchr_iter, memmem};
use std::mem::MaybeUninit;
use valor_abi_wire::RequestHead;

/// Room for the method, the version and the spaces around the target.
const BESIDE_TARGET: usize = 300;
/// How many headers are parsed without an allocation.
const USUAL_HEADERS: usize = 128;
/// How many empty lines may stand before a request (RFC 9112, section 2.2, asks for one).
const EMPTY_LINES: u8 = 2;

/// What to do with the bytes that the guard was shown.
#[derive(Debug)]
pub(super) enum Step {
    /// Read more of them.
    More,
    /// Throw this many away: an empty line before the request.
    Skip(usize),
    /// Take this many away: they are a head.
    Head(usize, Box<Admitted>),
    /// Answer this and close.
    Refuse(Refusal),
}

/// The guard of one connection; it remembers how far it has looked.
#[derive(Debug, Default)]
pub(super) struct Guard {
    seen: usize,
    line_done: bool,
    empty_lines: u8,
}

impl Guard {
    /// Judges as much of a head as there is. After [`Step::Head`], it is ready for the next one.
    pub(super) fn check(&mut self, bytes: &[u8], peer: &str, config: &ServerConfig) -> Step {
        match bytes {
            [] | [b'\r'] => return Step::More,
            [b'\r', b'\n', ..] if self.empty_lines < EMPTY_LINES => {
                self.empty_lines += 1;
                return Step::Skip(2);
            }
            [b'\r' | b'\n', ..] => {
                return Step::Refuse(bad("there are empty lines in front of the request"));
            }
            _ => {}
        }
        let from = self.seen.saturating_sub(3);
        let admitted = match memmem::find(&bytes[from..], b"\r\n\r\n") {
            Some(at) => {
                let end = from + at + 4;
                whole(&bytes[..end], peer, config)
                    .map(|admitted| Step::Head(end, Box::new(admitted)))
            }
            None => self.part(bytes, config).map(|()| Step::More),
        };
        if let Ok(Step::Head(..)) = admitted {
            *self = Self::default();
        }
        admitted.unwrap_or_else(Step::Refuse)
    }

    /// Looks at the new bytes of a head that has no end yet, so that the server waits for nobody who sends rubbish or
    /// never comes to an end.
    fn part(&mut self, bytes: &[u8], config: &ServerConfig) -> Result<(), Refusal> {
        let new_line = memchr(b'\n', &bytes[self.seen..]).is_some();
        check_bytes(bytes, self.seen)?;
        if new_line || self.seen == 0 {
            // At most once per line: parsing at each byte would take quadratic time.
            parse(bytes, config, |_| Ok(()))?;
        }
        self.seen = bytes.len();
        self.line_done |= new_line;
        if !self.line_done && bytes.len() > config.max_target + BESIDE_TARGET {
            return Err(target_too_long(config));
        }
        if bytes.len() >= config.max_head {
            return Err(head_too_large(config));
        }
        Ok(())
    }
}

fn target_too_long(config: &ServerConfig) -> Refusal {
    let limit = config.max_target;
    Refusal::new(414, format!("the target is longer than {limit} bytes"))
}

fn head_too_large(config: &ServerConfig) -> Refusal {
    let limit = config.max_head;
    Refusal::new(431, format!("the head is larger than {limit} bytes"))
}

/// Refuses control characters and line ends that are not CRLF. Only the bytes behind `from` are new.
fn check_bytes(bytes: &[u8], from: usize) -> Result<(), Refusal> {
    let mut before = from.checked_sub(1).map(|at| bytes[at]);
    for &byte in &bytes[from..] {
        match (before, byte) {
            (Some(b'\r'), b'\n') => {}
            (_, b'\n') | (Some(b'\r'), _) => return Err(bad("a line does not end in CRLF")),
            (_, b'\t' | b'\r') => {}
            (_, 0..b' ' | 0x7f) => return Err(bad("there is a control character in the head")),
            _ => {}
        }
        before = Some(byte);
    }
    Ok(())
}

/// Parses a head, or as much of one as there is. Only a complete head is given to `admit`.
fn parse<T: Default>(
    bytes: &[u8],
    config: &ServerConfig,
    admit: impl FnOnce(&httparse::Request<'_, '_>) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    let mut many = Vec::new();
    let headers = if config.max_headers <= USUAL_HEADERS {
        &mut usual[..config.max_headers]
    } else {
        many.resize_with(config.max_headers, MaybeUninit::uninit);
        &mut many[..]
    };
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, headers) {
        Ok(httparse::Status::Partial) => Ok(T::default()),
        Ok(httparse::Status::Complete(end)) if end == bytes.len() => admit(&request),
        // The head ends in something other than CRLF CRLF.
        Ok(httparse::Status::Complete(_)) => Err(bad("a line does not end in CRLF")),
        Err(error) => Err(match error {
            httparse::Error::TooManyHeaders => {
                let limit = config.max_headers;
                Refusal::new(431, format!("there are more than {limit} headers"))
            }
            httparse::Error::Version => match version(bytes) {
                Version::Unfinished => return Ok(T::default()),
                Version::Other => Refusal::new(505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
                Version::None => bad("the request line does not end in an HTTP version"),
            },
            httparse::Error::HeaderName => bad("a header's name is malformed"),
            httparse::Error::HeaderValue => bad("a header's value is malformed"),
            httparse::Error::NewLine => bad("a line does not end in CRLF"),
            _ => bad("the request line is malformed"),
        }),
    }
}

enum Version {
    Unfinished,
    Other,
    None,
}

/// The version of a request line that has neither of the two supported versions.
fn version(bytes: &[u8]) -> Version {
    let Some(end) = memchr(b'\r', bytes) else {
        return Version::Unfinished;
    };
    match bytes[..end].rsplit(|&b| b == b' ').next() {
        Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']) => Version::Other,
        _ => Version::None,
    }
}

/// Judges a complete head.
fn whole(bytes: &[u8], peer: &str, config: &ServerConfig) -> Result<Admitted, Refusal> {
    if memchr_iter(b'\n', bytes).any(|at| at == 0 || bytes[at - 1] != b'\r') {
        return Err(bad("a line does not end in CRLF"));
    }
    let admitted = parse(bytes, config, |request| {
        request_of(request, bytes, peer, config).map(Some)
    })?;
    admitted.ok_or_else(|| bad("the request line is malformed"))
}

fn request_of(
    request: &httparse::Request<'_, '_>,
    bytes: &[u8],
    peer: &str,
    config: &ServerConfig,
) -> Result<Admitted, Refusal> {
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default();
    if target.len() > config.max_target {
        return Err(target_too_long(config));
    }
    if bytes.len() > config.max_head {
        return Err(head_too_large(config));
    }
    if !target::is_known(method) {
        return Err(Refusal::new(501, "the method is not known here"));
    }
    let (target, authority) = target::of(method, target)?;
    let version = if request.version == Some(0) { 10 } else { 11 };

    let mut head = RequestHead::new(method, &target).map_err(|error| bad(error.to_string()))?;
    head.set_version(version);
    head.set_peer(peer);
    let mut fields = Fields::default();
    for header in &*request.headers {
        let (name, value) = (header.name, header.value);
        let value = match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                if std::mem::replace(&mut fields.host, true) {
                    return Err(bad("there are two Host headers"));
                }
                if !target::is_authority(value) {
                    return Err(bad("the Host header is not a host"));
                }
                authority.map_or(value, str::as_bytes)
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = length_of(value)?;
                match fields.length.replace(length) {
                    Some(before) if before != length => {
                        return Err(bad("there are two lengths of the body"));
                    }
                    Some(_) => continue,
                    None => {}
                }
                head.push(name, length.to_string().as_bytes())
                    .map_err(|error| bad(error.to_string()))?;
                continue;
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                fields.codings += 1;
                fields.chunked = value.eq_ignore_ascii_case(b"chunked");
                value
            }
            6 if name.eq_ignore_ascii_case("expect") => {
                for expectation in list(value) {
                    let known = expectation.eq_ignore_ascii_case(b"100-continue");
                    fields.expects_continue |= known;
                    fields.expects_more |= !known;
                }
                value
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in list(value) {
                    fields.close |= option.eq_ignore_ascii_case(b"close");
                    fields.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    fields.asks_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
                value
            }
            7 if name.eq_ignore_ascii_case("upgrade") => {
                fields.names_protocol |= list(value).next().is_some();
                value
            }
            9 | 15..=18 if forwarded::is_one(name) => {
                fields.forwarded = true;
                value
            }
            _ => value,
        };
        // httparse has looked at every byte of it.
        head.push_parsed(name, value)
            .map_err(|error| bad(error.to_string()))?;
    }
    if version == 11 && !fields.host {
        return Err(bad("there is no Host header"));
    }
    if let (Some(authority), false) = (authority, fields.host) {
        head.push("host", authority.as_bytes())
            .map_err(|error| bad(error.to_string()))?;
    }
    if version == 11 && fields.expects_more {
        return Err(Refusal::new(417, "only 100-continue can be expected"));
    }
    let framing = fields.framing(version)?;
    Ok(Admitted {
        // HTTP/1.0 clients cannot upgrade: the header is ignored (RFC 9110, section 7.8).
        offers_upgrade: fields.asks_upgrade
            && fields.names_protocol
            && (version == 11 && framing.is_done() && method != "HEAD" && target != "*"),
        framing,
        head,
        keep_alive: !fields.close && (version == 11 || fields.keep_alive),
        // An HTTP/1.0 client cannot mean it (RFC 9110, section 10.1.1).
        expects_continue: version == 11 && fields.expects_continue,
        about_server: target == "*",
        is_forwarded: fields.forwarded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http1::framing::Framing;
    use proptest::prelude::*;

    /// Shows a guard the bytes in segments of these lengths, over and over.
    fn outcome(bytes: &[u8], segments: &[usize]) -> String {
        let config = ServerConfig {
            max_head: 200,
            max_headers: 4,
            max_target: 20,
            ..ServerConfig::default()
        };
        let mut guard = Guard::default();
        let (mut start, mut end) = (0, 0);
        for segment in segments.iter().cycle() {
            end = (end + segment).min(bytes.len());
            loop {
                match guard.check(&bytes[start..end], "", &config) {
                    Step::More => break,
                    Step::Skip(amount) => start += amount,
                    Step::Head(amount, admitted) => {
                        return format!("{amount} {:?} {:?}", admitted.head, admitted.framing);
                    }
                    Step::Refuse(refusal) => return refusal.status.to_string(),
                }
            }
            if end == bytes.len() {
                return "more".to_owned();
            }
        }
        unreachable!("there is at least one segment")
    }

    #[test]
    fn a_head_is_built_as_it_was_sent() {
        let sent = b"POST /a?b HTTP/1.1\r\nHost: a\r\nX-A:  1 \r\nContent-Length: 05\r\n\r\nhello";
        let Step::Head(length, admitted) =
            Guard::default().check(sent, "[::1]:8", &ServerConfig::default())
        else {
            panic!("it is a head")
        };
        assert_eq!(&sent[length..], b"hello");
        let headers: Vec<_> = admitted.head.headers().collect();
        let expected: [(&str, &[u8]); 3] =
            [("host", b"a"), ("x-a", b"1"), ("content-length", b"5")];
        assert_eq!(headers, expected);
        assert_eq!(
            (admitted.head.target(), admitted.head.peer()),
            ("/a?b", Some("[::1]:8"))
        );
        assert!(admitted.keep_alive && !admitted.expects_continue && !admitted.about_server);
        assert!(matches!(admitted.framing, Framing::Length(5)));
    }

    #[test]
    fn the_order_of_headers_does_not_matter() {
        for head in [
            "content-length: 1\r\ntransfer-encoding: chunked\r\nhost: a",
            "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 1",
        ] {
            assert_eq!(
                outcome(
                    format!("GET / HTTP/1.1\r\n{head}\r\n\r\n").as_bytes(),
                    &[500]
                ),
                "400"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_split_changes_a_good_head(
            target in "/[!-\"$-~]{0,15}",
            headers in prop::collection::vec(("x[a-z]{0,5}", "[!-~]([ -~\t]{0,20}[!-~])?"), 0..3),
            segments in prop::collection::vec(1..30usize, 1..10),
        ) {
            let mut head = format!("GET {target} HTTP/1.1\r\nhost: a\r\n");
            for (name, value) in &headers {
                head += &format!("{name}: {value}\r\n");
            }
            head += "\r\n";
            let whole = outcome(head.as_bytes(), &[head.len()]);
            prop_assert!(whole.starts_with(&format!("{} GET", head.len())), "{}", whole);
            prop_assert_eq!(outcome(head.as_bytes(), &segments), whole);
        }

        #[test]
        fn no_bytes_make_it_panic_and_no_split_lets_anything_through(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "GET", "POST", " ", "/", "*", "http://", "a", "HTTP/1.1", "HTTP/2.0", "\r\n", "\r\n", "\r", "\n",
                "host", ": ", "content-length", "transfer-encoding", "chunked", "5", ",", "\0", "\t", "ä", "#",
                "x: y\r\n",
                "GET / HTTP/1.1\r\nhost: a\r\n",
            ]), 0..20),
            segments in prop::collection::vec(1..9usize, 1..10),
        ) {
            let bytes = pieces.concat().into_bytes();
            let whole = outcome(&bytes, &[bytes.len().max(1)]);
            let split = outcome(&bytes, &segments);
            // A split may reveal a fault earlier, or another fault, but never a head that is not there.
            if whole.contains(' ') || split.contains(' ') {
                prop_assert_eq!(split, whole);
            }
        }
    }
}
