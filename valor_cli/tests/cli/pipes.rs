//! FIFOs instead of files, which nobody waits for, and pipes from a shell, which are read to their end.

use crate::support::{Finished, Folder, finish, started, valor_cli};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    process::{Command, Stdio},
};

/// A FIFO in a folder. Its other end is open, and silent as long as this value lives.
fn silent(folder: &Folder, name: &str) -> File {
    let fifo = folder.path().join(name);
    fs::create_dir_all(fifo.parent().unwrap()).unwrap();
    let made = started(Command::new("mkfifo").arg(&fifo), Command::status);
    assert!(made.success());
    let both_ends = OpenOptions::new().read(true).write(true).open(fifo);
    both_ends.unwrap()
}

/// A command in a folder, with these arguments. A server takes any free port.
fn here(folder: &Folder, args: &[&str]) -> Command {
    let mut command = valor_cli();
    command.current_dir(folder.path()).args(args);
    if args[0] == "run" {
        command.args(["--addr", "127.0.0.1:0"]);
    }
    command
}

/// A fault in one line.
fn fault(finished: &Finished) -> &str {
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let [fault] = finished.faults()[..] else {
        panic!("{}", finished.err);
    };
    fault
}

#[test]
fn nobody_waits_for_a_fifo_with_a_silent_writer() {
    let folder = Folder::new(r#"{ "plugins": [] }"#);
    let names = [
        "it.so",
        "it.wasm",
        "it.js",
        "it.ts",
        "it.vlugin",
        "it.json",
        "it.pem",
        "crate/Cargo.toml",
        "script/package.json",
    ];
    let _fifos = names.map(|name| silent(&folder, name));
    folder.write("script/it.js", "export default {}");
    let entry = |kind: &str, key: &str, file: &str| {
        let text = format!(
            r#"{{ "plugins": [{{ "type": "{kind}", "name": "it", "{key}": "{file}" }}] }}"#
        );
        folder.write(&format!("of {file}.json"), text);
        format!("of {file}.json")
    };
    fs::create_dir_all(folder.path().join("of crate")).unwrap();
    let native = entry("native", "path", "it.so");
    let package = entry("native", "path", "it.vlugin");
    let module = entry("wasm", "path", "it.wasm");
    let script = entry("js", "path", "it.js");
    let typed = entry("js", "path", "it.ts");
    let shown = entry("files", "path", "it.pem");
    let source = entry("native", "source", "crate");
    let tls = ["--tls-cert", "it.pem", "--tls-key", "it.pem"];
    let commands: [&[&str]; 24] = [
        &["check", "-p", "it.json"],
        &["run", "-p", "it.json"],
        &["build", "-p", "it.json"],
        &["check", "-p", &native],
        &["check", "-p", &package],
        &["check", "-p", &module],
        &["check", "-p", &script],
        &["check", "-p", &typed],
        &["check", "-p", &shown],
        &["check", "--build", "-p", &source],
        &["build", "-p", &source],
        &[&["run", "-p", "plugins.json"], &tls[..]].concat(),
        &["run", "-w", "--registry-token-file", "it.pem"],
        &["check", "--trust", "it.pem"],
        &["inspect", "it.so"],
        &["inspect", "it.vlugin"],
        &["verify", "it.vlugin", "--trust", "it.pem"],
        &["package", "it.so"],
        &["package", "it.ts"],
        &["package", "script/it.js", "--source", "script"],
        &["package", "script/it.js", "--config-schema", "it.json"],
        &["package", "script/it.js", "--sign", "it.pem"],
        &["plugins", "add", "--definition", "it.json"],
        &["plugins", "list", "--token-file", "it.pem"],
    ];
    for args in commands {
        let finished = finish(here(&folder, args));
        let fault = fault(&finished);
        let is_told = fault.contains("not a regular file") || fault.contains("is not a folder");
        assert!(is_told, "{args:?}: {fault}");
    }
    // If nobody builds it, it does not exist.
    let finished = finish(here(&folder, &["check", "-p", &source]));
    assert!(fault(&finished).contains("was not found"), "{finished:?}");
    let args = [
        "plugins",
        "--addr",
        "https://localhost:1",
        "list",
        "--ca-file",
        "it.pem",
    ];
    let finished = finish(here(&folder, &args));
    assert!(
        fault(&finished).contains("not a regular file"),
        "{finished:?}"
    );
}

/// cargo and esbuild would wait.
#[cfg(all(target_os = "linux", feature = "wasm"))]
#[test]
fn no_program_that_is_asked_waits_for_one() {
    let folder = Folder::new(r#"{ "plugins": [{ "type": "js", "name": "it", "path": "it.ts" }] }"#);
    let _fifos = ["fifo.js", "crate/.cargo/config.toml"].map(|name| silent(&folder, name));
    folder.write("it.ts", "import './fifo.js'; export default {}");
    folder.write("crate/Cargo.toml", "[package]\nname = \"it\"\n");
    let source = r#"{ "plugins": [{ "type": "native", "name": "it", "source": "crate" }] }"#;
    folder.write("source.json", source);
    let fifo = |name: &str| fs::canonicalize(folder.path().join(name)).unwrap();
    let (script, config) = (fifo("fifo.js"), fifo("crate/.cargo/config.toml"));
    for (args, fifo) in [
        (&["web", "-o", "dist"][..], &script),
        (&["package", "it.ts"], &script),
        (&["build", "-p", "source.json"], &config),
        (&["check", "--build", "-p", "source.json"], &config),
    ] {
        let mut command = here(&folder, args);
        command.env("VALOR_ESBUILD", crate::scripting::tool("esbuild"));
        let finished = finish(command);
        let line = format!("waits for {}, which is not a regular file", fifo.display());
        assert!(fault(&finished).contains(&line), "{args:?}: {finished:?}");
    }
}

#[cfg(feature = "wasm")]
#[test]
fn a_fifo_in_the_way_of_a_page_is_not_read() {
    let folder = Folder::new(r#"{ "plugins": [] }"#);
    let _fifo = silent(&folder, "dist/index.html");
    let finished = finish(here(&folder, &["web", "-o", "dist"]));
    let line = "dist/index.html is not a regular file, but a file must be written there";
    assert!(fault(&finished).starts_with(line), "{finished:?}");
}

/// Runs a shell command that gets a text as descriptor 3.
fn with_pipe(folder: &Folder, text: &str, args: &str) -> Finished {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("exec 3<&0 < /dev/null; exec \"$VALOR\" {args}"))
        .env("VALOR", env!("CARGO_BIN_EXE_valor_cli"))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut shell = started(&mut shell, Command::spawn);
    shell
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = shell.wait_with_output().unwrap();
    let said = |bytes| String::from_utf8(bytes).unwrap();
    Finished {
        code: output.status.code(),
        out: said(output.stdout),
        err: said(output.stderr),
    }
}

#[test]
fn a_pipe_that_a_shell_gives_is_read_where_a_file_is_read_once() {
    let folder = Folder::new("none");
    folder.write("site/index.html", "");
    folder.write("it.js", "export default {}");
    let plugins = r#"{ "plugins": [{ "type": "files", "name": "b", "path": "site" }] }"#;
    for file in ["/dev/fd/3", "/proc/self/fd/3", "/dev/stdin 0<&3"] {
        if file.starts_with("/proc") && !cfg!(target_os = "linux") {
            continue;
        }
        let finished = with_pipe(&folder, plugins, &format!("check -p {file}"));
        assert_eq!(finished.code, Some(0), "{file}: {finished:?}");
        assert!(finished.out.contains("b     files  /b"), "{finished:?}");
    }
    let wrong = with_pipe(&folder, "{", "check -p /dev/fd/3");
    assert!(
        fault(&wrong).starts_with("/dev/fd/3:1:2: the text ends too early"),
        "{wrong:?}"
    );
    let watched = with_pipe(
        &folder,
        plugins,
        "run -p /dev/fd/3 --watch --addr 127.0.0.1:0",
    );
    // The command line is wrong, not a file.
    assert_eq!(watched.code, Some(2), "{watched:?}");
    assert!(
        watched
            .err
            .contains("only a plugins.json that can be read again is watched"),
        "{watched:?}"
    );

    let schema = with_pipe(&folder, "7", "package it.js --config-schema /dev/fd/3");
    assert_eq!(
        fault(&schema),
        "/dev/fd/3 is not a JSON Schema for a package: a JSON Schema is an object, or true or false"
    );
    let key = with_pipe(&folder, "no key", "check --trust /dev/fd/3 -p /dev/null");
    assert!(
        fault(&key).contains("/dev/fd/3 is not a public key"),
        "{key:?}"
    );
    // They get as far as the server.
    for args in [
        "plugins --addr 127.0.0.1:1 list --token-file /dev/fd/3",
        "plugins --addr 127.0.0.1:1 add --definition /dev/fd/3",
    ] {
        let finished = with_pipe(&folder, "0123456789abcdef", args);
        assert!(
            fault(&finished).contains("is it running there?"),
            "{finished:?}"
        );
    }
}
