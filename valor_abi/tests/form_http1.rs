//! A handler with the types of `http`: what reaches it and what it returns, byte for byte.

#![allow(missing_docs)] // It is written as authors write.

use futures_lite::{StreamExt, future::block_on, stream};
use http_body_util::{BodyExt, StreamBody};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context as Task, Poll, Waker},
};
use valor::{
    http1::{Body, PeerAddr, StatusCode},
    *,
};
use valor_abi_wire::{self as wire, Bytes, Chunk};

type Boxed = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

static HOST: OnceLock<Arc<dyn wire::Host>> = OnceLock::new();
static MADE: AtomicUsize = AtomicUsize::new(0);

#[vlugin]
pub async fn on_request(
    cx: &Context,
    req: http1::Request<Body>,
) -> http::Result<http1::Response<Boxed>> {
    let (head, body) = req.into_parts();
    let mut res = http1::Response::new(match head.uri.path() {
        "/head" => {
            let peer = head.extensions.get::<PeerAddr>().map(|peer| peer.0);
            let scheme = head.extensions.get::<http1::uri::Scheme>();
            let told = format!(
                "{} {} {:?} {peer:?} {scheme:?}",
                head.method, head.uri, head.version
            );
            http_body_util::Full::from(told)
                .map_err(Infallible::into_io)
                .boxed_unsync()
        }
        "/frames" => {
            let frames = stream::iter(0..).map(|number| {
                MADE.fetch_add(1, Ordering::SeqCst);
                Ok(http_body::Frame::data(Bytes::from(format!("{number};"))))
            });
            StreamBody::new(frames).boxed_unsync()
        }
        "/call" => cx
            .call_http1("peer", http1::Request::from_parts(head.clone(), body))
            .await?
            .into_body()
            .boxed_unsync(),
        "/fetch" => {
            let req = http1::Request::get("https://example.com/x?y").body(Body::empty())?;
            cx.fetch_http1(req).await?.into_body().boxed_unsync()
        }
        "/nowhere" => cx
            .fetch_http1(http1::Request::new(Body::empty()))
            .await?
            .into_body()
            .boxed_unsync(),
        "/host" => {
            HOST.get_or_init(|| cx.host().clone());
            body.boxed_unsync()
        }
        "/gone" => return Err(http::Error::from_str(410, "gone")),
        "/socket" if http1::offers_upgrade(&head.headers, "raw") => {
            let switching = http1::upgrade("raw", |mut connection| async move {
                use futures_lite::AsyncWriteExt;
                Ok(connection.write_all(b"hello").await?)
            });
            return Ok(switching.map(BodyExt::boxed_unsync));
        }
        _ => body.boxed_unsync(),
    });
    *res.headers_mut() = head.headers;
    *res.status_mut() = StatusCode::from_u16(299)?;
    Ok(res)
}

trait IntoIo {
    fn into_io(self) -> io::Error;
}

impl IntoIo for Infallible {
    fn into_io(self) -> io::Error {
        match self {}
    }
}

#[test]
fn a_request_comes_as_it_was_sent() {
    let vlugin = testing::create(VLUGIN, ());
    vlugin
        .request("BREW", "/head?a=%2F&b={}|")
        .peer("10.0.0.1:99")
        .send()
        .assert_status(299)
        .assert_body("BREW /head?a=%2F&b={}| HTTP/1.1 Some(10.0.0.1:99) Some(\"http\")");
    vlugin.request("GET", "/%zz/../x").send().assert_status(299);
}

#[test]
fn headers_keep_their_bytes_and_their_order() {
    let sent: [(&str, &[u8]); 4] = [
        ("x-b", b"1"),
        ("x-a", b"\xffv\xe4lue"),
        ("x-b", b"2"),
        ("x-c", b""),
    ];
    let vlugin = testing::create(VLUGIN, ());
    let mut request = vlugin.request("GET", "/");
    for (name, value) in sent {
        request = request.header(name, value);
    }
    let response = request.send();
    let mut came: Vec<_> = response
        .headers()
        .filter(|(name, _)| name.len() == 3)
        .collect();
    assert_eq!(came.len(), 4);
    let twos: Vec<_> = came.iter().filter(|(name, _)| *name == "x-b").collect();
    assert_eq!(twos, [&("x-b", &b"1"[..]), &("x-b", &b"2"[..])]);
    came.dedup_by_key(|(name, _)| *name);
    let names: Vec<_> = came.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["x-b", "x-a", "x-c"]);
    assert!(came.contains(&("x-a", b"\xffv\xe4lue")));
}

