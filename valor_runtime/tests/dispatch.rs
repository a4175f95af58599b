//! A request's way through the runtime, without a socket: routing, ids, limits, faults.

use futures_lite::{StreamExt, future::block_on, stream};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use valor_runtime::{
    Body, Chunk, Fault, FaultKind, Limits, Place, Request, Response, Runtime, Vlugin, from_fn,
    from_http, http,
};

fn runtime() -> Arc<Runtime> {
    Runtime::builder().build().expect("a runtime")
}

/// A vlugin that reports what it saw.
fn mirror() -> Arc<dyn Vlugin> {
    from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        let mut seen = format!("{} {}", request.head.method(), request.head.target());
        for (name, value) in request.head.headers() {
            seen += &format!("\n{name}: {}", String::from_utf8_lossy(value));
        }
        response.body = Body::from(seen);
        Ok(response)
    })
}

fn ask(runtime: &Arc<Runtime>, target: &str) -> Response {
    send(runtime, Request::new("GET", target).unwrap())
}

fn send(runtime: &Arc<Runtime>, request: Request) -> Response {
    block_on(runtime.clone().on_request(request)).expect("a runtime always answers")
}

fn text(response: Response) -> String {
    let bytes = block_on(response.body.bytes(1 << 20)).expect("a body");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn metrics(runtime: &Arc<Runtime>) -> String {
    text(ask(runtime, "/_metrics"))
}

/// Waits for something that happens on another thread.
fn wait_for(what: &str, happened: impl Fn() -> bool) {
    for _ in 0..1000 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not happen within ten seconds");
}

#[test]
fn the_longest_prefix_and_the_path_without_it() {
    let runtime = runtime();
    for (name, prefix) in [("root", "/"), ("api", "/api"), ("greet", "/api/greet")] {
        runtime
            .add(Place::new(name).prefix(prefix), mirror())
            .unwrap();
    }
    for (target, name, seen) in [
        ("/", "root", "GET /"),
        ("/apis?x=/api/greet", "root", "GET /apis?x=/api/greet"),
        ("/api", "api", "GET /"),
        ("/api?x=1", "api", "GET /?x=1"),
        ("/api/greeting", "api", "GET /greeting"),
        ("/api/greet", "greet", "GET /"),
        ("/api/greet/", "greet", "GET /"),
        ("/api/greet//x", "greet", "GET //x"),
        ("/api/greet/../other", "api", "GET /other"),
        ("/api/greet/%2e%2E/other", "api", "GET /other"),
        ("/api\\greet", "greet", "GET /"),
        ("/x/%2f../%41", "root", "GET /x/%2f../%41"),
    ] {
        let response = ask(&runtime, target);
        assert_eq!(
            response.head.header_str("x-valor-plugin"),
            Some(name),
            "{target}"
        );
        assert_eq!(text(response).lines().next(), Some(seen), "{target}");
    }
}

#[test]
fn the_prefix_is_told_and_cannot_be_forged() {
    let runtime = runtime();
    runtime
        .add(Place::new("a").prefix("/a/b"), mirror())
        .unwrap();
    runtime
        .add(Place::new("root").prefix("/"), mirror())
        .unwrap();
    for (target, told) in [("/a/b/c", Some("x-forwarded-prefix: /a/b")), ("/c", None)] {
        let mut request = Request::new("GET", target).unwrap();
        request.head.push("x-forwarded-prefix", b"/forged").unwrap();
        let seen = text(send(&runtime, request));
        let line = seen
            .lines()
            .find(|line| line.starts_with("x-forwarded-prefix"));
        assert_eq!(line, told, "{seen}");
    }
}

#[test]
fn every_response_has_an_id() {
    let runtime = runtime();
    runtime.add("mirror", mirror()).unwrap();
    for target in ["/mirror", "/nowhere"] {
        let mut request = Request::new("GET", target).unwrap();
        request.head.push("x-request-id", b"the-client's").unwrap();
        let response = send(&runtime, request);
        assert_eq!(
            response.head.header_str("x-correlation-id"),
            Some("the-client's")
        );

        let fresh = ask(&runtime, target);
        let id = fresh
            .head
            .header_str("x-correlation-id")
            .unwrap()
            .to_owned();
        assert_eq!(id.len(), 32);
        if target == "/mirror" {
            assert!(text(fresh).contains(&format!("x-request-id: {id}")));
        }
    }
}

#[test]
fn a_response_is_signed_with_what_its_headers_say() {
    let runtime = runtime();
    runtime.add("mirror", mirror()).unwrap();
    for (target, vlugin) in [("/mirror", Some("mirror")), ("/nowhere", None)] {
        let response = ask(&runtime, target);
        let signature = response.signature.expect("a runtime signs");
        assert_eq!(signature.vlugin.as_deref(), vlugin);
        assert_eq!(response.head.header_str("x-valor-plugin"), vlugin);
        let id = response.head.header_str("x-correlation-id");
        assert_eq!(id, Some(&*signature.id));
    }
}

#[test]
fn no_vlugin_no_answer_but_404() {
    let response = ask(&runtime(), "/a?b");
    assert_eq!(response.head.status(), 404);
    assert_eq!(response.head.header("x-valor-plugin"), None);
    let problem: serde_json::Value = serde_json::from_str(&text(response)).unwrap();
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["detail"], "no vlugin is mounted at /a");
}

