//! The smallest vlugin: every request gets the same answer.

use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request) -> http::Response {
    "OK response from a plugin".into()
}

#[test]
fn says_ok() {
    testing::create(VLUGIN, ())
        .get("/")
        .assert_status(200)
        .assert_body("OK response from a plugin");
}
