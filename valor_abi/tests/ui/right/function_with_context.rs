use valor::*;

#[vlugin]
pub async fn on_request(cx: &Context, req: http::Request) -> http::Result<http::Response> {
    let greeting = cx.config::<String>().unwrap();
    Ok(format!("{greeting} {}", req.url().path()).into())
}

fn main() {
    testing::create(VLUGIN, "hello")
        .get("/zoe")
        .assert_body("hello /zoe");
}
