//! From the wire's form to `http_types` and back: what passes, and what is refused with a status instead of a panic.

use futures_lite::{AsyncReadExt, future::block_on, stream};
use proptest::prelude::*;
use std::io;
use valor::{http, streaming};
use valor_abi_http::{
    body_from_wire, body_into_wire, request_from_wire, request_into_wire,
    request_into_wire_absolute, response_from_wire, response_into_wire,
};
use valor_abi_wire::{Body, Bytes, Chunk, Request, RequestHead, Response};

/// A body that arrives in these pieces, after returning nothing at first.
fn pieces(len: Option<u64>, pieces: &'static [&'static str]) -> Body {
    let chunks = stream::iter(pieces).then(|piece| async move {
        futures_lite::future::yield_now().await;
        Ok(Chunk::Data(Bytes::from(*piece)))
    });
    use futures_lite::StreamExt;
    Body::stream(len, chunks)
}

fn with_body(body: Body) -> Request {
    Request {
        body,
        ..Request::new("POST", "/").unwrap()
    }
}

#[test]
fn a_request_comes_through_whole() {
    let mut request = Request::new("PUT", "/a%20b/c?d=e&f").unwrap();
    for (name, value) in [
        ("host", "example.com:8080"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-one", "3"),
        ("x-one", "4"),
    ] {
        request.head.push(name, value.as_bytes()).unwrap();
    }
    request.head.set_peer("10.0.0.1:99");
    request.head.set_https(true);
    request.head.set_version(10);
    request.body = Body::from("body");

    let mut req = request_from_wire(request).unwrap();
    assert_eq!(req.method(), http::Method::Put);
    assert_eq!(req.url().as_str(), "https://example.com:8080/a%20b/c?d=e&f");
    assert_eq!(req.version(), Some(http::Version::Http1_0));
    assert_eq!(req.peer_addr(), Some("10.0.0.1:99"));
    let ones: Vec<_> = req["x-one"].iter().map(|value| value.as_str()).collect();
    assert_eq!(ones, ["1", "3", "4"]);
    assert_eq!(req["x-two"], "2");
    assert!(req.header("content-type").is_none());
    assert_eq!(req.len(), Some(4));
    assert_eq!(block_on(req.body_string()).unwrap(), "body");
}

#[test]
fn a_request_goes_out_as_it_came_in() {
    let mut req = http::Request::post("http://example.com/a?b=c#d");
    req.append_header("x-one", "1");
    req.append_header("x-one", "2");
    req.set_body(serde_json::json!({ "a": 1 }));

    let call = block_on(request_into_wire(req.clone())).unwrap();
    assert_eq!((call.head.method(), call.head.target()), ("POST", "/a?b=c"));
    let fetch = block_on(request_into_wire_absolute(req)).unwrap();
    assert_eq!(fetch.head.target(), "http://example.com/a?b=c");

    let ones = call.head.headers().filter(|(name, _)| *name == "x-one");
    let ones: Vec<_> = ones.map(|(_, value)| value).collect();
    assert_eq!(ones, [b"1", b"2"]);
    assert_eq!(
        call.head.header_str("content-type"),
        Some("application/json")
    );
}

#[test]
fn a_response_comes_through_whole() {
    let mut res = http::Response::new(201);
    res.append_header("set-cookie", "a=1");
    res.append_header("set-cookie", "b=2");
    res.set_body("made");

    let response = block_on(response_into_wire(res)).unwrap();
    assert!(matches!(&response.body, Body::Bytes(bytes) if bytes == "made"));

    let mut res = response_from_wire(response).unwrap();
    assert_eq!(res.status(), http::StatusCode::Created);
    let cookies = &res["set-cookie"];
    assert_eq!((cookies[0].as_str(), cookies[1].as_str()), ("a=1", "b=2"));
    assert_eq!(res["content-type"], "text/plain;charset=utf-8");
    assert_eq!(block_on(res.body_string()).unwrap(), "made");
}

#[test]
fn no_content_type_is_made_up() {
    let mut response = Response::new(200);
    response.body = Body::from("?");
    let res = response_from_wire(response).unwrap();
    assert!(res.header("content-type").is_none());
}

#[test]
fn what_http_types_cannot_carry_is_refused() {
    let refused = |method: &str, target: &str, header: (&str, &[u8])| {
        let mut request = Request::new(method, target).unwrap();
        request.head.push(header.0, header.1).unwrap();
        request_from_wire(request).unwrap_err().status
    };
    assert_eq!(refused("BREW", "/", ("a", b"b")), 501);
    assert_eq!(refused("get", "/", ("a", b"b")), 501);
    assert_eq!(refused("GET", "/", ("x-name", "Zoë".as_bytes())), 400);
    assert_eq!(refused("GET", "/", ("x-name", b"\xe9")), 400);
    assert_eq!(refused("GET", "/", ("host", "exämple".as_bytes())), 400);
    assert_eq!(refused("GET", "http://", ("a", b"b")), 400);
    for host in [
        "\ta",
        "a/admin?",
        "user@host",
        "a b",
        "host:99999",
        "",
        "a\\b",
        "[::1",
    ] {
        assert_eq!(
            refused("GET", "/a/b", ("host", host.as_bytes())),
            400,
            "{host}"
        );
    }

    let fault = response_from_wire(Response::new(299)).unwrap_err();
    assert_eq!(fault.status, 502);
    let mut response = Response::new(200);
    response.head.push("x-name", b"\xff").unwrap();
    assert_eq!(response_from_wire(response).unwrap_err().status, 502);
}

#[test]
fn a_handlers_header_that_would_split_the_response_is_refused() {
    let mut res = http::Response::new(200);
    res.insert_header("x-name", "a\r\nset-cookie: b");
    let fault = block_on(response_into_wire(res)).unwrap_err();
    assert_eq!(fault.status, 500);
    assert!(fault.message.contains("x-name"), "{fault}");

    let mut res = http::Response::new(200);
    res.insert_header("x name", "a");
    assert_eq!(block_on(response_into_wire(res)).unwrap_err().status, 500);
}

#[test]
fn bytes_that_are_there_stay_whole() {
    for body in [
        http::Body::from("four"),
        http::Body::from_reader(io_cursor("four"), Some(4)),
        body_from_wire(Body::from("four")),
    ] {
        let body = block_on(body_into_wire(body));
        assert!(
            matches!(&body, Body::Bytes(bytes) if bytes == "four"),
            "{body:?}"
        );
    }
    assert!(block_on(body_into_wire(http::Body::empty())).is_empty());
    assert!(block_on(body_into_wire("".into())).is_empty());
}

fn io_cursor(text: &'static str) -> futures_lite::io::Cursor<&'static [u8]> {
    futures_lite::io::Cursor::new(text.as_bytes())
}

#[test]
fn a_stream_stays_one() {
    for len in [None, Some(6)] {
        let body = body_from_wire(pieces(len, &["abc", "de", "f"]));
        assert_eq!(body.len(), len.map(|len| len as usize));
        let mut body = block_on(body_into_wire(body));
        assert_eq!(body.len(), len);
        for piece in ["abc", "de", "f"] {
            let chunk = block_on(body.chunk()).unwrap().unwrap();
            assert_eq!(chunk, Chunk::Data(piece.into()));
        }
        assert!(block_on(body.chunk()).is_none());
    }
}

#[test]
fn a_large_body_goes_out_in_pieces() {
    let large = vec![7; 3 * 1024 * 1024 + 1];
    let mut body = block_on(body_into_wire(large.clone().into()));
    assert_eq!(body.len(), Some(large.len() as u64));
    let Some(Ok(Chunk::Data(first))) = block_on(body.chunk()) else {
        panic!("there is a first piece");
    };
    assert!(first.len() < large.len());
    let rest = block_on(body.bytes(usize::MAX)).unwrap();
    assert_eq!([&first[..], &rest[..]].concat(), large);
}

#[test]
fn a_body_short_of_its_length_fails() {
    let short = http::Body::from_reader(io_cursor("four"), Some(10));
    let body = block_on(body_into_wire(short));
    let error = block_on(body.bytes(100)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_body_past_its_length_is_cut() {
    let long = http::Body::from_reader(io_cursor("four and more"), Some(4));
    let body = block_on(body_into_wire(long));
    assert_eq!(block_on(body.bytes(100)).unwrap(), "four");
}

#[test]
fn a_stream_that_fails_fails_on_both_sides() {
    let failing = || {
        stream::iter([
            Ok("one"),
            Err(io::Error::new(io::ErrorKind::TimedOut, "too slow")),
            Ok("never seen"),
        ])
    };
    let mut body = block_on(body_into_wire(streaming(failing())));
    assert_eq!(
        block_on(body.chunk()).unwrap().unwrap(),
        Chunk::Data("one".into())
    );
    let error = block_on(body.chunk()).unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(block_on(body.chunk()).is_none());

    let mut read = Vec::new();
    let error = block_on(streaming(failing()).read_to_end(&mut read)).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), &read[..]),
        ("too slow", &b"one"[..])
    );
}

#[test]
fn empty_pieces_are_not_an_end() {
    let body = streaming(stream::iter(["", "a", "", "b"].map(Ok)));
    assert_eq!(block_on(body.into_string()).unwrap(), "ab");
}

#[test]
fn trailers_reach_the_handler_behind_the_body() {
    let chunks = stream::iter([
        Ok(Chunk::Data("body".into())),
        Ok(Chunk::Trailers(vec![
            ("x-sum".into(), b"1234".to_vec()),
            ("x-name".into(), b"\xff".to_vec()),
        ])),
    ]);
    let mut req = request_from_wire(with_body(Body::stream(None, chunks))).unwrap();
    assert_eq!(block_on(req.body_string()).unwrap(), "body");
    let trailers = block_on(req.recv_trailers()).unwrap();
    assert_eq!(trailers["x-sum"], "1234");
    assert_eq!(trailers.iter().count(), 1);
}

#[test]
fn nobody_waits_for_trailers_that_do_not_come() {
    let mut req = request_from_wire(with_body(pieces(None, &["body"]))).unwrap();
    assert_eq!(block_on(req.body_string()).unwrap(), "body");
    assert!(block_on(req.recv_trailers()).is_none());
}

#[test]
fn a_handlers_trailers_come_behind_its_body() {
    let mut res = http::Response::new(200);
    let sender = res.send_trailers();
    res.set_body("body");
    let mut body = block_on(response_into_wire(res)).unwrap().body;
    // With a length, there would be no room for what follows.
    assert_eq!(body.len(), None);
    assert_eq!(
        block_on(body.chunk()).unwrap().unwrap(),
        Chunk::Data("body".into())
    );
    let mut trailers = http::Trailers::new();
    trailers.insert("X-Sum", "1");
    trailers.append("X-Sum", "2");
    block_on(sender.send(trailers));
    let field = |value: &str| ("x-sum".to_owned(), value.as_bytes().to_vec());
    assert_eq!(
        block_on(body.chunk()).unwrap().unwrap(),
        Chunk::Trailers(vec![field("1"), field("2")])
    );
    assert!(block_on(body.chunk()).is_none());
}

#[test]
fn a_sender_that_is_dropped_sends_no_trailers() {
    let mut res = http::Response::new(200);
    drop(res.send_trailers());
    res.set_body("body");
    let mut body = block_on(response_into_wire(res)).unwrap().body;
    assert!(block_on(body.chunk()).unwrap().is_ok());
    assert!(block_on(body.chunk()).is_none());
}

proptest! {
    #[test]
    fn no_request_makes_it_panic(
        method in "[!-~&&[^\"(),/:;<=>?@\\[\\\\\\]{}]]{1,9}|GET|POST",
        target in "[!-~é]{1,40}|/[!-~]{0,40}",
        headers in proptest::collection::vec(
            ("host|content-type|content-length|[a-z-]{1,9}", proptest::collection::vec(1_u8.., 0..20)),
            0..6,
        ),
    ) {
        let mut request = Request { head: RequestHead::new(&method, &target)?, body: "x".into() };
        for (name, value) in &headers {
            let _ = request.head.push(name, value);
        }
        if let Ok(req) = request_from_wire(request) {
            let _ = (req.host(), req.content_type(), req.remote());
            let _ = req.query::<serde_json::Value>();
            let _ = block_on(request_into_wire(req));
        }
    }
}
