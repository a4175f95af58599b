//! `--build`: crates that compile, crates that do not, and no cargo at all.

use crate::support::{Folder, Server, finish, valor_cli, workspace};

const BROKEN: &str = "\
[package]
name = \"broken\"
edition = \"2021\"
[lib]
crate-type = [\"cdylib\"]
[workspace]
";

#[test]
fn the_examples_are_built_and_served() {
    let file = workspace().join("examples/plugins.json");
    let server = Server::start(&["--build", "-p", file.to_str().unwrap()]);
    server.wait_for_err("valor::build: built 8 of 8 crates");
    let hello = server.get("/hello_plugin");
    assert_eq!(
        (hello.status, &*hello.body),
        (200, "OK response from a plugin")
    );
    let alice = server.get("/hello_alice?who=Zoe");
    assert_eq!(alice.body, "Alice says hello Zoe!");
    assert_eq!(alice.header("x-valor-plugin"), Some("hello_alice"));
    assert_eq!(server.get("/hello_bob?who=Zoe").body, "Bob says hello Zoe!");
    #[cfg(feature = "wasm")]
    assert_eq!(server.get("/wasi_hello/Zoe").body, "Hello, Zoe!");
    assert_eq!(server.get("/axum_todo").body, "axum_todo: 1 left");
    assert_eq!(server.get("/hello_alice").status, 400);
    assert_eq!(server.send("POST", "/echo", &[], "a body").body, "a body");
}

#[test]
fn a_crate_that_does_not_compile_is_named_and_the_compiler_is_heard() {
    let folder = Folder::new(
        r#"{ "plugins": [
    { "type": "native", "name": "one", "source": "broken" },
    { "type": "native", "name": "two", "source": "broken" },
    { "type": "native", "name": "three", "source": "nowhere" }
] }"#,
    );
    folder.write("broken/Cargo.toml", BROKEN);
    folder.write("broken/src/lib.rs", "fn nonsense() -> Missing {}");
    let file = folder.file("plugins.json");
    let target = folder.path().join("target");
    let build = |json: &[&str]| {
        let mut command = valor_cli();
        command.env("CARGO_TARGET_DIR", &target);
        command.args(["check", "--build", "-p", &file]).args(json);
        finish(command)
    };

    let finished = build(&[]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.err.contains("cannot find type `Missing`"),
        "{}",
        finished.err
    );
    let line = "its crate `broken` cannot be built; see cargo's errors above";
    let faults = finished.faults();
    let own: Vec<_> = faults
        .iter()
        .filter(|fault| fault.starts_with(&file))
        .collect();
    assert_eq!(own.len(), 3, "{}", finished.err);
    assert_eq!(
        *own[0],
        format!("{file}:2:50: plugins[0].source: vlugin `one`: {line}")
    );
    assert_eq!(
        *own[1],
        format!("{file}:3:50: plugins[1].source: vlugin `two`: {line}")
    );
    assert!(
        own[2].contains("has no Cargo.toml; `source` names a crate's folder"),
        "{}",
        own[2]
    );

    let finished = build(&["--log-format", "json"]);
    assert_eq!((finished.code, &*finished.out), (Some(1), ""));
    let mut heard = false;
    for line in finished.err.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect(line);
        heard |= record["target"] == "valor::build"
            && record["message"]
                .as_str()
                .unwrap()
                .contains("cannot find type `Missing`");
    }
    assert!(heard, "{}", finished.err);
}

