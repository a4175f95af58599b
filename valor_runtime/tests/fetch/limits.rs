//! The time limits and the size limit, each with its message.

use crate::{Fetcher, Server, fetch, get, post, text};
use futures_lite::future::block_on;
use std::{
    io,
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};
use valor_runtime::{Body, Chunk, FaultKind, Request, host::fetch::FetchConfig};

const SHORT: Duration = Duration::from_millis(150);

fn with(change: impl FnOnce(&mut FetchConfig)) -> Fetcher {
    let mut config = FetchConfig::default();
    change(&mut config);
    Fetcher::new(config).unwrap()
}

#[test]
fn a_server_that_says_nothing_is_a_timeout() {
    let server = Server::start(|_, conn| {
        conn.head();
        conn.is_closed_by_peer();
    });
    let fetcher = with(|config| config.head_timeout = SHORT);
    let fault = fetch(&fetcher, get(&server.url("/"))).unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Timeout, 504));
    let place = server.address.to_string();
    assert!(fault.message.contains(&place), "{fault}");
    assert!(fault.message.contains("150ms"), "{fault}");
}

#[test]
fn a_server_that_never_ceases_takes_no_more_time_than_one_that_says_nothing() {
    let (ceases, ceased) = mpsc::channel();
    let server = Server::start(move |_, conn| {
        conn.head();
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(500);
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end && conn.try_send(&interim) {}
        let _ = ceases.send(Instant::now() >= end);
    });
    let fetcher = with(|config| config.head_timeout = SHORT);
    let fault = fetch(&fetcher, get(&server.url("/"))).unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Timeout, 504));
    // It was cut off before its end.
    assert!(!ceased.recv().unwrap());
}

#[test]
fn a_handshake_that_does_not_end_is_a_timeout() {
    let silent = Server::start(|_, conn| {
        conn.is_closed_by_peer();
    });
    let fetcher = with(|config| config.connect_timeout = SHORT);
    let url = format!("https://{}/", silent.address);
    let fault = fetch(&fetcher, get(&url)).unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Timeout, 504));
    assert!(fault.message.contains("no connection"), "{fault}");
}

#[test]
fn a_body_that_stops_is_a_timeout() {
    let server = Server::start(|_, conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
        conn.is_closed_by_peer();
    });
    let fetcher = with(|config| config.idle_timeout = SHORT);
    let response = fetch(&fetcher, get(&server.url("/"))).unwrap();
    let error = block_on(response.body.bytes(100)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let place = server.address.to_string();
    assert!(error.to_string().contains(&place), "{error}");
}

#[test]
fn what_moves_on_takes_as_long_as_it_takes() {
    // Each step is well within the limit, but all of them together exceed it.
    const STEP: Duration = Duration::from_millis(300);
    let server = Server::start(|_, conn| {
        conn.head();
        while conn.chunk().is_some() {}
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n");
        for _ in 0..8 {
            std::thread::sleep(STEP);
            conn.send("x");
        }
    });
    let fetcher = with(|config| {
        config.head_timeout = 7 * STEP;
        config.idle_timeout = 7 * STEP;
    });
    let chunks = futures_lite::stream::unfold(0, |n| async move {
        smol::Timer::after(STEP).await;
        (n < 8).then_some((Ok(Chunk::Data("y".into())), n + 1))
    });
    let body = Body::stream(None, Box::pin(chunks));
    let response = fetch(&fetcher, post(&server.url("/"), body)).unwrap();
    assert_eq!(text(response), "xxxxxxxx");
}

#[test]
fn the_clock_stands_still_while_the_request_waits_for_its_own_body() {
    let server = Server::start(|_, conn| {
        conn.head();
        while conn.chunk().is_some() {}
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let limit = Duration::from_secs(1);
    let fetcher = with(|config| config.head_timeout = limit);
    let chunks = futures_lite::stream::once_future(async move {
        smol::Timer::after(limit * 5 / 2).await;
        Ok(Chunk::Data("late".into()))
    });
    let body = Body::stream(None, Box::pin(chunks));
    let response = fetch(&fetcher, post(&server.url("/"), body)).unwrap();
    assert_eq!(text(response), "ok");
}

#[test]
fn a_reader_that_is_slow_is_not_the_servers_fault() {
    let (asks, asked) = mpsc::channel();
    let asked = Mutex::new(asked);
    let server = Server::start(move |_, conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
        for part in ["half", "-whole"] {
            asked.lock().unwrap().recv().unwrap();
            // By now the reader waits, so its clock is running.
            std::thread::sleep(Duration::from_millis(50));
            conn.send(part);
        }
    });
    let limit = Duration::from_secs(1);
    let fetcher = with(|config| config.idle_timeout = limit);
    let mut response = fetch(&fetcher, get(&server.url("/"))).unwrap();
    for part in ["half", "-whole"] {
        asks.send(()).unwrap();
        let chunk = block_on(response.body.chunk()).unwrap().unwrap();
        assert_eq!(chunk, Chunk::Data(part.into()));
        std::thread::sleep(limit * 3 / 2);
    }
}

#[test]
fn an_upload_that_the_server_takes_slowly_takes_as_long_as_it_takes() {
    const STEP: usize = 8 * 1024 * 1024;
    let server = Server::start(|_, conn| {
        conn.head();
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(300));
            conn.exact(STEP);
        }
        conn.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let fetcher = with(|config| config.head_timeout = Duration::from_millis(1600));
    let request = post(&server.url("/"), vec![0; 12 * STEP]);
    assert_eq!(fetch(&fetcher, request).unwrap().head.status(), 204);
}

#[test]
fn an_upload_that_the_server_does_not_take_is_a_timeout() {
    let server = Server::start(|_, conn| {
        conn.head();
        // It reads no more, and stays.
        std::thread::sleep(Duration::from_secs(20));
        conn.send("too late");
    });
    let fetcher = with(|config| config.head_timeout = 2 * SHORT);
    let part = valor_runtime::Bytes::from(vec![0; 1 << 20]);
    let chunks = futures_lite::stream::repeat_with(move || Ok(Chunk::Data(part.clone())));
    let request = post(&server.url("/"), Body::stream(None, chunks));
    let fault = fetch(&fetcher, request).unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::Timeout, 504));
}

#[test]
fn a_response_that_announces_too_much_is_refused() {
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world");
    let fetcher = with(|config| config.response_limit = 10);
    let fault = fetch(&fetcher, get(&server.url("/"))).unwrap_err();
    assert_eq!(fault.status, 502);
    for part in [server.address.to_string().as_str(), "11 bytes", "10 bytes"] {
        assert!(fault.message.contains(part), "{fault}");
    }
    let exact = with(|config| config.response_limit = 11);
    assert_eq!(
        text(fetch(&exact, get(&server.url("/"))).unwrap()),
        "hello world"
    );
    // In the answer to a HEAD, the length is only a header.
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n");
    let request = Request::new("HEAD", &server.url("/")).unwrap();
    assert_eq!(fetch(&fetcher, request).unwrap().head.status(), 200);
}

#[test]
fn a_body_that_turns_out_too_long_fails() {
    let server = Server::always(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
    );
    let fetcher = with(|config| config.response_limit = 10);
    let response = fetch(&fetcher, get(&server.url("/"))).unwrap();
    let error = block_on(response.body.bytes(100)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert!(error.to_string().contains("10 bytes"), "{error}");
    let exact = with(|config| config.response_limit = 11);
    assert_eq!(
        text(fetch(&exact, get(&server.url("/"))).unwrap()),
        "hello world"
    );
}
