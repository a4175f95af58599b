//! The rows about what a vlugin answers.

use crate::{
    harness::Running,
    house::house,
    play::{ALONE, Case, at, case},
};

fn ask(name: &'static str, target: &str) -> Case {
    case(name, at("GET", target, "\r\n"))
}

fn head(name: &'static str, target: &str) -> Case {
    case(name, at("HEAD", target, "\r\n"))
}

pub fn to_head() -> Vec<Case> {
    vec![
        head("bytes", "/answers/x")
            .status(200)
            .answering_head()
            .with("content-length", "2"),
        head("a stream", "/answers/stream")
            .status(200)
            .answering_head()
            .with("transfer-encoding", "chunked"),
        head("a stream of known length", "/answers/sized")
            .status(200)
            .answering_head()
            .with("content-length", "3"),
        // A vlugin that leaves the body out may still give its length.
        head("a promise", "/answers/promise")
            .status(200)
            .answering_head()
            .with("content-length", "99"),
        head("204", "/answers/204")
            .status(204)
            .answering_head()
            .without("content-length"),
        head("404", "/a/b/c").status(200).answering_head(),
        head("a problem", "/answers/fault")
            .status(418)
            .answering_head()
            .with("content-type", "application/problem+json"),
        head("of http-types", "/handler/x")
            .status(200)
            .answering_head()
            .with("content-length", "3"),
    ]
}

/// The headers of `HEAD` are those of `GET`.
pub fn the_same_headers() {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    let server = Running::start(house());
    for path in [
        "x", "stream", "sized", "cookies", "204", "304", "fault", "trailers",
    ] {
        let headers = |method: &str| {
            let mut client = server.connect();
            client.send(at(method, &format!("/answers/{path}"), "\r\n"));
            let answer = client.try_answer(method == "HEAD").unwrap();
            let headers = answer.headers.into_iter();
            headers
                .filter(|(name, _)| !["date", "x-correlation-id"].contains(&name.as_str()))
                .collect::<Vec<_>>()
        };
        assert_eq!(headers("HEAD"), headers("GET"), "{path}");
    }
}

pub fn cookies() -> Vec<Case> {
    vec![
        ask("two", "/answers/cookies")
            .status(200)
            .with_all("set-cookie", &["a=1", "b=2"]),
    ]
}

pub fn split_responses() -> Vec<Case> {
    vec![
        ask("a control character", "/answers/control")
            .problem(500)
            .without("x")
            .with("x-valor-plugin", "answers"),
        ask("CR and LF", "/answers/split")
            .problem(500)
            .without("set-cookie"),
        ask("CR and LF of http-types", "/handler/split")
            .problem(500)
            .without("set-cookie")
            .with("x-valor-plugin", "handler"),
        ask("NUL of http-types", "/handler/nul")
            .problem(500)
            .without("x"),
    ]
}

pub fn values_beyond_ascii() -> Vec<Case> {
    vec![
        ask("bytes", "/answers/utf-8").status(200).with("x", "ä"),
        ask("http-types, which panics", "/handler/utf-8")
            .problem(500)
            .without("x"),
    ]
}

pub fn framing() -> Vec<Case> {
    vec![
        ask("all of it", "/answers/framing")
            .body(200, "body")
            .with("content-length", "4")
            .without("transfer-encoding")
            .without("connection")
            .without("keep-alive")
            .without("upgrade")
            .without("trailer"),
        ask("a length that is too large", "/answers/promise")
            .body(200, "")
            .with("content-length", "0"),
        ask("a stream", "/answers/stream")
            .body(200, "one")
            .with("transfer-encoding", "chunked")
            .without("content-length"),
        ask("a stream of known length", "/answers/sized")
            .body(200, "one")
            .with("content-length", "3")
            .without("transfer-encoding"),
        ask("trailers", "/answers/trailers")
            .body(200, "one")
            .trailer("x-sum", "1"),
        ask("trailers of http-types", "/handler/trailers")
            .body(200, "one")
            .trailer("x-sum", "1"),
    ]
}

pub fn no_body() -> Vec<Case> {
    let bare = |name, target, status| {
        ask(name, target)
            .status(status)
            .without("content-length")
            .without("transfer-encoding")
    };
    vec![
        bare("204", "/answers/204", 204).reason("No Content"),
        bare("304", "/answers/304", 304)
            .reason("Not Modified")
            .with("etag", "\"x\""),
        ask("205", "/answers/205")
            .body(205, "")
            .with("content-length", "0")
            .without("transfer-encoding"),
        ask("205 as a stream", "/answers/205-stream")
            .body(205, "")
            .with("content-length", "0")
            .without("transfer-encoding"),
        head("205 to HEAD", "/answers/205")
            .status(205)
            .answering_head()
            .with("content-length", "0"),
        ask("204 of http-types", "/handler/204")
            .status(204)
            .without("content-length"),
    ]
}

pub fn interim() -> Vec<Case> {
    // The connection goes on, because nothing of them was sent.
    [
        "/answers/100",
        "/answers/103",
        "/answers/101",
        "/handler/103",
    ]
    .map(|target| {
        ask("an interim response", target).problem(500).with(
            "x-valor-plugin",
            if target.starts_with("/a") {
                "answers"
            } else {
                "handler"
            },
        )
    })
    .into()
}

pub fn broken_streams() -> Vec<Case> {
    let old = |name, target: &str| case(name, format!("GET {target} HTTP/1.0\r\n\r\n"));
    vec![
        ask("short of its length", "/answers/short").cut(),
        ask("fails", "/answers/fails").cut(),
        ask("fails short of its length", "/answers/fails-sized").cut(),
        ask("trailers that cannot be sent", "/answers/bad-trailers").cut(),
        // If the end of the connection is the end of the body, only a reset can show a failure.
        old("fails on HTTP/1.0", "/answers/fails").cut(),
        ask("fails at once", "/answers/fails-first").problem(500),
        ask("longer than its length", "/answers/long").body(200, "one"),
    ]
}

pub fn faults() -> Vec<Case> {
    vec![
        ask("an error", "/answers/secret")
            .problem(500)
            .with("x-valor-plugin", "answers"),
        ask("an error's own status", "/answers/fault").problem(418),
        ask("an error of http-types", "/handler/error").problem(500),
        ask("a status of http-types", "/handler/teapot").problem(418),
        ask("a panic", "/answers/panic")
            .problem(500)
            .with("x-valor-plugin", "answers"),
        ask("too late", "/late")
            .problem(504)
            .with("x-valor-plugin", "late"),
        ask("one too many", "/single/x")
            .while_another_asks_for("/single/events")
            .problem(503)
            .with("retry-after", "1"),
    ]
}

pub fn nowhere() -> Vec<Case> {
    ["/", "/a", "/a/bc", "/a/b/../c", "/x?/a/b"]
        .map(|target| {
            ask("a path of nobody", target)
                .problem(404)
                .without("x-valor-plugin")
        })
        .into_iter()
        .chain([ask("a path of somebody", "/a/b/c").body(200, "GET /c host=a body=")])
        .collect()
}
