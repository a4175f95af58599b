//! The rows about heads: request lines, headers, hosts, versions, methods, targets.

use crate::play::{Case, at, case, get, post};

/// Everything here is answered 400.
fn bad<S: Into<Vec<u8>>>(cases: impl IntoIterator<Item = (&'static str, S)>) -> Vec<Case> {
    let cases = cases.into_iter();
    cases
        .map(|(name, sent)| case(name, sent).refused(400))
        .collect()
}

const SEEN: &str = "GET / host=a body=";

pub fn malformed() -> Vec<Case> {
    let lines = [
        ("a lower-case version", "GET / http/1.1\r\nhost: a\r\n\r\n"),
        ("no version", "GET /\r\nhost: a\r\n\r\n"),
        (
            "two spaces in the request line",
            "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "a space behind the version",
            "GET / HTTP/1.1 \r\nhost: a\r\n\r\n",
        ),
        (
            "a method that is no token",
            "G(T / HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "a control character in the target",
            "GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "a target beyond ASCII",
            "GET /ä HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "a fragment in the target",
            "GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        ("NUL in the target", "GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n"),
        (
            "a target that is a word",
            "GET index.html HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "a version of two digits",
            "GET / HTTP/11.1\r\nhost: a\r\n\r\n",
        ),
        (
            "a space before the first header",
            "GET / HTTP/1.1\r\n x: 1\r\nhost: a\r\n\r\n",
        ),
    ];
    let headers = [
        ("a header name that is no token", "b@d: 1\r\n\r\n"),
        ("a header without a name", ": 1\r\n\r\n"),
        ("a header without a colon", "nothing\r\n\r\n"),
        ("a control character in a value", "x: a\x01b\r\n\r\n"),
        ("a space before the colon", "x : 1\r\n\r\n"),
        ("obs-fold", "x: 1\r\n 2\r\n\r\n"),
        ("NUL in a value", "x: a\0b\r\n\r\n"),
    ];
    let mut cases = bad(lines);
    cases.extend(bad(headers.map(|(name, rest)| (name, get(rest)))));
    cases.extend(bad([
        (
            "a TLS hello",
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh"[..],
        ),
        ("a good request, then a bad one", b"BAD\r\n\r\n"),
    ]));
    cases.push(
        case(
            "a good request, then a bad one",
            [&get("\r\n"), "BAD\r\n\r\n"].concat(),
        )
        .says(200, SEEN)
        .refused(400),
    );
    cases
}

pub fn values_beyond_ascii() -> Vec<Case> {
    let latin = [get("x: ").as_bytes(), b"\xe4\r\n\r\n"].concat();
    let to_handler = at("GET", "/handler/x", "x: ä\r\n\r\n");
    vec![
        case("UTF-8", get("x: ä\r\n\r\n")).says(200, SEEN),
        case("latin-1", latin).says(200, SEEN),
        // If it cannot be carried, that is no panic.
        case("UTF-8 for http-types", to_handler).problem(400),
    ]
}

pub fn hosts() -> Vec<Case> {
    bad([
        ("no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("two Hosts", "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
        (
            "two Hosts on HTTP/1.0",
            "GET / HTTP/1.0\r\nhost: a\r\nhost: a\r\n\r\n",
        ),
        (
            "a port that is no number",
            "GET / HTTP/1.1\r\nhost: a:b\r\n\r\n",
        ),
        (
            "a port that is too large",
            "GET / HTTP/1.1\r\nhost: a:65536\r\n\r\n",
        ),
        ("a space in it", "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
        ("an open bracket", "GET / HTTP/1.1\r\nhost: [::1\r\n\r\n"),
        ("a list", "GET / HTTP/1.1\r\nhost: a, b\r\n\r\n"),
    ])
}

pub fn more_than_a_host() -> Vec<Case> {
    bad([
        ("a path", "GET / HTTP/1.1\r\nhost: a/admin\r\n\r\n"),
        (
            "a path and a query",
            "GET / HTTP/1.1\r\nhost: a/admin?\r\n\r\n",
        ),
        ("a query", "GET / HTTP/1.1\r\nhost: a?\r\n\r\n"),
        ("a fragment", "GET / HTTP/1.1\r\nhost: a#b\r\n\r\n"),
        ("userinfo", "GET / HTTP/1.1\r\nhost: u@a\r\n\r\n"),
        ("a backslash", "GET / HTTP/1.1\r\nhost: a\\b\r\n\r\n"),
        ("nothing", "GET / HTTP/1.1\r\nhost:\r\n\r\n"),
    ])
}

pub fn version_1_0() -> Vec<Case> {
    let twice = "GET /1 HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n";
    vec![
        case("without Host", "GET / HTTP/1.0\r\n\r\n")
            .says(200, "GET / host=none body=")
            .with("connection", "close")
            .closed(),
        case("keep-alive", twice)
            .says(200, "GET /1")
            .with("connection", "keep-alive")
            .says(200, "GET /2")
            .closed(),
        // It has no chunks. The end of the connection is the end of the body.
        case("a stream", "GET /answers/stream HTTP/1.0\r\n\r\n")
            .body(200, "one")
            .without("transfer-encoding")
            .closed(),
    ]
}

pub fn other_versions() -> Vec<Case> {
    vec![
        case("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").refused(505),
        case("HTTP/3.7", "GET / HTTP/3.7\r\nhost: a\r\n\r\n").refused(505),
        case("HTTP/0.9 with its number", "GET / HTTP/0.9\r\n\r\n").refused(505),
    ]
}

pub fn methods() -> Vec<Case> {
    vec![
        case("an unknown one", "BREW / HTTP/1.1\r\nhost: a\r\n\r\n").refused(501),
        case("lower case", "get / HTTP/1.1\r\nhost: a\r\n\r\n").refused(501),
    ]
}

pub fn empty_lines() -> Vec<Case> {
    vec![
        case("one", format!("\r\n{}", get("\r\n"))).says(200, SEEN),
        case("two", format!("\r\n\r\n{}", get("\r\n"))).says(200, SEEN),
        case("three", format!("\r\n\r\n\r\n{}", get("\r\n"))).refused(400),
        case("a bare LF", format!("\n{}", get("\r\n"))).refused(400),
    ]
}

pub fn bare_line_feeds() -> Vec<Case> {
    let mut cases = bad([
        ("everywhere", "GET / HTTP/1.1\nhost: a\n\n"),
        ("among CRLFs", "GET / HTTP/1.1\r\nhost: a\nx: 1\r\n\r\n"),
        ("at the end", "GET / HTTP/1.1\r\nhost: a\r\n\n"),
    ]);
    cases.extend(bad([
        ("a bare CR in a value", get("x: a\rb\r\n\r\n")),
        ("a bare CR at the end", get("\r\rGET / HTTP/1.1\r\n")),
    ]));
    cases
}

pub fn absolute_targets() -> Vec<Case> {
    let asks = |target: &str| format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n");
    vec![
        case("path and query", asks("http://b:80/x?y")).body(200, "GET /x?y host=b:80 body="),
        case("no path", asks("HTTPS://b?y")).body(200, "GET /?y host=b body="),
        case("HTTP/1.0 without Host", "GET http://b/ HTTP/1.0\r\n\r\n")
            .body(200, "GET / host=b body=")
            .closed(),
        case("userinfo", asks("http://u@b/")).refused(400),
        case("no host", asks("http:///x")).refused(400),
        case("another scheme", asks("ftp://b/")).refused(400),
        case("a bad port", asks("http://b:x/")).refused(400),
    ]
}

pub fn about_the_server() -> Vec<Case> {
    let no_content = |name, sent: &str| {
        case(name, sent)
            .body(204, "")
            .with("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
            .without("content-length")
    };
    vec![
        no_content("OPTIONS *", "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n"),
        no_content(
            "OPTIONS of a host",
            "OPTIONS http://b HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        case("GET *", "GET * HTTP/1.1\r\nhost: a\r\n\r\n").refused(400),
        case("CONNECT", "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n").refused(501),
    ]
}

pub fn dots() -> Vec<Case> {
    [
        ("dot segments", "/small/../x/./y", "/x/y"),
        ("encoded dots", "/small/%2e%2E/x", "/x"),
        ("half encoded dots", "/small/.%2e/x", "/x"),
        ("backslashes", "/small\\..\\x", "/x"),
        ("above the root", "/../../x", "/x"),
        ("double slashes", "//a//b", "//a//b"),
        (
            "another encoding",
            "/%61%2Fb?c=%2e%2e/../d",
            "/%61%2Fb?c=%2e%2e/../d",
        ),
        ("into a prefix", "/x/../small//y", "//y"),
    ]
    .map(|(name, target, seen)| {
        case(name, at("GET", target, "\r\n")).body(200, format!("GET {seen} host=a body="))
    })
    .into()
}

pub fn large_heads() -> Vec<Case> {
    let lines = |count| get(&format!("{}\r\n", "x: 1\r\n".repeat(count)));
    let long = |length| get(&format!("x: {}\r\n\r\n", "x".repeat(length)));
    let endless = get(&format!("x: {}", "x".repeat(40_000)));
    vec![
        case("just under 32 KiB", long(32_700)).says(200, SEEN),
        case("over 32 KiB", long(33_000)).refused(431),
        case("an endless line", endless).refused(431),
        case("128 headers", lines(127)).says(200, SEEN),
        case("129 headers", lines(128)).refused(431),
    ]
}

pub fn large_heads_where_limits_are_set() -> Vec<Case> {
    vec![
        case("a small one", get("\r\n")).says(200, SEEN),
        case(
            "over 300 bytes",
            get(&format!("x: {}\r\n\r\n", "x".repeat(300))),
        )
        .refused(431),
        case("60 headers", get(&format!("{}\r\n", "x:\r\n".repeat(59)))).refused(431),
        case(
            "a target of 21 bytes",
            at("GET", &format!("/{}", "x".repeat(20)), "\r\n"),
        )
        .refused(414),
    ]
}

pub fn long_targets() -> Vec<Case> {
    let target = |length: usize| format!("/{}", "x".repeat(length - 1));
    vec![
        case("8 KiB", at("GET", &target(8192), "\r\n")).says(200, "GET /xxx"),
        case("more", at("GET", &target(8193), "\r\n")).refused(414),
        case("endless", format!("GET {}", target(10_000))).refused(414),
    ]
}

pub fn connection_options() -> Vec<Case> {
    let closes = |name, rest| {
        case(name, get(rest))
            .says(200, SEEN)
            .with("connection", "close")
            .closed()
    };
    vec![
        closes(
            "keep-alive and close",
            "connection: keep-alive, Close\r\n\r\n",
        ),
        closes(
            "in a second header",
            "connection: x\r\nconnection: close\r\n\r\n",
        ),
        closes("alone", "connection: close\r\n\r\n"),
        case("keep-alive", get("connection: keep-alive\r\n\r\n"))
            .says(200, SEEN)
            .without("connection"),
        case("and no body of a POST", post("connection: close\r\n\r\n"))
            .status(200)
            .with("connection", "close")
            .closed(),
    ]
}
