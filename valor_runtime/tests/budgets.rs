//! What a vlugin does through the host has limits: fetches and calls at once, what the host holds for it, its timers,
//! and how long the bodies of calls may go without progress. The tests run without a server in front, with small
//! limits.

mod asker;

use asker::Asker;
use futures_lite::{
    FutureExt, StreamExt,
    future::{block_on, poll_once},
    stream,
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use valor::Entry;
use valor_runtime::{
    Body, CallTimeouts, Chunk, Limits, Place, Request, Response, Runtime, Vlugin, from_fn,
};

fn runtime(limits: Limits) -> Arc<Runtime> {
    let short = Duration::from_millis(100);
    let builder = Runtime::builder().call_timeouts(CallTimeouts {
        send: short,
        take: short,
    });
    let runtime = builder.build().unwrap();
    let entry = Entry::of::<Asker>("asker", "1.0.0");
    let place = Place::new("asker").limits(limits);
    block_on(runtime.add_entry(place, entry, Value::Null)).unwrap();
    runtime
}

type Answering = valor_runtime::BoxFuture<'static, Result<Response, valor_runtime::Fault>>;

fn begin(runtime: &Arc<Runtime>, method: &str, target: &str, body: Body) -> Answering {
    let mut request = Request::new(method, target).unwrap();
    request.body = body;
    runtime.clone().on_request(request)
}

fn get(runtime: &Arc<Runtime>, target: &str) -> Answering {
    begin(runtime, "GET", target, Body::empty())
}

/// A request that has begun, and waits for something that never comes.
fn begun(runtime: &Arc<Runtime>, target: &str) -> Answering {
    let mut answering = get(runtime, target);
    assert!(block_on(poll_once(&mut answering)).is_none(), "{target}");
    answering
}

fn text(response: Response) -> String {
    let bytes = block_on(response.body.bytes(1 << 20)).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// How many requests of a vlugin are running.
fn running(runtime: &Arc<Runtime>, name: &str) -> String {
    let metrics = text(block_on(get(runtime, "/_metrics")).unwrap());
    let key = format!("valor_requests_in_flight{{vlugin=\"{name}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&key));
    line.unwrap_or_default().to_owned()
}

/// A server that sends this for each request, and nothing more.
fn upstream(said: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = [0; 4096];
                // Until the other side closes the connection.
                while stream.read(&mut request).is_ok_and(|amount| amount > 0) {
                    let _ = stream.write_all(said.as_bytes());
                }
            });
        }
    });
    addr
}

/// Callees: one that never answers, one whose body never ends, one that reads its whole request.
fn callees(runtime: &Arc<Runtime>, limits: &Limits) {
    let place = |name: &str| Place::new(name).limits(limits.clone());
    let silent = from_fn(|_| std::future::pending());
    runtime.add(place("silent"), silent).unwrap();
    let endless = from_fn(|_| async {
        let chunks = stream::repeat_with(|| Ok(Chunk::Data("x".into())));
        let mut response = Response::new(200);
        response.body = Body::stream(None, chunks);
        Ok(response)
    });
    runtime.add(place("endless"), endless).unwrap();
    let reads = from_fn(|request: Request| async move {
        let read = request.body.bytes(1 << 20).await;
        let mut response = Response::new(200);
        response.body = read
            .map_or_else(|error| error.to_string(), |bytes| bytes.len().to_string())
            .into();
        Ok(response)
    });
    runtime.add(place("reads"), reads).unwrap();
}

/// Two of these run. A third is refused, and goes on once one of them has ended.
fn two_at_once(runtime: &Arc<Runtime>, target: &str, limit: &str) {
    let (one, other) = (begun(runtime, target), begun(runtime, target));
    for _ in 0..2 {
        let refused = text(block_on(get(runtime, target)).unwrap());
        assert!(refused.starts_with("503 "), "{refused}");
        assert!(
            refused.contains(limit) && refused.contains('2'),
            "{refused}"
        );
    }
    drop(one);
    let again = begun(runtime, target);
    let refused = text(block_on(get(runtime, target)).unwrap());
    assert!(refused.starts_with("503 "), "{refused}");
    drop((other, again));
}

/// A response counts until its body has ended or has been dropped.
fn until_the_body_ends(runtime: &Arc<Runtime>, target: &str) {
    let answer = || block_on(get(runtime, target)).unwrap();
    let (one, other) = (answer(), answer());
    let refused = text(answer());
    assert!(refused.starts_with("503 "), "{refused}");
    drop(one);
    let again = answer();
    assert!(again.body.len().is_none());
    drop((other, again));
}

