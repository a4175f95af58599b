//! The server that the vlugin's own requests go to. It allows every origin, so that browsers can ask it.

use crate::{hosts::serve_fn, socket::Serving};
use futures_util::stream;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use valor_runtime::{Body, Chunk, Request, Response};

type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// A server that does what a path says.
pub fn start() -> Serving {
    let counts = Counts::default();
    serve_fn(move |request| {
        let counts = counts.clone();
        async move {
            let mut response = answer(request, counts).await;
            for (name, value) in [
                ("access-control-allow-origin", "*"),
                ("access-control-allow-headers", "*"),
                ("access-control-allow-methods", "*"),
                ("access-control-expose-headers", "*"),
            ] {
                response
                    .head
                    .push(name, value.as_bytes())
                    .expect("a header");
            }
            response
        }
    })
}

/// Counts up when it is dropped.
struct OnDrop(Counts, String);

impl Drop for OnDrop {
    fn drop(&mut self) {
        count(&self.0, &self.1);
    }
}

fn count(counts: &Counts, key: &str) {
    *counts
        .lock()
        .expect("counts")
        .entry(key.to_owned())
        .or_default() += 1;
}

async fn answer(mut request: Request, counts: Counts) -> Response {
    let target = request.head.target().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut response = Response::new(200);
    if request.head.method() == "OPTIONS" {
        return Response::new(204);
    }
    count(&counts, path);
    match path {
        "/hello" => response.body = "hello from upstream".into(),
        "/request" => {
            let method = request.head.method().to_owned();
            let headers: serde_json::Map<_, _> = request
                .head
                .headers()
                .map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into()))
                .collect();
            let mut total = 0;
            while let Some(Ok(chunk)) = request.body.chunk().await {
                if let Chunk::Data(data) = chunk {
                    total += data.len();
                }
            }
            let said =
                json!({ "method": method, "target": target, "headers": headers, "body": total });
            let _ = response.head.push("content-type", b"application/json");
            response.body = said.to_string().into();
        }
        "/teapot" => {
            response = Response::new(418);
            let _ = response.head.push("x-tea", b"green");
            response.body = "short and stout".into();
        }
        "/nothing" => response = Response::new(204),
        "/redirect" => {
            response = Response::new(302);
            let _ = response.head.push("location", b"/target");
        }
        "/target" => response.body = "the redirect was followed".into(),
        "/large" => response.body = vec![b'x'; 3_000_000].into(),
        "/sse" => {
            let _ = response.head.push("content-type", b"text/event-stream");
            let events = (1..4).map(|n| Ok(Chunk::Data(format!("data: {n}\n\n").into())));
            response.body = Body::stream(None, stream::iter(events.collect::<Vec<_>>()));
        }
        "/break" => {
            let pieces = [
                Ok(Chunk::Data("the first".into())),
                Err(std::io::Error::other("as it was asked")),
            ];
            response.body = Body::stream(None, stream::iter(pieces));
        }
        // Without end. Counts under the query when it is dropped.
        "/drip" => {
            let dropped = OnDrop(counts, query.to_owned());
            let drips = stream::unfold(dropped, |dropped| async {
                smol::Timer::after(Duration::from_millis(5)).await;
                Some((Ok(Chunk::Data("drip\n".into())), dropped))
            });
            response.body = Body::stream(None, drips);
        }
        "/never" => {
            let _dropped = OnDrop(counts, query.to_owned());
            smol::Timer::after(Duration::from_secs(3600)).await;
        }
        "/counted" => {
            let counts = counts.lock().expect("counts");
            response.body = counts.get(query).unwrap_or(&0).to_string().into();
        }
        _ => response = Response::new(404),
    }
    response
}
