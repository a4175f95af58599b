//! The rows about clients: slow ones, many at once, those that leave, and those that see the end.

use crate::{
    harness::{PATIENCE, Running, data, eventually, mirror, text},
    house::house,
    play::{ALONE, Case, case, get, post, refused, seed, send, ways},
};
use futures_lite::{StreamExt, stream};
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
use valor_runtime::{
    Body, Bytes, Chunk, Request, Response, Runtime, Vlugin, from_fn, server::ServerConfig,
};

pub const SHORT: Duration = Duration::from_millis(300);

/// Long enough to send a request byte by byte while the machine is busy.
const MOMENT: Duration = Duration::from_secs(1);

/// Waits only a moment for heads and bodies.
pub fn impatient() -> ServerConfig {
    ServerConfig {
        head_timeout: MOMENT,
        body_timeout: MOMENT,
        linger: SHORT,
        ..ServerConfig::default()
    }
}

pub fn slow_heads() -> Vec<Case> {
    vec![
        case("a head without an end", "GET / HTTP/1.1\r\nhos").refused(408),
        case("a byte", "G").refused(408),
        case("a second one", [&get("\r\n"), "GET"].concat())
            .says(200, "GET /")
            .refused(408),
        case(
            "a second one behind a body",
            [&post("content-length: 1\r\n\r\nx"), "GET"].concat(),
        )
        .says(200, "body=x")
        .refused(408),
    ]
}

pub fn idle() -> Vec<Case> {
    vec![
        case("nothing at all", "").closed(),
        case("nothing behind a request", get("\r\n"))
            .says(200, "GET /")
            .closed(),
        // Empty lines do not begin a head.
        case("an empty line", "\r\n").closed(),
    ]
}

pub fn slow_bodies() -> Vec<Case> {
    vec![
        case("a length", post("content-length: 10\r\n\r\nfour")).refused(408),
        case(
            "a length and nothing of it",
            post("content-length: 10\r\n\r\n"),
        )
        .refused(408),
        case(
            "chunks",
            post("transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n"),
        )
        .refused(408),
        case(
            "chunks and nothing of them",
            post("transfer-encoding: chunked\r\n\r\n"),
        )
        .refused(408),
        case(
            "a body that is expected to go on",
            post("expect: 100-continue\r\ncontent-length: 2\r\n\r\n"),
        )
        .continues()
        .refused(408),
    ]
}

/// Sends a byte now and then, until the server has had enough.
fn drip(server: &Running, first: &str, byte: u8) {
    let mut slow = server.connect();
    slow.send(first);
    let mut stream = slow.stream.try_clone().unwrap();
    let dripping = thread::spawn(move || {
        let more = (0..2000).take_while(|_| {
            thread::sleep(Duration::from_millis(20));
            stream.write_all(&[byte]).is_ok()
        });
        more.count()
    });
    refused(&mut slow, 408, first);
    drop(slow);
    assert!(dripping.join().unwrap() < 2000, "{first}");
}

pub fn drip_a_head() {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    let server = Running::with(house(), impatient());
    drip(&server, "GET / HTTP/1.1\r\nx: ", b'x');
}

pub fn drip_a_body() {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    let server = Running::with(house(), impatient());
    drip(&server, &post("content-length: 100000\r\n\r\n"), b'1');
    drip(
        &server,
        &post("transfer-encoding: chunked\r\n\r\n1000\r\n"),
        b'1',
    );
}

pub fn a_body_that_breaks_off_is_an_error_for_the_vlugin() {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = Running::start(in_runtime(from_fn(move |mut request: Request| {
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
    })));
    for rest in [
        "content-length: 10\r\n\r\nfour",
        "transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n",
        "transfer-encoding: chunked\r\n\r\n4\r\nfo",
        "transfer-encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n",
    ] {
        let mut client = server.connect();
        client.send(post(rest));
        client.finish_sending();
        let end = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(end, Some(ErrorKind::UnexpectedEof), "{rest}");
        assert!(client.is_closed(), "{rest}");
    }
}

/// A runtime with this vlugin at `/`.
pub fn in_runtime(vlugin: Arc<dyn Vlugin>) -> Arc<dyn Vlugin> {
    let runtime = Runtime::builder().build().unwrap();
    let place = valor_runtime::Place::new("root").prefix("/");
    runtime.add(place, vlugin).unwrap();
    runtime
}

