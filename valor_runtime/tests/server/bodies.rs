//! Bodies on their way in and out: streaming, back-pressure, `100-continue`, and unread bodies.

use crate::harness::{Client, PATIENCE, Running, eventually, text};
use futures_lite::stream;
use std::{
    io::{ErrorKind, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};
use valor_runtime::{Body, Bytes, Chunk, Request, Response, Vlugin, from_fn};

/// More than the buffers of the system and of the server hold together, and much less than a server without
/// back-pressure would take in the same time.
const BOUND: usize = 64 * 1024 * 1024;

fn echo() -> Arc<dyn Vlugin> {
    from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        response.body = request.body;
        Ok(response)
    })
}

/// Answers without reading the body.
fn deaf() -> Arc<dyn Vlugin> {
    from_fn(|_| async { Ok(text("deaf")) })
}

#[test]
fn an_echo_goes_both_ways_at_once() {
    let server = Running::start(echo());
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut head = Vec::new();
    for word in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{word}\r\n", word.len()));
        if head.is_empty() {
            while !head.ends_with(b"\r\n\r\n") {
                head.extend(client.exactly(1).unwrap());
            }
        }
        let expected = format!("{:X}\r\n{word}\r\n", word.len());
        assert_eq!(client.exactly(expected.len()).unwrap(), expected.as_bytes());
    }
    client.send("0\r\nx-sum: 3\r\n\r\n");
    let end = b"0\r\nx-sum: 3\r\n\r\n";
    assert_eq!(client.exactly(end.len()).unwrap(), end);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nok");
    assert_eq!(client.answer().text(), "ok");
}

#[test]
fn large_bodies_come_back_as_they_were() {
    let server = Running::start(echo());
    let body: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    for chunk in [0, 1000, 70_000] {
        let mut client = server.connect();
        let mut sender = client.stream.try_clone().unwrap();
        let sent = body.clone();
        let sending = thread::spawn(move || {
            if chunk == 0 {
                let head = format!(
                    "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
                    sent.len()
                );
                sender.write_all(head.as_bytes()).unwrap();
                return sender.write_all(&sent).unwrap();
            }
            sender
                .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
                .unwrap();
            let mut all = Vec::new();
            for part in sent.chunks(chunk) {
                write!(all, "{:x}\r\n", part.len()).unwrap();
                all.extend_from_slice(part);
                all.extend_from_slice(b"\r\n");
            }
            all.extend_from_slice(b"0\r\n\r\n");
            sender.write_all(&all).unwrap();
        });
        let answer = client.answer();
        sending.join().unwrap();
        assert_eq!(answer.header("content-length").is_some(), chunk == 0);
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
    }
}

#[test]
fn a_small_body_that_is_here_is_bytes() {
    let server = Running::start(from_fn(|request: Request| async move {
        Ok(text(match request.body {
            Body::Bytes(bytes) => format!("bytes {}", bytes.escape_ascii()),
            Body::Stream { len, .. } => format!("stream {len:?}"),
        }))
    }));
    for (rest, seen) in [
        ("\r\n", "bytes "),
        ("content-length: 2\r\n\r\nhi", "bytes hi"),
        (
            "transfer-encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
            "bytes hi",
        ),
        (
            "transfer-encoding: chunked\r\n\r\n1\r\nh\r\n0\r\na: b\r\n\r\n",
            "stream None",
        ),
        (
            "transfer-encoding: chunked\r\n\r\n1\r\nh\r\n",
            "stream None",
        ),
        ("content-length: 3\r\n\r\nhi", "stream Some(3)"),
    ] {
        let mut client = server.connect();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{rest}"));
        assert_eq!(client.answer().text(), seen, "{rest}");
    }
}

#[test]
fn an_endless_stream_waits_for_its_client() {
    let made = Arc::new(AtomicUsize::new(0));
    let counter = made.clone();
    let server = Running::start(from_fn(move |_| {
        let counter = counter.clone();
        let chunks = stream::repeat_with(move || {
            counter.fetch_add(100_000, Ordering::SeqCst);
            Ok(Chunk::Data(Bytes::from(vec![b'x'; 100_000])))
        });
        let mut response = Response::new(200);
        response.body = Body::stream(None, chunks);
        async { Ok(response) }
    }));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut stands_at = 0;
    eventually("a standstill", || {
        thread::sleep(Duration::from_millis(300));
        let now = made.load(Ordering::SeqCst);
        now > 0 && now == std::mem::replace(&mut stands_at, now)
    });
    assert!(stands_at < BOUND, "{stands_at} bytes were made for nobody");
    client.exactly(stands_at + 1_000_000).unwrap();
    assert!(made.load(Ordering::SeqCst) > stands_at);
    // Meanwhile others are served.
    server
        .connect()
        .send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
        .try_answer(true)
        .unwrap();
}

