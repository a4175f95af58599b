//! `/_welcome`, the page for people: who sees it, on which path, what its events say, and what bounds them.

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_lite::{StreamExt, future::block_on};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use valor_runtime::{
    Body, Chunk, Definition, Kind, Place, RegistryAccess, Request, Response, Runtime, Token,
    Vlugin, Welcome, from_fn,
};

const TOKEN: &str = "0123456789abcdef";

fn runtime(welcome: &Welcome, access: RegistryAccess) -> Arc<Runtime> {
    let builder = Runtime::builder().welcome(welcome.clone());
    builder.registry(access).build().expect("a runtime")
}

/// A request from this machine, as a browser sends it, unless these headers say otherwise.
fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::new(method, target).unwrap();
    request.head.set_peer("127.0.0.1:5000");
    for (name, value) in [
        ("host", "localhost:8080"),
        ("accept", "text/html,*/*;q=0.8"),
    ] {
        request.head.set(name, value.as_bytes()).unwrap();
    }
    for (name, value) in headers {
        request.head.set(name, value.as_bytes()).unwrap();
    }
    request
}

fn send(runtime: &Arc<Runtime>, request: Request) -> Response {
    block_on(runtime.clone().on_request(request)).expect("a runtime always answers")
}

fn get(runtime: &Arc<Runtime>, target: &str) -> Response {
    send(runtime, request("GET", target, &[]))
}

fn text(response: Response) -> String {
    let bytes = block_on(response.body.bytes(1 << 20)).expect("a body");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn is_page(response: &Response) -> bool {
    response.head.header_str("content-type") == Some("text/html; charset=utf-8")
}

/// The next events of a stream, by name.
fn events(body: &mut Body) -> Option<Vec<(String, Value)>> {
    let Body::Stream { chunks, .. } = body else {
        panic!("not a stream");
    };
    let Chunk::Data(data) = block_on(chunks.next())?.unwrap() else {
        panic!("trailers");
    };
    let data = String::from_utf8(data.to_vec()).unwrap();
    let event = |event: &str| {
        let (name, data) = event.split_once('\n').unwrap();
        let data = data.strip_prefix("data: ").unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        (name.to_owned(), serde_json::from_str(data).unwrap())
    };
    let data = data.strip_suffix("\n\n").expect("each event has an end");
    Some(data.split("\n\n").map(event).collect())
}

#[test]
fn a_browser_gets_the_page_where_nothing_is_mounted() {
    let runtime = runtime(&Welcome::default(), RegistryAccess::Off);
    for target in ["/", "/?x", "/_welcome", "/_welcome/"] {
        let page = get(&runtime, target);
        assert_eq!(
            (page.head.status(), is_page(&page)),
            (200, true),
            "{target}"
        );
    }
    assert_eq!(get(&runtime, "/elsewhere").head.status(), 404);
    assert_eq!(get(&runtime, "/_welcome/elsewhere").head.status(), 404);
    let posted = send(&runtime, request("POST", "/_welcome", &[]));
    assert_eq!(posted.head.status(), 405);

    let root = from_fn(|_| async { Ok(Response::new(204)) });
    runtime.add(Place::new("root").prefix("/"), root).unwrap();
    assert_eq!(get(&runtime, "/").head.status(), 204);
    assert!(is_page(&get(&runtime, "/_welcome")));
}

#[test]
fn everybody_else_gets_the_answer_that_there_is_without_it() {
    let without = Runtime::builder().build().unwrap();
    let with = runtime(&Welcome::default(), RegistryAccess::Loopback);
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(&str, &str, Headers); 8] = [
        ("GET", "127.0.0.1:5000", &[("accept", "application/json")]),
        ("GET", "127.0.0.1:5000", &[("accept", "*/*")]),
        ("GET", "127.0.0.1:5000", &[("accept", "")]),
        ("POST", "127.0.0.1:5000", &[]),
        // Strangers, a re-bound name, and pages.
        ("GET", "192.0.2.1:5000", &[]),
        ("GET", "127.0.0.1:5000", &[("host", "rebound.example")]),
        ("GET", "127.0.0.1:5000", &[("host", "localhost.example")]),
        (
            "GET",
            "127.0.0.1:5000",
            &[("origin", "http://localhost:8080")],
        ),
    ];
    for (method, peer, headers) in cases {
        let answer = |runtime| {
            let mut request = request(method, "/", headers);
            request.head.set_peer(peer);
            request.head.set("x-request-id", b"one").unwrap();
            let response = send(runtime, request);
            let head: Vec<_> = response
                .head
                .headers()
                .map(|(name, value)| (name.to_owned(), value.to_vec()))
                .collect();
            (response.head.status(), head, text(response))
        };
        let (with, without) = (answer(&with), answer(&without));
        assert_eq!(with, without, "{method} {peer} {headers:?}");
        assert_eq!(with.0, 404);
    }
    for path in ["/_welcome", "/_welcome/events"] {
        let mut stranger = request("GET", path, &[]);
        stranger.head.set_peer("192.0.2.1:5000");
        assert_eq!(send(&with, stranger).head.status(), 403);
        let rebound = request("GET", path, &[("host", "rebound.example")]);
        assert_eq!(send(&with, rebound).head.status(), 403);
    }
    let elsewhere = request(
        "GET",
        "/_welcome/events",
        &[("sec-fetch-site", "cross-site")],
    );
    assert_eq!(send(&with, elsewhere).head.status(), 403);
    let own = request(
        "GET",
        "/_welcome/events",
        &[("sec-fetch-site", "same-origin")],
    );
    assert_eq!(send(&with, own).head.status(), 200);
}

