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

#[test]
fn without_a_config_a_request_fails_and_says_so() {
    let it = testing::TestHost::new().create(VLUGIN);
    it.get("/zoe").assert_status(500).assert_fault(
        "there is no `config`, but the vlugin asks for a `alloc::string::String`: \
         called `Option::unwrap()` on a `None` value",
    );
}
