//! Conversations over a real socket with real libraries: well-behaved ones, and one that does everything that a vlugin
//! must not do.

mod fixture;
mod socket;

use fixture::definition;
use serde_json::json;
use socket::{Serving, serve, serve_with};
use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use valor_runtime::{Limits, Response, Runtime, from_fn, server::ServerConfig};

/// A runtime with the healthy `hello` and the misbehaving `bad`, and a server in front of it.
fn start(limits: Limits) -> (Arc<Runtime>, Serving) {
    let runtime = Runtime::builder().build().unwrap();
    let mut bad = definition("bad", fixture::misbehaving());
    bad.limits = limits;
    let all = [definition("hello", fixture::hello_plugin()), bad];
    for outcome in smol::block_on(runtime.load_all(&all)) {
        outcome.unwrap();
    }
    let serving = serve(runtime.clone());
    (runtime, serving)
}

/// The log of this process, kept so that tests can search it.
fn log_lines() -> &'static Mutex<Vec<String>> {
    struct Keep(Mutex<Vec<String>>);
    impl log::Log for Keep {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            let line = format!("{} {} {}", record.level(), record.target(), record.args());
            self.0.lock().unwrap().push(line);
        }
        fn flush(&self) {}
    }
    static LOG: OnceLock<&'static Keep> = OnceLock::new();
    let keep = LOG.get_or_init(|| {
        let keep: &'static Keep = Box::leak(Box::new(Keep(Mutex::default())));
        log::set_logger(keep).expect("the only logger");
        log::set_max_level(log::LevelFilter::Info);
        keep
    });
    &keep.0
}

fn logged(part: &str) -> bool {
    let lines = log_lines().lock().unwrap();
    lines.iter().any(|line| line.contains(part))
}