#[test]
fn with_a_token_the_browser_asks_for_it() {
    let token = Token::new(TOKEN).unwrap();
    let runtime = runtime(&Welcome::default(), RegistryAccess::Token(token));
    // At `/`, strangers get what they would get without the page.
    for (target, refused) in [("/", 404), ("/_welcome", 401), ("/_welcome/events", 401)] {
        let refusal = get(&runtime, target);
        assert_eq!(refusal.head.status(), refused, "{target}");
        let asks = refusal.head.header_str("www-authenticate");
        let asks_for_it = asks.is_some_and(|asks| asks.starts_with("Basic "));
        assert_eq!(asks_for_it, refused == 401, "{target}");
        let basic = format!("Basic {}", STANDARD.encode(format!("me:{TOKEN}")));
        for (value, status) in [(&*basic, 200), ("Basic bWU6d3Jvbmc=", refused)] {
            let mut asked = request("GET", target, &[("authorization", value)]);
            asked.head.set_peer("192.0.2.1:5000");
            assert_eq!(send(&runtime, asked).head.status(), status, "{target}");
        }
    }
}

/// A browser that was asked for it sends it to every path, and a program may do so by mistake.
#[test]
fn no_vlugin_gets_the_token() {
    let shows = || {
        from_fn(|request: Request| async move {
            let sent = request.head.headers();
            let sent = sent.filter(|(name, _)| *name == "authorization");
            let sent: Vec<_> = sent
                .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
                .collect();
            let mut response = Response::new(200);
            response.body = sent.join(", ").into();
            Ok(response)
        })
    };
    let access = || RegistryAccess::Token(Token::new(TOKEN).unwrap());
    let without_page = Runtime::builder().registry(access()).build().unwrap();
    for runtime in [runtime(&Welcome::default(), access()), without_page] {
        runtime.add(Place::new("shows"), shows()).unwrap();
        let arrived = |values: &[&str]| {
            let mut asked = request("GET", "/shows", &[]);
            for value in values {
                asked.head.push("authorization", value.as_bytes()).unwrap();
            }
            text(send(&runtime, asked))
        };
        let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("me:{password}")));
        let bearer = format!("bearer {TOKEN}");
        for ours in [
            &[&*basic(TOKEN)][..],
            &[&bearer],
            &[&format!("Bearer \t{TOKEN} ")],
            &["Foo x", &bearer],
            &["", &bearer],
            &[&bearer, "Foo x"],
            &[&format!("Foo x, {bearer}")],
            &["Foo x", &basic(TOKEN)],
            &[TOKEN],
        ] {
            assert_eq!(arrived(ours), "", "{ours:?}");
        }
        for others in [
            &*basic("another password"),
            "Bearer another",
            "Digest a=\"b\"",
        ] {
            assert_eq!(arrived(&[others]), others);
        }
    }
}

