//! The rows about heads: request lines, headers, hosts, versions, methods.

use super::*;

pub fn rows() -> Vec<Row> {
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
