//! Standard output that takes nothing, as on a full disk: `/dev/full`. A command whose results were not written has
//! failed; a server serves anyway.
#![cfg(target_os = "linux")]

use crate::support::{Folder, Server, libraries, run, started, valor_cli, wait_for};
use std::{
    fs::File,
    process::{Child, Command, Stdio},
};

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// Runs the program without room for its output, and returns its code and its error about that.
fn without_room(args: &[&str]) -> (Option<i32>, String) {
    let mut command = valor_cli();
    let output = started(command.args(args).stdout(full()), Command::output);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), err)
}

#[test]
fn a_command_whose_results_are_lost_has_failed() {
    let folder = Folder::new(r#"{ "plugins": [] }"#);
    let file = folder.file("plugins.json");
    let library = crate::packaging::library("hello_plugin")
        .display()
        .to_string();
    let (key, package) = (folder.file("key"), folder.file("hello_plugin.vlugin"));
    let source = crate::support::workspace().join("examples/hello_plugin");
    let source = source.to_str().unwrap();
    let server = Server::start(&["-w", "--plugin-dir", libraries().to_str().unwrap()]);
    let at = server.addrs[0].as_str();
    let mut commands = vec![
        vec!["--help"],
        vec!["--version"],
        vec!["run", "--help"],
        vec!["schema"],
        vec!["completions", "bash"],
        vec!["check", "-p", &file],
        vec!["build", "-p", &file],
        vec!["inspect", &library],
        vec!["inspect", "--json", &library],
        vec!["keygen", &key],
        vec!["package", "--source", source, "-o", &package, &library],
        vec![
            "plugins",
            "--addr",
            at,
            "add",
            "hello",
            "--path",
            "hello_plugin",
        ],
        vec!["plugins", "--addr", at, "list"],
        vec!["plugins", "--addr", at, "--json", "list"],
        vec!["plugins", "--addr", at, "show", "hello"],
        vec!["plugins", "--addr", at, "remove", "hello"],
    ];
    let page = folder.file("page");
    if cfg!(feature = "wasm") {
        commands.push(vec!["web", "-p", &file, "-o", &page]);
    }
    for args in commands {
        let (code, err) = without_room(&args);
        assert_eq!(code, Some(1), "{args:?}: {err}");
        let line = "error: the output cannot be written, and is lost: No space left";
        assert!(err.contains(line), "{args:?}: {err}");
    }
    // In JSON the results are records on standard error.
    let mut check = valor_cli();
    let args = ["check", "-p", &file, "--log-format", "json"];
    let code = started(check.args(args).stderr(full()), Command::status).code();
    assert_eq!(code, Some(0), "there was nothing to print");
    folder.write(
        "plugins.json",
        r#"{ "plugins": [{ "type": "files", "name": "a", "path": "." }] }"#,
    );
    let code = started(&mut check, Command::status).code();
    assert_eq!(code, Some(1));
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let mut command = valor_cli();
    command.args(["completions", "bash"]).stdout(Stdio::piped());
    let mut child = started(&mut command, Command::spawn);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_says_so_and_serves() {
    let folder = Folder::new("{}");
    let socket = format!("unix:{}", folder.file("socket"));
    let (errors, said) = (folder.file("errors"), folder.path().join("errors"));
    let mut command = valor_cli();
    command.args(["run", "-w", "--addr", &socket]);
    command.stdout(full()).stderr(File::create(errors).unwrap());
    let mut server = Killed(started(&mut command, Command::spawn));
    let mut line = None;
    wait_for("the line", || {
        let said = std::fs::read_to_string(&said).unwrap();
        line = said
            .lines()
            .find(|it| it.contains("cannot be written"))
            .map(str::to_owned);
        line.is_some()
    });
    assert!(line.is_some_and(|line| line.contains("WARN")));
    assert_eq!(run(&["plugins", "--addr", &socket, "list"]).code, Some(0));
    let mut term = Command::new("kill");
    term.args(["-TERM", &server.0.id().to_string()]);
    assert!(started(&mut term, Command::status).success());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

/// A program that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
