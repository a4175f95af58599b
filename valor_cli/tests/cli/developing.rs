//! `dev`: it serves whatever state the vlugins are in, each change that mends something is live, and a request that
//! fails is a line with its reason.

#[cfg(unix)]
use crate::watching_sources::{source_in, watched_in};
use crate::{
    packaging::library,
    support::{Folder, Server, finish, valor_cli},
    watching::{Watching, plugins},
};
use std::{fs, net::TcpListener, process::Command};

/// In the folder, on a free port.
pub fn dev(folder: &Folder) -> Command {
    let mut command = valor_cli();
    command
        .args(["dev", "--addr", "127.0.0.1:0"])
        .current_dir(folder.path());
    command
}

pub fn start(folder: Folder) -> Watching {
    let server = Server::spawn(dev(&folder));
    Watching { folder, server }
}

#[cfg(unix)]
#[test]
fn a_crate_that_does_not_compile_is_live_once_it_does() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "source": "it" }"#,
        r#"{ "type": "files", "name": "site", "path": "." }"#,
    ]));
    watched_in(&folder, "it", "developed");
    folder.write("it/src/lib.rs", "no Rust");
    let it = start(folder);
    it.server.wait_for_err("see cargo's errors above");
    // The others are served.
    assert_eq!(it.server.get("/site/plugins.json").status, 200);
    assert_eq!(it.server.get("/it/x?y").status, 503);
    it.server
        .wait_for_err("ERROR GET /it/x failed with 503 in `it` after ");
    it.server
        .wait_for_err("ms: it is not loaded: its source could not be built (id ");
    it.when(
        || source_in(&it.folder, "it", "mended"),
        "the vlugin `it` is replaced, and live after ",
    );
    assert_eq!(it.get("/it"), "mended");
}

#[test]
fn a_plugins_json_with_a_fault_is_live_once_it_has_none() {
    let folder = Folder::new("{ \"plugins\": [");
    folder.write("it.lib", fs::read(library("hello_plugin")).unwrap());
    let it = start(folder);
    it.server.wait_for_err("plugins.json:1:");
    assert_eq!(it.server.get("/it").status, 404);
    let whole = plugins(&[r#"{ "type": "native", "name": "it", "path": "it.lib" }"#]);
    it.when(
        || it.folder.write("plugins.json", whole),
        "the vlugin `it` is added, and live after ",
    );
    assert_eq!(it.get("/it"), "OK response from a plugin");
}

#[test]
fn a_definition_that_comes_with_a_fault_answers_503_until_it_has_none() {
    let folder = Folder::new(&plugins(&[]));
    let it = start(folder);
    let whole = plugins(&[r#"{ "type": "native", "name": "it", "path": "it.lib" }"#]);
    it.when(
        || it.folder.write("plugins.json", whole),
        "the vlugin `it` is not available: ",
    );
    it.server.wait_for_err("but for `it`");
    assert_eq!(it.server.get("/it").status, 503);
    assert!(it.server.get("/_health").body.contains("degraded"));
    let library = fs::read(library("hello_plugin")).unwrap();
    it.when(
        || it.folder.write("it.lib", library),
        "the vlugin `it` is replaced, and live after ",
    );
    assert_eq!(it.get("/it"), "OK response from a plugin");
}

#[cfg(target_os = "linux")]
#[test]
fn a_script_that_does_not_end_loading_is_said_at_once() {
    let folder = Folder::new(&plugins(&[]));
    folder.write(
        "it.js",
        "await new Promise(() => setInterval(() => {}, 100));",
    );
    let mut command = dev(&folder);
    command.env("VALOR_DENO", crate::scripting::deno());
    let it = Watching {
        server: Server::spawn(command),
        folder,
    };
    let whole = plugins(&[r#"{ "type": "js", "name": "it", "path": "it.js" }"#]);
    it.when(
        || it.folder.write("plugins.json", whole),
        "the vlugin `it` is not loaded yet after 4 s",
    );
}

#[cfg(unix)]
#[test]
fn a_request_that_fails_is_one_line_with_the_reason() {
    let folder = Folder::new(&plugins(&[
        r#"{ "type": "native", "name": "it", "path": "it.lib" }"#,
    ]));
    folder.write("it.lib", fs::read(crate::support::misbehaving()).unwrap());
    let it = start(folder);
    assert_eq!(it.server.get("/it/panic").status, 500);
    let line = "ERROR GET /it/panic failed with 500 in `it` after ";
    it.server.wait_for_err(line);
    let err = it.server.err();
    let shown: Vec<_> = err
        .lines()
        .filter(|it| it.contains("in the future"))
        .collect();
    let [shown] = shown[..] else {
        panic!("{err}");
    };
    assert!(shown.contains(line), "{shown}");
    assert!(
        shown.contains("ms: it panicked: in the future at "),
        "{shown}"
    );

    // `run` has it as two records.
    let run = Server::spawn(it.folder.run());
    assert_eq!(run.get("/it/panic").status, 500);
    run.wait_for_err("the vlugin `it` panicked: in the future at ");
    run.wait_for_err("INFO  GET /it/panic 500 it ");
}

#[test]
fn a_port_that_is_taken_is_followed_by_another() {
    let folder = Folder::new(&plugins(&[]));
    // If this fails, another program has it.
    let taken = TcpListener::bind("127.0.0.1:8080");
    let mut command = valor_cli();
    command.arg("dev").arg(folder.path());
    let server = Server::spawn(command);
    drop(taken);
    let addr = &server.addrs[0];
    assert!(
        addr.starts_with("127.0.0.1:") && addr != "127.0.0.1:8080",
        "{addr}"
    );
    server.wait_for_err("127.0.0.1:8080 is taken by another program");
    assert_eq!(server.get("/_health").status, 200);
}

#[test]
fn a_folder_without_a_plugins_json_gets_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let said = |args: &[&str]| {
        let mut command = valor_cli();
        command.arg("dev").args(args).current_dir(folder.path());
        let finished = finish(command);
        assert_eq!(
            (finished.code, finished.faults().len()),
            (Some(1), 1),
            "{finished:?}"
        );
        finished.faults()[0].to_owned()
    };
    let new = "`valor_cli new NAME` writes one into a new folder, with a vlugin";
    let missing = said(&[]);
    assert_eq!(
        missing,
        format!("plugins.json: there is no such file; {new}")
    );
    let elsewhere = said(&["nowhere"]);
    assert!(
        elsewhere.contains("nowhere") && elsewhere.ends_with(new),
        "{elsewhere}"
    );
    fs::write(folder.path().join("app.js"), "").unwrap();
    let a_script = said(&["app.js"]);
    assert!(
        a_script.contains("app.js is a file, and `dev` serves a plugins.json"),
        "{a_script}"
    );
    fs::write(folder.path().join("my.json"), "").unwrap();
    let a_file = said(&["my.json"]);
    assert!(a_file.ends_with("give the file with -p"), "{a_file}");
    let a_folder = said(&["-p", "."]);
    assert!(
        a_folder.contains("`valor_cli dev .` serves the plugins.json in it"),
        "{a_folder}"
    );
}
