//! `/_plugins` over a real socket: registering, replacing and removing real libraries. `refused` tests its refusals.

#[path = "../asker/mod.rs"]
mod asker;
#[path = "../fixture/mod.rs"]
mod fixture;
mod refused;
#[path = "../socket/mod.rs"]
mod socket;

use serde_json::{Value, json};
use socket::{Answer, Connection, Serving, serve};
use std::{fs, path::Path, sync::Arc};
use valor_runtime::{RegistryAccess, Runtime, from_http, http};

/// A plugin folder with two libraries, and a server with `/_plugins`.
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
    // Every key that it has, with the defaults; not what it was configured with.
    assert_eq!(shown["limits"]["fetches"], 128);
    assert_eq!(
        (&shown["strip"], &shown["allow"]),
        (&json!(true), &json!(null))
    );
    for hidden in ["config", "path", "source"] {
        assert_eq!(shown.get(hidden), None);
    }

    let changed = json!({
        "type": "native", "name": "hello", "path": "misbehaving", "config": "changed",
        "prefix": "/moved", "allow": ["a.org"], "callees": [],
    });
    let replaced = send(&mut client, "PUT", "/_plugins/hello", &changed);
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    let shown_now = replaced.json();
    assert_eq!(shown_now["allow"], json!(["a.org"]));
    assert_eq!(shown_now["callees"], json!([]));
    assert!(replaced.json()["generation"].as_u64() > shown["generation"].as_u64());
    assert_eq!(client.get("/moved/config").unwrap().text(), "changed");
    assert_eq!(client.get("/hello").unwrap().status, 404);

    // A running request finishes on the vlugin that it began on.
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

/// A file outside the plugin folders is refused in the same words whether it exists or not.
#[cfg(unix)]
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
    // A replacement goes on counting, even before its first request.
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
    // The last owner of the counters may be the connection that sent the last response.
    let begun = std::time::Instant::now();
    while !counted("").is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "{:?}", counted(""));
    }
    // A later vlugin with the same name begins at zero.
    let built_in = from_http(|_: http::Request| async { "built in" });
    runtime.add("hello", built_in).unwrap();
    assert_eq!(client.get("/hello").unwrap().status, 200);
    assert_eq!(counted(ok), [format!("{ok} 1")]);
    assert_eq!(
        send(&mut client, "PATCH", "/_plugins/hello", &json!({})).status,
        422
    );
}

/// A destructor is the vlugin's code. If it blocks, the log names that vlugin, and not the one that caused the
/// removal.
#[test]
fn a_destructor_that_blocks_is_the_vlugins() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NOTICED: AtomicUsize = AtomicUsize::new(0);
    let _listening = valor_runtime::on_blocked(|| {
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

/// A vlugin's `call` reaches vlugins, and never the runtime's own.
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
    // The number is the process's, so everything that other tests may map is mapped first.
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