#[test]
fn the_page_runs_nothing_but_what_is_in_it() {
    let runtime = runtime(&Welcome::default(), RegistryAccess::Off);
    let page = get(&runtime, "/");
    let policy = page
        .head
        .header_str("content-security-policy")
        .unwrap()
        .to_owned();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.head.header_str(name), Some(value));
    }
    let page = text(page);
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for (directive, begin, end) in [
        ("style-src", "<style>", "</style>"),
        ("script-src", "<script type=\"module\">", "</script>"),
    ] {
        let (_, rest) = page.split_once(begin).unwrap();
        let (inline, rest) = rest.split_once(end).unwrap();
        let hash = STANDARD.encode(Sha256::digest(inline));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}';")),
            "{policy}"
        );
        assert!(!rest.contains(begin), "there is one");
    }
    // Neither is there what the hashes would not cover.
    for inline in [
        " style=",
        " onclick=",
        " onload=",
        "javascript:",
        "innerHTML",
    ] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[test]
fn the_events_say_what_the_endpoints_do() {
    let welcome = Welcome::default();
    let runtime = runtime(&welcome, RegistryAccess::Off);
    let fails = from_fn(|request: Request| async move {
        let fails = request.head.path() == "/fails";
        Ok(Response::new(if fails { 500 } else { 200 }))
    });
    runtime
        .add(Place::new("it").prefix("/at/it"), fails)
        .unwrap();
    let mut lacking = Definition::new(Kind::Js, "lacking");
    lacking.config = serde_json::json!({ "secret": "hush" });
    runtime
        .add_unavailable(&lacking, "there is no Deno")
        .unwrap();
    runtime.set_ready(true);
    for target in ["/at/it", "/at/it/fails", "/at/it"] {
        get(&runtime, target);
    }
    welcome.line("the first line\n");

    let mut stream = get(&runtime, "/_welcome/events");
    assert_eq!(
        stream.head.header_str("content-type"),
        Some("text/event-stream")
    );
    let first = events(&mut stream.body).unwrap();
    let [(state_name, state), (log_name, log)] = &first[..] else {
        panic!("{first:?}");
    };
    assert_eq!((&**state_name, &**log_name), ("state", "log"));
    assert_eq!(log, &serde_json::json!(["the first line"]));
    assert_eq!(state["status"], "degraded");
    assert_eq!(
        state["own"],
        serde_json::json!(["/_health", "/_metrics", "/_welcome"])
    );
    assert_eq!(
        state["vlugins"],
        serde_json::json!([
            {
                "name": "it", "type": null, "prefix": "/at/it", "version": null, "state": "ready",
                "reason": null, "running": 0, "requests": 3, "errors": 1,
            },
            {
                "name": "lacking", "type": "js", "prefix": "/lacking", "version": null, "state": "unavailable",
                "reason": "there is no Deno", "running": 0, "requests": 0, "errors": 0,
            },
        ])
    );
    assert!(state["at"].is_u64());

    // A later event has only the lines that are new, and what has changed since.
    welcome.line("the second line");
    runtime.remove("lacking").unwrap();
    let second = events(&mut stream.body).unwrap();
    assert_eq!(second[0].1["status"], "ready");
    assert_eq!(second[0].1["vlugins"].as_array().unwrap().len(), 1);
    assert!(second[0].1["at"].as_u64() > state["at"].as_u64());
    assert_eq!(
        second[1],
        ("log".to_owned(), serde_json::json!(["the second line"]))
    );
}

#[test]
fn streams_are_few_and_end_with_the_server_or_the_runtime() {
    let welcome = Welcome::default();
    let runtime = runtime(&welcome, RegistryAccess::Off);
    let stream = || get(&runtime, "/_welcome/events");
    let mut streams: Vec<_> = (0..16).map(|_| stream()).collect();
    assert!(streams.iter().all(|it| it.head.status() == 200));
    let one_more = stream();
    assert_eq!(one_more.head.status(), 503);
    assert_eq!(one_more.head.header_str("retry-after"), Some("1"));
    // The page is still there, and there is room again once one is closed.
    assert!(is_page(&get(&runtime, "/")));
    streams.pop();
    let mut last = stream();
    assert_eq!(last.head.status(), 200);
    assert!(events(&mut last.body).is_some());
    drop(streams);

    welcome.end();
    assert_eq!(events(&mut last.body), None);
    drop(last);
    assert_eq!(events(&mut stream().body), None);
}
