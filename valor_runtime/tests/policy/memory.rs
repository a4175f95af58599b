//! The rows that name a bound: how much memory heads, bodies and connections cost, counted by this program's
//! allocator. That includes the server, and the client costs next to nothing.

use crate::{
    clients::SHORT,
    harness::{Client, PATIENCE, Running, eventually},
    house::house,
    play::{ALONE, at, get, post, refused},
};
use peak_alloc::PeakAlloc;
use std::io::Write;
use valor_runtime::server::ServerConfig;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;

/// Runs alone, and returns the most that was held at once beyond what is held now.
fn peak(what: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    what();
    let peak = MEMORY.peak_usage().saturating_sub(before);
    println!("{peak} bytes at the most");
    peak
}

/// Writes `piece` until the server takes no more for a while, or closes, or has taken `most`.
fn pour(client: &mut Client, piece: &[u8], most: usize) -> usize {
    client.stream.set_write_timeout(Some(SHORT)).unwrap();
    let mut poured = 0;
    while poured < most {
        match client.stream.write(piece) {
            Ok(amount) => poured += amount,
            Err(_) => break,
        }
    }
    client.stream.set_write_timeout(Some(PATIENCE)).unwrap();
    poured
}

pub fn of_heads_without_end() {
    let _alone = ALONE.write().unwrap_or_else(|e| e.into_inner());
    let server = Running::start(house());
    server.connect().send(get("\r\n")).answer();
    let flood = vec![b'x'; 64 * 1024];
    let flooded = peak(|| {
        for beginning in [get("x: "), "GET /".to_owned(), get("")] {
            let mut client = server.connect();
            client.send(&beginning);
            pour(&mut client, &flood, 64 * MIB);
        }
    });
    assert!(flooded < MIB, "{flooded} bytes for heads without an end");

    // Many heads that stop just before the limit are held, each within the limit.
    let count = 200;
    let held = peak(|| {
        let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
        let part = get(&format!("x: {}", "x".repeat(32_000)));
        for client in &mut clients {
            client.send(&part);
        }
        for client in &mut clients {
            client.send("x".repeat(1000));
            refused(client, 431, "a head over the limit");
        }
    });
    let each = held / count;
    assert!(
        each > 32_000,
        "{each} bytes for each of {count} heads: nothing is measured"
    );
    assert!(each < 96 * 1024, "{each} bytes for each of {count} heads");
}

pub fn of_a_body_over_the_limit() {
    let _alone = ALONE.write().unwrap_or_else(|e| e.into_inner());
    let server = Running::start(house());
    server.connect().send(get("\r\n")).answer();
    let chunk = [b"8000\r\n", &vec![b'x'; 0x8000][..], b"\r\n"].concat();
    let (mut poured, mut status) = (0, 0);
    let held = peak(|| {
        let mut client = server.connect();
        client.send(at("POST", "/small", "transfer-encoding: chunked\r\n\r\n"));
        poured = pour(&mut client, &chunk, 64 * MIB);
        status = client.answer().status;
    });
    assert_eq!(status, 413);
    assert!(poured < 64 * MIB, "{poured} bytes were swallowed");
    assert!(held < MIB, "{held} bytes for a body over the limit");
}

pub fn of_a_body_that_nobody_reads() {
    let _alone = ALONE.write().unwrap_or_else(|e| e.into_inner());
    let server = Running::start(house());
    server.connect().send(get("\r\n")).answer();
    let flood = vec![b'x'; 64 * 1024];
    let chunk = [b"8000\r\n", &vec![b'x'; 0x8000][..], b"\r\n"].concat();
    for (framing, piece) in [
        ("content-length: 10000000", &flood),
        ("transfer-encoding: chunked", &chunk),
    ] {
        let (mut poured, mut answer) = (0, None);
        let held = peak(|| {
            let mut client = server.connect();
            client.send(at("POST", "/deaf", &format!("{framing}\r\n\r\n")));
            answer = Some(client.answer());
            poured = pour(&mut client, piece, 64 * MIB);
        });
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "deaf"));
        // The bytes in the system's buffers are not the server's.
        assert!(
            poured < 64 * MIB,
            "{framing}: {poured} bytes were swallowed"
        );
        assert!(held < MIB, "{framing}: {held} bytes");
    }
    // Up to 256 KiB is drained, and the connection goes on.
    let mut client = server.connect();
    for length in [1, 70_000, 256 * 1024] {
        client.send(at(
            "POST",
            "/deaf",
            &format!("content-length: {length}\r\n\r\n"),
        ));
        assert_eq!(client.answer().header("connection"), None, "{length}");
        client.send("x".repeat(length));
    }
    assert_eq!(client.send(post("\r\n")).answer().status, 200);
}

pub fn of_connections_over_the_limit() {
    let _alone = ALONE.write().unwrap_or_else(|e| e.into_inner());
    let config = ServerConfig {
        max_connections: 5,
        ..ServerConfig::default()
    };
    let server = Running::with(house(), config);
    let mut first: Vec<_> = (0..5).map(|_| server.connect()).collect();
    for client in &mut first {
        assert_eq!(client.send(get("\r\n")).answer().status, 200);
    }
    let count = 100;
    let mut waiting: Vec<_> = (0..count).map(|_| server.connect()).collect();
    let held = peak(|| {
        let request = get(&format!("x: {}\r\n\r\n", "x".repeat(20_000)));
        for client in &mut waiting {
            client.send(&request);
        }
    });
    // Of the 2 MB that were sent.
    assert!(held < 200_000, "{held} bytes for connections that wait");
    drop(first);
    for mut client in waiting {
        assert_eq!(client.answer().status, 200);
    }
    let mut client = server.connect();
    eventually("a place", || {
        client.send(get("\r\n")).answer().status == 200
    });
}
