//! The log and the metrics say what the client got, also if that is not what the vlugin answered. A client that leaves
//! is not the vlugin's fault.

use crate::harness::{Client, Running, chunks, data, eventually, text};
use std::{
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};
use valor_runtime::{
    Chunk, Fault, Request, Response, Runtime, from_fn,
    server::{Listen, ServerConfig},
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the log, as `LEVEL target vlugin status bytes complete: message`.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("valor::")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let keys = ["vlugin", "status", "bytes", "complete"].map(|name| {
            let value = record.key_values().get(name.into());
            value.map_or_else(|| "-".to_owned(), |value| value.to_string())
        });
        let (level, target) = (record.level(), record.target());
        let line = format!("{level} {target} {}: {}", keys.join(" "), record.args());
        lines().push(line);
    }

    fn flush(&self) {}
}

fn lines() -> std::sync::MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// A server of a runtime with this vlugin.
fn serving<F, Fut>(name: &str, answer: F) -> Running
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Fault>> + Send + 'static,
{
    keep_log();
    let runtime = Runtime::builder().build().unwrap();
    runtime.add(name, from_fn(answer)).unwrap();
    let config = ServerConfig {
        body_timeout: Duration::from_millis(300),
        ..ServerConfig::default()
    };
    Running::on(&["127.0.0.1:0".parse::<Listen>().unwrap()], runtime, config)
}

/// The line of the access log, once it is there.
fn logged(name: &str) -> String {
    let start = format!("INFO valor::access {name} ");
    let found = || lines().iter().find(|it| it.starts_with(&start)).cloned();
    eventually("a line in the access log", || found().is_some());
    found().unwrap()
}

/// Whether the metrics count one request of this vlugin with this status, and none with 200.
fn counted(server: &Running, name: &str, status: u16) -> bool {
    let mut client = server.connect();
    client.send("GET /_metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    let metrics = client.answer().text();
    let row = |status| format!("valor_requests_total{{status=\"{status}\",vlugin=\"{name}\"}} 1");
    metrics.contains(&row(status)) && (status == 200 || !metrics.contains(&row(200)))
}

/// Asks, and compares what the client got with the log and the metrics.
fn agree<F>(name: &str, status: u16, answer: F)
where
    F: Fn() -> Response + Send + Sync + 'static,
{
    let server = serving(name, move |_| std::future::ready(Ok(answer())));
    let mut client = server.connect();
    client.send(format!("GET /{name} HTTP/1.1\r\nhost: a\r\n\r\n"));
    let got = client.answer();
    assert_eq!(got.status, status, "{name}: {}", got.text());
    assert_eq!(got.header("x-valor-plugin"), Some(name));
    let expected = format!(
        "INFO valor::access {name} {status} {} true: request",
        got.body.len()
    );
    assert_eq!(logged(name), expected);
    assert!(counted(&server, name, status), "{name}");
}

#[test]
fn a_response_that_the_server_replaces_is_logged_and_counted_as_its_replacement() {
    agree("good", 200, || chunks(None, vec![data("good")]));
    agree("fails-at-once", 500, || {
        chunks(None, vec![Err(std::io::Error::other("no"))])
    });
    agree("panics-at-once", 500, || {
        let mut response = Response::new(200);
        let chunks = futures_lite::stream::poll_fn(|_| panic!("no"));
        response.body = valor_runtime::Body::stream(None, chunks);
        response
    });
    agree("ends-short", 500, || chunks(Some(4), vec![]));
    agree("bad-trailers", 500, || {
        let trailers = vec![("x".to_owned(), b"\x01".to_vec())];
        chunks(None, vec![Ok(Chunk::Trailers(trailers))])
    });
    agree("bad-header", 500, || {
        let mut response = text("good");
        response.head.push("x", b"\x01").unwrap();
        response
    });
}

#[test]
fn a_body_that_the_client_does_not_finish_is_logged_with_what_the_client_got() {
    // The vlugin would answer 200.
    let reads = |mut request: Request| async move {
        while let Some(Ok(_)) = request.body.chunk().await {}
        Ok(text("read"))
    };
    let server = serving("slow", reads);
    let mut client = server.connect();
    client.send("POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc");
    let got = client.answer();
    assert_eq!(got.status, 408);
    let len = got.body.len();
    assert_eq!(
        logged("slow"),
        format!("INFO valor::access slow 408 {len} true: request")
    );
    assert!(counted(&server, "slow", 408));

    let server = serving("left", reads);
    leave(server.connect(), "left");
    assert_eq!(
        logged("left"),
        "INFO valor::access left 499 0 false: request"
    );
    assert!(counted(&server, "left", 499));
}

/// Sends some of a body, and leaves.
fn leave(mut client: Client, name: &str) {
    client.send(format!(
        "POST /{name} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc"
    ));
    client.finish_sending();
    let _ = client.rest();
}

#[test]
fn a_client_that_leaves_is_not_the_vlugins_fault() {
    // One sends the body back, the other fails without it.
    let echo = serving("echo", |request: Request| async move {
        let mut response = Response::new(200);
        response.body = request.body;
        Ok(response)
    });
    leave(echo.connect(), "echo");
    let whole = serving("whole", |request: Request| async move {
        let read = request.body.bytes(99).await;
        read.map(text)
            .map_err(|error| Fault::error(500, error.to_string()))
    });
    leave(whole.connect(), "whole");
    for name in ["echo", "whole"] {
        logged(name);
        let blamed = format!("ERROR valor::dispatch {name} ");
        let found = lines().iter().find(|it| it.starts_with(&blamed)).cloned();
        assert_eq!(found, None);
        let told = format!("DEBUG valor::dispatch {name} ");
        assert!(
            lines().iter().any(|it| it.starts_with(&told)),
            "{name}: {:?}",
            *lines()
        );
    }
}
