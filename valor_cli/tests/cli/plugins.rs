//! `valor_cli plugins`, against a running server.

use crate::packaging::library;
use crate::support::{Finished, Folder, Server, finish, libraries, run, valor_cli};
use serde_json::Value;

/// Sends a request to the server, with these arguments after its address.
fn ask(server: &Server, args: &[&str]) -> Finished {
    let addr = server.addrs[0].clone();
    run(&[&["plugins", "--addr", &addr], args].concat())
}

fn refused(finished: &Finished) -> &str {
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let [fault] = finished.faults()[..] else {
        panic!("{}", finished.err);
    };
    fault
}

#[test]
fn a_vlugin_comes_changes_and_goes() {
    let server = Server::start(&["-w", "--plugin-dir", libraries().to_str().unwrap()]);
    assert_eq!(ask(&server, &["list"]).out, "");

    let added = ask(
        &server,
        &["add", "hello", "--path", "hello_plugin", "--prefix", "/hi"],
    );
    assert_eq!(added.code, Some(0), "{added:?}");
    assert!(added.out.contains("prefix     /hi\n"), "{}", added.out);
    assert_eq!(server.get("/hi").body, "OK response from a plugin");
    let listed = ask(&server, &["list"]);
    assert!(
        listed.out.starts_with("hello\tnative\t/hi\t"),
        "{}",
        listed.out
    );
    let json = ask(&server, &["list", "--json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["plugins"][0]["name"], "hello");

    let again = ask(&server, &["add", "hello", "--path", "hello_plugin"]);
    let fault = refused(&again);
    assert!(
        fault.starts_with("409 ") && fault.contains("plugins replace"),
        "{fault}"
    );

    let folder = Folder::new("{}");
    let definition =
        r#"{ "type": "native", "name": "hello", "path": "with_state", "config": "Carol" }"#;
    folder.write("hello.json", definition);
    let file = folder.file("hello.json");
    let replaced = ask(&server, &["replace", "--definition", &file]);
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert_eq!(server.get("/hello?who=Zoe").body, "Carol says hello Zoe!");
    let config = ["--config", "\"Dave\"", "--prefix", "/hallo"];
    let replaced = ask(&server, &[&["replace", "hello"], &config[..]].concat());
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert_eq!(server.get("/hallo?who=Zoe").body, "Dave says hello Zoe!");
    // What is not given stays: the prefix, and the config.
    let replaced = ask(&server, &["replace", "hello", "--path", "with_state"]);
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    assert_eq!(server.get("/hallo?who=Zoe").body, "Dave says hello Zoe!");
    let replaced = ask(&server, &["replace", "hello", "--prefix", "/hello"]);
    assert_eq!(replaced.code, Some(0), "{replaced:?}");
    let shown = ask(&server, &["show", "hello"]);
    assert!(shown.out.contains("state      ready\n"), "{}", shown.out);

    let broken = ask(&server, &["replace", "hello", "--path", "none"]);
    assert!(refused(&broken).starts_with("422 "), "{broken:?}");
    assert_eq!(server.get("/hello?who=Zoe").body, "Dave says hello Zoe!");

    assert_eq!(
        ask(&server, &["remove", "hello"]).out,
        "`hello` is taken out\n"
    );
    assert_eq!(server.get("/hello").status, 404);
    for command in ["show", "remove"] {
        let gone = ask(&server, &[command, "hello"]);
        assert!(refused(&gone).contains("plugins list"), "{gone:?}");
    }
}

#[test]
fn what_is_wrong_with_a_definition_is_told_where_it_stands() {
    let server = Server::start(&["-w", "--plugin-dir", libraries().to_str().unwrap()]);
    let added = ask(&server, &["add", "it", "--path", "hello_plugin"]);
    assert_eq!(added.code, Some(0), "{added:?}");
    let folder = Folder::new("{}");
    let file = folder.file("it.json");
    let answer = |command: &str, text: &str| {
        folder.write("it.json", text);
        let finished = ask(&server, &[command, "--definition", &file]);
        refused(&finished).replace(&file, "FILE")
    };
    let text = "{\n  \"type\": \"native\",\n  \"name\": \"it\",\n  \"prefx\": \"/\"\n}";
    let line = "422 FILE:4:3: prefx: unknown key; did you mean `prefix`?";
    assert_eq!(answer("add", text), line);
    assert_eq!(answer("replace", text), line);
    let nameless = answer("replace", "{}");
    assert!(nameless.starts_with("FILE has no `name`, "), "{nameless}");
    let no_json = answer("replace", "{");
    let early = "FILE:1:2: the text ends too early: a bracket, brace or quote is never closed";
    assert_eq!(no_json, early);

    // What the command line gives has no lines.
    let finished = ask(&server, &["add", "it", "--type", "nativ"]);
    assert_eq!(
        refused(&finished),
        "422 type: `nativ` is not a type of vlugin; did you mean `native`?"
    );
}

#[test]
fn a_file_of_another_kind_is_met_with_the_option_for_it() {
    let folder = Folder::new("{}");
    // What they begin with.
    folder.write("component.wasm", b"\0asm\x0d\0\x01\0");
    folder.write("module.wasm", b"\0asm\x01\0\0\0");
    let server = Server::start(&["-w", "--plugin-dir", &folder.file("")]);
    for (kind, file, option) in [
        ("native", "component.wasm", "--type wasi"),
        ("native", "module.wasm", "--type wasm"),
    ] {
        let path = folder.file(file);
        let finished = ask(&server, &["add", "it", "--type", kind, "--path", &path]);
        let line = refused(&finished);
        assert!(line.contains(&format!("give `{option}`")), "{line}");
        // A definition says it in its own words.
        let definition = serde_json::json!({ "type": kind, "name": "it", "path": path });
        folder.write("it.json", definition.to_string());
        let finished = ask(&server, &["add", "--definition", &folder.file("it.json")]);
        let line = refused(&finished);
        assert!(line.contains("write `\"type\": "), "{line}");
    }
}

#[test]
fn a_definition_may_come_from_standard_input() {
    use std::io::{Seek, Write};
    let server = Server::start(&["-w", "--plugin-dir", libraries().to_str().unwrap()]);
    let mut input = tempfile::tempfile().unwrap();
    write!(
        input,
        r#"{{ "type": "native", "name": "hello", "path": "hello_plugin" }}"#
    )
    .unwrap();
    input.rewind().unwrap();
    let mut command = valor_cli();
    command.args([
        "plugins",
        "--addr",
        &server.addrs[0],
        "add",
        "--definition",
        "-",
    ]);
    command.stdin(input);
    assert_eq!(finish(command).code, Some(0));
    assert_eq!(server.get("/hello").status, 200);

    let empty = ask(&server, &["replace", "--definition", "-"]);
    assert_eq!(refused(&empty), "standard input:1:1: the text is empty");
    let empty = ask(&server, &["add", "--definition", "-"]);
    let begins = "400 standard input:1:1: the text is empty";
    assert!(refused(&empty).starts_with(begins), "{empty:?}");
}

#[test]
fn a_token_is_sent_where_there_is_one() {
    let folder = Folder::new("{}");
    folder.write("token", "0123456789abcdef\n");
    let token = folder.file("token");
    let server = Server::start(&["-w", "--registry-token-file", &token]);
    let without = ask(&server, &["list"]);
    let fault = refused(&without);
    assert!(
        fault.starts_with("401 ") && fault.contains("--token-file"),
        "{fault}"
    );
    assert_eq!(
        ask(&server, &["list", "--token-file", &token]).code,
        Some(0)
    );
    let mut command = valor_cli();
    command.args(["plugins", "list", "--addr", &server.addrs[0]]);
    command.env("VALOR_TOKEN", "0123456789abcdef");
    assert_eq!(finish(command).code, Some(0));
}

#[test]
fn what_is_not_there_to_be_asked_is_told_of() {
    let folder = Folder::new(r#"{ "plugins": [] }"#);
    let server = Server::start(&["-p", &folder.file("plugins.json")]);
    let closed = ask(&server, &["list"]);
    assert!(refused(&closed).contains("--with-registry"), "{closed:?}");
    let addr = server.addrs[0].clone();
    drop(server);
    let gone = run(&["plugins", "--addr", &addr, "list"]);
    assert!(refused(&gone).contains("is it running there?"), "{gone:?}");

    for args in [
        &["add"][..],
        &["add", "x", "--definition", "y"],
        &["add", "x", "--config", "{"],
    ] {
        assert_eq!(
            run(&[&["plugins"], args].concat()).code,
            Some(2),
            "{args:?}"
        );
    }
}

#[test]
fn the_file_of_a_vlugin_that_runs_can_be_written_over() {
    let folder = Folder::new("{}");
    let write = |name| folder.write("greet.lib", std::fs::read(library(name)).unwrap());
    write("hello_plugin");
    let dir = folder.path().to_str().unwrap();
    let server = Server::start(&["-w", "--plugin-dir", dir]);
    let file = folder.file("greet.lib");
    let added = ask(&server, &["add", "greet", "--path", &file]);
    assert_eq!(added.code, Some(0), "{added:?}");
    assert_eq!(server.get("/greet").body, "OK response from a plugin");
    write("with_state");
    assert_eq!(server.get("/greet").body, "OK response from a plugin");
    let new = ["replace", "greet", "--path", &file, "--config", "\"Eve\""];
    assert_eq!(ask(&server, &new).code, Some(0));
    assert_eq!(server.get("/greet?who=Zoe").body, "Eve says hello Zoe!");
}

#[test]
fn wrong_addresses_are_wrong_command_lines() {
    for (addr, part) in [
        ("https://localhost:99999", "`99999` is not a port"),
        ("http://localhost:0", "`0` is not a port"),
        ("https://[::1]:", "`` is not a port"),
        ("https://:8443", "is not the address of a server"),
        ("https://localhost/path", "is not the address of a server"),
        ("127.0.0.1:99999", "is not an address"),
        ("127.0.0.1:0", "no server listens on port 0"),
        ("ftp://localhost", "is not an address"),
    ] {
        let finished = run(&["plugins", "--addr", addr, "list"]);
        assert_eq!(finished.code, Some(2), "{addr}: {finished:?}");
        assert!(finished.err.contains(part), "{addr}: {}", finished.err);
    }
    // A scheme may be written in capitals.
    for addr in ["HTTPS://localhost:1", "HttP://localhost:1"] {
        let finished = run(&["plugins", "--addr", addr, "list"]);
        let (scheme, rest) = addr.split_once(':').unwrap();
        let addr = format!("{}:{rest}", scheme.to_ascii_lowercase());
        let line = format!("the server at {addr} cannot be asked: ");
        assert!(refused(&finished).starts_with(&line), "{finished:?}");
    }
}

#[test]
fn names_that_no_vlugin_can_have_are_wrong_command_lines() {
    let folder = Folder::new("{}");
    for (name, rule) in [
        ("", "a name has at least one character"),
        (
            "a/b",
            "`/` is not allowed in a name; letters, digits, `_`, `.` and `-` are",
        ),
        (
            "_a",
            "names that begin with `_` or `.` are Valor's own; begin `_a` otherwise",
        ),
    ] {
        for command in ["add", "replace", "show", "remove"] {
            let finished = run(&["plugins", "--addr", "127.0.0.1:1", command, name]);
            assert_eq!(finished.code, Some(2), "{command} {name}: {finished:?}");
            assert!(
                finished.err.contains(rule),
                "{command} {name}: {}",
                finished.err
            );
        }
        let finished = run(&["build", "-p", &folder.file("plugins.json"), name]);
        assert_eq!(finished.code, Some(2), "{name}: {finished:?}");
        assert!(finished.err.contains(rule), "{name}: {}", finished.err);
        // The path of a replacement has the name, so it is judged before the server is asked.
        folder.write(
            "it.json",
            serde_json::json!({ "type": "native", "name": name }).to_string(),
        );
        let file = folder.file("it.json");
        let finished = run(&[
            "plugins",
            "--addr",
            "127.0.0.1:1",
            "replace",
            "--definition",
            &file,
        ]);
        assert_eq!(refused(&finished), format!("{file}: name: {rule}"));
    }
}

#[test]
fn roots_of_trust_are_for_tls() {
    for addr in ["127.0.0.1:1", "http://localhost:1", "HTTP://localhost:1"] {
        let finished = run(&["plugins", "--addr", addr, "--ca-file", "none", "list"]);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        let addr = addr.replace("HTTP", "http");
        assert_eq!(
            finished.faults(),
            [format!(
                "--ca-file is for TLS, but {addr} is asked over plain HTTP: give --addr as an https:// URL, or leave \
                 --ca-file out"
            )]
        );
    }
}

#[test]
fn no_key_is_there_twice() {
    let finished = run(&["plugins", "add", "it", "--config", r#"{ "a": 1, "a": 2 }"#]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let line = "1:11: a: this key is there already at 1:3; take one of them out";
    assert!(finished.err.contains(line), "{}", finished.err);
}