#[test]
fn a_request_that_http_cannot_carry_is_a_400() {
    let vlugin = testing::create(VLUGIN, ());
    vlugin
        .request("GET", "/")
        .header("x-a", b"\x01")
        .send()
        .assert_status(400);
    vlugin.request("GET", "/\"").send().assert_status(299);
    vlugin.request("GET", "\\").send().assert_status(400);
}

#[test]
fn errors_are_those_of_any_handler() {
    let vlugin = testing::create(VLUGIN, ());
    vlugin.get("/gone").assert_status(410).assert_fault("gone");
    vlugin
        .get("/nowhere")
        .assert_status(500)
        .assert_fault("the URI / has no host to send the request to");
}

#[test]
fn other_vlugins_and_servers_are_asked_in_the_same_types() {
    let host = testing::TestHost::new()
        .on_call("peer", async |mut req: http::Request| {
            let body = req.body_string().await.unwrap();
            format!("{} {body}", req.url())
        })
        .on_fetch(async |req: http::Request| req.url().to_string());
    let vlugin = host.create(VLUGIN);
    vlugin
        .post("/call?x", "abc")
        .assert_body("http://localhost/call?x abc");
    vlugin.get("/fetch").assert_body("https://example.com/x?y");
}

/// What the test kit would read and count for us.
fn ask(request: wire::Request) -> wire::Response {
    let vlugin = testing::create(VLUGIN, ());
    vlugin.get("/host");
    let host = HOST.get().expect("the request has set it").clone();
    let instance = block_on(VLUGIN.create(host, serde_json::Value::Null))
        .ok()
        .unwrap();
    block_on(instance.on_request(request)).unwrap()
}

fn frames(body: Vec<Chunk>) -> wire::Body {
    wire::Body::stream(None, stream::iter(body.into_iter().map(Ok)))
}

#[test]
fn a_body_streams_both_ways_with_its_trailers() {
    let mut request = wire::Request::new("POST", "/").unwrap();
    let sum = vec![("x-sum".to_owned(), b"\xff".to_vec())];
    let sent = vec![
        Chunk::Data("a".into()),
        Chunk::Data("b".into()),
        Chunk::Trailers(sum),
    ];
    request.body = frames(sent.clone());
    let mut body = ask(request).body;
    assert_eq!(body.len(), None);
    for chunk in sent {
        assert_eq!(block_on(body.chunk()).unwrap().unwrap(), chunk);
    }
    assert!(block_on(body.chunk()).is_none());
}

#[test]
fn a_body_is_made_as_it_is_read() {
    let mut body = ask(wire::Request::new("GET", "/frames").unwrap()).body;
    assert_eq!(MADE.load(Ordering::SeqCst), 0);
    for number in 0..3 {
        let chunk = block_on(body.chunk()).unwrap().unwrap();
        assert_eq!(chunk, Chunk::Data(format!("{number};").into()));
        assert_eq!(MADE.load(Ordering::SeqCst), number + 1);
    }
}

#[test]
fn a_broken_body_breaks_the_response_off() {
    let mut request = wire::Request::new("POST", "/").unwrap();
    let broken = vec![
        Ok(Chunk::Data("a".into())),
        Err(io::Error::other("the line is dead")),
    ];
    request.body = wire::Body::stream(Some(9), stream::iter(broken));
    let mut body = ask(request).body;
    assert_eq!(body.len(), Some(9));
    assert!(block_on(body.chunk()).unwrap().is_ok());
    let error = block_on(body.chunk()).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the line is dead");
}

#[test]
fn a_connection_goes_on_in_another_protocol() {
    let mut request = wire::Request::new("GET", "/socket").unwrap();
    request.head.push("connection", b"upgrade").unwrap();
    request.head.push("upgrade", b"RAW").unwrap();
    request.body = wire::Body::stream(None, stream::pending());
    let mut response = ask(request);
    assert_eq!(response.head.status(), 101);
    assert_eq!(response.head.header_str("upgrade"), Some("raw"));
    assert_eq!(
        block_on(response.body.chunk()).unwrap().unwrap(),
        Chunk::Data("hello".into())
    );
    let mut task = Task::from_waker(Waker::noop());
    while let Poll::Ready(Some(chunk)) = response.body.poll_chunk(&mut task) {
        assert_eq!(chunk.unwrap(), Chunk::Trailers(vec![]));
    }
}