#[test]
fn errors_and_panics_are_one_response_each() {
    let runtime = runtime();
    let fails = from_http(|req: http::Request| async move {
        match req.url().path() {
            "/before" => panic!("a secret"),
            "/teapot" => Err(http::Error::from_str(418, "short and stout")),
            "/error" => Err(http::Error::from_str(500, "a secret")),
            _ => Ok("fine"),
        }
    });
    let before_the_future =
        from_fn(|_| -> std::future::Ready<Result<Response, Fault>> { panic!("a secret") });
    runtime.add("fails", fails).unwrap();
    runtime.add("sync", before_the_future).unwrap();
    for (target, status, detail) in [
        (
            "/fails/before",
            500,
            "the vlugin `fails` failed; the log says why",
        ),
        (
            "/fails/error",
            500,
            "the vlugin `fails` failed; the log says why",
        ),
        ("/fails/teapot", 418, "short and stout"),
        ("/sync", 500, "the vlugin `sync` failed; the log says why"),
    ] {
        let response = ask(&runtime, target);
        assert_eq!(response.head.status(), status, "{target}");
        assert!(response.head.header("x-valor-plugin").is_some());
        let body = text(response);
        assert!(body.contains(detail) && !body.contains("secret"), "{body}");
    }
    assert_eq!(text(ask(&runtime, "/fails")), "fine");
    let metrics = metrics(&runtime);
    assert!(
        metrics.contains("valor_panics_total{vlugin=\"fails\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("valor_requests_total{status=\"418\",vlugin=\"fails\"} 1"));
    assert!(metrics.contains("valor_requests_in_flight{vlugin=\"fails\"} 0"));
}

#[test]
fn a_vlugin_that_never_wakes_is_stopped() {
    let runtime = runtime();
    let dropped = Arc::new(AtomicBool::new(false));
    struct Tell(Arc<AtomicBool>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let told = dropped.clone();
    let place = Place::new("slow").limits(Limits {
        timeout: Some(0.05),
        ..Limits::default()
    });
    let slow = from_fn(move |_| {
        let tell = Tell(told.clone());
        async move {
            std::future::pending::<()>().await;
            drop(tell);
            Ok(Response::new(200))
        }
    });
    runtime.add(place, slow).unwrap();
    let response = ask(&runtime, "/slow");
    assert_eq!(response.head.status(), 504);
    assert!(text(response).contains("did not answer within 0.05 s"));
    assert!(dropped.load(Ordering::SeqCst), "its future is gone");
    assert!(metrics(&runtime).contains("valor_timeouts_total{vlugin=\"slow\"} 1"));
}

/// The vlugin's own time limit is not the server's.
#[test]
fn a_vlugin_that_says_that_something_took_too_long_is_not_said_to_have_been_late() {
    let runtime = runtime();
    let fetches = from_fn(|_| async {
        Err(Fault::new(
            FaultKind::Timeout,
            504,
            "no response from inside:80",
        ))
    });
    runtime.add("fetches", fetches).unwrap();
    let response = ask(&runtime, "/fetches");
    assert_eq!(response.head.status(), 504);
    let text = text(response);
    assert!(
        text.contains("the vlugin `fetches` failed; the log says why"),
        "{text}"
    );
}

#[test]
fn only_so_many_at_once_streams_included() {
    let runtime = runtime();
    let place = Place::new("two").limits(Limits {
        concurrency: Some(2),
        ..Limits::default()
    });
    let endless = from_fn(|_| async {
        let mut response = Response::new(200);
        let tick = Ok(Chunk::Data("tick\n".into()));
        response.body = Body::stream(None, stream::iter([tick]).chain(stream::pending()));
        Ok(response)
    });
    runtime.add(place, endless).unwrap();

    let first = ask(&runtime, "/two");
    let mut second = ask(&runtime, "/two");
    assert!(block_on(second.body.chunk()).is_some());
    let third = ask(&runtime, "/two");
    assert_eq!(third.head.status(), 503);
    assert_eq!(third.head.header_str("retry-after"), Some("1"));
    assert_eq!(third.head.header_str("x-valor-plugin"), Some("two"));
    drop(first);
    assert_eq!(ask(&runtime, "/two").head.status(), 200);
}

#[test]
fn a_body_over_the_limit() {
    let runtime = runtime();
    let place = Place::new("small").limits(Limits {
        body: Some(10),
        ..Limits::default()
    });
    // It hides the error, as vlugins do.
    let gathers = from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        response.body = match request.body.bytes(1 << 20).await {
            Ok(bytes) => bytes.into(),
            Err(_) => Body::from("some of it"),
        };
        Ok(response)
    });
    runtime.add(place, gathers).unwrap();
    let chunks = |n| {
        Body::stream(
            None,
            stream::iter((0..n).map(|_| Ok(Chunk::Data("12345".into())))),
        )
    };
    for (body, status) in [
        (Body::from("1234567890"), 200),
        (Body::from("12345678901"), 413),
        (chunks(2), 200),
        (chunks(3), 413),
        (Body::stream(Some(11), stream::pending()), 413),
    ] {
        let shown = format!("{body:?}");
        let mut request = Request::new("POST", "/small").unwrap();
        request.body = body;
        assert_eq!(send(&runtime, request).head.status(), status, "{shown}");
    }
}

