//! Each limit, and a guest that breaks it.

use super::{
    by_hand::{HELLO, definition},
    get, guest, request, runtime,
    socket::Connection,
};
use futures_lite::{
    future::{self, block_on},
    io::{BufReader, Cursor},
};
use serde_json::Value;
use std::{
    cell::Cell,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use valor_runtime::{
    Limits, RegistryAccess, Runtime, Token, Vlugin, from_fn, http,
    server::{Server, ServerConfig},
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.target(), record.args());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// Collects the log's lines, for every test of this program.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Error);
    });
}

fn is_logged(part: &str) -> bool {
    LINES.lock().unwrap().iter().any(|line| line.contains(part))
}

#[test]
fn the_log_tells_of_traps_and_panics() {
    listen();
    let mut definition = guest(Value::Null);
    definition.name = "told".into();
    let runtime = runtime(&definition);
    assert_eq!(block_on(get(&runtime, "/told/deep")).0, 502);
    let lines = LINES.lock().unwrap();
    let of_trap = |line: &&String| line.starts_with("valor::wasm the vlugin `told` trapped");
    let line = lines.iter().find(of_trap).expect("a line of the trap");
    for part in ["out of bounds memory access", "guest::deep"] {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
    drop(lines);

    // The text of a panic comes with the response's fault, and so does its place.
    assert_eq!(block_on(get(&runtime, "/told/panic")).0, 500);
    let lines = LINES.lock().unwrap();
    let of_panic = |line: &&String| line.contains("`told` panicked");
    let line = lines.iter().find(of_panic).expect("a line of the panic");
    for part in ["as it was asked", "guest/src/lib.rs:"] {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

#[test]
fn a_loop_without_end_is_ended_and_others_have_their_turn() {
    let mut endless = guest(Value::Null);
    endless.limits.cpu = Some(0.3);
    let runtime = runtime(&endless);
    let mut other = guest(Value::Null);
    other.name = "other".into();
    block_on(runtime.load(&other)).unwrap();
    // Both run on this one thread.
    block_on(async {
        let looped = Cell::new(false);
        let looping = async {
            let answer = get(&runtime, "/guest/loop").await;
            looped.set(true);
            answer
        };
        let turns = async {
            let mut turns = 0;
            while !looped.get() {
                assert_eq!(get(&runtime, "/other").await.0, 200);
                turns += 1;
                future::yield_now().await;
            }
            turns
        };
        let (looping, turns) = future::zip(looping, turns).await;
        assert_eq!(looping.0, 504);
        let why = "the vlugin `guest` ran for more than 0.3 s without a pause (`limits.cpu`)";
        assert!(looping.1.contains(why), "{}", looping.1);
        assert!(turns > 10, "{turns} turns in 30 ticks");
        assert_eq!(get(&runtime, "/guest").await.0, 200);
    });
}

#[test]
fn a_guest_that_says_that_it_took_too_long_was_not_stopped_by_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    // A fault of the kind that only the host's limits have, instead of a response.
    let text = HELLO
        .replace(
            r"\0c\00\00\00\02\00\00\00\02",
            r"\09\00\00\00\04\00\00\00\00",
        )
        .replace(
            r"\02\0b\c8\00\00\00\00\00\00\00\00\00",
            r"\03\00\f8\01\01\00\00\00x",
        )
        .replace(
            "(i32.const 0) (i32.const 30)",
            "(i32.const 0) (i32.const 25)",
        );
    let runtime = runtime(&definition(&folder, &text));
    let (status, said) = block_on(get(&runtime, "/by_hand"));
    assert_eq!(status, 504, "{said}");
    assert!(said.contains("failed; the log says why"), "{said}");
}

#[test]
fn a_loop_without_end_leaves_the_only_worker_of_a_server_to_others() {
    // With the default limit.
    let runtime = runtime(&guest(Value::Null));
    let mut other = guest(Value::Null);
    other.name = "other".into();
    block_on(runtime.load(&other)).unwrap();

    #[derive(Default)]
    struct Seen {
        begun: AtomicBool,
        ended: AtomicBool,
    }
    let seen = Arc::new(Seen::default());
    let watched = {
        let seen = seen.clone();
        // On the worker itself, before and after the poll that runs the loop.
        from_fn(move |request| {
            let is_loop = request.head.path() == "/guest/loop";
            let (seen, runtime) = (seen.clone(), runtime.clone());
            async move {
                seen.begun.fetch_or(is_loop, Ordering::SeqCst);
                let answer = runtime.on_request(request).await;
                seen.ended.fetch_or(is_loop, Ordering::SeqCst);
                answer
            }
        })
    };
    let listen = ["127.0.0.1:0".parse().unwrap()];
    let server = block_on(Server::bind(&listen, ServerConfig::default())).unwrap();
    let addr = server.local_addrs()[0].to_string();
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            let until = async move {
                let _ = stopped.recv().await;
            };
            block_on(server.run(watched, 1, until)).unwrap()
        });
        let endless = scope.spawn(|| Connection::to(&addr).get("/guest/loop").unwrap().status);
        while !seen.begun.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let mut others = Connection::to(&addr);
        let mut meanwhile = 0;
        loop {
            let status = others.get("/other").unwrap().status;
            assert_eq!(status, 200);
            if seen.ended.load(Ordering::SeqCst) {
                break;
            }
            meanwhile += 1;
        }
        let endless = endless.join();
        // Before the checks, because the scope waits for the server.
        stop.close();
        assert_eq!(endless.unwrap(), 504);
        assert!(meanwhile > 0, "the loop had the worker for itself");
    });
}