/// Notes when it is dropped.
struct Noted(Arc<AtomicUsize>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub fn go_away() {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    let (begun, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (begun.clone(), dropped.clone());
    let endless = from_fn(move |request: Request| {
        let noted = Noted(counters.1.clone());
        let begun = counters.0.clone();
        async move {
            begun.fetch_add(1, Ordering::SeqCst);
            let mut response = Response::new(200);
            response.body = match request.head.path() {
                "/events" => {
                    let chunks = stream::once(data("event")).chain(stream::pending());
                    Body::stream(None, chunks.inspect(move |_| _ = &noted))
                }
                "/flood" => Body::stream(
                    None,
                    stream::repeat_with(move || {
                        let _ = &noted;
                        Ok(Chunk::Data(Bytes::from(vec![0; 100_000])))
                    }),
                ),
                _ => {
                    std::future::pending::<()>().await;
                    drop(noted);
                    Body::empty()
                }
            };
            Ok(response)
        }
    });
    let server = Running::start(in_runtime(endless));
    let mut number = 0;
    for mut mode in ways(seed()) {
        for path in ["/wait", "/events", "/flood"] {
            let mut client = server.connect();
            let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
            send(&mut client, request.as_bytes(), &mut mode);
            eventually("the request", || begun.load(Ordering::SeqCst) == number + 1);
            thread::sleep(Duration::from_millis(50));
            assert_eq!(dropped.load(Ordering::SeqCst), number, "{path}");
            drop(client);
            eventually(path, || dropped.load(Ordering::SeqCst) == number + 1);
            number += 1;
        }
    }
}

pub fn over_the_limit() {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    let config = ServerConfig {
        max_connections: 2,
        ..ServerConfig::default()
    };
    let server = Running::with(in_runtime(mirror()), config);
    for mut mode in ways(seed()) {
        let mut first = server.connect();
        let mut second = server.connect();
        for client in [&mut first, &mut second] {
            send(client, get("\r\n").as_bytes(), &mut mode);
            assert_eq!(client.answer().status, 200);
        }
        let mut third = server.connect();
        send(&mut third, get("\r\n").as_bytes(), &mut mode);
        third.stream.set_read_timeout(Some(SHORT)).unwrap();
        assert!(third.try_answer(false).is_err());
        third.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        drop(first);
        assert_eq!(third.answer().status, 200);
        assert_eq!(second.send(get("\r\n")).answer().status, 200);
    }
}

/// What SIGTERM and SIGINT request. The program's own tests send the signals.
pub fn see_the_end() {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    for mut mode in ways(seed()) {
        let (open, opened) = smol::channel::bounded::<()>(1);
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let mut server = Running::start(in_runtime(from_fn(move |request: Request| {
            let opened = opened.clone();
            let count = count.clone();
            async move {
                if request.head.path() == "/wait" {
                    count.fetch_add(1, Ordering::SeqCst);
                    let _ = opened.recv().await;
                }
                Ok(text(request.head.path().to_owned()))
            }
        })));
        let mut idle = server.connect();
        assert_eq!(idle.send(get("\r\n")).answer().header("connection"), None);
        let mut fresh = server.connect();
        let mut late = server.connect();
        let mut working = server.connect();
        send(
            &mut working,
            b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n",
            &mut mode,
        );
        eventually("the request", || begun.load(Ordering::SeqCst) == 1);
        // The request pipelined behind it was not accepted yet, and is not answered.
        working.send(get("\r\n"));

        server.leave();
        let addr = server.addr();
        eventually("the end of accepting", || {
            std::net::TcpStream::connect(addr).is_err()
        });
        send(&mut late, get("\r\n").as_bytes(), &mut mode);
        assert_eq!(late.answer().header("connection"), Some("close"));
        assert!(idle.is_closed() && fresh.is_closed());
        open.close();
        let answer = working.answer();
        assert_eq!(
            (answer.text().as_str(), answer.header("connection")),
            ("/wait", Some("close"))
        );
        assert!(working.is_closed());
        assert_eq!(server.stop().cut_off, 0);
    }
}