#[test]
fn a_stream_that_fails_or_panics_breaks_off() {
    let runtime = runtime();
    let streams = from_fn(|request: Request| async move {
        let panics = request.head.path() == "/panics";
        let mut response = Response::new(200);
        response.body = Body::stream(
            None,
            stream::iter(0..3).map(move |n| match (n, panics) {
                (0, _) => Ok(Chunk::Data("first".into())),
                (_, true) => panic!("in the stream"),
                (_, false) => Err(io::Error::other("in the stream")),
            }),
        );
        Ok(response)
    });
    runtime.add("streams", streams).unwrap();
    for target in ["/streams/panics", "/streams/fails"] {
        let mut body = ask(&runtime, target).body;
        assert!(block_on(body.chunk()).unwrap().is_ok());
        let error = block_on(body.chunk()).unwrap().unwrap_err();
        assert!(error.to_string().contains("in the stream"), "{error}");
        assert!(block_on(body.chunk()).is_none());
    }
    assert!(metrics(&runtime).contains("valor_requests_in_flight{vlugin=\"streams\"} 0"));
}

#[test]
fn a_request_that_is_dropped_cancels_the_vlugin() {
    let runtime = runtime();
    let running = Arc::new(AtomicUsize::new(0));
    let count = running.clone();
    let waits = from_fn(move |_| {
        struct Leave(Arc<AtomicUsize>);
        impl Drop for Leave {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        count.fetch_add(1, Ordering::SeqCst);
        let leave = Leave(count.clone());
        async move {
            std::future::pending::<()>().await;
            drop(leave);
            Ok(Response::new(200))
        }
    });
    runtime.add("waits", waits).unwrap();
    let mut answer = runtime
        .clone()
        .on_request(Request::new("GET", "/waits").unwrap());
    assert!(block_on(futures_lite::future::poll_once(&mut answer)).is_none());
    assert_eq!(running.load(Ordering::SeqCst), 1);
    drop(answer);
    assert_eq!(running.load(Ordering::SeqCst), 0);
    let metrics = metrics(&runtime);
    assert!(metrics.contains("valor_requests_total{status=\"499\",vlugin=\"waits\"} 1"));
}

#[test]
fn a_vlugin_that_blocks_is_counted_and_told_of() {
    let runtime = runtime();
    let told = Arc::new(AtomicUsize::new(0));
    let listener = told.clone();
    let _listening = valor_runtime::on_blocked(move || {
        listener.fetch_add(1, Ordering::SeqCst);
    });
    let release = Arc::new(AtomicBool::new(false));
    let released = release.clone();
    let blocks = from_fn(move |_| {
        let released = released.clone();
        async move {
            while !released.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(Response::new(200))
        }
    });
    runtime.add("blocks", blocks).unwrap();
    let thread = {
        let runtime = runtime.clone();
        std::thread::spawn(move || ask(&runtime, "/blocks").head.status())
    };
    wait_for("the telling", || told.load(Ordering::SeqCst) > 0);
    // The listener hears of it before the log and the metrics do.
    wait_for("the metric", || {
        metrics(&runtime).contains("valor_blocked_total{vlugin=\"blocks\"} 1")
    });
    release.store(true, Ordering::SeqCst);
    assert_eq!(thread.join().unwrap(), 200);
}

#[test]
fn the_runtime_can_be_nested() {
    let inner = runtime();
    inner.add("mirror", mirror()).unwrap();
    let outer = runtime();
    outer.add("inner", inner).unwrap();
    let response = ask(&outer, "/inner/mirror/x");
    assert_eq!(response.head.header_str("x-valor-plugin"), Some("inner"));
    assert!(text(response).starts_with("GET /x\n"));
}

#[test]
fn health_tells_when_all_are_there() {
    let runtime = runtime();
    assert_eq!(ask(&runtime, "/_health").head.status(), 503);
    assert_eq!(ask(&runtime, "/_health/live").head.status(), 200);
    runtime.set_ready(true);
    let response = ask(&runtime, "/_health/ready");
    assert_eq!(response.head.status(), 200);
    assert_eq!(text(response), r#"{"status":"ready","unavailable":{}}"#);
    let definition = valor_runtime::Definition::from_json(
        r#"{ "type": "native", "name": "absent", "optional": true }"#,
    )
    .unwrap();
    // A missing optional vlugin is no fault. Strangers do not learn the reason for either.
    let secret = "postgres://valor:hunter2@db/ is not there\u{1b}[2J";
    runtime.add_unavailable(&definition, secret).unwrap();
    let ready = r#"{"status":"ready","unavailable":{"absent":"not installed"}}"#;
    assert_eq!(text(ask(&runtime, "/_health")), ready);
    let definition = valor_runtime::Definition::new(valor_runtime::Kind::Native, "broken");
    runtime.add_unavailable(&definition, secret).unwrap();
    let response = ask(&runtime, "/_health");
    assert_eq!(response.head.status(), 200);
    let degraded =
        r#"{"status":"degraded","unavailable":{"absent":"not installed","broken":"not loaded"}}"#;
    assert_eq!(text(response), degraded);
    runtime.set_ready(false);
    assert_eq!(ask(&runtime, "/_health").head.status(), 503);
    for (name, lack) in [("absent", "not installed"), ("broken", "not loaded")] {
        let response = ask(&runtime, &format!("/{name}/x"));
        assert_eq!(response.head.status(), 503);
        let text = text(response);
        let detail = format!("the vlugin `{name}` is not available: it is {lack}");
        assert!(
            text.contains(&detail) && !text.contains("hunter2"),
            "{text}"
        );
    }
    // All of them, or none: `broken` is there.
    let other = valor_runtime::Definition::new(valor_runtime::Kind::Native, "other");
    let both = [(&other, secret), (&definition, secret)];
    assert!(runtime.add_all_unavailable(both).is_err());
    assert_eq!(ask(&runtime, "/other").head.status(), 404);
    assert_eq!(ask(&runtime, "/_health/other").head.status(), 404);
    assert_eq!(
        send(&runtime, Request::new("POST", "/_health").unwrap())
            .head
            .status(),
        405
    );
    assert_eq!(ask(&runtime, "/_plugins").head.status(), 404);
}

#[test]
fn the_headers_of_a_response_have_a_limit() {
    let runtime = runtime();
    let long = from_fn(|request: Request| async move {
        let len: usize = request.head.target()[1..].parse().unwrap();
        let mut response = Response::new(200);
        let value = "x".repeat(len - "x-long: \r\n".len());
        response.head.push("x-long", value.as_bytes()).unwrap();
        Ok(response)
    });
    runtime.add(Place::new("long"), long).unwrap();
    assert_eq!(ask(&runtime, "/long/409600").head.status(), 200);
    for len in [409_601, 500_000] {
        assert_eq!(
            ask(&runtime, &format!("/long/{len}")).head.status(),
            500,
            "{len}"
        );
    }
}
