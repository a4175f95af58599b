//! Bodies, both ways.

use crate::{Server, eventually, fetch, fetcher, get, post, text};
use futures_lite::{StreamExt, future::block_on, stream};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};
use valor_runtime::{Body, Bytes, Chunk, Request};

/// More than all buffers between two sockets on one machine hold.
const PLENTY: usize = 256 * 1024 * 1024;

#[test]
fn bodies_of_each_framing() {
    for (response, body) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
            "hello",
        ),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello", "hello"),
        ("HTTP/1.0 200 OK\r\n\r\nhello", "hello"),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", ""),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", ""),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
             HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            "hello",
        ),
    ] {
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(response);
        });
        let answer = fetch(&fetcher(), get(&server.url("/"))).unwrap();
        assert_eq!(text(answer), body, "{response:?}");
    }
}

#[test]
fn a_response_to_head_has_a_length_and_no_body() {
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    let fetcher = fetcher();
    for _ in 0..2 {
        let request = Request::new("HEAD", &server.url("/")).unwrap();
        let response = fetch(&fetcher, request).unwrap();
        assert_eq!(response.head.header_str("content-length"), Some("5"));
        assert_eq!(text(response), "");
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_small_body_that_came_with_its_head_is_whole() {
    let server = Server::always("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let response = fetch(&fetcher(), get(&server.url("/"))).unwrap();
    assert!(matches!(&response.body, Body::Bytes(bytes) if bytes == "hello"));
}

#[test]
fn trailers_of_a_response_are_its_last_chunk() {
    let server = Server::always(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nx-sum: 7\r\ntransfer-encoding: gzip\r\n\r\n",
    );
    let response = fetch(&fetcher(), get(&server.url("/"))).unwrap();
    let chunks: Vec<_> = block_on(response.body.collect());
    let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
    let sum = ("x-sum".to_owned(), b"7".to_vec());
    let expected = [Chunk::Data("ok".into()), Chunk::Trailers(vec![sum])];
    assert_eq!(chunks, expected);
}

#[test]
fn a_body_that_breaks_off_fails() {
    for response in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ] {
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(response);
        });
        let answer = fetch(&fetcher(), get(&server.url("/"))).unwrap();
        let error = block_on(answer.body.bytes(100)).unwrap_err();
        let message = error.to_string();
        let place = server.address.to_string();
        assert!(message.contains(&place), "{response:?}: {message}");
    }
}

#[test]
fn uploads_of_each_kind_arrive_whole() {
    let (bodies, arrived) = mpsc::channel();
    let server = Server::start(move |_, conn| {
        while let Some(head) = conn.head() {
            let mut body = Vec::new();
            match head.header("content-length") {
                Some(length) => body = conn.exact(length.parse().unwrap()),
                None => {
                    while let Some(chunk) = conn.chunk() {
                        body.extend(chunk);
                    }
                }
            }
            let _ = bodies.send((head.header("content-length"), body));
            conn.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let big = Bytes::from((0..3_000_000u32).map(|n| n as u8).collect::<Vec<_>>());
    let parts = |big: &Bytes| {
        let big = big.clone();
        let parts =
            (0..30).map(move |n| Ok(Chunk::Data(big.slice(n * 100_000..(n + 1) * 100_000))));
        stream::iter(parts)
    };
    let length = Some(big.len() as u64);
    let fetcher = fetcher();
    let announced = {
        let mut request = post(&server.url("/"), Body::stream(None, parts(&big)));
        request.head.push("content-length", b"3000000").unwrap();
        request
    };
    for (request, is_announced) in [
        (post(&server.url("/"), big.clone()), true),
        (
            post(&server.url("/"), Body::stream(length, parts(&big))),
            true,
        ),
        (
            post(&server.url("/"), Body::stream(None, parts(&big))),
            false,
        ),
        (announced, true),
    ] {
        fetch(&fetcher, request).unwrap();
        let (length, body) = arrived.recv().unwrap();
        assert_eq!(length.is_some(), is_announced);
        assert!(body == big, "the server got {} bytes", body.len());
    }
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_request_whose_body_fails_is_broken_off() {
    for (length, message) in [
        (None, "lost the source"),
        (Some(4), "short"),
        (Some(2), "longer"),
    ] {
        let (ends, ended) = mpsc::channel();
        let server = Server::start(move |_, conn| {
            conn.head();
            let mut all = Vec::new();
            while let Some(some) = conn.some() {
                all.extend(some);
            }
            ends.send(all).unwrap();
        });
        let mut chunks = vec![Ok(Chunk::Data("abc".into()))];
        if length.is_none() {
            chunks.push(Err(io::Error::other("lost the source")));
        }
        let body = Body::stream(length, stream::iter(chunks));
        let fault = fetch(&fetcher(), post(&server.url("/"), body)).unwrap_err();
        assert_eq!(fault.status, 400, "{fault}");
        assert!(fault.message.contains(message), "{fault}");
        let got = ended.recv().unwrap();
        // The last chunk of a whole body would end like this.
        assert!(!got.ends_with(b"0\r\n\r\n"), "{got:?}");
    }
}

#[test]
fn a_download_is_sent_only_as_fast_as_it_is_read() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let server = Server::start(move |_, conn| {
        conn.head();
        conn.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {PLENTY}\r\n\r\n"
        ));
        let part = vec![b'a'; 256 * 1024];
        while counted.load(Ordering::SeqCst) < PLENTY && conn.try_send(&part) {
            counted.fetch_add(part.len(), Ordering::SeqCst);
        }
    });
    let config = valor_runtime::host::fetch::FetchConfig {
        response_limit: u64::MAX,
        ..Default::default()
    };
    let fetcher = crate::Fetcher::new(config).unwrap();
    let mut response = fetch(&fetcher, get(&server.url("/"))).unwrap();
    let mut read = 0;
    let mut next = |body: &mut Body| {
        let chunk = block_on(body.chunk());
        if let Some(Ok(Chunk::Data(data))) = &chunk {
            read += data.len();
        }
        (chunk.is_some(), read)
    };
    next(&mut response.body);
    // The server fills the buffers in between, and then stops.
    let mut before = usize::MAX;
    eventually("the server stands still", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = sent.load(Ordering::SeqCst);
        std::mem::replace(&mut before, now) == now
    });
    assert!(before < PLENTY / 4, "{before} bytes were sent to nobody");
    let total = loop {
        let (more, read) = next(&mut response.body);
        if !more {
            break read;
        }
    };
    assert_eq!(total, PLENTY);
}

