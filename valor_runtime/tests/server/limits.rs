//! Time limits, the number of connections, and clients that leave.

use crate::harness::{Running, data, eventually, mirror, text};
use futures_lite::{StreamExt, stream};
use std::{
    io::{ErrorKind, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use valor_runtime::{Body, Bytes, Chunk, Request, Response, Vlugin, from_fn, server::ServerConfig};

const SHORT: Duration = Duration::from_millis(300);

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

#[test]
fn every_head_has_its_own_time() {
    let limit = Duration::from_secs(2);
    let config = ServerConfig {
        head_timeout: limit,
        ..ServerConfig::default()
    };
    let server = Running::with(mirror(), config);
    let mut client = server.connect();
    let (first, second) = (get("/1"), get("/2"));
    client.send(&first[..9]);
    thread::sleep(limit * 5 / 8);
    client.send(first[9..].to_owned() + &second[..9]);
    thread::sleep(limit * 5 / 8);
    client.send(&second[9..]);
    assert_eq!([client.answer().status, client.answer().status], [200, 200]);
}

#[test]
fn a_body_with_some_progress_may_take_its_time() {
    let config = ServerConfig {
        body_timeout: Duration::from_secs(1),
        ..ServerConfig::default()
    };
    let server = Running::with(mirror(), config);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 30000\r\n\r\n");
    for _ in 0..15 {
        thread::sleep(Duration::from_millis(100));
        client.send([b'x'; 2000]);
    }
    assert_eq!(client.answer().status, 200);
}

#[test]
fn the_client_is_not_charged_for_a_slow_vlugin() {
    let config = ServerConfig {
        body_timeout: SHORT,
        linger: SHORT,
        ..ServerConfig::default()
    };
    let slow = from_fn(|mut request: Request| async move {
        let mut length = 0;
        loop {
            smol::Timer::after(SHORT * 2).await;
            match request.body.chunk().await {
                Some(Ok(Chunk::Data(data))) => length += data.len(),
                Some(Err(error)) => return Ok(text(error.to_string())),
                _ => return Ok(text(length.to_string())),
            }
        }
    });
    let server = Running::with(slow, config);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n");
    client.send(vec![b'x'; 100_000]);
    assert_eq!(client.answer().text(), "100000");
}

/// Notes when it is dropped.
struct Noted(Arc<AtomicUsize>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Never answers at `/wait`, never ends at `/events`, never stops at `/flood`. Counts the requests, and what it
/// dropped.
fn endless() -> (Arc<dyn Vlugin>, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (begun, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (begun.clone(), dropped.clone());
    let vlugin = from_fn(move |request: Request| {
        let noted = Noted(counters.1.clone());
        let begun = counters.0.clone();
        async move {
            begun.fetch_add(1, Ordering::SeqCst);
            let mut response = Response::new(200);
            match request.head.path() {
                "/wait" => {
                    std::future::pending::<()>().await;
                    drop(noted);
                }
                "/events" => {
                    let chunks = stream::once(data("event")).chain(stream::pending());
                    let chunks = chunks.inspect(move |_| _ = &noted);
                    response.body = Body::stream(None, chunks);
                }
                "/flood" => {
                    let chunks = stream::repeat_with(move || {
                        let _ = &noted;
                        Ok(Chunk::Data(Bytes::from(vec![0; 100_000])))
                    });
                    response.body = Body::stream(None, chunks);
                }
                path => response.body = Body::from(path.to_owned()),
            }
            Ok(response)
        }
    });
    (vlugin, begun, dropped)
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let config = ServerConfig {
        write_timeout: SHORT,
        ..ServerConfig::default()
    };
    let (vlugin, begun, dropped) = endless();
    let server = Running::with(vlugin, config);
    let mut client = server.connect();
    client.send(get("/flood"));
    eventually("the request", || begun.load(Ordering::SeqCst) == 1);
    eventually("the end of it", || dropped.load(Ordering::SeqCst) == 1);
    // A client with nothing to read is not a client that does not read.
    let mut quiet = server.connect();
    quiet.send(get("/events"));
    thread::sleep(SHORT * 3);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    drop(client);
}

#[test]
fn what_is_pipelined_behind_a_working_vlugin_is_kept_and_bounded() {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let server = Running::start(from_fn(move |request: Request| {
        let gate = gate.clone();
        async move {
            while request.head.path() == "/slow" && !gate.load(Ordering::SeqCst) {
                smol::Timer::after(Duration::from_millis(10)).await;
            }
            Ok(text(request.head.path().to_owned()))
        }
    }));
    let mut client = server.connect();
    client.send(get("/slow")).send(get("/1"));
    thread::sleep(Duration::from_millis(50));
    client.send(get("/2"));

    let mut flood = server.connect();
    flood.send(get("/slow"));
    flood.stream.set_write_timeout(Some(SHORT)).unwrap();
    let many = get("/more").repeat(1000);
    let mut sent = 0;
    let ended = loop {
        match flood.stream.write(many.as_bytes()) {
            Ok(amount) => sent += amount,
            Err(error) => break error.kind(),
        }
        assert!(sent < 64 * 1024 * 1024, "{sent} bytes are kept");
    };
    assert!(
        matches!(ended, ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "{ended}"
    );
    open.store(true, Ordering::SeqCst);
    for path in ["/slow", "/1", "/2"] {
        assert_eq!(client.answer().text(), path);
    }
    assert_eq!(flood.answer().text(), "/slow");
    assert_eq!(flood.answer().text(), "/more");
}

#[test]
fn a_response_does_not_wait_for_the_next_request_to_be_done() {
    let (vlugin, ..) = endless();
    let server = Running::start(vlugin);
    let mut client = server.connect();
    client.send(get("/first") + &get("/wait"));
    assert_eq!(client.answer().text(), "/first");
    // A head that has only begun does not hold anything up either.
    let mut client = server.connect();
    client.send(get("/first") + "GET /sec");
    assert_eq!(client.answer().text(), "/first");
    client.send("ond HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.answer().text(), "/second");
}

#[test]
fn slow_clients_do_not_hold_up_others() {
    let server = Running::start(mirror());
    let slow: Vec<_> = (0..200)
        .map(|number| {
            let mut client = server.connect();
            client.send(if number % 2 == 0 {
                "GET / HTT".to_owned()
            } else {
                "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nfour".to_owned()
            });
            client
        })
        .collect();
    let mut client = server.connect();
    for _ in 0..500 {
        assert_eq!(client.send(get("/")).answer().status, 200);
    }
    for (number, mut client) in slow.into_iter().enumerate() {
        client.send(if number % 2 == 0 {
            "P/1.1\r\nhost: a\r\n\r\n"
        } else {
            "-teen"
        });
        assert_eq!(client.answer().status, 200);
    }
}
