//! Vlugins of the type `wasi`, with real components: how they are built, replaced, pinned, signed and registered.
//! `packaging_components` has packages.

use crate::{
    packaging::library,
    support::{
        Finished, Folder, Server, component, components, finish, module, run, valor_cli,
        with_fixtures, workspace,
    },
    watching::{Busy, DONE, Watching, plugins},
};
use std::fs;

/// Writes the crate of a component that answers with a word. `more` is appended to its Cargo.toml.
pub fn source(folder: &Folder, name: &str, word: &str, more: &str) {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n\
         # As the fixtures have it, so that nothing is built twice.\n\
         [profile.dev]\ndebug = false\nopt-level = \"s\"\n[dependencies]\nwasip2 = \"2.0.1\"\n{more}"
    );
    folder.write("it/Cargo.toml", manifest);
    let lock = workspace().join("valor_runtime/tests/fixtures/wasi/Cargo.lock");
    folder.write("it/Cargo.lock", fs::read(lock).unwrap());
    answers(folder, word);
}

/// Writes the source of that crate alone.
fn answers(folder: &Folder, word: &str) {
    let code = r#"use wasip2::http::types::*;

struct It;

impl wasip2::exports::http::incoming_handler::Guest for It {
    fn handle(_: IncomingRequest, out: ResponseOutparam) {
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));
        body.write().unwrap().blocking_write_and_flush(b"WORD").unwrap();
        OutgoingBody::finish(body, None).unwrap();
    }
}

wasip2::http::proxy::export!(It);
"#;
    folder.write("it/src/lib.rs", code.replace("WORD", word));
}

#[test]
fn a_component_is_built_again() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "wasi", "name": "it", "source": "it" }"#,
    ]));
    source(&folder, "component_watched", "one", "");
    let mut command = valor_cli();
    with_fixtures(&mut command)
        .args(["run", "--addr", "127.0.0.1:0", "--build", "--watch", "-p"])
        .arg(folder.path().join("plugins.json"));
    let server = Server::spawn(command);
    let it = Watching { folder, server };
    let busy = Busy::ask(&it.server, "/it");
    busy.hears("one");
    it.when(|| answers(&it.folder, "two"), "the vlugin `it` is replaced");
    busy.hears("two");

    it.when(|| answers(&it.folder, "no\" \"code"), DONE);
    let err = it.server.err();
    let line = "plugins[0].source: vlugin `it`: its crate `component_watched` cannot be built";
    assert!(err.contains(line), "{err}");
    assert_eq!(it.get("/it"), "two");
    it.when(
        || answers(&it.folder, "three"),
        "the vlugin `it` is replaced",
    );
    busy.hears("three");
    assert_eq!(busy.answers(), ["one", "two", "three"]);
}

/// A file that is replaced, as a deployment does it.
#[test]
fn a_changed_component_replaces_the_old_one() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "wasi", "name": "it", "path": "it.wasm" }"#,
    ]));
    let [v2, v3] = components().each_ref().map(|it| fs::read(it).unwrap());
    folder.write("it.wasm", v2);
    let server = Server::start(&["-p", &folder.file("plugins.json"), "--watch"]);
    let it = Watching { folder, server };
    // An instance of 0.3 counts on, and one of 0.2 has one request. The body may come in chunks.
    let is_v3 = || {
        it.get("/it/served");
        it.get("/it/served").contains('2')
    };
    assert!(!is_v3());
    it.when(|| it.folder.write("it.wasm", "broken"), DONE);
    let line = "the vlugin `it` stays as it was";
    assert!(it.server.err().contains(line), "{}", it.server.err());
    assert!(!is_v3());
    it.when(
        || it.folder.write("it.wasm", v3),
        "the vlugin `it` is replaced",
    );
    assert!(is_v3());
}

