//! What a host offers is a vlugin with a reserved name: native ones, modules and scripts reach it through the `call`
//! that they have, if their definition names it in `callees`.
#![cfg(feature = "wasm")]

#[path = "fixture/mod.rs"]
mod fixture;

use futures_lite::future::block_on;
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};
use valor_runtime::{
    Body, Definition, Limits, Place, Request, Response, Runtime, RuntimeError, Vlugin, from_fn,
};

/// Says what it was asked, and by whom.
fn echo() -> Arc<dyn Vlugin> {
    from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        let head = &request.head;
        let callers = head.headers().filter(|(name, _)| *name == "x-valor-caller");
        let callers: Vec<_> = callers
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect();
        let target = head.target().to_owned();
        let method = head.method().to_owned();
        let body = request.body.bytes(1 << 20).await.expect("a body");
        let body = String::from_utf8_lossy(&body).into_owned();
        let said = json!({ "callers": callers, "method": method, "target": target, "body": body });
        response.body = Body::from(said.to_string());
        Ok(response)
    })
}

/// A runtime that offers `_echo`, and `_small` with a limit.
fn runtime() -> Arc<Runtime> {
    let small = Limits {
        body: Some(3),
        ..Limits::default()
    };
    Runtime::builder()
        .deno(fixture::js_tool("deno"))
        .callee("_echo", echo())
        .callee(Place::new("_small").limits(small), echo())
        .build()
        .expect("a runtime")
}

fn load(
    runtime: &Runtime,
    kind: &str,
    file: &Path,
    name: &str,
    callees: Value,
) -> Result<(), RuntimeError> {
    let definition = json!({ "type": kind, "name": name, "path": file, "callees": callees });
    let definition = Definition::from_json(&definition.to_string()).expect("a definition");
    block_on(runtime.load(&definition))
}

fn ask(runtime: &Arc<Runtime>, method: &str, target: &str) -> (u16, String) {
    let mut request = Request::new(method, target).unwrap();
    request.head.push("host", b"localhost").unwrap();
    // It never arrives.
    request.head.push("x-valor-caller", b"client").unwrap();
    let response = block_on(runtime.clone().on_request(request)).expect("an answer");
    let status = response.head.status();
    let body = block_on(response.body.bytes(1 << 20)).expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"))
}

#[test]
fn every_kind_converses_with_what_the_host_offers() {
    let (library, module) = fixture::conformance();
    let script = fixture::conformance_script();
    for (kind, file) in [("native", &library), ("wasm", &module), ("js", &script)] {
        let runtime = runtime();
        load(
            &runtime,
            kind,
            file,
            "granted",
            json!(["*", "_echo", "_small"]),
        )
        .unwrap();
        load(&runtime, kind, file, "other", json!(["*"])).unwrap();

        let (status, said) = ask(
            &runtime,
            "GET",
            "/granted/call?name=_echo&to=http://x/a/b?c%3Dd",
        );
        let wanted =
            json!({ "callers": ["granted"], "method": "GET", "target": "/a/b?c=d", "body": "" });
        assert_eq!((status, value(&said)), (200, wanted), "{kind}");

        // A body goes there, and nobody speaks in another's name.
        let forged =
            "/granted/call?name=_echo&method=POST&send=5&to=http://x/&h=x-valor-caller:other";
        let (status, said) = ask(&runtime, "POST", forged);
        let said = value(&said);
        assert_eq!(
            (status, &said["callers"]),
            (200, &json!(["granted"])),
            "{kind}"
        );
        assert_eq!(
            (&said["method"], said["body"].as_str().unwrap().len()),
            (&json!("POST"), 5)
        );

        // It has limits, and whoever calls it is told of them.
        let large = "/granted/call?name=_small&method=POST&send=5&to=http://x/";
        assert_eq!(ask(&runtime, "POST", large).0, 413, "{kind}");

        // What was not granted fails in the caller, and nothing of it gets out.
        let (status, said) = ask(&runtime, "GET", "/other/call?name=_echo&to=http://x/");
        assert_eq!(status, 500, "{kind}: {said}");
        assert!(!said.contains("_echo"), "{kind}: {said}");
        // What nobody offers is nobody's name.
        let (_, said) = ask(&runtime, "GET", "/granted/called?name=_none&to=http://x/");
        assert_eq!(value(&said)["status"], 404, "{kind}");
        // The host's own are not offered.
        let (_, said) = ask(&runtime, "GET", "/granted/called?name=_health&to=http://x/");
        assert_eq!(value(&said)["status"], 404, "{kind}");

        // Between vlugins nobody has a caller's name, and no client speaks for one.
        for target in [
            "/granted/request",
            "/granted/call?name=other&to=http://x/request&h=x-valor-caller:other",
        ] {
            let (status, said) = ask(&runtime, "GET", target);
            let caller = value(&said)["headers"]["x-valor-caller"].clone();
            assert_eq!((status, caller), (200, Value::Null), "{kind}: {target}");
        }
    }
}

#[test]
fn no_path_leads_to_it() {
    let runtime = runtime();
    assert_eq!(ask(&runtime, "GET", "/_echo").0, 404);
    let mounted: Vec<_> = runtime
        .mounted()
        .iter()
        .map(|it| it.name.to_string())
        .collect();
    assert_eq!(mounted, ["_health", "_metrics"]);
}

#[test]
fn a_definition_names_what_its_host_offers() {
    let runtime = runtime();
    let file = Path::new("/nowhere");
    let error = load(&runtime, "native", file, "one", json!(["_none"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the vlugin `one`: `callees` names `_none`, which this host does not offer; name one that it offers, \
         `_echo`, `_small`, or take the name out"
    );
    let plain = Runtime::builder().build().unwrap();
    let error = load(&plain, "native", file, "one", json!(["_echo"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the vlugin `one`: `callees` names `_echo`, which this host does not offer; it offers nothing: take the \
         name out"
    );
}

#[test]
fn its_name_is_the_hosts() {
    for (name, reason) in [
        ("echo", "it begins with `_`, as no vlugin's does"),
        ("_plugins", "the runtime itself has that name"),
        ("_", "a name has at least one character"),
        (
            "_a b",
            "` ` is not allowed in a name; letters, digits, `_`, `.` and `-` are",
        ),
    ] {
        let built = Runtime::builder().callee(name, echo()).build();
        let line = format!("what a host offers cannot be named `{name}`: {reason}");
        assert_eq!(built.err().expect("refused").to_string(), line);
    }
    let twice = Runtime::builder().callee("_a", echo()).callee("_a", echo());
    let error = twice.build().err().expect("refused").to_string();
    assert_eq!(
        error,
        "what a host offers cannot be named `_a`: another one has it already"
    );
}
