//! The cases of the conversation that a vlugin has through its client, and the server on the other side.
//! `conversation.rs` is the vlugin's side.

use futures_lite::StreamExt;
use serde::{Deserialize, Serialize};
use valor::http::{self, Method, StatusCode, mime};

/// An address that the host does not allow.
pub const FORBIDDEN: &str = "http://forbidden.example/";

/// The cases, each with the status and the body of the vlugin's answer.
pub const CASES: &[(&str, u16, &str)] = &[
    ("json", 200, "-4 degrees in Oslo"),
    ("json-broken", 500, ""),
    (
        "all",
        200,
        "202 text/plain 7: PUT /report?by=me+%26+you secret application/json Rome 30",
    ),
    ("methods", 200, "DELETE GET OPTIONS PATCH POST PUT HEAD: 3"),
    ("methods-not-sent", 200, "CONNECT TRACE HEAD"),
    ("string", 200, "text/plain;charset=utf-8: some text"),
    ("bytes", 200, "application/octet-stream: 0, 1, 254, 255"),
    ("form", 200, "a=b+%26+c&d=1 b & c 1"),
    ("content-type", 200, "application/x-own: of its own type"),
    ("header-methods", 200, "one, two; 3; None; changed; ext 7"),
    (
        "response-methods",
        200,
        "two of one; gone; set; ext 8; None; swapped",
    ),
    ("lines", 200, "first|second|rest of it"),
    ("stream-in", 200, "took 300000"),
    ("stream-out", 200, "300000"),
    ("broken", 422, ""),
    ("charset", 500, ""),
    ("not-utf8", 500, ""),
    (
        "decode-error",
        200,
        "could not decode body as utf-8, 2 bytes",
    ),
    ("client-middleware", 200, "x-seen: one two three"),
    ("function-middleware", 200, "x-seen: function"),
    ("answering-middleware", 418, "never sent"),
    ("asking-middleware", 200, "x-seen: asked first"),
    ("middleware-of-others", 200, "x-seen: "),
    ("redirect", 200, "GET this is /new"),
    ("redirect-absolute", 200, "GET this is /new"),
    ("redirect-with-body", 200, "POST this is /new with a body"),
    ("redirect-too-often", 302, ""),
    ("no-redirect", 200, "302"),
    ("base-url", 200, "GET this is /new"),
    ("request", 200, "PATCH this is /new"),
    ("builder", 200, "GET this is /new"),
    ("logger", 200, "GET this is /new"),
    ("server-error", 503, "full"),
    ("refused", 200, "403"),
    ("refused-passed-on", 500, ""),
    ("several", 200, "/new /other /third"),
];

#[derive(Serialize, Deserialize)]
pub struct Weather {
    pub place: String,
    pub degrees: i8,
}

/// A text so many times, as a body of unknown length.
pub fn pieces(text: &'static str, count: usize) -> http::Body {
    let pieces = futures_lite::stream::repeat(text).take(count);
    valor::streaming(pieces.map(Ok))
}

/// The server that receives all of this.
pub async fn server(mut req: http::Request) -> http::Result<http::Response> {
    if req.url().as_str() == FORBIDDEN {
        return Err(http::Error::from_str(403, "not there"));
    }
    let path = req.url().path().to_owned();
    let mut res = http::Response::new(200);
    match &*path {
        "/weather" => {
            assert_eq!(req.url().query(), Some("unit=C"));
            res.set_body(serde_json::json!({ "place": "Oslo", "degrees": -4 }));
        }
        "/report" => {
            let weather: Weather = req.body_json().await?;
            res.set_status(StatusCode::Accepted);
            res.insert_header("x-number", "7");
            res.set_body(format!(
                "{} {path}?{} {} {} {} {}",
                req.method(),
                req.url().query().unwrap_or_default(),
                req["x-key"].as_str(),
                req["content-type"].as_str(),
                weather.place,
                weather.degrees
            ));
        }
        "/method" if req.method() == Method::Head => {
            res.insert_header("x-len", "3");
        }
        "/method" => res.set_body(req.method().to_string()),
        "/echo" => {
            let kind = req.header("content-type").map_or("", |it| it.as_str());
            let mut body = format!("{kind}: ").into_bytes();
            body.extend(req.body_bytes().await?);
            res.set_body(body);
            res.set_content_type(mime::PLAIN);
        }
        "/form" => {
            let body = req.body_string().await?;
            let kind = req.header("content-type").map_or("", |it| it.as_str());
            assert!(body.is_empty() || kind == "application/x-www-form-urlencoded");
            res.set_body(body);
        }
        "/a-form" => res.set_body("a=b+%26+c&d=1"),
        "/headers" => {
            res.insert_header("x-one", "1");
            res.insert_header("x-two", "one");
            res.append_header("x-two", "two");
            res.set_body("the headers");
        }
        "/lines" => res.set_body("first\nsecond\nrest of it"),
        "/length" => {
            let body = req.body_bytes().await?;
            res.set_body(format!("took {}", body.len()));
        }
        "/long" => res.set_body(pieces("3 of", 75_000)),
        "/endless" => res.set_body(pieces("piece ", usize::MAX)),
        "/echo-stream" => res.set_body(req.take_body()),
        "/broken" => {
            let pieces = [Ok("one"), Err(std::io::ErrorKind::ConnectionReset.into())];
            res.set_body(valor::streaming(futures_lite::stream::iter(pieces)));
        }
        "/latin1" => {
            res.set_body("text");
            res.insert_header("content-type", "text/plain;charset=iso-8859-1");
        }
        "/not-utf8" => {
            res.set_body(&[b'a', 255][..]);
            res.set_content_type(mime::PLAIN);
        }
        "/seen" => {
            let seen = req.header("x-seen").map_or("", |it| it.as_str());
            res.set_body(format!("x-seen: {seen}"));
        }
        "/old" | "/old-absolute" | "/around" => {
            let location = match &*path {
                "/old" => "/new".to_owned(),
                "/old-absolute" => req.url().join("/new")?.to_string(),
                _ => "/around".to_owned(),
            };
            res.set_status(StatusCode::Found);
            res.insert_header("location", location);
        }
        "/full" => {
            res.set_status(StatusCode::ServiceUnavailable);
            res.set_body("full");
        }
        _ => {
            let (method, mut body) = (req.method(), req.body_string().await?);
            if !body.is_empty() {
                body.insert_str(0, " with ");
            }
            res.set_body(format!("{method} this is {path}{body}"));
        }
    }
    Ok(res)
}
