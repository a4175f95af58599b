//! What goes in and what must come out, row by row. Every row is played three times: at once,
//! byte by byte, and in random segments.

use crate::harness::{Client, Running, mirror};
use std::io;
use valor_runtime::server::ServerConfig;

/// What comes out.
#[derive(Clone)]
enum Out {
    /// A response of this status; the body holds this text.
    Says(u16, &'static str),
    /// A problem of this status, and the end of the connection.
    Refused(u16),
    /// The connection ends, with nothing more to read.
    Closed,
}
use Out::{Closed, Refused, Says};

struct Row {
    name: &'static str,
    sent: Vec<u8>,
    out: Vec<Out>,
}

fn row(name: &'static str, sent: impl Into<Vec<u8>>, out: &[Out]) -> Row {
    Row {
        name,
        sent: sent.into(),
        out: out.to_vec(),
    }
}

fn get(rest: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a\r\n{rest}")
}

fn post(rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{rest}")
}

fn heads() -> Vec<Row> {
    let bad = &[Refused(400)][..];
    let ok = |seen| Says(200, seen);
    vec![
        row("a plain request", get("\r\n"), &[ok("GET / host=a body=")]),
        row(
            "a lower-case version",
            "GET / http/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row("no version", "GET /\r\nhost: a\r\n\r\n", bad),
        row(
            "two spaces in the request line",
            "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a space behind the version",
            "GET / HTTP/1.1 \r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a method that is no token",
            "G(T / HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a target with a control character",
            "GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a target beyond ASCII",
            "GET /ä HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a target with a fragment",
            "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row("a header name that is no token", get("b@d: 1\r\n\r\n"), bad),
        row("a header without a name", get(": 1\r\n\r\n"), bad),
        row("a header without a colon", get("nothing\r\n\r\n"), bad),
        row(
            "a header value with a control character",
            get("x: a\x01b\r\n\r\n"),
            bad,
        ),
        row("a space before the colon", get("x : 1\r\n\r\n"), bad),
        row("obs-fold", get("x: 1\r\n 2\r\n\r\n"), bad),
        row(
            "a space before the first header",
            "GET / HTTP/1.1\r\n x: 1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row("NUL in a value", get("x: a\0b\r\n\r\n"), bad),
        row(
            "NUL in the target",
            "GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh".to_vec(),
            bad,
        ),
        row("UTF-8 in a value", get("x: ä\r\n\r\n"), &[ok("GET /")]),
        row(
            "latin-1 in a value",
            [get("x: ").as_bytes(), b"\xe4\r\n\r\n"].concat(),
            &[ok("GET /")],
        ),
        row("no Host", "GET / HTTP/1.1\r\n\r\n", bad),
        row("two Hosts", get("host: a\r\n\r\n"), bad),
        row(
            "two Hosts on HTTP/1.0",
            "GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a Host with a path",
            "GET / HTTP/1.1\r\nhost: a/admin\r\n\r\n",
            bad,
        ),
        row(
            "a Host with a query",
            "GET / HTTP/1.1\r\nhost: a?\r\n\r\n",
            bad,
        ),
        row(
            "a Host with a fragment",
            "GET / HTTP/1.1\r\nhost: a#b\r\n\r\n",
            bad,
        ),
        row(
            "a Host with userinfo",
            "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n",
            bad,
        ),
        row("an empty Host", "GET / HTTP/1.1\r\nhost:\r\n\r\n", bad),
        row(
            "a Host with a bad port",
            "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n",
            bad,
        ),
        row(
            "HTTP/1.0",
            "GET / HTTP/1.0\r\n\r\n",
            &[ok("GET / host=none body="), Closed],
        ),
        row(
            "HTTP/1.0 with keep-alive",
            "GET /1 HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
            &[ok("GET /1"), ok("GET /2"), Closed],
        ),
        row(
            "the HTTP/2 preface",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[Refused(505)],
        ),
        row(
            "HTTP/3.7",
            "GET / HTTP/3.7\r\nhost: a\r\n\r\n",
            &[Refused(505)],
        ),
        row("HTTP/11.1", "GET / HTTP/11.1\r\nhost: a\r\n\r\n", bad),
        row(
            "an unknown method",
            "BREW / HTTP/1.1\r\nhost: a\r\n\r\n",
            &[Refused(501)],
        ),
        row(
            "a lower-case method",
            "get / HTTP/1.1\r\nhost: a\r\n\r\n",
            &[Refused(501)],
        ),
        row(
            "one empty line in front",
            format!("\r\n{}", get("\r\n")),
            &[ok("GET /")],
        ),
        row(
            "two empty lines in front",
            format!("\r\n\r\n{}", get("\r\n")),
            &[ok("GET /")],
        ),
        row(
            "three empty lines in front",
            format!("\r\n\r\n\r\n{}", get("\r\n")),
            bad,
        ),
        row("a bare LF in front", format!("\n{}", get("\r\n")), bad),
        row("bare LF line ends", "GET / HTTP/1.1\nhost: a\n\n", bad),
        row(
            "a bare LF among CRLFs",
            "GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n",
            bad,
        ),
        row(
            "a bare LF at the end",
            "GET / HTTP/1.1\r\nhost: a\r\n\n",
            bad,
        ),
        row("a bare CR in a value", get("x: a\rb\r\n\r\n"), bad),
        row("a bare CR at the end", get("\r\rGET / HTTP/1.1\r\n"), bad),
        row(
            "an absolute target",
            "GET http://b:80/x?y HTTP/1.1\r\nhost: a\r\n\r\n",
            &[ok("GET /x?y host=b:80 body=")],
        ),
        row(
            "an absolute target without a path",
            "GET HTTPS://b?y HTTP/1.1\r\nhost: a\r\n\r\n",
            &[ok("GET /?y host=b body=")],
        ),
        row(
            "an absolute target on HTTP/1.0 without Host",
            "GET http://b/ HTTP/1.0\r\n\r\n",
            &[ok("GET / host=b body="), Closed],
        ),
        row(
            "an absolute target with userinfo",
            "GET http://u@b/ HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "an absolute target without a host",
            "GET http:///x HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "an absolute target of another scheme",
            "GET ftp://b/ HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row(
            "a target that is a word",
            "GET index.html HTTP/1.1\r\nhost: a\r\n\r\n",
            bad,
        ),
        row("GET *", "GET * HTTP/1.1\r\nhost: a\r\n\r\n", bad),
        row(
            "OPTIONS *",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
            &[Says(204, "")],
        ),
        row(
            "OPTIONS of a host",
            "OPTIONS http://b HTTP/1.1\r\nhost: a\r\n\r\n",
            &[Says(204, "")],
        ),
        row(
            "CONNECT",
            "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n",
            &[Refused(501)],
        ),
        row(
            "dot segments and double slashes reach the dispatch untouched",
            "GET //a/%2e%2e/b//c%2Fd HTTP/1.1\r\nhost: a\r\n\r\n",
            &[ok("GET //a/%2e%2e/b//c%2Fd host=a")],
        ),
        row(
            "a head over the limit",
            get(&format!("x: {}\r\n\r\n", "x".repeat(33_000))),
            &[Refused(431)],
        ),
        row(
            "an endless header line",
            get(&format!("x: {}", "x".repeat(40_000))),
            &[Refused(431)],
        ),
        row(
            "128 headers",
            get(&format!("{}\r\n", "x: 1\r\n".repeat(127))),
            &[ok("GET /")],
        ),
        row(
            "129 headers",
            get(&format!("{}\r\n", "x: 1\r\n".repeat(128))),
            &[Refused(431)],
        ),
        row(
            "a target over 8 KiB",
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(8192)),
            &[Refused(414)],
        ),
        row(
            "an endless target",
            format!("GET /{}", "x".repeat(10_000)),
            &[Refused(414)],
        ),
        row(
            "an expectation",
            post("expect: tea\r\ncontent-length: 1\r\n\r\nx"),
            &[Refused(417)],
        ),
        row(
            "an expectation beside 100-continue",
            post("expect: 100-continue, tea\r\ncontent-length: 1\r\n\r\nx"),
            &[Refused(417)],
        ),
        row(
            "keep-alive and close",
            get("connection: keep-alive, Close\r\n\r\n"),
            &[ok("GET /"), Closed],
        ),
        row(
            "close in a second header",
            get("connection: x\r\nconnection: close\r\n\r\n"),
            &[ok("GET /"), Closed],
        ),
    ]
}

fn bodies() -> Vec<Row> {
    let bad = &[Refused(400)][..];
    let ok = |seen| Says(200, seen);
    let chunked = |body: &str| post(&format!("transfer-encoding: chunked\r\n\r\n{body}"));
    let length = |value: &str| post(&format!("content-length: {value}\r\n\r\nhello"));
    vec![
        row("a length", length("5"), &[ok("POST / host=a body=hello")]),
        row(
            "an empty body",
            post("content-length: 0\r\n\r\n"),
            &[ok("POST / host=a body=")],
        ),
        row(
            "both framings",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            bad,
        ),
        row(
            "both framings, an unknown coding",
            post("transfer-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"),
            bad,
        ),
        row("lengths that differ", length("5\r\ncontent-length: 6"), bad),
        row("a list of lengths that differ", length("5, 6"), bad),
        row(
            "the same length twice",
            length("5\r\ncontent-length: 5"),
            &[ok("body=hello")],
        ),
        row(
            "a list of the same length",
            length("5, 5"),
            &[ok("body=hello")],
        ),
        row("a length with a sign", length("+5"), bad),
        row("a negative length", length("-1"), bad),
        row("an empty length", length(""), bad),
        row("a length with an empty element", length("5,"), bad),
        row("a hexadecimal length", length("0x5"), bad),
        row("a length over 64 bits", length("18446744073709551621"), bad),
        row("a length over 63 bits", length("9223372036854775808"), bad),
        row(
            "gzip",
            post("transfer-encoding: gzip\r\n\r\n"),
            &[Refused(501)],
        ),
        row(
            "gzip, chunked",
            post("transfer-encoding: gzip, chunked\r\n\r\n"),
            &[Refused(501)],
        ),
        row(
            "chunked twice",
            post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
            &[Refused(501)],
        ),
        row(
            "chunked on HTTP/1.0",
            "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            bad,
        ),
        row(
            "chunked",
            chunked("5\r\nhello\r\n0\r\n\r\n"),
            &[ok("POST / host=a body=hello")],
        ),
        row(
            "chunked, in capitals",
            post("Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            &[ok("body=x")],
        ),
        row(
            "chunks with extensions",
            chunked("5;a=\"b;c\"\r\nhello\r\n06 ;x\r\n world\r\n0;end\r\n\r\n"),
            &[ok("body=hello world")],
        ),
        row(
            "trailers",
            chunked("1\r\nx\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nx-b: ä\r\n\r\n"),
            &[ok("body=x x-sum=1 x-b=\\xc3\\xa4")],
        ),
        row("a size that is not hexadecimal", chunked("g\r\n"), bad),
        row("an empty size", chunked("\r\nx\r\n"), bad),
        row("a negative size", chunked("-1\r\nx\r\n"), bad),
        row(
            "a size with a prefix",
            chunked("0x1\r\nx\r\n0\r\n\r\n"),
            bad,
        ),
        row("a size over 64 bits", chunked("10000000000000000\r\n"), bad),
        row("an endless size", chunked(&"0".repeat(100)), bad),
        row(
            "a size line that ends in LF",
            chunked("1\nx\r\n0\r\n\r\n"),
            bad,
        ),
        row(
            "a size with a space behind it",
            chunked("1 \r\nx\r\n0\r\n\r\n"),
            bad,
        ),
        row(
            "a chunk that is longer than its size",
            chunked("1\r\nxy\r\n0\r\n\r\n"),
            bad,
        ),
        row("a chunk without CR", chunked("1\r\nx\n0\r\n\r\n"), bad),
        row(
            "a control character in an extension",
            chunked("1;\x01\r\nx\r\n"),
            bad,
        ),
        row(
            "endless extensions",
            chunked(&format!("1;{}", "x".repeat(20_000))),
            bad,
        ),
        row("a malformed trailer", chunked("0\r\nx y\r\n\r\n"), bad),
        row("a trailer that ends in LF", chunked("0\r\nx: y\n\r\n"), bad),
        row(
            "endless trailers",
            chunked(&format!("0\r\nx: {}", "x".repeat(9000))),
            &[Refused(431)],
        ),
        row(
            "too many trailers",
            chunked(&format!("0\r\n{}\r\n", "x: y\r\n".repeat(65))),
            &[Refused(431)],
        ),
        row(
            "three requests in one segment",
            [
                get("\r\n"),
                get("\r\n"),
                "GET /3 HTTP/1.1\r\nhost: a\r\n\r\n".into(),
            ]
            .concat(),
            &[ok("GET /"), ok("GET /"), ok("GET /3")],
        ),
        row(
            "POST, then GET",
            [length("5"), get("\r\n")].concat(),
            &[ok("body=hello"), ok("GET / host=a body=")],
        ),
        row(
            "chunked, then GET",
            [chunked("2\r\nhi\r\n0\r\n\r\n"), get("\r\n")].concat(),
            &[ok("body=hi"), ok("GET / host=a body=")],
        ),
        row(
            "chunked with trailers, then GET",
            [chunked("2\r\nhi\r\n0\r\nt: u\r\n\r\n"), get("\r\n")].concat(),
            &[ok("body=hi t=u"), ok("GET / host=a body=")],
        ),
        row(
            "a good request, then a bad one",
            [get("\r\n"), "BAD\r\n\r\n".into()].concat(),
            &[ok("GET /"), Refused(400)],
        ),
    ]
}

/// Sends the bytes in segments of these lengths.
fn play(client: &mut Client, bytes: &[u8], mut segment: impl FnMut() -> usize) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(segment().clamp(1, rest.len()));
        // A server that has refused already may have closed its side.
        if io::Write::write_all(&mut client.stream, now).is_err() {
            return;
        }
        rest = later;
    }
}

fn check(client: &mut Client, out: &[Out], what: &str) {
    for out in out {
        match out {
            Says(status, seen) => {
                let answer = client.try_answer(false);
                let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(answer.status, *status, "{what}: {answer:?}");
                assert!(answer.text().contains(seen), "{what}: {answer:?}");
                assert!(answer.header("date").is_some(), "{what}: {answer:?}");
            }
            Refused(status) => {
                let answer = client.try_answer(false);
                let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(answer.status, *status, "{what}: {answer:?}");
                let kind = answer.header("content-type");
                assert_eq!(kind, Some("application/problem+json"), "{what}");
                assert_eq!(answer.header("connection"), Some("close"), "{what}");
                let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!(problem["status"], *status, "{what}");
                let rest = client.rest();
                assert!(
                    rest.as_ref().is_ok_and(Vec::is_empty),
                    "{what}: then {rest:?}"
                );
            }
            Closed => assert!(client.is_closed(), "{what}: it is not closed"),
        }
    }
}

fn every_row(rows: &[Row], name: &str, mut segment: impl FnMut() -> usize) {
    let server = Running::start(mirror());
    for row in rows {
        println!("{name}: {}", row.name);
        let mut client = server.connect();
        play(&mut client, &row.sent, &mut segment);
        check(&mut client, &row.out, row.name);
        if let Some(Says(..)) = row.out.last() {
            // What comes last leaves a connection that can be used again.
            client.send("GET /again HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            check(&mut client, &[Says(200, "GET /again"), Closed], row.name);
        }
    }
}

#[test]
fn heads_at_once() {
    every_row(&heads(), "at once", || usize::MAX);
}

#[test]
fn heads_byte_by_byte() {
    every_row(&heads(), "byte by byte", || 1);
}

#[test]
fn heads_in_random_segments() {
    let mut random = fastrand::Rng::with_seed(7);
    every_row(&heads(), "in segments", || random.usize(1..40));
}

#[test]
fn bodies_at_once() {
    every_row(&bodies(), "at once", || usize::MAX);
}

#[test]
fn bodies_byte_by_byte() {
    every_row(&bodies(), "byte by byte", || 1);
}

#[test]
fn bodies_in_random_segments() {
    for seed in 0..5 {
        let mut random = fastrand::Rng::with_seed(seed);
        every_row(&bodies(), "in segments", || random.usize(1..20));
    }
}

#[test]
fn limits_of_a_head_can_be_set() {
    let config = ServerConfig {
        max_head: 300,
        max_headers: 200,
        max_target: 20,
        ..ServerConfig::default()
    };
    let server = Running::with(mirror(), config);
    for (sent, status) in [
        (get("\r\n"), 200),
        (get(&format!("x: {}\r\n\r\n", "x".repeat(300))), 431),
        (get(&format!("{}\r\n", "x:\r\n".repeat(60))), 200),
        (get(&format!("{}\r\n", "x:\r\n".repeat(150))), 431),
        (
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(20)),
            414,
        ),
    ] {
        let mut client = server.connect();
        assert_eq!(client.send(&sent).answer().status, status, "{sent}");
    }
}