#[test]
fn an_upload_is_asked_for_only_as_fast_as_it_is_sent() {
    let (goes_on, go_on) = mpsc::channel::<()>();
    let go_on = std::sync::Mutex::new(go_on);
    let server = Server::start(move |_, conn| {
        conn.head();
        go_on.lock().unwrap().recv().unwrap();
        conn.exact(PLENTY);
        conn.send("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let made = Arc::new(AtomicUsize::new(0));
    let part = Bytes::from(vec![b'a'; 256 * 1024]);
    let parts = {
        let made = made.clone();
        stream::iter((0..PLENTY / part.len()).map(move |_| {
            made.fetch_add(part.len(), Ordering::SeqCst);
            Ok(Chunk::Data(part.clone()))
        }))
    };
    let request = post(&server.url("/"), Body::stream(Some(PLENTY as u64), parts));
    let fetching = std::thread::spawn(move || fetch(&fetcher(), request).map(|r| r.head.status()));
    let mut before = 0;
    eventually("the upload stands still", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let now = made.load(Ordering::SeqCst);
        now > 0 && std::mem::replace(&mut before, now) == now
    });
    assert!(before < PLENTY / 4, "{before} bytes were made for nobody");
    goes_on.send(()).unwrap();
    assert_eq!(fetching.join().unwrap(), Ok(204));
    assert_eq!(made.load(Ordering::SeqCst), PLENTY);
}

#[test]
fn both_bodies_flow_at_once() {
    let server = Server::start(|_, conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while let Some(chunk) = conn.chunk() {
            conn.send(format!("{:x}\r\n", chunk.len()));
            conn.send(chunk);
            conn.send("\r\n");
        }
        conn.send("0\r\n\r\n");
    });
    let (asks, asked) = smol::channel::bounded::<Bytes>(1);
    let fetcher = fetcher();
    let body = Body::stream(None, Box::pin(asked.map(|data| Ok(Chunk::Data(data)))));
    block_on(async {
        let request = post(&server.url("/"), body);
        let allow = valor_runtime::host::allow::Allow::all();
        let mut response = fetcher.fetch(request, &allow).await.unwrap();
        for question in ["one", "two", "three"] {
            asks.send(question.into()).await.unwrap();
            let echo = response.body.chunk().await.unwrap().unwrap();
            assert_eq!(echo, Chunk::Data(question.into()));
        }
        asks.close();
        assert!(response.body.chunk().await.is_none());
    });
}

#[test]
fn an_answer_that_comes_before_the_upload_has_ended_is_heard_and_ends_it() {
    for connection in ["close", "keep-alive"] {
        let closed = Arc::new(AtomicUsize::new(0));
        let count = closed.clone();
        let server = Server::start(move |_, conn| {
            conn.head();
            conn.send(format!(
                "HTTP/1.1 413 Content Too Large\r\nconnection: {connection}\r\n\
                 content-length: 4\r\n\r\nmuch"
            ));
            count.fetch_add(usize::from(conn.is_closed_by_peer()), Ordering::SeqCst);
        });
        let part = Bytes::from(vec![b'a'; 256 * 1024]);
        let endless = Body::stream(
            None,
            stream::repeat_with(move || Ok(Chunk::Data(part.clone()))),
        );
        let fetcher = fetcher();
        let response = fetch(&fetcher, post(&server.url("/"), endless)).unwrap();
        assert_eq!(response.head.status(), 413);
        assert_eq!(text(response), "much");
        eventually("the upload ends", || closed.load(Ordering::SeqCst) == 1);
    }
}

#[test]
fn a_body_that_panics_harms_its_own_request_alone() {
    let server = Server::start(|_, conn| {
        while let Some(head) = conn.head() {
            if head.header("transfer-encoding").is_some() {
                while conn.some().is_some() {}
                return;
            }
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let fetcher = fetcher();
    assert_eq!(text(fetch(&fetcher, get(&server.url("/"))).unwrap()), "ok");
    let body = Body::stream(None, stream::repeat_with(|| panic!("no more")));
    let request = post(&server.url("/"), body);
    let panicking = std::panic::AssertUnwindSafe(|| fetch(&fetcher, request));
    assert!(std::panic::catch_unwind(panicking).is_err());
    assert_eq!(text(fetch(&fetcher, get(&server.url("/"))).unwrap()), "ok");
}
