//! `/_plugins` over a real socket: registering, replacing and removing real libraries, and every
//! refusal.

mod fixture;
mod socket;

use serde_json::{Value, json};
use socket::{Answer, Connection, Serving, serve};
use std::{fs, path::Path, sync::Arc};
use valor_runtime::{RegistryAccess, Runtime, Token, from_http, http};

/// A plugin folder with two libraries in it, and a server with `/_plugins`.
fn start(access: RegistryAccess) -> (tempfile::TempDir, Arc<Runtime>, Serving) {
    let dir = tempfile::tempdir().unwrap();
    for (name, library) in [
        ("hello_plugin", fixture::hello_plugin()),
        ("misbehaving", fixture::misbehaving()),
    ] {
        fs::copy(library, dir.path().join(fixture::file_name(name))).unwrap();
    }
    fs::write(dir.path().join("text.so"), "not a library").unwrap();
    let runtime = Runtime::builder()
        .plugin_dir(dir.path())
        .registry(access)
        .build()
        .unwrap();
    let serving = serve(runtime.clone());
    (dir, runtime, serving)
}

fn send(connection: &mut Connection, method: &str, target: &str, definition: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    connection
        .send(method, target, &json, definition.to_string().as_bytes())
        .unwrap()
}

#[test]
fn a_vlugin_comes_changes_and_goes() {
    let (_dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let mut client = serving.connect();

    let answer = client.get("/_plugins").unwrap();
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "plugins": [] }))
    );

    let hello = json!({ "type": "native", "name": "hello", "path": "hello_plugin" });
    let created = send(&mut client, "POST", "/_plugins", &hello);
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.header("location"), Some("/_plugins/hello"));
    assert_eq!(created.json()["state"], "ready");
    assert_eq!(
        client.get("/hello").unwrap().text(),
        "OK response from a plugin"
    );

    let again = send(&mut client, "POST", "/_plugins", &hello);
    assert_eq!(again.status, 409);
    assert!(
        again.text().contains("the name `hello` is taken"),
        "{}",
        again.text()
    );
    let other =
        json!({ "type": "native", "name": "b", "path": "hello_plugin", "prefix": "/hello" });
    let taken = send(&mut client, "POST", "/_plugins", &other);
    assert_eq!(taken.status, 409);
    assert!(
        taken.text().contains("the prefix /hello is taken"),
        "{}",
        taken.text()
    );

    let shown = client.get("/_plugins/hello").unwrap().json();
    assert_eq!(shown["prefix"], "/hello");
    assert_eq!(shown["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(shown["limits"]["timeout"], 30.0);

    let changed = json!({
        "type": "native", "name": "hello", "path": "misbehaving", "config": "changed",
        "prefix": "/moved",
    });
    let replaced = send(&mut client, "PUT", "/_plugins/hello", &changed);
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    assert!(replaced.json()["generation"].as_u64() > shown["generation"].as_u64());
    assert_eq!(client.get("/moved/config").unwrap().text(), "changed");
    assert_eq!(client.get("/hello").unwrap().status, 404);

    // A request that runs finishes on what it began on.
    let mut running = serving.connect();
    running
        .write(b"GET /moved/sleep?n=300 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .unwrap();
    while client.get("/_plugins/hello").unwrap().json()["running"] != 1 {}
    let removed = client.send("DELETE", "/_plugins/hello", &[], b"").unwrap();
    assert_eq!(removed.status, 204);
    assert_eq!(client.get("/moved/config").unwrap().status, 404);
    assert_eq!(running.read_answer().unwrap().text(), "slept");
    assert_eq!(client.get("/_plugins/hello").unwrap().status, 404);
    let removed = client.send("DELETE", "/_plugins/hello", &[], b"").unwrap();
    assert_eq!(removed.status, 404);
}

/// What is outside of the plugin folders is told of in the same words, whether it is there or not.
#[cfg(unix)]
#[test]
fn a_link_that_leads_out_tells_nothing_of_what_is_there() {
    let (dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("folder")).unwrap();
    fs::write(outside.path().join("there.so"), "").unwrap();
    fs::write(outside.path().join("there.js"), "").unwrap();
    let link = |to: &str, name: &str| {
        std::os::unix::fs::symlink(outside.path().join(to), dir.path().join(name)).unwrap();
    };
    link("", "out");
    link("there.so", "file");
    link("absent.so", "dangling");
    link("there.js", "bare.js");
    link("absent.js", "gone.js");
    let within = dir.path().file_name().unwrap().to_str().unwrap();
    let around = |folder: &str| format!("{folder}/../../{within}/hello_plugin.so");
    let around = |folder: &str| around(outside.path().join(folder).to_str().unwrap());

    let mut client = serving.connect();
    let mut ask = |kind: &str, path: &str| {
        let file = match path.starts_with('/') || !path.contains(['/', '.']) {
            true => path.to_owned(),
            false => dir.path().join(path).display().to_string(),
        };
        let it = json!({ "type": kind, "name": "z", "path": file });
        let answer = send(&mut client, "POST", "/_plugins", &it);
        if answer.status == 201 {
            client.send("DELETE", "/_plugins/z", &[], b"").unwrap();
        }
        let told = answer.text().replace(path, "PATH");
        (answer.status, told)
    };
    for kind in ["native", "wasm", "js", "files"] {
        for (there, absent) in [
            ("out/there.so", "out/absent.so"),
            ("out/folder", "out/absent"),
            ("out/there.so/x", "out/absent.so/x"),
            ("./file", "./dangling"),
        ] {
            let answer = ask(kind, there);
            assert_eq!(answer, ask(kind, absent), "{kind} {there}");
            assert_eq!(answer.0, 422, "{kind} {there}: {}", answer.1);
            assert!(
                answer.1.contains("is not inside the plugin director"),
                "{}",
                answer.1
            );
        }
        let (there, absent) = (around("folder"), around("absent"));
        assert_eq!(ask(kind, &there), ask(kind, &absent), "{kind} {there}");
    }
    let bare = |name: &str, told: (u16, String)| (told.0, told.1.replace(name, "NAME"));
    let (there, absent) = (
        bare("bare", ask("js", "bare")),
        bare("gone", ask("js", "gone")),
    );
    assert_eq!(there, absent);
    // Of what is inside, it is told what is wrong.
    let answer = ask("native", "absent.so");
    assert!(answer.1.contains("does not exist"), "{}", answer.1);
}

#[test]
fn what_cannot_be_registered() {
    let (dir, runtime, serving) = start(RegistryAccess::Loopback);
    let outside = tempfile::tempdir().unwrap();
    let library = outside.path().join(fixture::file_name("outside"));
    fs::copy(fixture::hello_plugin(), &library).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&library, dir.path().join("link.so")).unwrap();
    let built_in = from_http(|_: http::Request| async { "built in" });
    runtime.add("own", built_in).unwrap();

    let mut client = serving.connect();
    let outside_path = library.to_str().unwrap();
    let native = |path: &str| json!({ "type": "native", "name": "x", "path": path });
    let mut cases = vec![
        ("absent", native("absent"), "absent"),
        ("a text file", native("text.so"), "text.so"),
        (
            "outside of the plugin folders",
            native(outside_path),
            "plugin director",
        ),
        (
            "a way out by dots",
            native("../../../../../../etc/passwd"),
            "plugin director",
        ),
        (
            "a creation that fails",
            json!({
                "type": "native", "name": "x", "path": "misbehaving", "config": "fail",
            }),
            "no such table",
        ),
        (
            "a creation that panics",
            json!({
                "type": "native", "name": "x", "path": "misbehaving", "config": "panic",
            }),
            "created for trouble",
        ),
        (
            "another checksum",
            json!({
                "type": "native", "name": "x", "path": "misbehaving", "sha256": "0".repeat(64),
            }),
            "SHA-256",
        ),
        (
            "an unknown key",
            json!({ "type": "native", "name": "x", "pth": "hello_plugin" }),
            "pth",
        ),
        (
            "a reserved name",
            json!({ "type": "native", "name": "_x", "path": "hello_plugin" }),
            "_x",
        ),
        (
            "a reserved prefix",
            json!({
                "type": "native", "name": "x", "path": "hello_plugin", "prefix": "/_plugins/x",
            }),
            "prefixes that begin with `/_`",
        ),
        (
            "something to build",
            json!({
                "type": "native", "name": "x", "source": "hello_plugin",
            }),
            "nothing is built",
        ),
        ("no definition", json!([]), ""),
    ];
    if cfg!(unix) {
        cases.push(("out by a link", native("link.so"), "plugin director"));
    }
    for (what, definition, part) in cases {
        let answer = send(&mut client, "POST", "/_plugins", &definition);
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{what}: {detail}");
        assert_eq!(client.get("/x").unwrap().status, 404, "{what}");
    }

    let good = native("hello_plugin");
    assert_eq!(send(&mut client, "PUT", "/_plugins/x", &good).status, 404);
    assert_eq!(send(&mut client, "POST", "/_plugins", &good).status, 201);
    let mut other = good.clone();
    other["name"] = json!("y");
    let mismatch = send(&mut client, "PUT", "/_plugins/x", &other);
    assert_eq!(mismatch.status, 422);
    let broken = send(&mut client, "PUT", "/_plugins/x", &native("text.so"));
    assert_eq!(broken.status, 422);
    assert_eq!(client.get("/x").unwrap().status, 200, "the old one goes on");

    let json = [("content-type", "application/json")];
    for (what, method, target, headers, body, status) in [
        ("not JSON", "POST", "/_plugins", &json[..], "{", 400),
        (
            "a form",
            "POST",
            "/_plugins",
            &[("content-type", "text/plain")][..],
            "{}",
            415,
        ),
        ("no type", "POST", "/_plugins", &[], "{}", 415),
        (
            "another method",
            "POST",
            "/_plugins/x",
            &json[..],
            "{}",
            405,
        ),
        ("PUT on all", "PUT", "/_plugins", &json[..], "{}", 405),
        (
            "the runtime's own",
            "DELETE",
            "/_plugins/_health",
            &[],
            "",
            404,
        ),
        (
            "the runtime's own",
            "GET",
            "/_plugins/_plugins",
            &[],
            "",
            404,
        ),
    ] {
        let answer = client
            .send(method, target, headers, body.as_bytes())
            .unwrap();
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    let answer = client
        .send("POST", "/_plugins", &json, large.as_bytes())
        .unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(serving.get("/_health/live").status, 200);
}

#[test]
fn what_a_patch_does_not_say_stays() {
    let (_dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let mut client = serving.connect();
    let definition = json!({
        "type": "native", "name": "it", "path": "misbehaving", "config": "kept", "prefix": "/api/it",
        "allow": ["127.0.0.1"], "limits": { "timeout": 5, "body": 1000 },
    });
    assert_eq!(
        send(&mut client, "POST", "/_plugins", &definition).status,
        201
    );
    let limits = json!({ "limits": { "timeout": 7, "body": null } });
    let patched = send(&mut client, "PATCH", "/_plugins/it", &limits);
    assert_eq!(patched.status, 200, "{}", patched.text());
    let shown = patched.json();
    assert_eq!(
        (&shown["prefix"], &shown["limits"]["timeout"]),
        (&json!("/api/it"), &json!(7.0))
    );
    assert_eq!(shown["limits"]["body"], 10 << 20);
    assert_eq!(client.get("/api/it/config").unwrap().text(), "kept");
    let merge = [("content-type", "application/merge-patch+json")];
    let body = br#"{ "config": "changed" }"#;
    assert_eq!(
        client
            .send("PATCH", "/_plugins/it", &merge, body)
            .unwrap()
            .status,
        200
    );
    assert_eq!(client.get("/api/it/config").unwrap().text(), "changed");
    assert_eq!(
        client
            .send("PUT", "/_plugins/it", &merge, body)
            .unwrap()
            .status,
        415
    );

    for (what, patch, status, part) in [
        (
            "another name",
            json!({ "name": "other" }),
            422,
            "keeps its name",
        ),
        (
            "an unknown key",
            json!({ "prefx": "/" }),
            422,
            "prefx: unknown key; did you mean `prefix`?",
        ),
        ("no object", json!(["path"]), 422, "a patch is an object"),
        (
            "something to build",
            json!({ "source": "x" }),
            422,
            "nothing is built",
        ),
        (
            "a file elsewhere",
            json!({ "path": "/etc/passwd" }),
            422,
            "plugin director",
        ),
    ] {
        let answer = send(&mut client, "PATCH", "/_plugins/it", &patch);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let problem = answer.json();
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains(part) && !detail.starts_with("1:"),
            "{what}: {detail}"
        );
    }
    assert_eq!(
        send(&mut client, "PATCH", "/_plugins/none", &json!({})).status,
        404
    );
    assert_eq!(client.get("/api/it/config").unwrap().text(), "changed");
}

#[test]
fn what_was_counted_of_one_that_is_gone_is_forgotten() {
    let (_dir, runtime, serving) = start(RegistryAccess::Loopback);
    let mut client = serving.connect();
    let hello = json!({ "type": "native", "name": "hello", "path": "hello_plugin" });
    let counted = |what: &str| {
        let text = serving.get("/_metrics").text().to_owned();
        let lines = text
            .lines()
            .filter(|line| line.contains("\"hello\"") && line.contains(what));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let ok = "valor_requests_total{status=\"200\",vlugin=\"hello\"}";
    assert_eq!(send(&mut client, "POST", "/_plugins", &hello).status, 201);
    assert_eq!(client.get("/hello").unwrap().status, 200);
    // A replacement counts on, from before its first request.
    assert_eq!(
        send(&mut client, "PUT", "/_plugins/hello", &hello).status,
        200
    );
    assert_eq!(counted(ok), [format!("{ok} 1")]);
    assert_eq!(client.get("/hello").unwrap().status, 200);
    assert_eq!(counted(ok), [format!("{ok} 2")]);
    assert_eq!(
        client
            .send("DELETE", "/_plugins/hello", &[], b"")
            .unwrap()
            .status,
        204
    );
    // The last who holds them may be the connection that sent the last response.
    let begun = std::time::Instant::now();
    while !counted("").is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "{:?}", counted(""));
    }
    // One that comes under the name later begins at nothing.
    let built_in = from_http(|_: http::Request| async { "built in" });
    runtime.add("hello", built_in).unwrap();
    assert_eq!(client.get("/hello").unwrap().status, 200);
    assert_eq!(counted(ok), [format!("{ok} 1")]);
    assert_eq!(
        send(&mut client, "PATCH", "/_plugins/hello", &json!({})).status,
        422
    );
}

/// A destructor is the vlugin's code: one that blocks is told of by its name, and not by that of who asked for it.
#[test]
fn a_destructor_that_blocks_is_the_vlugins() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NOTICED: AtomicUsize = AtomicUsize::new(0);
    valor_runtime::dispatch::watch::on_blocked(|| {
        NOTICED.fetch_add(1, Ordering::SeqCst);
    });
    let (_dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let mut client = serving.connect();
    let slow =
        json!({ "type": "native", "name": "slow", "path": "misbehaving", "config": "slow drop" });
    assert_eq!(send(&mut client, "POST", "/_plugins", &slow).status, 201);
    assert_eq!(
        client
            .send("DELETE", "/_plugins/slow", &[], b"")
            .unwrap()
            .status,
        204
    );
    assert!(NOTICED.load(Ordering::SeqCst) > 0, "nobody noticed");
    let text = serving.get("/_metrics").text().to_owned();
    let line = "valor_blocked_total{vlugin=\"_plugins\"} 0";
    assert!(text.contains(line), "{text}");
}

#[test]
fn who_may_not_speak_to_it() {
    let (_dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![json], 201),
        (vec![json, ("host", "example.com")], 403),
        (vec![json, ("host", "127.0.0.1.example.com:80")], 403),
        (vec![json, ("origin", "http://localhost")], 403),
        (vec![json, ("origin", "null")], 403),
    ] {
        let body = br#"{ "type": "native", "name": "hello", "path": "hello_plugin" }"#;
        let answer = serving
            .connect()
            .send("POST", "/_plugins", &headers, body)
            .unwrap();
        assert_eq!(answer.status, status, "{headers:?}");
        let answer = serving
            .connect()
            .send("GET", "/_plugins", &headers, b"")
            .unwrap();
        assert_eq!(answer.status == 200, status == 201, "{headers:?}");
    }

    let token = Token::new("a token of the registry's".replace(' ', "-").as_str()).unwrap();
    let (_dir, _runtime, serving) = start(RegistryAccess::Token(token));
    for (headers, status) in [
        (vec![], 401),
        (
            vec![("authorization", "Bearer a-token-of-somebody-else")],
            401,
        ),
        (
            vec![("authorization", "Bearer a-token-of-the-registry's")],
            200,
        ),
        (
            vec![
                ("authorization", "Bearer a-token-of-the-registry's"),
                ("host", "valor.example.com"),
            ],
            200,
        ),
    ] {
        let answer = serving
            .connect()
            .send("GET", "/_plugins", &headers, b"")
            .unwrap();
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }

    let (_dir, _runtime, serving) = start(RegistryAccess::Off);
    assert_eq!(serving.get("/_plugins").status, 404);
}

