//! `on_create` with a handler of the types of `http`, whose error has its own status.

#![allow(missing_docs)] // It is written as authors write.

use valor::*;

#[derive(Debug)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no more room")
    }
}

impl std::error::Error for Full {}

impl ResponseError for Full {
    fn status(&self) -> http::StatusCode {
        http::StatusCode::InsufficientStorage
    }
}

#[vlugin]
pub async fn on_create(cx: &mut Context) {
    cx.set(cx.config::<u32>().unwrap_or_default());
}

pub async fn on_request(
    cx: &Context,
    req: http1::Request<http1::Body>,
) -> Result<http1::Response<String>, Full> {
    match cx.get::<u32>() {
        0 => Err(Full),
        room => Ok(http1::Response::new(format!("{room} {}", req.uri()))),
    }
}

#[test]
fn answers() {
    testing::create(VLUGIN, 7).get("/a?b").assert_body("7 /a?b");
    testing::create(VLUGIN, ())
        .get("/")
        .assert_status(507)
        .assert_fault("no more room");
}
