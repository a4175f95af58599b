//! A function, as in the first example of the documentation.

#![allow(missing_docs)] // It is written as authors write.

use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request) -> http::Response {
    "OK response from a plugin".into()
}

#[test]
fn answers() {
    testing::create(VLUGIN, ())
        .get("/")
        .assert_status(200)
        .assert_header("content-type", "text/plain;charset=utf-8")
        .assert_body("OK response from a plugin");
}