#[test]
fn work_with_pauses_may_take_longer_than_one_run() {
    let mut definition = guest(Value::Null);
    definition.limits.cpu = Some(60.0);
    let runtime = runtime(&definition);
    assert_eq!(block_on(get(&runtime, "/guest/burn?n=3")).1, "burnt");
}

#[test]
fn memory_is_limited_and_a_trap_takes_only_its_own_instance() {
    let mut definition = guest(Value::Null);
    definition.limits.memory = Some(16 << 20);
    let runtime = runtime(&definition);
    block_on(async {
        assert_eq!(get(&runtime, "/guest/grow?n=4").await, (200, "4".into()));
        assert!(get(&runtime, "/guest/grow?n=100").await.0 >= 500);
        assert_eq!(get(&runtime, "/guest/grow?n=4").await, (200, "4".into()));
        assert_eq!(get(&runtime, "/guest/deep").await.0, 502);
        assert_eq!(get(&runtime, "/guest").await.0, 200);
    });
}

#[test]
fn memory_is_limited_where_nothing_is_said() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        assert_eq!(get(&runtime, "/guest/grow?n=55").await, (200, "55".into()));
        assert!(get(&runtime, "/guest/grow?n=64").await.0 >= 500);
        assert_eq!(get(&runtime, "/guest/count").await, (200, "1".into()));
    });
}

#[test]
fn bodies_are_limited() {
    let mut definition = guest(Value::Null);
    definition.limits.body = Some(1000);
    let runtime = runtime(&definition);
    let post = |len: usize, announced: bool| {
        let mut req = request("/guest/length");
        req.set_method(http::Method::Post);
        let bytes = BufReader::new(Cursor::new(vec![b'x'; len]));
        req.set_body(http::Body::from_reader(bytes, announced.then_some(len)));
        let mut res = block_on(runtime.handle(req));
        let text = block_on(res.body_string()).unwrap();
        (u16::from(res.status()), text)
    };
    for announced in [true, false] {
        assert_eq!(post(1000, announced), (200, "1000".into()));
        assert_eq!(post(1001, announced).0, 413, "announced: {announced}");
    }
    // A body that gives its length is refused before the guest hears of it.
    assert_eq!(block_on(get(&runtime, "/guest/count")).1, "4");
}

#[test]
fn requests_at_once_are_limited() {
    let mut definition = guest(Value::Null);
    definition.limits.concurrency = Some(2);
    let runtime = runtime(&definition);
    block_on(async {
        let mut sleeping: Vec<_> = (0..2)
            .map(|_| Box::pin(get(&runtime, "/guest/sleep?n=60000")))
            .collect();
        for one in &mut sleeping {
            assert!(future::poll_once(one).await.is_none());
        }
        let refused = runtime.handle(request("/guest")).await;
        assert_eq!(u16::from(refused.status()), 503);
        assert!(refused.header("retry-after").is_some());
        sleeping.pop();
        assert_eq!(get(&runtime, "/guest/dropped").await.1, "1");
    });
}

