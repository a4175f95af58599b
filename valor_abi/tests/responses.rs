//! What a handler may return, and the result: statuses, content types, errors and panics.

use futures_lite::future::block_on;
use serde_json::json;
use std::{
    io,
    pin::Pin,
    task::{Context as Task, Poll},
};
use valor::{
    http::{Body, Error, Response, StatusCode},
    testing::{TestHost, TestVlugin},
    *,
};
use valor_abi_wire::Bytes;

/// Status, content type and body.
fn response(value: impl IntoResponse) -> (u16, Option<String>, String) {
    let mut response = value.into_response().expect("it is not an error");
    let content_type = response.content_type().map(|mime| mime.to_string());
    let body = block_on(response.body_string()).unwrap();
    (response.status().into(), content_type, body)
}

fn error(value: impl IntoResponse) -> (u16, String) {
    let error = value.into_response().expect_err("it is an error");
    (error.status().into(), error.to_string())
}

#[test]
fn a_value_becomes_a_response() {
    let text = Some("text/plain;charset=utf-8".to_owned());
    let bytes = Some("application/octet-stream".to_owned());
    let json = Some("application/json".to_owned());

    assert_eq!(response("a"), (200, text.clone(), "a".into()));
    assert_eq!(response(String::from("a")), (200, text.clone(), "a".into()));
    assert_eq!(response(&b"a"[..]), (200, bytes.clone(), "a".into()));
    assert_eq!(response(vec![97]), (200, bytes, "a".into()));
    assert_eq!(
        response(Body::from_string("a".into())),
        (200, text.clone(), "a".into())
    );
    assert_eq!(
        response(json!({ "a": [1] })),
        (200, json.clone(), r#"{"a":[1]}"#.into())
    );
    assert_eq!(response(Json(("a", 1))), (200, json, r#"["a",1]"#.into()));
    assert_eq!(response(StatusCode::Accepted), (202, None, String::new()));
    assert_eq!(response(()), (204, None, String::new()));
    assert_eq!(
        response((StatusCode::Created, "a")),
        (201, text.clone(), "a".into())
    );
    assert_eq!(response(Some("a")), (200, text.clone(), "a".into()));
    assert_eq!(
        response(Ok::<_, Error>(Some((StatusCode::Accepted, "a")))),
        (202, text, "a".into())
    );
    assert_eq!(
        response(Response::new(StatusCode::NoContent)),
        (204, None, String::new())
    );
}

#[test]
fn an_error_keeps_its_status() {
    let forbidden = Error::from_str(StatusCode::Forbidden, "not you");
    assert_eq!(error(Err::<(), _>(forbidden)), (403, "not you".into()));

    let other = io::Error::other("the disk is full");
    assert_eq!(error(Err::<(), _>(other)), (500, "the disk is full".into()));

    assert_eq!(error(None::<()>), (404, "not found".into()));

    let unwritable = Json(std::collections::HashMap::from([((1, 2), 3)]));
    assert_eq!(error(unwritable).0, 500);
}

/// A vlugin that fails as its path says.
struct Wrong;

impl Vlugin for Wrong {
    type Config = ();

    async fn on_create(_: (), _: &mut Context) -> http::Result<Self> {
        Ok(Wrong)
    }

    async fn on_request(&self, _: &Context, req: http::Request) -> http::Result<Response> {
        match req.url().path() {
            "/error" => Err(Error::from_str(StatusCode::Conflict, "twice")),
            "/inside" => Err(Error::from_str(StatusCode::BadGateway, "password: 1234")),
            "/panic" => panic!("no {}", "luck"),
            "/stream" => Ok(streaming(PanicsAfter("first")).into()),
            _ => "well".into_response(),
        }
    }
}

struct PanicsAfter(&'static str);

impl futures_core::Stream for PanicsAfter {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        match std::mem::take(&mut self.0) {
            "" => panic!("in the stream"),
            piece => Poll::Ready(Some(Ok(piece.into()))),
        }
    }
}

impl Drop for PanicsAfter {
    fn drop(&mut self) {
        panic!("in the destructor");
    }
}

fn wrong() -> TestVlugin {
    TestHost::new().create(Entry::of::<Wrong>("wrong", "0.1.0"))
}

#[test]
fn an_error_is_a_response_whose_reason_is_shown_below_500() {
    let mut response = wrong()
        .get("/error")
        .assert_status(409)
        .assert_header("content-type", "application/problem+json")
        .assert_fault("twice");
    assert_eq!(response.json::<serde_json::Value>()["detail"], "twice");

    let mut response = wrong().get("/inside").assert_status(502);
    assert!(!response.text().contains("1234"));
}

#[test]
fn a_panic_is_one_failed_response() {
    let vlugin = wrong();
    let response = vlugin
        .get("/panic")
        .assert_status(500)
        .assert_fault("no luck");
    let place = response.fault().unwrap().place.as_ref().unwrap();
    assert!(place.contains("responses.rs:"), "{place}");

    vlugin.get("/").assert_status(200).assert_body("well");
}

#[test]
fn a_stream_that_panics_breaks_off() {
    let vlugin = wrong();
    let mut response = vlugin.get("/stream").assert_status(200);
    assert_eq!(response.chunk().unwrap().unwrap(), "first");
    let error = response.chunk().unwrap_err();
    assert!(error.to_string().contains("in the stream"), "{error}");
    drop(response);

    let log = vlugin.log();
    assert!(
        log.iter()
            .any(|line| line.message.contains("in the stream")),
        "{log:?}"
    );
    vlugin.get("/").assert_body("well");
}

#[test]
fn a_panicking_destructor_of_a_dropped_stream_is_logged() {
    let vlugin = wrong();
    drop(vlugin.get("/stream"));
    let log = vlugin.log();
    assert!(
        log.iter()
            .any(|line| line.message.contains("in the destructor")),
        "{log:?}"
    );
}
