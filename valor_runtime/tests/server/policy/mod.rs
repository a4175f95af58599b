//! What goes in and what must come out, row by row. Every row is played three times: at once,
//! byte by byte, and in random segments.

mod bodies;
mod heads;

use crate::harness::{Client, Running, mirror};
use std::io;
use valor_runtime::server::ServerConfig;

/// What comes out.
#[derive(Clone)]
enum Out {
    /// A response of this status; the body holds this text.
    Says(u16, &'static str),
    /// A problem of this status, and the end of the connection.
    Refused(u16),
    /// The connection ends, with nothing more to read.
    Closed,
}
use Out::{Closed, Refused, Says};

struct Row {
    name: &'static str,
    sent: Vec<u8>,
    out: Vec<Out>,
}

fn row(name: &'static str, sent: impl Into<Vec<u8>>, out: &[Out]) -> Row {
    Row {
        name,
        sent: sent.into(),
        out: out.to_vec(),
    }
}

fn get(rest: &str) -> String {
    format!("GET / HTTP/1.1\r\nhost: a\r\n{rest}")
}

fn post(rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{rest}")
}

/// Sends the bytes in segments of these lengths.
fn play(client: &mut Client, bytes: &[u8], mut segment: impl FnMut() -> usize) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(segment().clamp(1, rest.len()));
        // A server that has refused already may have closed its side.
        if io::Write::write_all(&mut client.stream, now).is_err() {
            return;
        }
        rest = later;
    }
}

fn check(client: &mut Client, out: &[Out], what: &str) {
    for out in out {
        match out {
            Says(status, seen) => {
                let answer = client.try_answer(false);
                let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(answer.status, *status, "{what}: {answer:?}");
                assert!(answer.text().contains(seen), "{what}: {answer:?}");
                assert!(answer.header("date").is_some(), "{what}: {answer:?}");
            }
            Refused(status) => {
                let answer = client.try_answer(false);
                let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_eq!(answer.status, *status, "{what}: {answer:?}");
                let kind = answer.header("content-type");
                assert_eq!(kind, Some("application/problem+json"), "{what}");
                assert_eq!(answer.header("connection"), Some("close"), "{what}");
                assert!(answer.header("x-correlation-id").is_some(), "{what}");
                let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!(problem["status"], *status, "{what}");
                let rest = client.rest();
                assert!(
                    rest.as_ref().is_ok_and(Vec::is_empty),
                    "{what}: then {rest:?}"
                );
            }
            Closed => assert!(client.is_closed(), "{what}: it is not closed"),
        }
    }
}

fn every_row(rows: &[Row], name: &str, mut segment: impl FnMut() -> usize) {
    let server = Running::start(mirror());
    for row in rows {
        println!("{name}: {}", row.name);
        let mut client = server.connect();
        play(&mut client, &row.sent, &mut segment);
        check(&mut client, &row.out, row.name);
        if let Some(Says(..)) = row.out.last() {
            // What comes last leaves a connection that can be used again.
            client.send("GET /again HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            check(&mut client, &[Says(200, "GET /again"), Closed], row.name);
        }
    }
}

#[test]
fn heads_at_once() {
    every_row(&heads::rows(), "at once", || usize::MAX);
}

#[test]
fn heads_byte_by_byte() {
    every_row(&heads::rows(), "byte by byte", || 1);
}

#[test]
fn heads_in_random_segments() {
    let mut random = fastrand::Rng::with_seed(7);
    every_row(&heads::rows(), "in segments", || random.usize(1..40));
}

#[test]
fn bodies_at_once() {
    every_row(&bodies::rows(), "at once", || usize::MAX);
}

#[test]
fn bodies_byte_by_byte() {
    every_row(&bodies::rows(), "byte by byte", || 1);
}

#[test]
fn bodies_in_random_segments() {
    for seed in 0..5 {
        let mut random = fastrand::Rng::with_seed(seed);
        every_row(&bodies::rows(), "in segments", || random.usize(1..20));
    }
}

#[test]
fn limits_of_a_head_can_be_set() {
    let config = ServerConfig {
        max_head: 300,
        max_headers: 200,
        max_target: 20,
        ..ServerConfig::default()
    };
    let server = Running::with(mirror(), config);
    for (sent, status) in [
        (get("\r\n"), 200),
        (get(&format!("x: {}\r\n\r\n", "x".repeat(300))), 431),
        (get(&format!("{}\r\n", "x:\r\n".repeat(60))), 200),
        (get(&format!("{}\r\n", "x:\r\n".repeat(150))), 431),
        (
            format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(20)),
            414,
        ),
    ] {
        let mut client = server.connect();
        assert_eq!(client.send(&sent).answer().status, status, "{sent}");
    }
}