#[test]
fn who_waits_for_an_instance_that_traps_gets_502() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        let waiting = get(&runtime, "/guest/sleep?n=60000");
        let trapping = async {
            future::yield_now().await;
            get(&runtime, "/guest/deep").await
        };
        let (waiting, trapping) = future::zip(waiting, trapping).await;
        assert_eq!((waiting.0, trapping.0), (502, 502));
    });
}

#[test]
fn what_an_instance_never_heard_of_is_answered_by_the_next() {
    let mut definition = guest(Value::Null);
    definition.limits.cpu = Some(0.2);
    let runtime = runtime(&definition);
    block_on(async {
        // The loop gives its thread back at each tick, and later requests wait for its end.
        let looping = get(&runtime, "/guest/loop");
        let after = async {
            future::yield_now().await;
            get(&runtime, "/guest/count").await
        };
        let (looping, after) = future::zip(looping, after).await;
        assert_eq!((looping.0, after), (504, (200, "1".into())));
    });
}

#[test]
fn the_time_until_a_response_is_limited() {
    let mut definition = guest(Value::Null);
    definition.limits.timeout = Some(0.2);
    let runtime = runtime(&definition);
    let start = Instant::now();
    assert_eq!(block_on(get(&runtime, "/guest/sleep?n=60000")).0, 504);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(block_on(get(&runtime, "/guest/dropped")).1, "1");
}

#[test]
fn a_vlugin_that_is_never_ready_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ready = "(call $ready (i32.const 0) (i32.const 0))";
    let file = definition(&folder, &HELLO.replace(ready, "")).path.unwrap();
    // Otherwise the time of the registry's own vlugin would end first.
    let limits = Limits {
        timeout: Some(0.1),
        ..Limits::default()
    };
    let runtime = Runtime::builder()
        .plugin_dir(folder.path())
        .registry(RegistryAccess::Token(
            Token::new("0123456789abcdef").unwrap(),
        ))
        .limits(limits)
        .create_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let text = serde_json::json!({ "type": "wasm", "name": "late", "path": file }).to_string();
    let mut req = http::Request::new(http::Method::Post, "http://localhost/_plugins");
    req.set_body(text);
    req.insert_header("content-type", "application/json");
    req.insert_header("authorization", "Bearer 0123456789abcdef");
    let mut res = block_on(runtime.handle(req));
    let text = block_on(res.body_string()).unwrap();
    assert!(
        text.contains("`late` was not created within 0.5 s"),
        "{text}"
    );
    assert!(!text.contains("`_plugins`"), "{text}");
    assert!(text.contains("its `on_create` waits"), "{text}");
}

#[test]
fn a_vlugin_that_still_computes_is_not_said_to_wait() {
    let folder = tempfile::tempdir().unwrap();
    let ready = "(call $ready (i32.const 0) (i32.const 0))";
    let mut definition = definition(&folder, &HELLO.replace(ready, "(loop (br 0))"));
    definition.limits.cpu = Some(60.0);
    let runtime = Runtime::builder()
        .create_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let error = block_on(runtime.load(&definition)).unwrap_err().to_string();
    assert!(
        error.contains("was not created within 0.5 s: its code still runs"),
        "{error}"
    );
    assert!(!error.contains("on_create"), "{error}");
}

#[test]
fn instances_are_added_where_all_are_busy_and_more_are_allowed() {
    let mut definition = guest(Value::Null);
    definition.limits.instances = Some(2);
    definition.limits.cpu = Some(3.0);
    let runtime = runtime(&definition);
    block_on(async {
        assert_eq!(get(&runtime, "/guest/count").await.1, "1");
        // It comes back at the first tick, in the middle of its loop. Nobody is inside the instance then.
        let mut looping = Box::pin(get(&runtime, "/guest/loop"));
        assert!(future::poll_once(&mut looping).await.is_none());
        assert_eq!(get(&runtime, "/guest/count").await.1, "1");
        assert_eq!(get(&runtime, "/guest/count").await.1, "2");
        // Nobody waited for the loop to end.
        assert!(future::poll_once(&mut looping).await.is_none());
        assert_eq!(looping.await.0, 504);
    });
}

