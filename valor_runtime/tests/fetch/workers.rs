//! Requests of vlugins on a server's threads. The server's own reactor watches the connections.

use crate::{Fetcher, Server, eventually, fetch, fetcher, get, text};
use futures_lite::future::block_on;
use std::sync::{Arc, mpsc};
use valor_runtime::{Body, Fault, Response, host::allow::Allow, server::Workers};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn workers() -> Workers {
    let workers = Workers::new().unwrap();
    workers.start(2).unwrap();
    workers
}

fn fetch_on(workers: &Workers, fetcher: &Fetcher, url: String) -> Result<Response, Fault> {
    let fetcher = fetcher.clone();
    let fetched = workers.spawn(async move { fetcher.fetch(get(&url), &Allow::all()).await });
    block_on(fetched)
}

fn stop(workers: Workers) {
    workers.stop();
    block_on(workers.ended());
}

#[test]
fn a_connection_is_kept_for_those_whom_its_reactor_serves() {
    let server = Server::always(HELLO);
    let fetcher = fetcher();
    let url = || server.url("/");
    let first = workers();
    for _ in 0..20 {
        let response = fetch_on(&first, &fetcher, url()).unwrap();
        assert_eq!(text(response), "hello");
    }
    assert_eq!(server.accepted(), 1);
    // A thread that belongs to no server, and the threads of another server.
    assert_eq!(text(fetch(&fetcher, get(&url())).unwrap()), "hello");
    assert_eq!(server.accepted(), 2);
    let second = workers();
    let response = fetch_on(&second, &fetcher, url()).unwrap();
    assert_eq!(text(response), "hello");
    assert_eq!(server.accepted(), 3);
    // The first server ends, and its connections belong to nobody.
    stop(first);
    for _ in 0..3 {
        let response = fetch_on(&second, &fetcher, url()).unwrap();
        assert_eq!(text(response), "hello");
        assert_eq!(text(fetch(&fetcher, get(&url())).unwrap()), "hello");
    }
    assert_eq!(server.accepted(), 3);
}

#[test]
fn many_at_once_are_all_woken() {
    let server = Server::always(HELLO);
    let (workers, fetcher) = (workers(), fetcher());
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (fetcher, url) = (fetcher.clone(), server.url("/"));
            workers.spawn(async move {
                for _ in 0..20 {
                    let response = fetcher.fetch(get(&url), &Allow::all()).await.unwrap();
                    assert_eq!(&response.body.bytes(10).await.unwrap()[..], b"hello");
                }
            })
        })
        .collect();
    block_on(async {
        for task in tasks {
            task.await;
        }
    });
    assert!(server.accepted() <= 50);
}

#[test]
fn a_body_that_outlives_the_server_fails() {
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Arc::new(std::sync::Mutex::new(may_go_on));
    let server = Server::start(move |_, conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello");
        let _ = may_go_on.lock().unwrap().recv();
    });
    let (workers, fetcher) = (workers(), fetcher());
    let response = fetch_on(&workers, &fetcher, server.url("/")).unwrap();
    // The end wakes it, or it finds that there was one.
    let (outside, heard) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let Body::Stream { mut chunks, .. } = response.body else {
            panic!("all of it is there");
        };
        block_on(async {
            use futures_lite::StreamExt;
            loop {
                match chunks.next().await {
                    Some(Ok(_)) => outside.send(()).unwrap(),
                    Some(Err(error)) => return error.to_string(),
                    None => return "it has an end".to_owned(),
                }
            }
        })
    });
    heard.recv().unwrap();
    stop(workers);
    eventually("the reader is told", || reader.is_finished());
    let told = reader.join().unwrap();
    assert!(told.contains("has ended"), "{told}");
    drop(go_on);
}