fn wait_until_logged(part: &str) {
    let start = Instant::now();
    while !logged(part) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "`{part}` is not in {:#?}",
            log_lines().lock().unwrap()
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_library_answers_over_a_socket() {
    let (_runtime, serving) = start(Limits::default());
    let mut connection = serving.connect();
    for _ in 0..3 {
        let answer = connection.get("/hello").unwrap();
        assert_eq!(
            (answer.status, answer.text()),
            (200, "OK response from a plugin")
        );
        assert_eq!(answer.header("x-valor-plugin"), Some("hello"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain;charset=utf-8")
        );
        assert_eq!(answer.header("x-correlation-id").unwrap().len(), 32);
    }
    let answer = connection
        .send("POST", "/bad/echo", &[], &[b'x'; 300_000])
        .unwrap();
    assert_eq!(answer.body, [b'x'; 300_000]);
    assert_eq!(connection.get("/bad/stream").unwrap().text(), "onetwothree");
    assert_eq!(connection.get("/bad/sleep?n=10").unwrap().text(), "slept");
    assert_eq!(connection.get("/nowhere").unwrap().status, 404);
    assert_eq!(serving.stop().cut_off, 0);
}

#[test]
fn a_library_sees_who_asks() {
    let (runtime, serving) = start(Limits::default());
    let spoofed = [
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6;host=evil.example"),
        ("x-forwarded-proto", "https"),
    ];
    for headers in [&[][..], &spoofed] {
        let mut connection = serving.connect();
        let answer = connection.send("GET", "/bad/client", headers, b"").unwrap();
        let local = connection.local_addr();
        assert_eq!(
            answer.text(),
            format!("{local} http://localhost/client {local}")
        );
    }

    let config = ServerConfig {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..ServerConfig::default()
    };
    let serving = serve_with(runtime, config);
    let headers = [
        ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
    ];
    let mut connection = serving.connect();
    let answer = connection.send("GET", "/bad/client?x", &headers, b"");
    assert_eq!(
        answer.unwrap().text(),
        "203.0.113.7:0 https://shop.example/client?x 203.0.113.7"
    );
}

#[test]
fn two_mounts_of_one_library_have_a_state_and_a_name_each() {
    log_lines();
    let runtime = Runtime::builder().build().unwrap();
    for (name, config) in [("one", "first"), ("two", "second")] {
        let mut definition = definition(name, fixture::misbehaving());
        definition.config = json!(config);
        smol::block_on(runtime.load(&definition)).unwrap();
    }
    let serving = serve(runtime);
    assert_eq!(serving.get("/one/config").text(), "first");
    assert_eq!(serving.get("/two/config").text(), "second");
}

#[test]
fn what_a_vlugin_does_wrong_is_one_response() {
    log_lines();
    let (_runtime, serving) = start(Limits {
        timeout: Some(0.2),
        ..Limits::default()
    });
    let mut neighbour = serving.connect();
    for (target, status, line) in [
        (
            "/bad/panic-before",
            500,
            Some("the vlugin `bad` panicked: before the future at "),
        ),
        (
            "/bad/panic",
            500,
            Some("the vlugin `bad` panicked: in the future at "),
        ),
        (
            "/bad/panic-later",
            500,
            Some("the vlugin `bad` panicked: after a wait at "),
        ),
        (
            "/bad/panic-payload",
            500,
            Some("the vlugin `bad` panicked: "),
        ),
        (
            "/bad/panic-again",
            500,
            Some("the vlugin `bad` panicked: the second"),
        ),
        ("/bad/panic-thread", 200, None),
        (
            "/bad/drop-panic",
            500,
            Some("the vlugin `bad` panicked: dropped at the end at "),
        ),
        (
            "/bad/error?n=500",
            500,
            Some("the vlugin `bad` failed: as you asked"),
        ),
        ("/bad/error?n=403", 403, None),
        (
            "/bad/hang",
            504,
            Some("the vlugin `bad` was stopped: no response within 0.2 s"),
        ),
        ("/bad/hang-bomb", 504, Some("dropped while it waited")),
        ("/bad/bad-header", 500, Some("the vlugin `bad` failed: ")),
    ] {
        let answer = serving.get(target);
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert_eq!(answer.header("x-valor-plugin"), Some("bad"), "{target}");
        if status >= 400 {
            assert_eq!(
                answer.header("content-type"),
                Some("application/problem+json")
            );
            assert_eq!(answer.json()["status"], status);
        }
        if let Some(line) = line {
            wait_until_logged(line);
        }
        assert_eq!(
            neighbour.get("/hello").unwrap().status,
            200,
            "after {target}"
        );
    }
    // A panic's place is the line in the vlugin's own source.
    let lines = log_lines().lock().unwrap();
    let place = lines
        .iter()
        .find_map(|line| line.split_once("in the future at "));
    assert!(
        place.is_some_and(|(_, place)| place.contains("src/lib.rs:")),
        "{place:?}"
    );
    drop(lines);
    let metrics = serving.get("/_metrics");
    let panics = metrics
        .text()
        .lines()
        .find(|l| l.starts_with("valor_panics_total{vlugin=\"bad\"}"));
    assert_eq!(panics, Some("valor_panics_total{vlugin=\"bad\"} 6"));
}

#[test]
fn a_stream_that_goes_wrong_breaks_the_response_off() {
    log_lines();
    let (_runtime, serving) = start(Limits::default());
    for (target, line) in [
        ("/bad/stream-fails", "broke off: no more"),
        ("/bad/stream-panics", "in the stream"),
        ("/bad/stream-short", "broke off: "),
        ("/bad/stream-error-panics", "broke off: "),
    ] {
        let broken = serving.connect().get(target);
        assert!(broken.is_err(), "{target}: {broken:?}");
        wait_until_logged(line);
        assert_eq!(serving.get("/hello").status, 200, "after {target}");
    }
    // The runtime has said so, and its server says nothing more.
    assert!(
        !logged("the response's stream"),
        "{:#?}",
        log_lines().lock().unwrap()
    );
    // A body whose stream panics only when it is dropped, at its end, has been sent whole.
    assert_eq!(serving.get("/bad/stream-drop-panics").text(), "one");
    wait_until_logged("dropped with its stream");
}

#[test]
fn a_client_that_goes_away_ends_a_stream() {
    let (_runtime, serving) = start(Limits::default());
    let in_flight = "valor_requests_in_flight{vlugin=\"bad\"} ";
    let running = || {
        let metrics = serving.get("/_metrics");
        let line = metrics
            .text()
            .lines()
            .find_map(|line| line.strip_prefix(in_flight));
        line.map_or(0, |count| count.parse::<u32>().unwrap())
    };
    for target in ["/bad/stream-endless", "/bad/stream-stalls", "/bad/hang"] {
        let mut connection = serving.connect();
        connection
            .write(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())
            .unwrap();
        if target != "/bad/hang" {
            assert_eq!(connection.read_head().unwrap().status, 200);
            assert!(connection.chunk().unwrap().is_some());
        }
        let start = Instant::now();
        while running() != 1 {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{target} does not begin"
            );
            thread::sleep(Duration::from_millis(5));
        }
        drop(connection);
        while running() != 0 {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{target} does not end"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_vlugin_that_blocks_is_named_and_others_go_on() {
    log_lines();
    let (_runtime, serving) = start(Limits::default());
    // There are more of them than workers, so only spare workers can answer.
    let addr = serving.addr.clone();
    let blocked: Vec<_> = (0..3)
        .map(|_| {
            let addr = addr.clone();
            thread::spawn(move || {
                socket::Connection::to(&addr)
                    .get("/bad/block?n=4000")
                    .unwrap()
            })
        })
        .collect();
    wait_until_logged("the vlugin `bad` has blocked its thread for ");
    assert_eq!(serving.get("/hello").status, 200);
    assert!(blocked.iter().any(|thread| !thread.is_finished()));
    for thread in blocked {
        assert_eq!(thread.join().unwrap().text(), "blocked");
    }
    wait_until_logged("the vlugin `bad` gave its thread back");
}

#[test]
fn many_blocked_requests_leave_threads_to_others() {
    let (runtime, serving) = start(Limits::default());
    let open = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicUsize::new(0));
    let (gate, count) = (open.clone(), begun.clone());
    let blocks = from_fn(move |_| {
        let gate = gate.clone();
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            while !gate.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
            Ok(Response::new(204))
        }
    });
    runtime.add("gate", blocks).unwrap();
    // Five for each of the two workers.
    let addr = serving.addr.clone();
    let blocked: Vec<_> = (0..10)
        .map(|_| {
            let addr = addr.clone();
            thread::spawn(move || socket::Connection::to(&addr).get("/gate").unwrap().status)
        })
        .collect();
    while begun.load(Ordering::SeqCst) < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    // By now no worker is left, and eight more requests wait to block any that comes.
    let answers: Vec<_> = (0..3).map(|_| serving.get("/hello").status).collect();
    let ended = blocked.iter().filter(|thread| thread.is_finished()).count();
    open.store(true, Ordering::SeqCst);
    assert_eq!((&*answers, ended), (&[200; 3][..], 0));
    for thread in blocked {
        assert_eq!(thread.join().unwrap(), 204);
    }
}

/// 64 connections for ten seconds: half of them at a vlugin that panics each time, half at its neighbour. None of the
/// neighbour's requests may fail.
#[test]
fn under_load_the_neighbours_never_notice() {
    let (_runtime, serving) = start(Limits::default());
    let stop = AtomicBool::new(false);
    let (healthy, panics) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in 0..64 {
            let (serving, stop) = (&serving, &stop);
            let (healthy, panics) = (&healthy, &panics);
            scope.spawn(move || {
                let mut connection = serving.connect();
                while !stop.load(Ordering::Relaxed) {
                    let (target, status, count) = match client % 2 {
                        0 => ("/hello", 200, healthy),
                        _ => ("/bad/panic", 500, panics),
                    };
                    let answer = connection.get(target).expect("an answer");
                    assert_eq!(answer.status, status, "{target}");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(Duration::from_secs(10));
        stop.store(true, Ordering::Relaxed);
    });
    let (healthy, panics) = (healthy.into_inner(), panics.into_inner());
    println!("{healthy} healthy requests beside {panics} panics, none failed");
    assert!(healthy > 0 && panics > 0);
    let metrics = serving.get("/_metrics");
    let counted = format!("valor_panics_total{{vlugin=\"bad\"}} {panics}");
    assert!(metrics.text().contains(&counted), "{}", metrics.text());
}