#[test]
fn what_an_instance_does_behind_its_response_is_done_with_nobody_waiting() {
    listen();
    // After its first answer, it works for some ticks. Then it logs `1` or `2`, as its answers are.
    let answer = "(call $respond (local.get $id) (i32.const 0) (i32.const 30))";
    let text = HELLO
        .replace(
            r#"(memory (export"#,
            r#"(import "valor1" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32 i32)))
               (global $count (mut i32) (i32.const 0)) (memory (export"#,
        )
        .replace("\"hi\"", "\"worked\"")
        .replace(r"\02\00\00\00\00\00\00\00", r"\01\00\00\00\00\00\00\00")
        .replace(
            answer,
            "(local $left i32)
             (global.set $count (i32.add (global.get $count) (i32.const 1)))
             (i32.store8 (i32.const 28) (i32.add (global.get $count) (i32.const 48)))
             (call $respond (local.get $id) (i32.const 0) (i32.const 29))
             (if (i32.ne (global.get $count) (i32.const 1)) (then (return)))
             (local.set $left (i32.const 100000000))
             (loop $on
               (local.set $left (i32.sub (local.get $left) (i32.const 1)))
               (br_if $on (local.get $left)))
             (call $log (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 29) (i32.const 5)
               (i32.const 0) (i32.const 0) (i32.const 0))",
        );
    let folder = tempfile::tempdir().unwrap();
    let mut definition = definition(&folder, &text);
    definition.limits.cpu = Some(60.0);
    let runtime = runtime(&definition);
    assert_eq!(block_on(get(&runtime, "/by_hand")).1, "1");
    for _ in 0..6000 {
        if is_logged("orked") {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(is_logged("orked"), "nobody went on with the instance");
    assert_eq!(block_on(get(&runtime, "/by_hand")).1, "2");
}

/// [`HELLO`] with this as its answer, and a megabyte of memory to work on after its own.
fn doing(what: &str) -> String {
    let answer = "(call $respond (local.get $id) (i32.const 0) (i32.const 30))";
    HELLO
        .replace(
            r#"(memory (export"#,
            r#"(import "valor1" "random" (func $random (param i32 i32))) (memory (export"#,
        )
        .replace("\"memory\") 16", "\"memory\") 32")
        .replace(answer, &format!("{what} {answer}"))
}

/// Much work of the host for the guest, in a row. None of the guest's code runs in between to check its time.
fn randoms() -> String {
    "(call $random (i32.const 65536) (i32.const 1048576))".repeat(3000)
}

#[test]
fn the_hosts_work_for_a_guest_is_its_time() {
    listen();
    let folder = tempfile::tempdir().unwrap();
    let mut definition = definition(&folder, &doing(&randoms()));
    definition.name = "asks_much".into();
    definition.limits.cpu = Some(0.1);
    let runtime = runtime(&definition);
    assert_eq!(block_on(get(&runtime, "/asks_much")).0, 504);
    assert!(is_logged(
        "`asks_much` trapped and is started again: it ran for more than 0.1 s"
    ));
}

#[test]
fn a_guest_gives_way_whatever_it_does() {
    let fill = "(memory.fill (i32.const 65536) (i32.const 7) (i32.const 1048576))";
    let copy = "(memory.copy (i32.const 65536) (i32.const 65537) (i32.const 1048576))";
    for what in [
        "(loop $on (br $on))".to_owned(),
        format!("(loop $on {} (br $on))", fill.repeat(100)),
        format!("(loop $on {} (br $on))", copy.repeat(100)),
        randoms(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut definition = definition(&folder, &doing(&what));
        definition.limits.cpu = Some(600.0);
        definition.limits.timeout = Some(600.0);
        let runtime = runtime(&definition);
        let mut working = Box::pin(get(&runtime, "/by_hand"));
        // It comes back with nothing, again and again, in the middle of its work.
        for _ in 0..10 {
            let polled = block_on(future::poll_once(&mut working));
            assert!(
                polled.is_none(),
                "done at once: {}",
                &what[..60.min(what.len())]
            );
        }
    }
}
