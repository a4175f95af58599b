//! WebAssembly vlugins in a runtime: real modules, built from Rust by `#[vlugin]`, and one written by hand from
//! docs/src/guest-abi.md.
#![cfg(feature = "wasm")]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../socket/mod.rs"]
mod socket;

mod anew;
mod by_hand;
mod client;
mod forms;
mod limits;
mod many;
mod refused;

use futures_lite::{AsyncReadExt, StreamExt, future::block_on};
use serde_json::{Value, json};
use std::sync::Arc;
use valor_runtime::{Definition, Kind, Runtime, from_http, http};

/// A definition of the guest that does what its path says.
fn guest(config: Value) -> Definition {
    let mut definition = Definition::new(Kind::Wasm, "guest");
    definition.path = Some(fixture::guest().to_owned());
    definition.config = config;
    definition
}

/// A runtime with only this vlugin.
fn runtime(definition: &Definition) -> Arc<Runtime> {
    let runtime = Runtime::builder().build().unwrap();
    block_on(runtime.load(definition)).unwrap();
    runtime
}

fn request(path: &str) -> http::Request {
    http::Request::new(http::Method::Get, &*format!("http://localhost{path}"))
}

/// Status and body of a GET.
async fn get(runtime: &Runtime, path: &str) -> (u16, String) {
    let mut res = runtime.handle(request(path)).await;
    let text = res.body_string().await;
    (res.status().into(), text.unwrap_or_else(|e| e.to_string()))
}

#[test]
fn the_three_lines_of_a_vlugin() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        assert_eq!(get(&runtime, "/guest").await, (200, "hello".into()));
        assert_eq!(get(&runtime, "/guest/none").await.0, 404);
        assert_eq!(get(&runtime, "/guest/error").await.0, 418);
    });
}

#[test]
fn config_and_state() {
    let runtime = runtime(&guest(json!("good morning")));
    block_on(async {
        assert_eq!(get(&runtime, "/guest").await.1, "good morning");
        for count in 2..5 {
            assert_eq!(get(&runtime, "/guest/count").await.1, count.to_string());
        }
    });
}

#[test]
fn creation_may_wait_and_may_fail() {
    let runtime = runtime(&guest(json!("wait")));
    assert_eq!(block_on(get(&runtime, "/guest")).0, 200);

    for (config, why) in [("fail", "no luck today"), ("panic", "no luck at all")] {
        let error = block_on(runtime.replace(&guest(json!(config)))).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    assert_eq!(block_on(get(&runtime, "/guest")).0, 200);
}

#[test]
fn bodies_of_any_size_come_back_as_they_were() {
    let runtime = runtime(&guest(Value::Null));
    for len in [0, 1, 1000, 65_536, 1 << 20] {
        let sent: Vec<u8> = (0..len).map(|at| (at * 7) as u8).collect();
        // As bytes, and as a stream.
        for streamed in [false, true] {
            let mut req = request("/guest/echo");
            req.set_method(http::Method::Post);
            req.set_content_type(http::mime::BYTE_STREAM);
            req.set_body(match streamed {
                false => http::Body::from_bytes(sent.clone()),
                true => {
                    let reader = futures_lite::io::Cursor::new(sent.clone());
                    http::Body::from_reader(futures_lite::io::BufReader::new(reader), None)
                }
            });
            let mut res = block_on(runtime.handle(req));
            let received = block_on(res.body_bytes()).unwrap();
            assert!(received == sent, "{len} bytes, streamed: {streamed}");
        }
    }
}

#[test]
fn a_stream_is_made_as_it_is_taken() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        let mut res = runtime.handle(request("/guest/stream?n=5000")).await;
        let mut body = res.take_body();
        let mut part = vec![0; 1000];
        body.read_exact(&mut part).await.unwrap();
        assert!(part.ends_with(b"  0\n"));
        // Nobody takes the rest. The guest learns that, and drops the source of the body.
        drop(body);
        assert_eq!(get(&runtime, "/guest/dropped").await.1, "1");

        let (status, all) = get(&runtime, "/guest/stream?n=5000").await;
        assert_eq!((status, all.len()), (200, 5_000_000));
        let (status, ticks) = get(&runtime, "/guest/ticks?n=20").await;
        assert_eq!((status, ticks), (200, "tick\n".repeat(20)));
    });
}