#[test]
fn without_cargo_an_optional_vlugin_is_left_out_with_the_reason() {
    let plugins = |optional: bool| {
        format!(
            r#"{{ "plugins": [{{ "type": "native", "name": "a", "source": "crate", "optional": {optional} }}] }}"#
        )
    };
    let with_crate = |optional| {
        let folder = Folder::new(&plugins(optional));
        folder.write("crate/Cargo.toml", BROKEN);
        folder.write("crate/src/lib.rs", "");
        folder
    };
    let command = |folder: &Folder| {
        let mut command = folder.run();
        let cargo = folder.path().join("no-cargo");
        command.arg("--build").env("CARGO", cargo);
        command
    };

    let folder = with_crate(true);
    let server = Server::spawn(command(&folder));
    let reason = "there is no cargo to build it; install Rust from https://rustup.rs";
    assert!(
        server.out().contains(&format!("unavailable: {reason}")),
        "{}",
        server.out()
    );
    let answer = server.get("/a/b");
    assert_eq!(answer.status, 503);
    // The reason is the operator's.
    assert!(
        answer.body.contains("it is not installed"),
        "{}",
        answer.body
    );
    assert!(!answer.body.contains("cargo"), "{}", answer.body);
    assert_eq!(server.get("/_health").status, 200);

    let folder = with_crate(false);
    let finished = finish(command(&folder));
    assert_eq!(finished.code, Some(1));
    assert!(finished.faults()[0].contains(reason), "{}", finished.err);
}

/// Something that is called cargo, and does not speak as cargo does.
#[test]
#[cfg(unix)]
fn a_cargo_that_says_nothing_is_named() {
    let folder =
        Folder::new(r#"{ "plugins": [{ "type": "native", "name": "a", "source": "crate" }] }"#);
    folder.write("crate/Cargo.toml", BROKEN);
    folder.write("crate/src/lib.rs", "");
    for (cargo, code) in [("/usr/bin/false", 1), ("/usr/bin/true", 0)] {
        let mut command = folder.run();
        command.arg("--build").env("CARGO", cargo);
        let finished = finish(command);
        let source = folder.path().join("crate");
        let line = format!(
            "cargo cannot read its source {}: {cargo} ended with exit status: {code} and said nothing; see that it is \
             cargo",
            source.display()
        );
        assert!(finished.faults()[0].ends_with(&line), "{}", finished.err);
    }
}

/// A compiler that has the host's std and no other.
#[test]
#[cfg(unix)]
fn without_its_target_an_optional_vlugin_is_left_out_with_the_reason() {
    use crate::support::{script, started};
    use std::{fs, os::unix::fs::symlink, process::Command};

    let folder = Folder::new(
        r#"{ "plugins": [
    { "type": "wasm", "name": "module", "source": "crate", "optional": true },
    { "type": "wasi", "name": "component", "source": "crate", "optional": true },
    { "type": "files", "name": "site", "path": "crate" }
] }"#,
    );
    folder.write("crate/Cargo.toml", BROKEN);
    folder.write("crate/src/lib.rs", "");
    let told = |what: &str| {
        let mut rustc = Command::new("rustc");
        let output = started(rustc.args(["--print", what]), Command::output);
        let told = String::from_utf8(output.stdout).unwrap();
        told.trim().to_owned()
    };
    let host = told("host-tuple");
    let std = format!("{}/lib/rustlib/{host}", told("sysroot"));
    let sysroot = folder.path().join("sysroot");
    fs::create_dir_all(sysroot.join("lib/rustlib")).unwrap();
    symlink(std, sysroot.join("lib/rustlib").join(host)).unwrap();
    let run = format!("exec rustc --sysroot '{}' \"$@\"", sysroot.display());
    let compiler = script(&folder, "rustc", &run);

    let mut command = folder.run();
    command
        .arg("--build")
        .env("RUSTC", &compiler)
        .env("CARGO_TARGET_DIR", folder.path().join("target"));
    let server = Server::spawn(command);
    for (name, target) in [
        ("module", "wasm32-unknown-unknown"),
        ("component", "wasm32-wasip2"),
    ] {
        let reason = format!(
            "unavailable: its crate `broken` cannot be built: the target {target} is not installed for this compiler: \
             rustup target add {target}"
        );
        assert!(server.out().contains(&reason), "{}", server.out());
        assert_eq!(server.get(&format!("/{name}")).status, 503);
    }
    assert_eq!(server.get("/site/Cargo.toml").body, BROKEN);
    assert_eq!(server.get("/_health").status, 200);
}
