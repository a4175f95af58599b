//! Conversations of raw bytes. Each is played three times, each time on a new connection: sent whole, byte by byte,
//! and in random segments.

use crate::harness::{Answer, Client, Running, eventually};
use std::{
    io::{ErrorKind, Write},
    sync::{Arc, RwLock},
};
use valor_runtime::{Vlugin, server::ServerConfig};

/// Rows are played side by side. Those that measure memory are played alone.
pub static ALONE: RwLock<()> = RwLock::new(());

/// A conversation: what is sent, and what must come back.
pub struct Case {
    name: &'static str,
    steps: Vec<Step>,
    /// Requested on another connection, which stays open to the end.
    meanwhile: Option<&'static str>,
}

enum Step {
    Send(Vec<u8>),
    EndSending,
    Continue,
    Answer(Expected),
    Refused(u16),
    Closed,
    Cut,
}

/// A response that leaves the connection open, unless it says otherwise.
struct Expected {
    status: u16,
    head_only: bool,
    checks: Vec<Check>,
}

enum Check {
    Contains(String),
    Body(String),
    Header(&'static str, Vec<String>),
    Trailer(&'static str, &'static str),
    Reason(&'static str),
    Problem,
}

pub fn case(name: &'static str, sent: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        steps: vec![Step::Send(sent.into())],
        meanwhile: None,
    }
}

/// A GET with these lines after its Host. The last is the empty one.
pub fn get(rest: &str) -> String {
    at("GET", "/", rest)
}

pub fn post(rest: &str) -> String {
    at("POST", "/", rest)
}

pub fn at(method: &str, target: &str, rest: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: a\r\n{rest}")
}

impl Case {
    pub fn send(mut self, sent: impl Into<Vec<u8>>) -> Self {
        self.steps.push(Step::Send(sent.into()));
        self
    }

    pub fn end_sending(mut self) -> Self {
        self.steps.push(Step::EndSending);
        self
    }

    pub fn while_another_asks_for(mut self, target: &'static str) -> Self {
        self.meanwhile = Some(target);
        self
    }

    /// `100 Continue`.
    pub fn continues(mut self) -> Self {
        self.steps.push(Step::Continue);
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.steps.push(Step::Answer(Expected {
            status,
            head_only: false,
            checks: Vec::new(),
        }));
        self
    }

    /// A response with this in its body.
    pub fn says(self, status: u16, part: impl Into<String>) -> Self {
        self.status(status).check(Check::Contains(part.into()))
    }

    /// A response with exactly this body.
    pub fn body(self, status: u16, body: impl Into<String>) -> Self {
        self.status(status).check(Check::Body(body.into()))
    }

    /// A problem that leaves the connection open.
    pub fn problem(self, status: u16) -> Self {
        self.status(status).check(Check::Problem)
    }

    /// It answers a `HEAD`.
    pub fn answering_head(mut self) -> Self {
        if let Some(Step::Answer(expected)) = self.steps.last_mut() {
            expected.head_only = true;
        }
        self
    }

    fn check(mut self, check: Check) -> Self {
        match self.steps.last_mut() {
            Some(Step::Answer(expected)) => expected.checks.push(check),
            _ => panic!("{}: there is no answer to check", self.name),
        }
        self
    }

    /// With this header once.
    pub fn with(self, name: &'static str, value: &str) -> Self {
        self.check(Check::Header(name, vec![value.to_owned()]))
    }

    /// With all of these headers of one name, in this order.
    pub fn with_all(self, name: &'static str, values: &[&str]) -> Self {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        self.check(Check::Header(name, values))
    }

    pub fn without(self, name: &'static str) -> Self {
        self.check(Check::Header(name, Vec::new()))
    }

    pub fn trailer(self, name: &'static str, value: &'static str) -> Self {
        self.check(Check::Trailer(name, value))
    }

    pub fn reason(self, reason: &'static str) -> Self {
        self.check(Check::Reason(reason))
    }

    /// A problem with `connection: close`, and then the end of the connection.
    pub fn refused(mut self, status: u16) -> Self {
        self.steps.push(Step::Refused(status));
        self
    }

    /// The connection ends, with nothing more to read.
    pub fn closed(mut self) -> Self {
        self.steps.push(Step::Closed);
        self
    }

    /// The connection ends in the middle of a response.
    pub fn cut(mut self) -> Self {
        self.steps.push(Step::Cut);
        self
    }