/// What a program for `wstd` is: it exports a handler beside its `main`.
#[test]
fn a_program_is_built_to_a_component_and_to_no_library() {
    let folder = Folder::new(
        "{ \"plugins\": [\n{ \"type\": \"wasi\", \"name\": \"app\", \"source\": \"app\" },\n\
         { \"type\": \"native\", \"name\": \"library\", \"source\": \"app\" },\n\
         { \"type\": \"wasi\", \"name\": \"two\", \"source\": \"two\" }\n] }",
    );
    let manifest = "[package]\nname = \"my-app\"\nedition = \"2021\"\n[workspace]\n";
    folder.write("app/Cargo.toml", manifest);
    folder.write("app/src/main.rs", "fn main() {}");
    folder.write("two/Cargo.toml", manifest);
    folder.write("two/src/bin/a.rs", "fn main() {}");
    folder.write("two/src/bin/b.rs", "fn main() {}");
    let (file, target) = (folder.file("plugins.json"), folder.path().join("target"));
    let build = |names: &[&str]| {
        let mut command = valor_cli();
        command.env("CARGO_TARGET_DIR", &target);
        command.args(["build", "-p", &file]).args(names);
        finish(command)
    };
    let built = build(&["app"]);
    assert_eq!(built.code, Some(0), "{}", built.err);
    let app = target.join("wasm32-wasip2/debug/my-app.wasm");
    assert!(fs::read(&app).unwrap().starts_with(b"\0asm\x0d\0\x01\0"));
    assert!(built.out.contains("my-app.wasm"), "{}", built.out);

    let refused = build(&["library", "two"]);
    let add = "add to its Cargo.toml: [lib] crate-type = [\"cdylib\"]";
    assert_eq!(
        refused.faults(),
        [
            format!(
                "{file}:3:50: plugins[1].source: vlugin `library`: its source {} does not build a shared library; {add}",
                folder.file("app")
            ),
            format!(
                "{file}:4:44: plugins[2].source: vlugin `two`: its source {} does not build a component; {add}",
                folder.file("two")
            ),
        ]
    );

    // Without `--build` it is found under the name that cargo gives it.
    let found = run(&[
        "check",
        "-p",
        &file,
        "--plugin-dir",
        app.parent().unwrap().to_str().unwrap(),
    ]);
    let line = format!("{} exports `wasi:cli/run@", app.display());
    assert!(found.err.contains(&line), "{}", found.err);
}

#[cfg(unix)]
mod with_cargo_component {
    use super::*;
    use crate::support::script;

    /// A crate that is meant for `cargo component`, and one that is not.
    fn folder() -> Folder {
        let folder = Folder::new(&plugins(&[
            r#"{ "type": "wasi", "name": "it", "source": "it", "optional": true }"#,
            r#"{ "type": "wasi", "name": "other", "source": "other" }"#,
        ]));
        let manifest = |name: &str| {
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                 [lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n"
            )
        };
        let component = "[package.metadata.component]\npackage = \"a:it\"\n";
        folder.write("it/Cargo.toml", manifest("it") + component);
        folder.write("it/src/lib.rs", "");
        folder.write("other/Cargo.toml", manifest("other"));
        folder.write("other/src/lib.rs", "");
        folder
    }

    fn build(folder: &Folder) -> Finished {
        let path = std::env::var("PATH").unwrap();
        let mut command = valor_cli();
        command
            .args(["build", "-p", &folder.file("plugins.json")])
            .env("CARGO_TARGET_DIR", folder.path().join("target"))
            // cargo looks for its commands there too.
            .env("CARGO_HOME", folder.path().join("home"))
            .env("PATH", format!("{}:{path}", folder.file("bin")));
        finish(command)
    }

    #[test]
    fn a_crate_that_is_meant_for_it_is_built_by_it() {
        let folder = folder();
        // It calls cargo for another target, and makes a component of what that reports.
        let text = "echo \"$*\" >> \"$0.calls\"\n[ \"$2\" = --version ] && exit\nshift\n\
                    \"$CARGO\" \"$@\" --target wasm32-wasip2 && exit \"$(cat \"$0.code\")\"";
        script(&folder, "bin/cargo-component", text);
        folder.write("bin/cargo-component.code", "0");
        let built = build(&folder);
        assert_eq!(built.code, Some(0), "{}", built.err);
        let file = "target/wasm32-wasip2/debug/it.wasm";
        assert!(folder.path().join(file).exists());
        assert_eq!(built.out.matches("  built").count(), 2, "{}", built.out);
        let calls = fs::read_to_string(folder.path().join("bin/cargo-component.calls")).unwrap();
        assert_eq!(
            calls,
            "component --version\n\
             component build --package it@0.1.0 --message-format=json-render-diagnostics\n"
        );

        // What cargo has built is no component yet.
        folder.write("bin/cargo-component.code", "1");
        let failed = build(&folder);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        let line = "its crate `it` cannot be built; see cargo's errors above";
        let faults = failed.faults();
        assert!(faults.iter().any(|it| it.ends_with(line)), "{faults:?}");
    }

    #[test]
    fn without_it_a_line_says_what_to_install() {
        let folder = folder();
        let built = build(&folder);
        // The other one is built with cargo alone.
        assert_eq!(built.code, Some(0), "{}", built.err);
        let line = "unavailable: its crate `it` cannot be built: it has [package.metadata.component] in its \
                    Cargo.toml, and `cargo component`, which builds such crates, is not installed: cargo install \
                    cargo-component --locked\n";
        assert!(built.out.contains(line), "{}", built.out);
        assert_eq!(built.out.matches("  built").count(), 1, "{}", built.out);
        let needed = folder.path().join("plugins.json");
        let text = fs::read_to_string(&needed).unwrap();
        fs::write(needed, text.replace(", \"optional\": true", "")).unwrap();
        let failed = build(&folder);
        assert_eq!(failed.code, Some(1), "{failed:?}");
        let [fault] = failed.faults()[..] else {
            panic!("{}", failed.err);
        };
        assert!(fault.contains("cargo install cargo-component"), "{fault}");
    }
}

