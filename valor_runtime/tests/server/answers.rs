//! The server's own answers, with a bare vlugin and no runtime. `tests/policy` has the rows about a vlugin's answers.

use crate::harness::{Running, mirror, text};
use std::sync::Arc;
use valor_runtime::{Body, Fault, Request, Response, ResponseHead, Vlugin, from_fn};

/// A vlugin's answers, by path.
fn answers() -> Arc<dyn Vlugin> {
    fn with(name: &str, value: &[u8]) -> Response {
        let mut response = Response::new(299);
        response.head.push(name, value).unwrap();
        response.body = Body::from("body");
        response
    }
    from_fn(|request: Request| async move {
        Ok(match request.head.path() {
            "/control" => with("x", b"a\x01b"),
            "/signed" => {
                let mut response = with("x", b"a\x01b");
                let head = &mut response.head;
                head.push("x-valor-plugin", b"somebody").unwrap();
                head.push("x-correlation-id", b"something").unwrap();
                response
            }
            "/latin" => with("x", b"\xe4"),
            "/date" => with("date", b"yesterday"),
            "/panic" => panic!("on purpose"),
            "/fault" => return Err(Fault::error(418, "short and stout")),
            "/secret" => return Err(Fault::error(503, "the password is x")),
            path => text(path.to_owned()),
        })
    })
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn what_a_bare_vlugin_cannot_answer() {
    let server = Running::start(answers());
    for (path, status, detail) in [
        ("/control", 500, "the vlugin's response cannot be sent"),
        ("/fault", 418, "short and stout"),
        ("/secret", 503, "the request failed"),
    ] {
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["detail"], detail, "{path}");
        client.send("GET /again HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.answer().text(), "/again", "{path}");
    }
}

#[test]
fn what_a_bare_vlugin_says_of_itself_is_not_repeated_for_it() {
    let server = Running::start(answers());
    let mut client = server.connect();
    client.send("GET /signed HTTP/1.1\r\nhost: a\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 500);
    for name in ["x-valor-plugin", "x-correlation-id"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
}

#[test]
fn bytes_beyond_ascii_are_sent_as_they_are() {
    let server = Running::start(answers());
    let mut client = server.connect();
    client.send("GET /latin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let all = client.rest().unwrap();
    let found = all.windows(7).any(|w| w == b"\nx: \xe4\r\n");
    assert!(found, "{}", all.escape_ascii());
}

#[test]
fn reasons_and_dates() {
    let server = Running::start(answers());
    let ask = |request: &str| server.connect().send(request).answer();
    let dated = ask("GET /date HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((dated.status, dated.reason.as_str()), (299, ""));
    assert_eq!(dated.header("date"), Some("yesterday"));
    let unknown = ask("BREW / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(unknown.reason, "Not Implemented");
}

#[test]
fn a_vlugin_that_panics_harms_its_own_connection_alone() {
    let server = Running::start(answers());
    let mut neighbour = server.connect();
    for _ in 0..10 {
        // A runtime answers 500. After a bare vlugin's panic, the server has nothing to say.
        let mut client = server.connect();
        client.send("GET /panic HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(client.is_closed());
        assert_eq!(neighbour.send(GET).answer().status, 200);
    }
}

#[test]
fn the_peer_is_told() {
    let server = Running::start(from_fn(|request: Request| async move {
        Ok(text(request.head.peer().unwrap_or("nobody").to_owned()))
    }));
    let mut client = server.connect();
    let local = client.stream.local_addr().unwrap().to_string();
    assert_eq!(client.send(GET).answer().text(), local);
}

#[test]
fn what_the_server_answers_itself_has_the_requests_id() {
    let server = Running::start(mirror());
    let id = "x-request-id: the-client's\r\n";
    for (status, request) in [
        (400, format!("GET / HTTP/1.1\r\n{id}host: a/b\r\n\r\n")),
        (501, format!("BREW / HTTP/1.1\r\n{id}host: a\r\n\r\n")),
        (204, format!("OPTIONS * HTTP/1.1\r\n{id}host: a\r\n\r\n")),
        (
            400,
            format!("POST / HTTP/1.1\r\nhost: a\r\n{id}transfer-encoding: chunked\r\n\r\nx\r\n"),
        ),
    ] {
        let answer = server.connect().send(&request).answer();
        assert_eq!(answer.status, status, "{request}");
        let told = answer.header("x-correlation-id");
        assert_eq!(told, Some("the-client's"), "{request}");
        // If there is none, or none that can be read, there is a new one.
        let answer = server.connect().send(request.replace(id, "")).answer();
        let told = answer.header("x-correlation-id").unwrap_or_default();
        assert_eq!(told.len(), 32, "{request}");
    }
}

#[test]
fn every_status_has_its_head() {
    let server = Running::start(from_fn(|request: Request| async move {
        let status = request.head.path()[1..].parse().unwrap_or(500);
        let mut response = Response::new(200);
        response.head = ResponseHead::new(status).unwrap();
        Ok(response)
    }));
    let mut client = server.connect();
    for status in 200..600 {
        client.send(format!("GET /{status} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(client.answer().status, status);
    }
    // An interim response is not an answer, and there is nothing to switch to.
    for status in 100..200 {
        client.send(format!("GET /{status} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(client.answer().status, 500, "{status}");
    }
}