    fn play(&self, server: &Running, mode: &mut Mode) {
        let mut other = None;
        if let Some(target) = self.meanwhile {
            // Until the one of the previous play has gone.
            eventually("the other request", || {
                let mut client = server.connect();
                client.send(at("GET", target, "\r\n"));
                let head = client.exactly(12).unwrap();
                other = Some(client);
                head == b"HTTP/1.1 200"
            });
        }
        let mut client = server.connect();
        let what = format!("{}, {}", self.name, mode.name());
        for step in &self.steps {
            match step {
                Step::Send(bytes) => send(&mut client, bytes, mode),
                Step::EndSending => client.finish_sending(),
                Step::Continue => assert_eq!(answer(&mut client, false, &what).status, 100),
                Step::Answer(expected) => expected.check(&mut client, &what),
                Step::Refused(status) => refused(&mut client, *status, &what),
                Step::Closed => assert!(client.is_closed(), "{what}: it is not closed"),
                Step::Cut => {
                    let ended = client.try_answer(false).and_then(|_| client.ended_well());
                    let error = ended.unwrap_err();
                    let cut = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                    assert!(cut.contains(&error.kind()), "{what}: {error}");
                }
            }
        }
        if let Some(Step::Answer(_)) = self.steps.last() {
            // The last step leaves a connection that can be used again.
            send(&mut client, at("GET", "/again", "\r\n").as_bytes(), mode);
            let again = answer(&mut client, false, &what);
            assert_eq!(again.text(), "GET /again host=a body=", "{what}");
        }
        drop(other);
    }
}

impl Expected {
    fn check(&self, client: &mut Client, what: &str) {
        let answer = answer(client, self.head_only, what);
        assert_eq!(answer.status, self.status, "{what}: {answer:?}");
        for name in ["date", "x-correlation-id"] {
            assert!(answer.header(name).is_some(), "{what}: {answer:?}");
        }
        for check in &self.checks {
            match check {
                Check::Contains(part) => {
                    assert!(answer.text().contains(part), "{what}: {answer:?}");
                }
                Check::Body(body) => assert_eq!(&answer.text(), body, "{what}: {answer:?}"),
                Check::Header(name, values) => {
                    let all = answer.headers.iter().filter(|(n, _)| n == name);
                    let all: Vec<_> = all.map(|(_, value)| value).collect();
                    assert_eq!(all, values.iter().collect::<Vec<_>>(), "{what}: {answer:?}");
                }
                Check::Trailer(name, value) => {
                    let trailer = ((*name).to_owned(), (*value).to_owned());
                    assert_eq!(answer.trailers, [trailer], "{what}: {answer:?}");
                }
                Check::Reason(reason) => assert_eq!(&answer.reason, reason, "{what}"),
                Check::Problem => is_problem(&answer, what),
            }
        }
    }
}

fn answer(client: &mut Client, head_only: bool, what: &str) -> Answer {
    let answer = client.try_answer(head_only);
    answer.unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn is_problem(answer: &Answer, what: &str) {
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{what}: {answer:?}");
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], answer.status, "{what}");
    assert!(problem["detail"].is_string(), "{what}");
}

/// Checks that the server refuses, and that nothing follows.
pub fn refused(client: &mut Client, status: u16, what: &str) {
    let answer = answer(client, false, what);
    assert_eq!(answer.status, status, "{what}: {answer:?}");
    is_problem(&answer, what);
    assert_eq!(answer.header("connection"), Some("close"), "{what}");
    assert!(answer.header("x-correlation-id").is_some(), "{what}");
    let rest = client.rest();
    assert!(
        rest.as_ref().is_ok_and(Vec::is_empty),
        "{what}: then {rest:?}"
    );
}

/// How bytes are sent.
pub enum Mode {
    Whole,
    Bytes,
    Segments(u64, fastrand::Rng),
}

impl Mode {
    fn name(&self) -> String {
        match self {
            Self::Whole => "whole".to_owned(),
            Self::Bytes => "byte by byte".to_owned(),
            Self::Segments(seed, _) => format!("in segments of seed {seed}"),
        }
    }

    fn next(&mut self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Bytes => 1,
            Self::Segments(_, random) => random.usize(1..40),
        }
    }
}

/// Sends in this way.
pub fn send(client: &mut Client, bytes: &[u8], mode: &mut Mode) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(mode.next().clamp(1, rest.len()));
        // A server that has already refused may have closed its side.
        if client.stream.write_all(now).is_err() {
            return;
        }
        rest = later;
    }
}

/// Plays every case in each way. `VALOR_SEED` repeats the segments of an earlier run.
pub fn every_case(row: &str, vlugin: Arc<dyn Vlugin>, config: ServerConfig, cases: &[Case]) {
    let _together = ALONE.read().unwrap_or_else(|e| e.into_inner());
    println!("{row}: {} conversations", cases.len());
    let seed = seed();
    let server = Running::with(vlugin, config);
    for case in cases {
        println!("{}", case.name);
        for mut mode in ways(seed) {
            case.play(&server, &mut mode);
        }
    }
}

/// Every way to send.
pub fn ways(seed: u64) -> [Mode; 3] {
    let random = fastrand::Rng::with_seed(seed);
    [Mode::Whole, Mode::Bytes, Mode::Segments(seed, random)]
}

/// The seed of an earlier run, or a fresh one.
pub fn seed() -> u64 {
    let seed = match std::env::var("VALOR_SEED") {
        Ok(seed) => seed.parse().expect("VALOR_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("VALOR_SEED={seed}");
    seed
}