#[test]
fn a_request_that_is_dropped_drops_the_future_of_the_guest() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        {
            let mut sleeping = Box::pin(runtime.handle(request("/guest/sleep?n=100000")));
            // Polled once, so it is on its way.
            assert!(
                futures_lite::future::poll_once(&mut sleeping)
                    .await
                    .is_none()
            );
        }
        assert_eq!(get(&runtime, "/guest/dropped").await.1, "1");
    });
}

#[test]
fn time_randomness_and_the_log() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        assert_eq!(get(&runtime, "/guest/sleep?n=5").await.1, "slept");
        let now: u64 = get(&runtime, "/guest/now").await.1.parse().unwrap();
        let real = std::time::SystemTime::now();
        let real = real
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        assert!(real.abs_diff(now) < 100, "{now}");
        let (one, other) = (
            get(&runtime, "/guest/random").await.1,
            get(&runtime, "/guest/random").await.1,
        );
        assert_ne!(one, other);
        assert_eq!(get(&runtime, "/guest/log?to=x").await.1, "logged");
    });
}

#[test]
fn other_vlugins_and_itself_can_be_called() {
    let runtime = runtime(&guest(Value::Null));
    let other = from_http(|req: http::Request| async move { format!("at {}", req.url().path()) });
    runtime.add("other", other).unwrap();
    block_on(async {
        let (status, text) = get(&runtime, "/guest/call?to=other/a/b").await;
        assert_eq!((status, &*text), (200, "at /a/b"));
        let (status, text) = get(&runtime, "/guest/call?to=guest/count").await;
        assert_eq!((status, &*text), (200, "3"));
        assert_eq!(get(&runtime, "/guest/call?to=nobody/").await.0, 404);
    });
}

#[test]
fn other_servers_can_be_reached_where_they_are_allowed() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let text = String::from_utf8(head).unwrap();
            let mut total = 0;
            if text.starts_with("POST") {
                // Chunked: read up to the last chunk.
                let mut body = Vec::new();
                while !body.ends_with(b"\r\n0\r\n\r\n") {
                    stream.read_exact(&mut byte).unwrap();
                    body.push(byte[0]);
                }
                total = body.iter().filter(|byte| **byte == b'x').count();
            }
            let body = format!("took {total}");
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    let to = format!("http://127.0.0.1:{port}/");
    let denied = runtime(&guest(Value::Null));
    let mut definition = guest(Value::Null);
    definition.allow = Some(vec![format!("127.0.0.1:{port}")]);
    let allowed = runtime(&definition);
    block_on(async {
        // If the guest passes a refusal on, the failure is the guest's. The client does not learn where the guest may
        // not go.
        assert_eq!(get(&denied, &format!("/guest/fetch?to={to}")).await.0, 500);
        let fetched = get(&allowed, &format!("/guest/fetch?to={to}")).await;
        assert_eq!(fetched, (200, "took 0".into()));

        let mut req = request(&format!("/guest/upload?to={to}"));
        req.set_method(http::Method::Post);
        let sent = futures_lite::io::Cursor::new(vec![b'x'; 500_000]);
        req.set_body(http::Body::from_reader(
            futures_lite::io::BufReader::new(sent),
            None,
        ));
        let mut res = allowed.handle(req).await;
        assert_eq!(res.body_string().await.unwrap(), "took 500000");
    });
}

#[test]
fn a_panic_is_one_500_and_the_next_request_finds_a_new_instance() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        assert_eq!(get(&runtime, "/guest/count").await.1, "1");
        assert_eq!(get(&runtime, "/guest/panic").await.0, 500);
        assert_eq!(get(&runtime, "/guest/count").await, (200, "1".into()));

        let mut res = runtime.handle(request("/guest/stream-panic")).await;
        let body = res.take_body();
        let read: Vec<_> = body.bytes().collect().await;
        assert!(read.last().unwrap().is_err());
        assert_eq!(get(&runtime, "/guest/count").await, (200, "1".into()));
    });
}
