//! A function that takes its context.

#![allow(missing_docs)] // It is written as authors write.

use valor::*;

#[vlugin]
pub async fn on_request(cx: &Context, req: http::Request) -> http::Result<http::Response> {
    let greeting = cx.config::<String>().unwrap();
    Ok(format!("{greeting} {}", req.url().path()).into())
}

#[test]
fn answers() {
    testing::create(VLUGIN, "hello")
        .get("/zoe")
        .assert_body("hello /zoe");
}
