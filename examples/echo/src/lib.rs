//! Sends the request's body back as it arrives, and never holds more than one piece of it.

use valor::*;

#[vlugin]
pub async fn on_request(mut req: http::Request) -> http::Response {
    let target = &req.url()[http::url::Position::BeforePath..];
    let mut res = http::Response::new(http::StatusCode::Ok);
    res.insert_header("x-echo-method", req.method().to_string());
    res.insert_header("x-echo-target", target);
    res.set_body(req.take_body());
    if let Some(content_type) = req.header("content-type") {
        res.insert_header("content-type", content_type);
    }
    res
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_it_saw() {
        testing::create(VLUGIN, ())
            .post("/a/b?c=d", serde_json::json!({ "say": "hello" }))
            .assert_status(200)
            .assert_header("x-echo-method", "POST")
            .assert_header("x-echo-target", "/a/b?c=d")
            .assert_header("content-type", "application/json")
            .assert_json(serde_json::json!({ "say": "hello" }));
    }

    #[test]
    fn sends_each_piece_as_it_comes() {
        // This body never ends, so nobody can collect it.
        let endless = streaming(futures_lite::stream::repeat_with(|| Ok("again ")));
        let mut response = testing::create(VLUGIN, ()).post("/", endless);
        for _ in 0..3 {
            assert_eq!(response.chunk().unwrap().unwrap(), "again ");
        }
    }
}