#[test]
fn fetches_at_once() {
    let runtime = runtime(Limits {
        fetches: Some(2),
        ..Limits::default()
    });
    let silent = upstream("");
    two_at_once(
        &runtime,
        &format!("/asker/fetch/{silent}"),
        "limits.fetches",
    );
    let half = upstream("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    until_the_body_ends(&runtime, &format!("/asker/fetch/{half}"));
    // A whole response no longer counts, and calls are counted separately.
    callees(&runtime, &Limits::default());
    let whole = upstream("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwhole");
    let target = format!("/asker/fetch/{whole}");
    let kept: Vec<_> = (0..5)
        .map(|_| block_on(get(&runtime, &target)).unwrap())
        .collect();
    assert!(kept.into_iter().all(|response| text(response) == "whole"));
    let fetching = [(); 2].map(|()| begun(&runtime, &format!("/asker/fetch/{silent}")));
    assert_eq!(
        text(block_on(get(&runtime, "/asker/call/reads")).unwrap()),
        "0"
    );
    drop(fetching);
}

#[test]
fn calls_at_once_leave_places_of_the_other_vlugin() {
    let runtime = runtime(Limits {
        calls: Some(2),
        ..Limits::default()
    });
    callees(
        &runtime,
        &Limits {
            concurrency: Some(3),
            ..Limits::default()
        },
    );
    two_at_once(&runtime, "/asker/call/silent", "limits.calls");
    until_the_body_ends(&runtime, "/asker/call/endless");
    let calling = [(); 2].map(|()| begun(&runtime, "/asker/call/silent"));
    assert_eq!(running(&runtime, "silent"), "2");
    // So the vlugin still has room for a client.
    drop(begun(&runtime, "/silent"));
    drop(calling);
    eventually("their end", || running(&runtime, "silent") == "0");
}

#[test]
fn a_caller_that_does_not_send_its_body_is_cut_off() {
    let runtime = runtime(Limits::default());
    let one = Limits {
        concurrency: Some(1),
        ..Limits::default()
    };
    callees(&runtime, &one);
    let never = Body::stream(None, stream::pending());
    let calling = begin(&runtime, "POST", "/asker/call/reads", never);
    let answer = block_on(calling).unwrap();
    assert_eq!(answer.head.status(), 408);
    assert!(text(answer).contains("too slowly"));
    let some = Body::stream(None, stream::once(Ok(Chunk::Data("four".into()))));
    let answer = block_on(begin(&runtime, "POST", "/asker/call/reads", some)).unwrap();
    assert_eq!(text(answer), "4");
}

#[test]
fn a_caller_that_does_not_take_the_response_keeps_no_place() {
    let runtime = runtime(Limits::default());
    let one = Limits {
        concurrency: Some(1),
        ..Limits::default()
    };
    callees(&runtime, &one);
    let mut answer = block_on(get(&runtime, "/asker/call/endless")).unwrap();
    assert!(block_on(answer.body.chunk()).unwrap().is_ok());
    eventually("its end", || running(&runtime, "endless") == "0");
    assert_eq!(
        block_on(get(&runtime, "/endless")).unwrap().head.status(),
        200
    );
    // Data from before the limit may still come, and then the error.
    let rest = block_on(answer.body.bytes(1 << 20)).unwrap_err();
    assert!(rest.to_string().contains("nobody took"), "{rest}");
}

#[test]
fn what_the_host_holds_for_code_of_this_process() {
    let runtime = runtime(Limits {
        host_memory: Some(10_000),
        ..Limits::default()
    });
    callees(&runtime, &Limits::default());
    let silent = upstream("");
    for (target, key) in [
        (format!("/asker/fetch/{silent}"), "limits.host_memory"),
        ("/asker/call/reads".to_owned(), "limits.host_memory"),
    ] {
        let large = Body::from(vec![0; 10_001]);
        let refused = block_on(begin(&runtime, "POST", &target, large)).unwrap();
        let refused = text(refused);
        assert!(
            refused.starts_with("503 ") && refused.contains(key),
            "{target}: {refused}"
        );
    }
    // The charge is given back.
    for _ in 0..3 {
        let body = Body::from(vec![0; 9_000]);
        let answer = block_on(begin(&runtime, "POST", "/asker/call/reads", body)).unwrap();
        assert_eq!(text(answer), "9000");
    }
}

#[test]
fn a_timer_over_the_limit_waits_for_a_place() {
    let runtime = runtime(Limits {
        timers: Some(1),
        ..Limits::default()
    });
    let long = begun(&runtime, "/asker/sleep/3600000");
    let mut short = get(&runtime, "/asker/sleep/1");
    let wait = async {
        smol::Timer::after(Duration::from_millis(50)).await;
        None
    };
    let ended = block_on(async { Some((&mut short).await) }.or(wait));
    assert!(ended.is_none());
    drop(long);
    assert_eq!(text(block_on(short).unwrap()), "slept");
}

/// The parts of a request's body arrive one by one, so nothing above reads it whole first.
#[test]
fn a_body_of_a_call_is_passed_on_as_it_comes() {
    let runtime = runtime(Limits::default());
    let echo = from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        response.body = request.body;
        Ok(response)
    });
    runtime.add("echo", echo).unwrap();
    let parts = ["one", "two"].map(|part| Ok(Chunk::Data(part.into())));
    let body = Body::stream(None, stream::iter(parts).chain(stream::pending()));
    let mut answer = block_on(begin(&runtime, "POST", "/asker/call/echo", body)).unwrap();
    let first = block_on(answer.body.chunk()).unwrap().unwrap();
    assert!(matches!(first, Chunk::Data(data) if data.starts_with(b"one")));
}