/// A vlugin's `call` reaches vlugins, and never the runtime's own.
#[test]
fn no_vlugin_reaches_it() {
    let (_dir, runtime, serving) = start(RegistryAccess::Loopback);
    let entry = valor::instance::Entry::of::<Caller>("caller", "1.0.0");
    smol::block_on(runtime.add_entry("caller", entry, Value::Null)).unwrap();
    let hello = from_http(|_: http::Request| async { "hello" });
    runtime.add("hello", hello).unwrap();
    for (name, status) in [
        ("hello", 200),
        ("_plugins", 404),
        ("_health", 404),
        ("absent", 404),
    ] {
        assert_eq!(
            serving.get(&format!("/caller/{name}")).text(),
            status.to_string(),
            "{name}"
        );
    }
}

struct Caller;

impl valor::Vlugin for Caller {
    type Config = Value;

    async fn on_create(_: Value, _: &mut valor::Context) -> http::Result<Self> {
        Ok(Self)
    }

    async fn on_request(
        &self,
        cx: &valor::Context,
        req: http::Request,
    ) -> http::Result<http::Response> {
        let name = req.url().path().trim_start_matches('/').to_owned();
        let asked = http::Request::new(http::Method::Get, "http://localhost/");
        let answer = cx.call(&name, asked).await?;
        Ok(u16::from(answer.status()).to_string().into())
    }
}

#[test]
fn an_image_is_mapped_once_for_the_same_bytes() {
    let (dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let images = || -> u64 {
        let metrics = serving.get("/_metrics");
        let line = metrics
            .text()
            .lines()
            .find_map(|l| l.strip_prefix("valor_images_mapped "));
        line.unwrap().parse().unwrap()
    };
    let mut client = serving.connect();
    // The count is the process's: all that other tests may map meanwhile is mapped before.
    for (name, file) in [("a", "hello_plugin"), ("b", "copy"), ("c", "misbehaving")] {
        let path = |file: &str| dir.path().join(fixture::file_name(file));
        if !Path::exists(&path(file)) {
            fs::copy(path("hello_plugin"), path(file)).unwrap();
        }
        let definition = json!({ "type": "native", "name": name, "path": file });
        let created = send(&mut client, "POST", "/_plugins", &definition);
        assert_eq!(created.status, 201, "{}", created.text());
    }
    let before = images();
    let definition = json!({ "type": "native", "name": "a", "path": "copy" });
    assert_eq!(
        send(&mut client, "PUT", "/_plugins/a", &definition).status,
        200
    );
    assert_eq!(images(), before);
}
