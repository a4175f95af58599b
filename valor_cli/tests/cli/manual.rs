//! The help, the completions, the schema, `inspect`, and wrong command lines.

use crate::support::{Folder, libraries, run, workspace};
use serde_json::Value;

#[test]
fn the_help_is_the_manual() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for part in [
        "new",
        "dev",
        "run",
        "build",
        "check",
        #[cfg(feature = "wasm")]
        "compile",
        "inspect",
        "doctor",
        "plugins",
        "package",
        "verify",
        "keygen",
        #[cfg(feature = "wasm")]
        "web",
        "completions",
        "schema",
        "Exit codes:",
        "130",
        "NO_COLOR",
        "LD_LIBRARY_PATH",
        "WASM_OPT",
        "VALOR_DENO",
    ] {
        assert!(help.out.contains(part), "{part} is not in {}", help.out);
    }

    let help = run(&["run", "--help"]);
    for part in [
        "-p, --plugins <FILE>",
        "-w, --with-registry",
        "--registry-token-file <FILE>",
        "--build",
        "--release",
        "--watch",
        "--addr <ADDR>",
        "[default: 127.0.0.1:8080]",
        "unix:PATH",
        "--trusted-proxy <NET>",
        "--workers <N>",
        "--plugin-dir <DIR>",
        "--deno <FILE>",
        "--trust <KEYFILE>",
        "--log-format <FORMAT>",
        "[default: text]",
        "--log <LEVEL>",
        "[default: info]",
        "--quiet",
        "--no-access-log",
        "--access-log <FORMAT>",
        "--socket-mode <MODE>",
        "[default: 0660]",
        "--socket-owner <USER>",
        "--socket-group <GROUP>",
        "--keep-going",
        "--timeout <SECONDS>",
        "[default: 30]",
        "--max-body <BYTES>",
        "[default: 10MiB]",
        "--max-concurrency <N>",
        "--max-memory <BYTES>",
        "--max-cpu <SECONDS>",
        "[default: 1024]",
        "--head-timeout <SECONDS>",
        "[default: 10]",
        "--body-timeout <SECONDS>",
        "--write-timeout <SECONDS>",
        "[default: 60]",
        "--idle-timeout <SECONDS>",
        "[default: 75]",
        "--drain <SECONDS>",
        "--linger <SECONDS>",
        "--upgraded-timeout <SECONDS>",
        "--tls-cert <FILE>",
        "--tls-key <FILE>",
        "--max-headers <N>",
        "--max-target <BYTES>",
        "--max-head <BYTES>",
        "[default: 32KiB]",
        "--max-connections <N>",
        "[default: 10000]",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(help.out.contains(part), "{part} is not in {}", help.out);
    }
    for command in [
        "new",
        "build",
        "check",
        "inspect",
        "plugins",
        "completions",
        "schema",
    ] {
        let help = run(&[command, "--help"]);
        assert!(help.out.contains("Example"), "{command}: {}", help.out);
    }
}

