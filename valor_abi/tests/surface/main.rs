//! `valor::http` has the whole surface of `http_types` 2.12: one file, [`calls`](theirs::calls), calls every method,
//! trait and operator of its requests and responses, is compiled against both, and sees the same.
#![allow(clippy::duplicate_mod)] // On purpose.

use futures_lite::future::block_on;
use http_types::headers::{HeaderName, HeaderValues};
use proptest::prelude::*;
use valor_abi_wire as wire;

/// Against `http_types` itself.
#[path = "."]
mod theirs {
    use http_types as http;

    #[path = "calls.rs"]
    pub mod calls;
}

/// Against `valor::http`.
#[path = "."]
mod ours {
    use valor::http;

    #[path = "calls.rs"]
    pub mod calls;
}

/// A request from a boundary: its body whole, in pieces with trailers, or missing.
fn received(body: &str) -> wire::Request {
    let mut request = wire::Request::new("PUT", "/a%20b/../c?page=2&tag[0]=x").unwrap();
    let head = &mut request.head;
    head.set_peer("127.0.0.1:50000");
    for (name, value) in [
        ("host", "example.org:81"),
        ("x-many", "1"),
        ("accept", "text/html"),
        ("x-many", "2"),
        ("forwarded", "for=10.0.0.1;host=before.example"),
    ] {
        head.push(name, value.as_bytes()).unwrap();
    }
    match body {
        "" => {}
        "in pieces" => {
            let chunks = ["in ", "pieces"].map(|text| wire::Chunk::Data(text.into()));
            let trailers = wire::Chunk::Trailers(vec![("x-sum".into(), b"9".to_vec())]);
            let chunks = chunks.into_iter().chain([trailers]).map(Ok);
            request.body = wire::Body::stream(None, futures_lite::stream::iter(chunks));
        }
        body => {
            head.push("content-type", b"application/json").unwrap();
            request.body = wire::Body::from(body.to_owned());
        }
    }
    request
}

/// All of it as `http_types` has it, before anyone looks.
fn made(request: wire::Request) -> http_types::Request {
    valor_abi_http::request_from_wire(request).unwrap().into()
}

fn answered(body: &str) -> wire::Response {
    let mut response = wire::Response::new(404);
    for (name, value) in [("x-many", "1"), ("etag", "\"a\""), ("x-many", "2")] {
        response.head.push(name, value.as_bytes()).unwrap();
    }
    if !body.is_empty() {
        let head = &mut response.head;
        head.push("content-type", b"application/json").unwrap();
        response.body = wire::Body::from(body.to_owned());
    }
    response
}

#[test]
fn messages_that_are_made_here_have_the_whole_surface() {
    let (ours, theirs) = (ours::calls::made_here(), theirs::calls::made_here());
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn requests_that_were_received_have_the_whole_surface() {
    for body in ["", "in pieces", r#"{"a":1}"#, "a=1", "no utf-8? \u{e4}"] {
        for (name, ours, theirs) in ours::calls::on_requests()
            .into_iter()
            .zip(theirs::calls::on_requests())
            .map(|((name, ours), (_, theirs))| (name, ours, theirs))
        {
            let ours = ours(valor_abi_http::request_from_wire(received(body)).unwrap());
            let theirs = theirs(made(received(body)));
            assert_eq!(ours, theirs, "{name} with {body:?}");
        }
    }
}

#[test]
fn responses_that_were_received_have_the_whole_surface() {
    for body in ["", r#"{"a":1}"#, "a=1"] {
        for (name, ours, theirs) in ours::calls::on_responses()
            .into_iter()
            .zip(theirs::calls::on_responses())
            .map(|((name, ours), (_, theirs))| (name, ours, theirs))
        {
            let ours = ours(valor_abi_http::response_from_wire(answered(body)).unwrap());
            let theirs = theirs(
                valor_abi_http::response_from_wire(answered(body))
                    .unwrap()
                    .into(),
            );
            assert_eq!(ours, theirs, "{name} with {body:?}");
        }
    }
}

/// Headers, in an order of their own.
fn all<'a>(fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValues)>) -> Vec<String> {
    let mut all: Vec<_> = fields.map(|field| format!("{field:?}")).collect();
    all.sort();
    all
}

