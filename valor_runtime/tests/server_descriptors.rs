//! A server that runs out of file descriptors. The limit applies to the whole process, so this is a program with one
//! test. (Windows has no such limit to set.)

#![cfg(unix)]

#[path = "server/harness.rs"]
mod harness;

use harness::{Client, Running, eventually, mirror};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fs::File,
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// Counts the server's lines about accepting.
struct Ears;

static REFUSED: AtomicUsize = AtomicUsize::new(0);
static ACCEPTED_AGAIN: AtomicUsize = AtomicUsize::new(0);

impl log::Log for Ears {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "valor::server"
    }

    fn log(&self, record: &log::Record<'_>) {
        let message = record.args().to_string();
        if message.starts_with("no connection can be accepted") {
            REFUSED.fetch_add(1, Ordering::SeqCst);
        } else if message.contains("accepted again") {
            ACCEPTED_AGAIN.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[test]
fn accepting_pauses_says_so_once_and_goes_on() {
    log::set_logger(&Ears).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let server = Running::start(mirror());
    let mut before = server.connect();
    assert_eq!(before.send(GET).answer().status, 200);

    let limit = getrlimit(Resource::Nofile);
    let low = Rlimit {
        current: Some(100),
        ..limit
    };
    setrlimit(Resource::Nofile, low).unwrap();
    // Takes every descriptor there is, and leaves room only for the client's side.
    let mut taken: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!taken.is_empty());
    taken.pop();
    let stream = TcpStream::connect(server.addr()).unwrap();
    eventually("a failed accept", || REFUSED.load(Ordering::SeqCst) > 0);
    // Connected clients are served, and the log is not flooded.
    for _ in 0..20 {
        assert_eq!(before.send(GET).answer().status, 200);
        thread::sleep(Duration::from_millis(30));
    }
    assert_eq!(REFUSED.load(Ordering::SeqCst), 1);

    drop(taken);
    let mut late = Client::of(stream);
    assert_eq!(late.send(GET).answer().status, 200);
    assert_eq!(ACCEPTED_AGAIN.load(Ordering::SeqCst), 1);
    assert_eq!(server.connect().send(GET).answer().status, 200);
}