#[test]
fn a_component_is_pinned_by_its_hash() {
    let folder = Folder::new("");
    folder.write("it.wasm", fs::read(component()).unwrap());
    let file = folder.file("it.wasm");
    let shown = run(&["inspect", "--json", &file]);
    let shown: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let sha256 = shown["sha256"].as_str().unwrap();
    let check = |sha256: &str| {
        let entry = format!(
            r#"{{ "type": "wasi", "name": "it", "path": "it.wasm", "sha256": "{sha256}" }}"#
        );
        folder.write("plugins.json", plugins(&[&entry]));
        run(&["check", "-p", &folder.file("plugins.json")])
    };
    assert_eq!(check(sha256).code, Some(0));
    let zeros = "0".repeat(64);
    let refused = check(&zeros);
    assert_eq!(refused.code, Some(1));
    let [fault] = refused.faults()[..] else {
        panic!("{}", refused.err);
    };
    assert!(fault.contains("plugins[0].sha256: "), "{fault}");
    assert!(fault.contains(&zeros) && fault.contains(sha256), "{fault}");
}

#[test]
fn a_component_comes_changes_and_goes_over_http() {
    let dir = Folder::new("{}");
    let copy = |to: &str| dir.write(to, fs::read(component()).unwrap());
    copy("plugins/greeter.wasm");
    copy("outside.wasm");
    dir.write("plugins/module.wasm", b"\0asm\x01\0\0\0");
    let server = Server::start(&["-w", "--plugin-dir", &dir.file("plugins")]);
    let ask = |args: &[&str]| {
        let addr = server.addrs[0].clone();
        run(&[&["plugins", "--addr", &addr], args].concat())
    };
    let add = ["add", "it", "--type", "wasi"];
    let added = ask(&[&add[..], &["--path", "greeter", "--config", r#"{"a":"b"}"#]].concat());
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(added.out.contains("type       wasi\n"), "{}", added.out);
    assert_eq!(server.get("/it/x").body, "Hello, Method::Get /x!");
    let environment = r#"[("VALOR_NAME", "it"), ("a", "b")]"#;
    assert_eq!(server.get("/it/env").body, environment);

    let refused = |finished: Finished| {
        assert_eq!(finished.code, Some(1), "{finished:?}");
        finished.faults().join("\n")
    };
    let add = ["add", "other", "--type", "wasi", "--path"];
    let outside = dir.file("outside.wasm");
    let fault = refused(ask(&[&add[..], &[&outside]].concat()));
    assert!(fault.starts_with("422 "), "{fault}");
    let line = format!("{outside} is not inside the plugin directory");
    assert!(fault.contains(&line), "{fault}");
    #[cfg(unix)]
    {
        let link = dir.path().join("plugins/link.wasm");
        std::os::unix::fs::symlink(&outside, link).unwrap();
        for path in ["link", &dir.file("plugins/link.wasm")] {
            let fault = refused(ask(&[&add[..], &[path]].concat()));
            assert!(
                fault.starts_with("422 ") && !fault.contains("outside.wasm"),
                "{fault}"
            );
        }
    }
    let absent = refused(ask(&[&add[..], &["absent"]].concat()));
    assert!(absent.contains("absent.wasm"), "{absent}");

    // One that is none leaves the old one in place.
    let module = refused(ask(&["replace", "it", "--path", "module"]));
    assert!(module.contains("module.wasm is a core module"), "{module}");
    assert_eq!(server.get("/it/env").body, environment);
    let replaced = ask(&["replace", "it", "--config", r#"{"a":"c"}"#]);
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    let environment = environment.replace("\"b\"", "\"c\"");
    assert_eq!(server.get("/it/env").body, environment);
    assert_eq!(ask(&["remove", "it"]).out, "`it` is taken out\n");
    assert_eq!(server.get("/it/x").status, 404);
}

/// The kinds of one crate's file are told apart by what it is, not by its name.
#[test]
fn a_component_under_another_type_is_told_of() {
    let file = component().to_str().unwrap();
    let entry = |kind: &str, path: &str| {
        serde_json::json!({ "type": kind, "name": kind, "path": path }).to_string()
    };
    let library = library("hello_plugin");
    let entries = [
        entry("native", file),
        entry("wasm", file),
        entry("wasi", library.to_str().unwrap()),
        entry("wasi", module().to_str().unwrap()).replace(r#""name":"wasi""#, r#""name":"module""#),
    ];
    let folder = Folder::new(&plugins(&entries.each_ref().map(|it| &**it)));
    let checked = run(&["check", "-p", &folder.file("plugins.json")]);
    assert_eq!(checked.code, Some(1));
    let [native, wasm, wasi, module] = checked.faults()[..] else {
        panic!("{}", checked.err);
    };
    for fault in [native, wasm] {
        assert!(fault.contains("write `\"type\": \"wasi\"`"), "{fault}");
    }
    assert!(wasi.contains("write `\"type\": \"native\"`"), "{wasi}");
    assert!(module.contains("write `\"type\": \"wasm\"`"), "{module}");
}
