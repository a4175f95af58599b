//! What frames a message, through the server: trailers of a request reach a component, and those of its response the
//! client; a known length stays known.

use super::{harness::Running, runtime, with_both};
use crate::fixture;
use futures_lite::future::block_on;
use serde_json::json;
use valor_runtime::{Request, Vlugin};

#[test]
fn trailers_reach_components_and_clients() {
    with_both(json!({}), async |it, is_v3| {
        let running = Running::start(it.clone());
        let ask = |path: &str, body: &str| {
            let head = "host: x\r\ntransfer-encoding: chunked";
            let request = format!("POST /it{path} HTTP/1.1\r\n{head}\r\n\r\n{body}");
            running.connect().send(request).answer()
        };
        let body = "3\r\nabc\r\n2\r\nde\r\n0\r\nx-one: 1\r\nx-two: 2\r\nx-one: 3\r\n\r\n";
        let answer = ask("/trailers", body);
        // Those of one name stay in order.
        assert_eq!(answer.text(), "x-one: 1\nx-one: 3\nx-two: 2\n", "{is_v3}");
        let twice = [("x-sum", "5"), ("x-twice", "a"), ("x-twice", "b")];
        assert_eq!(answer.trailers, twice.map(owned), "{is_v3}");
        if is_v3 {
            // The component passes on the response that it got.
            let answer = ask("/fetch?http://other.vlugin.internal/trailers", "0\r\n\r\n");
            assert_eq!(answer.trailers, [owned(("x-sum", "9"))]);
        }
    });
}

/// The length of a body that comes later, and that the component passes on without a header for it.
#[test]
fn the_length_of_a_body_that_is_passed_on_is_known() {
    block_on(async {
        let it = runtime(&fixture::components()[1], json!({})).await;
        let path = "/it/fetch?http://other.vlugin.internal/slow";
        let answer = it.clone().on_request(Request::new("GET", path).unwrap());
        let body = answer.await.unwrap().body;
        assert_eq!(body.len(), Some(4));
        assert_eq!(&*body.bytes(10).await.unwrap(), b"slow");
    });
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
