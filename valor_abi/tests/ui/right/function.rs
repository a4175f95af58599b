use valor::*;

#[vlugin]
pub async fn on_request(_req: http::Request) -> http::Response {
    "OK response from a plugin".into()
}

fn main() {
    testing::create(VLUGIN, ())
        .get("/")
        .assert_status(200)
        .assert_header("content-type", "text/plain;charset=utf-8")
        .assert_body("OK response from a plugin");
}
