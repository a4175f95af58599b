//! What a vlugin answers, and what comes out of it.

use crate::harness::{Answer, Client, Running, chunks, data, mirror, text};
use std::{io, sync::Arc};
use valor_runtime::{Body, Chunk, Fault, Request, Response, ResponseHead, Vlugin, from_fn};

/// What a vlugin answers, by path.
fn answers() -> Arc<dyn Vlugin> {
    fn with(headers: &[(&str, &[u8])], status: u16, body: &'static str) -> Response {
        let mut response = Response::new(status);
        for (name, value) in headers {
            response.head.push(name, value).unwrap();
        }
        response.body = Body::from(body);
        response
    }
    from_fn(|request: Request| async move {
        let broken = || Err(io::Error::other("on purpose"));
        Ok(match request.head.path() {
            "/204" => with(&[("content-length", b"4")], 204, "body"),
            "/304" => with(&[("etag", b"\"x\"")], 304, "body"),
            "/103" => with(&[], 103, "body"),
            "/299" => with(&[], 299, "body"),
            "/cookies" => with(
                &[("set-cookie", b"a=1"), ("x", b"y"), ("set-cookie", b"b=2")],
                200,
                "",
            ),
            "/control" => with(&[("x-valor-plugin", b"bad"), ("x", b"a\x01b")], 200, "body"),
            "/latin" => with(&[("x", b"\xe4")], 200, "body"),
            "/framing" => with(
                &[
                    ("transfer-encoding", b"gzip"),
                    ("connection", b"upgrade"),
                    ("content-length", b"1"),
                    ("keep-alive", b"x"),
                    ("upgrade", b"h2c"),
                    ("trailer", b"x"),
                ],
                200,
                "body",
            ),
            "/promise" => with(&[("content-length", b"99")], 200, ""),
            "/date" => with(&[("date", b"yesterday")], 200, ""),
            "/stream" => chunks(None, vec![data("on"), data(""), data("e")]),
            "/sized" => chunks(Some(3), vec![data("on"), data("e")]),
            "/short" => chunks(Some(5), vec![data("one")]),
            "/long" => chunks(Some(3), vec![data("one, two"), data("three")]),
            "/fails" => chunks(None, vec![data("one"), broken()]),
            "/fails-sized" => chunks(Some(9), vec![data("one"), broken()]),
            "/fails-first" => chunks(None, vec![broken()]),
            "/trailers" => {
                let trailers = vec![("x-sum".to_owned(), b"1".to_vec())];
                chunks(None, vec![data("one"), Ok(Chunk::Trailers(trailers))])
            }
            "/bad-trailers" => {
                let trailers = vec![("x".to_owned(), b"1\r\nx: 2".to_vec())];
                chunks(None, vec![data("one"), Ok(Chunk::Trailers(trailers))])
            }
            "/panic" => panic!("on purpose"),
            "/fault" => return Err(Fault::error(418, "short and stout")),
            "/secret" => return Err(Fault::error(503, "the password is x")),
            path => text(path.to_owned()),
        })
    })
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn ask(server: &Running, method: &str, path: &str, version: &str) -> io::Result<(Answer, Client)> {
    let mut client = server.connect();
    client.send(format!("{method} {path} HTTP/{version}\r\nhost: a\r\n\r\n"));
    client
        .try_answer(method == "HEAD")
        .map(|answer| (answer, client))
}

#[test]
fn what_a_vlugin_answers() {
    let server = Running::start(answers());
    // Path, status, framing, body, and whether the connection can be used again.
    for (path, status, framing, body, again) in [
        ("/x", 200, "content-length: 2", "/x", true),
        ("/204", 204, "", "", true),
        ("/304", 304, "", "", true),
        ("/103", 103, "", "", false),
        ("/299", 299, "content-length: 4", "body", true),
        ("/cookies", 200, "content-length: 0", "", true),
        ("/framing", 200, "content-length: 4", "body", true),
        ("/promise", 200, "content-length: 0", "", true),
        ("/stream", 200, "transfer-encoding: chunked", "one", true),
        ("/sized", 200, "content-length: 3", "one", true),
        ("/long", 200, "content-length: 3", "one", true),
        ("/trailers", 200, "transfer-encoding: chunked", "one", true),
    ] {
        let (answer, mut client) = ask(&server, "GET", path, "1.1").unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let framing_names = [
            "content-length",
            "transfer-encoding",
            "keep-alive",
            "upgrade",
            "trailer",
        ];
        let seen: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| framing_names.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(seen.join("\n"), framing, "{path}: {answer:?}");
        assert_eq!(answer.text(), body, "{path}");
        let connection = (!again).then_some("close");
        assert_eq!(answer.header("connection"), connection, "{path}");
        if again {
            client.send("GET /again HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(client.answer().text(), "/again", "{path}");
        } else {
            assert!(client.is_closed(), "{path}");
        }
    }
}

#[test]
fn what_a_vlugin_cannot_answer() {
    let server = Running::start(answers());
    for (path, status, detail) in [
        ("/control", 500, "the vlugin's response cannot be sent"),
        ("/fails-first", 500, "the vlugin's response cannot be sent"),
        ("/fault", 418, "short and stout"),
        ("/secret", 503, "the request failed"),
    ] {
        let (answer, mut client) = ask(&server, "GET", path, "1.1").unwrap();
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["detail"], detail, "{path}");
        client.send("GET /again HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.answer().text(), "/again", "{path}");
    }
}

#[test]
fn a_value_beyond_ascii_is_sent_as_it_is() {
    let server = Running::start(answers());
    let mut client = server.connect();
    client.send("GET /latin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let all = client.rest().unwrap();
    assert!(
        all.starts_with(b"HTTP/1.1 200 OK\r\n"),
        "{}",
        all.escape_ascii()
    );
    let found = all.windows(7).any(|w| w == b"\nx: \xe4\r\n");
    assert!(found, "{}", all.escape_ascii());
}

#[test]
fn what_is_said_beside_the_body() {
    let server = Running::start(answers());
    let get = |path| ask(&server, "GET", path, "1.1").unwrap().0;
    let cookies = get("/cookies");
    let values: Vec<_> = cookies
        .headers
        .iter()
        .filter(|(n, _)| n == "set-cookie")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(values, ["a=1", "b=2"]);
    assert_eq!(get("/304").reason, "Not Modified");
    assert_eq!(get("/304").header("etag"), Some("\"x\""));
    assert_eq!(get("/299").reason, "");
    assert_eq!(get("/date").header("date"), Some("yesterday"));
    assert_eq!(get("/control").header("x-valor-plugin"), Some("bad"));
    assert_eq!(get("/trailers").trailers, [("x-sum".into(), "1".into())]);
    let options = ask(&server, "OPTIONS", "*", "1.1").unwrap().0;
    assert!(options.header("allow").unwrap().contains("PATCH"));
    assert_eq!(
        ask(&server, "BREW", "/", "1.1").unwrap().0.reason,
        "Not Implemented"
    );
}

#[test]
fn head_has_the_same_headers_and_no_body() {
    let server = Running::start(answers());
    for path in ["/x", "/stream", "/sized", "/cookies", "/204", "/nothing"] {
        let of_get = ask(&server, "GET", path, "1.1").unwrap().0;
        let (of_head, mut client) = ask(&server, "HEAD", path, "1.1").unwrap();
        let headers = |answer: &Answer| {
            let headers = answer.headers.clone().into_iter();
            headers
                .filter(|(name, _)| name != "date")
                .collect::<Vec<_>>()
        };
        assert_eq!(headers(&of_head), headers(&of_get), "{path}");
        client.send("GET /again HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.answer().text(), "/again", "{path}");
    }
    // A vlugin that leaves the body away may tell its length.
    let promise = ask(&server, "HEAD", "/promise", "1.1").unwrap().0;
    assert_eq!(promise.header("content-length"), Some("99"));
}

#[test]
fn a_stream_that_breaks_off_aborts_the_connection() {
    let server = Running::start(answers());
    for path in ["/short", "/fails", "/fails-sized", "/bad-trailers"] {
        let error = ask(&server, "GET", path, "1.1").map(|_| ()).unwrap_err();
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
            ),
            "{path}: {error}"
        );
    }
    // Where the end of the connection is the end of the body, only a reset can tell.
    let error = ask(&server, "GET", "/fails", "1.0")
        .map(|_| ())
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let (whole, mut client) = ask(&server, "GET", "/stream", "1.0").unwrap();
    assert_eq!((whole.text().as_str(), client.is_closed()), ("one", true));
    assert_eq!(whole.header("transfer-encoding"), None);
}

#[test]
fn a_vlugin_that_panics_harms_its_own_connection_alone() {
    let server = Running::start(answers());
    let mut neighbour = server.connect();
    for _ in 0..10 {
        // A runtime answers 500; a bare vlugin's panic leaves the server nothing to say.
        assert!(ask(&server, "GET", "/panic", "1.1").is_err());
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
        // Where there is none, or none that can be read, there is a fresh one.
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
}
