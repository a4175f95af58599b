//! What `/_plugins` refuses: definitions, links, and clients that may not speak to it.

use crate::{asker::Asker, fixture, send, socket::serve, start};
use serde_json::{Value, json};
use std::fs;
use valor_runtime::{RegistryAccess, Runtime, Token, from_http, http};

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
    for kind in ["native", "wasm", "wasi", "js", "files"] {
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
    // Errors of files inside name the fault.
    let answer = ask("native", "absent.so");
    assert!(answer.1.contains("does not exist"), "{}", answer.1);
}

/// A path starts beside plugins.json, and what is there is not said.
#[test]
fn a_path_beside_the_plugin_directory_is_told_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let plugins = dir.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::write(plugins.join("there.x"), "").unwrap();
    fs::write(dir.path().join("beside.x"), "").unwrap();
    let gone = dir.path().join("gone");
    let runtime = Runtime::builder()
        .base_dir(dir.path())
        .plugin_dir(&plugins)
        .plugin_dir(&gone)
        .registry(RegistryAccess::Loopback)
        .build()
        .unwrap();
    let serving = serve(runtime);
    let mut client = serving.connect();
    let mut told = |kind: &str, path: &str| {
        let it = json!({ "type": kind, "name": "z", "path": path });
        let answer = send(&mut client, "POST", "/_plugins", &it);
        assert_eq!(answer.status, 422, "{}", answer.text());
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        detail.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let dirs = "is not inside one of the plugin directories DIR/plugins or DIR/gone";
    for kind in ["native", "wasm", "wasi", "js", "files"] {
        for name in ["absent.x", "beside.x"] {
            assert_eq!(
                told(kind, name),
                format!("DIR/{name} {dirs}, and there is no `{name}` in them: put it there")
            );
        }
        assert_eq!(
            told(kind, "there.x"),
            format!("DIR/there.x {dirs}; did you mean DIR/plugins/there.x?")
        );
        // These have no name that could be in one of them.
        for (path, file) in [("/", "/".to_owned()), ("..", "DIR/..".to_owned())] {
            assert_eq!(
                told(kind, path),
                format!("{file} {dirs}; give a path in them")
            );
        }
        for path in ["plugins/absent.x", "plugins/absent/x.x", "gone/x.x"] {
            assert_eq!(
                told(kind, path),
                format!("DIR/{path} does not exist: put it there, or correct `path`")
            );
        }
    }
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
        (
            "more compiling than others wait for",
            json!({
                "type": "wasm", "name": "x", "path": "x.wasm", "limits": { "compile": 2 },
            }),
            "`limits.compile` can only be raised in plugins.json",
        ),
        (
            "a path of a megabyte",
            native(&"p/".repeat(500_000)),
            "a text has at most 4096 characters",
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

#[test]
fn no_vlugin_reaches_it() {
    let (_dir, runtime, serving) = start(RegistryAccess::Loopback);
    let entry = valor::Entry::of::<Asker>("asker", "1.0.0");
    smol::block_on(runtime.add_entry("asker", entry, Value::Null)).unwrap();
    let hello = from_http(|_: http::Request| async { "hello" });
    runtime.add("hello", hello).unwrap();
    for (name, status) in [
        ("hello", 200),
        ("_plugins", 404),
        ("_health", 404),
        ("absent", 404),
    ] {
        let answer = serving.get(&format!("/asker/call/{name}"));
        assert_eq!(answer.status, status, "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_text_is_said_as_of_plugins_json() {
    let (_dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let mut client = serving.connect();
    let hello = json!({ "type": "native", "name": "hello", "path": "hello_plugin" });
    assert_eq!(send(&mut client, "POST", "/_plugins", &hello).status, 201);
    let deep = "[".repeat(128) + &"]".repeat(128);
    let twice = "this key is there already at 1:13; take one of them out";
    for (text, status, line) in [
        ("", 400, "1:1: the text is empty"),
        (
            "{ \"type\": }",
            400,
            "1:11: not valid JSON: expected a string in double quotes, a number, true, false, null, \
            an object or an array",
        ),
        (
            "{ \"type\": 1e400 }",
            422,
            "1:11: `1e400` is out of range: a number is at most about 1.8e308 in either direction",
        ),
        (
            &deep,
            422,
            "1:128: arrays and objects are nested more than 127 deep; remove levels",
        ),
        (
            "{\0}\0",
            400,
            "1:2: this is UTF-16 or UTF-32; save it as UTF-8",
        ),
        (
            "{\"config\": {\"a\": 1, \"a\": 2}}",
            422,
            &format!("1:21: config.a: {twice}"),
        ),
    ] {
        for (method, target) in [
            ("POST", "/_plugins"),
            ("PUT", "/_plugins/hello"),
            ("PATCH", "/_plugins/hello"),
        ] {
            let json = [("content-type", "application/json")];
            let answer = client.send(method, target, &json, text.as_bytes()).unwrap();
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert_eq!(answer.status, status, "{method} {text}: {detail}");
            assert!(detail.contains(line), "{method} {text}: {detail}");
        }
    }
}

/// What a definition may say and this host does not grant is found by the host, and stands where it stands in the text.
#[test]
fn what_the_host_does_not_grant_has_a_line_and_a_column() {
    let (_dir, _runtime, serving) = start(RegistryAccess::Loopback);
    let mut client = serving.connect();
    let hello = json!({ "type": "native", "name": "hello", "path": "hello_plugin" });
    assert_eq!(send(&mut client, "POST", "/_plugins", &hello).status, 201);
    let unoffered = "which this host does not offer; it offers nothing: take the name out";
    for (keys, faults) in [
        (
            "\"callees\": [\"*\", \"_x\",\n\"_y\"]",
            &[
                ("2:18", format!("callees[1]: `callees` names `_x`, {unoffered}")),
                ("3:1", format!("callees[2]: `callees` names `_y`, {unoffered}")),
            ][..],
        ),
        (
            "\"callees\": [\"_\"]",
            &[(
                "2:13",
                "callees[0]: `_` names nothing that a host can offer; write `_` once and a name behind it, such as \
                 `_count`"
                    .to_owned(),
            )],
        ),
        (
            "\"allow\": [\"a\", \"b:x\"]",
            &[(
                "2:16",
                "allow[1]: `b:x` in `allow` has a port that is not a number; write `host`, `host:port`, `*.domain`, \
                 `[ipv6]:port`, or `*` for all"
                    .to_owned(),
            )],
        ),
        (
            "\"source\": \".\", \"limits\": { \"compile\": 2 }",
            &[
                (
                    "2:11",
                    "source: `source` is for plugins.json: over HTTP nothing is built; give the vlugin's file in `path`"
                        .to_owned(),
                ),
                (
                    "2:39",
                    "limits.compile: `limits.compile` can only be raised in plugins.json: while a module is compiled, \
                     all others wait"
                        .to_owned(),
                ),
            ],
        ),
    ] {
        let kind = if keys.contains("compile") { "wasm" } else { "native" };
        let text = format!("{{ \"type\": \"{kind}\", \"name\": \"hello\", \"path\": \"hello_plugin\",\n{keys} }}");
        for (method, target) in [("POST", "/_plugins"), ("PUT", "/_plugins/hello")] {
            let json = [("content-type", "application/json")];
            let answer = client.send(method, target, &json, text.as_bytes()).unwrap();
            let lines: Vec<_> = faults.iter().map(|(at, line)| format!("{at}: {line}")).collect();
            assert_eq!(answer.json()["detail"], lines.join("; "), "{method}");
            assert_eq!(answer.status, 422, "{method}");
        }
        // A patch is not the text that is judged: its keys are named alone.
        let patch = format!("{{ \"type\": \"{kind}\", {keys} }}");
        let json = [("content-type", "application/json")];
        let answer = client.send("PATCH", "/_plugins/hello", &json, patch.as_bytes()).unwrap();
        let lines: Vec<_> = faults.iter().map(|(_, line)| &**line).collect();
        assert_eq!(answer.json()["detail"], lines.join("; "));
    }
}
