//! SIGTERM in the middle of load: of the requests on accepted connections, none fails.

use crate::program::{Serving, bytes};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How many clients there are at once.
const CLIENTS: usize = 32;

/// Sends requests on one connection until the server says that it closes it; returns how many were answered.
fn ask(addr: &str, number: usize, go: &Barrier, answered: &AtomicUsize) -> usize {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let body = bytes(number * 3000);
    for count in 1.. {
        // Some wait between requests, as people's clients do, and some never do.
        thread::sleep(Duration::from_millis(number as u64 % 4 * 20));
        let head = format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        let (mut status, mut length, mut closes) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            let read = answers.read_line(&mut line).unwrap();
            assert!(read > 0, "client {number} got no answer to request {count}");
            let line = line.trim_end();
            match line.split_once(": ") {
                _ if line.is_empty() => break,
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("connection", value)) => closes = value == "close",
                Some(_) => {}
                None => status = line.to_owned(),
            }
        }
        assert_eq!(status, "HTTP/1.1 200 OK");
        let mut back = vec![0; length];
        answers.read_exact(&mut back).unwrap();
        assert!(
            back == body,
            "client {number}, request {count}: another body came back"
        );
        answered.fetch_add(1, Ordering::SeqCst);
        if closes {
            return count;
        }
        if count == 1 {
            go.wait();
        }
    }
    unreachable!("it asks until it is told to stop")
}

#[test]
fn sigterm_under_load_fails_no_request() {
    for _ in 0..3 {
        let serving = Serving::with(&["--no-access-log"], &[]);
        let addr = serving.addr().to_owned();
        let answered = Arc::new(AtomicUsize::new(0));
        let go = Arc::new(Barrier::new(CLIENTS + 1));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (addr, go, answered) = (addr.clone(), go.clone(), answered.clone());
                thread::spawn(move || ask(&addr, number, &go, &answered))
            })
            .collect();
        // Every connection is accepted now, and all clients are busy.
        go.wait();
        while answered.load(Ordering::SeqCst) < 10 * CLIENTS {
            assert!(clients.iter().all(|client| !client.is_finished()));
            thread::sleep(Duration::from_millis(10));
        }
        serving.server.signal("TERM");
        for client in clients {
            assert!(client.join().unwrap() > 1);
        }
        let finished = serving.end();
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.err.contains("drained, and ended"), "{finished:?}");
        assert!(!finished.err.contains("cut off"), "{finished:?}");
    }
}
