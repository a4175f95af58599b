//! What keeps Deno from running on this machine, and what one leaves there: what is said of it, once, and with the
//! remedy that helps.

use crate::{
    scripting::{SCRIPT, deno, folder, without_deno},
    support::{Folder, Server, finish, valor_cli},
};
use std::process::Command;

/// The error says what is wrong, and not that there is no Deno.
#[test]
fn what_keeps_deno_from_running_is_said() {
    let folder = folder("");
    let check = |shell: &str| {
        let mut command = Command::new("sh");
        command.env("VALOR_DENO", deno()).arg("-c").arg(format!(
            "{shell} exec {} check -p {}",
            env!("CARGO_BIN_EXE_valor_cli"),
            folder.file("plugins.json")
        ));
        let finished = finish(command);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let [fault] = finished.faults()[..] else {
            panic!("{}", finished.err);
        };
        assert!(!fault.contains("there is no Deno"), "{fault}");
        fault.to_owned()
    };
    let limited = check("ulimit -v 8000000;");
    assert!(limited.contains("does not run: signal: "), "{limited}");
    assert!(
        limited.contains("(`ulimit -v`): lift that limit"),
        "{limited}"
    );
    // One that has 14 descriptors open itself gets no pipe for the output of another program.
    let full = check("ulimit -n 16;");
    assert!(
        full.contains(
            ": Too many open files (os error 24); let this process open more files (`ulimit -n`"
        ),
        "{full}"
    );
    let gone = check("export TMPDIR=/not/there;");
    assert!(
        gone.contains("need a temporary folder, and none can be made in /not/there: "),
        "{gone}"
    );
    assert!(
        gone.ends_with("set TMPDIR to a folder that exists and may be written to"),
        "{gone}"
    );
    let long = folder.path().join("x".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let long = check(&format!("export TMPDIR={};", long.display()));
    assert!(
        long.ends_with("too long for a socket in it: set TMPDIR to a shorter one"),
        "{long}"
    );
}

#[test]
fn what_keeps_several_scripts_from_running_is_said_once() {
    let scripts = ["one", "two", "three"]
        .map(|name| format!(r#"{{ "type": "js", "name": "{name}", "path": "page.js" }}"#));
    let folder = Folder::new(&format!(r#"{{ "plugins": [{}] }}"#, scripts.join(", ")));
    folder.write("page.js", SCRIPT);
    let of = |command: Command, short: &str, whole: &str| {
        let finished = finish(command);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let faults = finished.faults();
        assert_eq!(faults.len(), 3, "{}", finished.err);
        for (fault, name) in faults.iter().zip(["one", "two", "three"]) {
            assert!(
                fault.ends_with(&format!("vlugin `{name}`{short}")),
                "{fault}"
            );
        }
        assert_eq!(finished.err.matches(whole).count(), 1, "{}", finished.err);
        assert_eq!(
            finished.err.matches("note: ").count(),
            1,
            "{}",
            finished.err
        );
    };
    of(
        without_deno("check", &folder),
        ": there is no Deno to run `js` vlugins with",
        "`npm install deno`",
    );
    // In a table, the first row has it.
    let optional = scripts
        .clone()
        .map(|it| it.replace(" }", r#", "optional": true }"#));
    folder.write(
        "plugins.json",
        format!(r#"{{ "plugins": [{}] }}"#, optional.join(", ")),
    );
    let finished = finish(without_deno("check", &folder));
    assert_eq!(finished.out.matches("there is no Deno").count(), 3);
    assert_eq!(
        finished.out.matches("`npm install deno`").count(),
        1,
        "{}",
        finished.out
    );
    let needed = format!(r#"{{ "plugins": [{}] }}"#, scripts.join(", "));
    folder.write("plugins.json", &needed);
    let long = folder.path().join("x".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let mut command = valor_cli();
    command
        .args(["check", "-p", &folder.file("plugins.json")])
        .env("VALOR_DENO", deno())
        .env("TMPDIR", &long);
    of(
        command,
        " has no process to run in",
        "set TMPDIR to a shorter one",
    );
}

/// A Deno that is stopped removes nothing.
#[test]
#[cfg(target_os = "linux")]
fn the_temporary_folder_of_a_script_is_removed_by_the_program_as_well() {
    let folder = folder("");
    let temporary = folder.path().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let left = || std::fs::read_dir(&temporary).unwrap().count();
    let mut command = valor_cli();
    command
        .args(["run", "-p", &folder.file("plugins.json")])
        .args(["--addr", "127.0.0.1:0"])
        .env("VALOR_DENO", deno())
        .env("TMPDIR", &temporary);
    let server = Server::spawn(command);
    let pid = server.get("/page").body;
    assert!(left() > 0);
    let signal = |name: &str| {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(status.unwrap().success(), "{name}");
    };
    signal("STOP");
    server.signal("TERM");
    let ended = server.end();
    let remained = left();
    signal("KILL");
    assert_eq!((ended.code, remained), (Some(0), 0), "{}", ended.err);
}