proptest! {
    #[test]
    fn a_look_at_a_part_sees_what_the_whole_has(
        method in "GET|POST|LOCK|get|BREW",
        target in "/[!-~]{0,12}|/[./a%2e\\\\]{0,9}|https?://[a-z]{1,5}/[a-z?#]{0,5}|[a-z*]{1,5}|/ä",
        host in prop::option::of("[a-z]{1,5}(:[0-9]{1,6})?|[!-/;-~]{0,3}|ä"),
        fields in prop::collection::vec(("[ab]|content-type|x-[ab]", "[ -~]{0,5}|ä"), 0..6),
        body in ".{0,3}",
        https: bool,
    ) {
        let received = || {
            let mut request = wire::Request::new(&method, &target).unwrap();
            request.head.set_https(https);
            for (name, value) in host.iter().map(|host| ("host", host)).chain(
                fields.iter().map(|(name, value)| (name.as_str(), value)),
            ) {
                request.head.push(name, value.as_bytes()).unwrap();
            }
            request.body = wire::Body::from(body.clone());
            valor_abi_http::request_from_wire(request)
        };
        let (Ok(req), Ok(whole)) = (received(), received()) else {
            // Refused before a handler has it, and the same again.
            prop_assert!(received().is_err());
            return Ok(());
        };
        let whole = http_types::Request::from(whole);
        prop_assert_eq!(req.method(), whole.method());
        prop_assert_eq!(req.url(), whole.url());
        prop_assert_eq!(req.len(), whole.len());
        for name in ["host", "a", "b", "content-type", "x-a", "x-b", "x-none"] {
            let seen = |values: Option<&HeaderValues>| format!("{values:?}");
            prop_assert_eq!(seen(req.header(name)), seen(whole.header(name)), "{}", name);
        }
        prop_assert_eq!(all(req.iter()), all(whole.iter()));
    }

    #[test]
    fn a_response_that_nobody_changes_is_sent_as_it_came(
        status in 100_u16..600,
        fields in prop::collection::vec(("[ab]|content-type|x-[ab]", "[ -~]{0,5}|ä"), 0..6),
        body in ".{0,3}",
    ) {
        let mut response = wire::Response::new(status);
        for (name, value) in &fields {
            response.head.push(name, value.as_bytes()).unwrap();
        }
        response.body = wire::Body::from(body.clone());
        let head = response.head.clone();
        let is_ascii = fields.iter().all(|(_, value)| value.is_ascii());
        let is_known = http_types::StatusCode::try_from(status).is_ok();
        let Ok(res) = valor_abi_http::response_from_wire(response) else {
            prop_assert!(!is_ascii || !is_known);
            return Ok(());
        };
        prop_assert!(is_ascii && is_known);
        prop_assert_eq!(u16::from(res.status()), status);
        let sent = block_on(valor_abi_http::response_into_wire(res)).unwrap();
        prop_assert_eq!(sent.head, head);
        let wire::Body::Bytes(bytes) = sent.body else {
            panic!("it is whole");
        };
        prop_assert_eq!(&bytes[..], body.as_bytes());
    }
}

#[test]
fn a_status_that_is_set_is_sent() {
    let mut res = valor::http::Response::from("made");
    res.set_status(http_types::StatusCode::Created);
    let sent = block_on(valor_abi_http::response_into_wire(res)).unwrap();
    assert_eq!(sent.head.status(), 201);
    assert_eq!(
        sent.head.header_str("content-type"),
        Some("text/plain;charset=utf-8")
    );
}
