//! `/_metrics`: the counters in Prometheus' text format.

use super::method_not_allowed;
use crate::{Body, Response, Vlugin, from_fn};
use std::sync::Arc;

/// The vlugin on `/_metrics`; `text` makes the page.
pub fn metrics(text: impl Fn() -> String + Send + Sync + 'static) -> Arc<dyn Vlugin> {
    let text = Arc::new(text);
    from_fn(move |request| {
        let text = text.clone();
        async move {
            if !matches!(request.head.method(), "GET" | "HEAD") {
                return Ok(method_not_allowed("GET, HEAD"));
            }
            let mut response = Response::new(200);
            let _ = response
                .head
                .push("content-type", b"text/plain; version=0.0.4; charset=utf-8");
            response.body = Body::from(text());
            Ok(response)
        }
    })
}
