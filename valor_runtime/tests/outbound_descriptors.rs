//! Connections to others take at most a quarter of the process's file descriptors. So clients are accepted and files
//! opened, whatever vlugins fetch. The limit applies to the whole process, so this is a program with one test.
//! (Windows has no such limit to set.)

#![cfg(unix)]

#[path = "fixture/mod.rs"]
mod fixture;
#[path = "server/harness.rs"]
mod harness;

use futures_lite::future::{block_on, poll_once};
use harness::{Running, eventually, mirror};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fs::File,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
};
use valor_runtime::{
    Definition, Request, Runtime, Vlugin,
    host::{
        allow::Allow,
        fetch::{FetchConfig, Fetcher},
    },
    raise_descriptor_limit,
};

/// A server on every loopback address. It answers or stays silent.
fn upstream(says: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if says.is_empty() {
                kept.push(stream);
                continue;
            }
            thread::spawn(move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|amount| amount > 0) {
                    let _ = stream.write_all(says.as_bytes());
                }
            });
        }
    });
    addr
}

/// Loads a script and sends it a request.
async fn answer_of_a_script() -> (u16, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let text = "export default { fetch: () => new Response('hello') };";
    std::fs::write(folder.path().join("hello.js"), text).unwrap();
    let builder = Runtime::builder()
        .base_dir(folder.path())
        .deno(fixture::js_tool("deno"));
    let runtime = builder.build().unwrap();
    let definition = Definition::from_json(r#"{ "type": "js", "name": "hello" }"#).unwrap();
    runtime.load(&definition).await.unwrap();
    let request = Request::new("GET", "/hello").unwrap();
    let response = runtime.on_request(request).await.unwrap();
    let body = response.body.bytes(1 << 10).await.unwrap();
    (response.head.status(), body.to_vec())
}

#[test]
fn three_quarters_are_for_clients_and_files() {
    let limit = getrlimit(Resource::Nofile);
    let low = Rlimit {
        current: Some(400),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, low).unwrap();
    let server = Running::start(mirror());
    let fetcher = Fetcher::new(FetchConfig::default()).unwrap();
    let ask = |address: &str, port: u16| {
        let request = Request::new("GET", &format!("http://{address}:{port}/")).unwrap();
        let fetcher = fetcher.clone();
        Box::pin(async move { fetcher.fetch(request, &Allow::all()).await })
    };

    // Connections that wait for another request make room for new ones.
    let answers = upstream("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").port();
    for last in 1..=150 {
        let response = block_on(ask(&format!("127.0.0.{last}"), answers));
        assert_eq!(response.unwrap().head.status(), 200, "{last}");
    }

    let silent = upstream("").port();
    let mut waiting = Vec::new();
    let mut refused = None;
    eventually("a refusal", || {
        let mut fetching = ask("127.0.0.1", silent);
        match block_on(poll_once(&mut fetching)) {
            None => waiting.push(fetching),
            Some(answer) => refused = answer.err(),
        }
        refused.is_some()
    });
    let refused = refused.unwrap();
    assert_eq!(refused.status, 503, "{refused}");
    assert!(refused.message.contains("all 100 connections"), "{refused}");
    assert_eq!(waiting.len(), 100);

    let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        let answer = client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").answer();
        assert_eq!(answer.status, 200);
        File::open("/dev/null").unwrap();
    }

    // All are in use. A script's connections are not among them.
    assert_eq!(block_on(answer_of_a_script()), (200, b"hello".to_vec()));

    waiting.clear();
    let response = block_on(ask("127.0.0.1", answers));
    assert_eq!(response.unwrap().head.status(), 200);
    let highest = limit.maximum.map_or(usize::MAX, |most| most as usize);
    assert_eq!(raise_descriptor_limit(), highest);
}