#[test]
fn every_variable_that_is_read_stands_in_the_help() {
    // What Windows gives every program, what cargo passes to tests, and what writes the frozen ABI and the schema.
    let internal = [
        "SystemRoot",
        "CARGO_MANIFEST_DIR",
        "VALOR_FREEZE_ABI",
        "VALOR_WRITE_SCHEMA",
    ];
    let help = run(&["--help"]).out;
    let mut folders = vec![
        workspace().join("valor_cli/src"),
        workspace().join("valor_runtime/src"),
    ];
    let mut found = std::collections::BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for call in ["env::var_os(\"", "env::var(\""] {
                let names = text
                    .split(call)
                    .skip(1)
                    .filter_map(|it| it.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    assert!(found.contains("VALOR_TOKEN"), "{found:?}");
    for name in found
        .iter()
        .filter(|name| !internal.contains(&name.as_str()))
    {
        assert!(help.contains(name.as_str()), "{name} is not in {help}");
    }
    for name in [
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "TMPDIR",
        "NO_COLOR",
        "LD_LIBRARY_PATH",
    ] {
        assert!(help.contains(name), "{name} is not in {help}");
    }
}

#[test]
fn wrong_command_lines_end_with_2_and_say_what_is_right() {
    for (args, part) in [
        (
            &["run", "-p", "x", "--registry-token-file", "y"][..],
            "--with-registry",
        ),
        (
            &["web", "-p", "x", "-o", "y", "--watch"],
            // Without modules there is no `web`.
            if cfg!(feature = "wasm") {
                "--serve"
            } else {
                "'web'"
            },
        ),
        (&["run", "-p", "x", "--workers", "0"], "1 to 1000000"),
        (&["run", "-p", "x", "--addr", "8080"], "127.0.0.1:8080"),
        (
            &["run", "-p", "x", "--trusted-proxy", "localhost"],
            "10.0.0.0/8",
        ),
        (&["run", "-p", "x", "--log", "wran"], "did you mean `warn`?"),
        (&["run", "-p", "x", "--log-format", "xml"], "text, json"),
        (&["run", "-p", "x", "--timeout", "-1"], "--timeout"),
        (&["run", "-p", "x", "--max-body", "10MB"], "10MiB"),
        (&["run", "-p", "x", "--kep-going"], "--keep-going"),
        (&["chek"], "check"),
        (&[], "Usage:"),
    ] {
        let finished = run(args);
        assert_eq!(finished.code, Some(2), "{args:?}: {finished:?}");
        assert!(finished.err.contains(part), "{args:?}: {}", finished.err);
    }
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let completions = run(&["completions", shell]);
        assert_eq!(completions.code, Some(0));
        assert!(completions.out.contains("with-registry"), "{shell}");
    }
}

#[test]
fn the_schema_is_the_one_that_is_checked_in() {
    let printed = run(&["schema"]);
    let checked_in = include_str!("../../../valor_runtime/plugins.schema.json");
    let json = |text| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(json(&printed.out), json(checked_in));
}

#[test]
fn inspect_tells_what_a_file_says_of_itself() {
    let name = format!(
        "{}hello_plugin{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let library = libraries().join(name).display().to_string();
    let text = run(&["inspect", &library]);
    assert_eq!(text.code, Some(0), "{text:?}");
    assert!(text.out.contains("hello_plugin") && text.out.contains("loads    yes"));

    let json = run(&["inspect", "--json", &library]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["vlugin"]["name"], "hello_plugin");
    assert_eq!(json["loads"], true);

    let folder = Folder::new("{}");
    let text = run(&["inspect", &folder.file("plugins.json")]);
    assert_eq!((text.code, &*text.out), (Some(1), ""));
    assert!(
        text.err.contains("is not a library but a text file"),
        "{}",
        text.err
    );
    folder.write("empty.so", "");
    folder.write("empty.vlugin", "");
    folder.write("garbage.so", b"\x01\x02\x03\x04\x05");
    folder.write("broken.wasm", b"\0asm");
    folder.write("folder/file", "");
    for (name, reason) in [
        (
            "nowhere.so",
            " does not exist: give the file of a library, a module, a component or a package",
        ),
        (
            "folder",
            " is a directory: give the file of a library, a module, a component or a package",
        ),
        (
            "empty.so",
            " is not a library but an empty file: build it again",
        ),
        (
            "empty.vlugin",
            " is not a sound package: it has 0 bytes, too few for one; ",
        ),
        (
            "garbage.so",
            " is not a library but something unknown that begins with the bytes 01 02 03 04: ",
        ),
        (
            "broken.wasm",
            match cfg!(feature = "wasm") {
                true => " is not a WebAssembly module: ",
                false => " is not a library but a WebAssembly module: ",
            },
        ),
    ] {
        let file = folder.file(name);
        let line = format!("{file}{reason}");
        let text = run(&["inspect", &file]);
        assert_eq!(text.code, Some(1), "{text:?}");
        let all = [&*text.err, &*text.out].concat();
        assert!(all.contains(&line), "{line} is not in {all}");
        assert!(text.err.lines().count() <= 1, "{}", text.err);
        // For programs it is an answer like any other.
        let json = run(&["inspect", "--json", &file]);
        assert_eq!((json.code, &*json.err), (Some(1), ""));
        let json: Value = serde_json::from_str(&json.out).unwrap();
        assert_eq!(
            (&json["file"], &json["loads"]),
            (&file.into(), &false.into())
        );
        assert!(
            json["reason"].as_str().unwrap().starts_with(&line),
            "{json}"
        );
    }
}