/// Writes until the server takes no more for a while, or closes. Returns how many bytes it took.
fn pour(client: &mut Client, piece: &[u8]) -> usize {
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut poured = 0;
    while poured < 4 * BOUND {
        match client.stream.write(piece) {
            Ok(amount) => poured += amount,
            Err(_) => break,
        }
    }
    client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    poured
}

#[test]
fn an_upload_waits_for_the_vlugin() {
    let (release, released) = smol::channel::bounded::<()>(1);
    let server = Running::start(from_fn(move |mut request: Request| {
        let released = released.clone();
        async move {
            let _ = released.recv().await;
            let mut length = 0;
            while let Some(Ok(Chunk::Data(data))) = request.body.chunk().await {
                length += data.len();
            }
            Ok(text(length.to_string()))
        }
    }));
    let mut client = server.connect();
    let length = 4 * BOUND;
    client.send(format!(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
    ));
    let poured = pour(&mut client, &vec![b'x'; 64 * 1024]);
    assert!(poured < BOUND, "{poured} bytes were taken in for nobody");
    release.send_blocking(()).unwrap();
    let rest = vec![b'x'; 1024 * 1024];
    let mut left = length - poured;
    while left > 0 {
        let amount = left.min(rest.len());
        client.send(&rest[..amount]);
        left -= amount;
    }
    assert_eq!(client.answer().text(), length.to_string());
}

#[test]
fn a_client_that_sends_all_before_it_reads_gets_its_answer() {
    let server = Running::start(deaf());
    for length in [400_000, 3_000_000] {
        let mut client = server.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
        ));
        client.send(vec![b'x'; length]);
        let answer = client.answer();
        assert_eq!(
            (answer.text().as_str(), answer.header("connection")),
            ("deaf", Some("close"))
        );
        assert!(client.is_closed());
    }
}

/// Sends on how the vlugin's read of the body ended.
fn witness() -> (Arc<dyn Vlugin>, mpsc::Receiver<Option<ErrorKind>>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let vlugin = from_fn(move |mut request: Request| {
        let tell = tell.lock().unwrap().clone();
        async move {
            let end = loop {
                match request.body.chunk().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(error.kind()),
                    None => break None,
                }
            };
            let _ = tell.send(end);
            Ok(text("the vlugin's own answer"))
        }
    });
    (vlugin, told)
}

#[test]
fn a_malformed_body_is_an_error_for_the_vlugin_and_400_for_the_client() {
    let (vlugin, told) = witness();
    let server = Running::start(vlugin);
    let mut client = server.connect();
    client
        .send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfour\r\nx\r\n");
    assert_eq!(
        told.recv_timeout(PATIENCE).unwrap(),
        Some(ErrorKind::InvalidData)
    );
    assert_eq!(client.answer().status, 400);
    assert!(client.is_closed());
}

#[test]
fn a_body_can_be_read_on_another_thread() {
    let server = Running::start(from_fn(|request: Request| async move {
        let body = smol::unblock(|| smol::block_on(request.body.bytes(usize::MAX)));
        let length = body.await.map_or(0, |bytes| bytes.len());
        Ok(text(length.to_string()))
    }));
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3000000\r\n\r\n");
    client.send(vec![b'x'; 3_000_000]);
    assert_eq!(client.answer().text(), "3000000");
}

#[test]
fn a_body_ends_with_its_request() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = Running::start(from_fn(move |request: Request| {
        let tell = tell.lock().unwrap().clone();
        thread::spawn(move || {
            let read = smol::block_on(request.body.bytes(usize::MAX));
            let _ = tell.send(read.map_err(|error| error.kind()));
        });
        async { Ok(text("done")) }
    }));
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nfour");
    assert_eq!(client.answer().text(), "done");
    assert_eq!(
        told.recv_timeout(PATIENCE).unwrap(),
        Err(ErrorKind::ConnectionAborted)
    );
    client.send("-teen.GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.answer().text(), "done");
}
