//! `valor_cli check` against every fault that a plugins.json can have.

use crate::packaging::library;
use crate::support::{Folder, finish, libraries, run, valor_cli};

/// Checks a plugins.json and returns the faults without the file's name.
fn faults_of(folder: &Folder) -> Vec<String> {
    let file = folder.file("plugins.json");
    let finished = run(&["check", "-p", &file]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert_eq!(finished.out, "");
    let faults: Vec<_> = finished
        .faults()
        .into_iter()
        .map(|fault| fault.strip_prefix(&file).unwrap_or(fault).to_owned())
        .collect();
    // After them at most the folders that were searched.
    let others: Vec<_> = finished.err.lines().skip(faults.len()).collect();
    let is_note = |line: &&&str| line.starts_with("note: looked in ");
    assert_eq!(
        others.iter().filter(is_note).count(),
        others.len(),
        "{}",
        finished.err
    );
    assert!(others.len() <= 1, "{}", finished.err);
    faults
}

fn native(keys: &str) -> String {
    format!("{{ \"plugins\": [\n{{ \"type\": \"native\", {keys} }}\n] }}")
}

#[test]
fn the_folder_of_plugins_json_is_shown() {
    let folder =
        Folder::new(r#"{ "plugins": [{ "type": "files", "name": "site", "path": "." }] }"#);
    let mut command = valor_cli();
    command.args(["check"]).current_dir(folder.path());
    let finished = finish(command);
    let row = finished.out.lines().find(|it| it.starts_with("site"));
    let cells: Vec<_> = row.unwrap_or_default().split_whitespace().collect();
    assert_eq!(
        cells,
        ["site", "files", "/site", ".", "ready"],
        "{finished:?}"
    );
}

#[test]
fn a_key_of_a_config_that_does_not_fit_is_pointed_to() {
    let proxy = library("proxy").display().to_string();
    let faults = |config: &str| {
        let text = format!(
            "{{ \"plugins\": [{{ \"type\": \"native\", \"name\": \"it\", \"path\": {proxy:?}, \
             \"config\":\n{config} }}] }}"
        );
        faults_of(&Folder::new(&text))
    };
    assert_eq!(
        faults("{ \"x\": [1],\n   \"upstream\": 7 }"),
        [
            ":3:16: plugins[0].config.upstream: vlugin `it` could not be created: `config.upstream` does not fit: \
             invalid type: integer `7`, expected a string representing an URL"
        ]
    );
    assert_eq!(
        faults("{ \"upstrem\": 7 }"),
        [
            ":2:1: plugins[0].config: vlugin `it` could not be created: `config` does not fit: missing field `upstream`"
        ]
    );
}

#[test]
fn faults_of_the_text_have_line_and_column() {
    for (text, fault) in [
        (
            "{ \"plugins\": [\n  { \"type\": \"native\", }\n] }".to_owned(),
            ":2:23: JSON allows no comma after the last element; take it out",
        ),
        (
            native(r#""name": "a", "prefx": "/""#),
            ":2:34: plugins[0].prefx: unknown key; did you mean `prefix`?",
        ),
        (
            "{ \"plugins\": [\n{ \"type\": \"nativ\", \"name\": \"b\" }] }".to_owned(),
            ":2:11: plugins[0].type: `nativ` is not a type of vlugin; did you mean `native`?",
        ),
        (
            native(r#""name": "_plugins""#),
            ":2:29: plugins[0].name: names that begin with `_` or `.` are Valor's own; begin `_plugins` otherwise",
        ),
        (
            native(r#""name": "a", "callees": ["_b"]"#),
            ":2:46: plugins[0].callees[0]: the vlugin `a`: `callees` names `_b`, which this host does not offer; it \
             offers nothing: take the name out",
        ),
    ] {
        assert_eq!(faults_of(&Folder::new(&text)), [fault]);
    }
    let folder = Folder::new("");
    let missing = folder.file("other.json");
    let finished = run(&["check", "-p", &missing]);
    assert_eq!(
        finished.faults(),
        [format!("{missing}: there is no such file; check its path")]
    );
}

#[test]
fn faults_of_the_files() {
    let suffix = std::env::consts::DLL_SUFFIX;
    let text = format!("text{suffix}");
    for (keys, fault) in [
        (
            r#""name": "a", "path": "./none.so""#.to_owned(),
            "FILE(none.so) does not exist: put it there, or correct `path`".to_owned(),
        ),
        (
            r#""name": "a", "path": "./dir.so""#.to_owned(),
            "FILE(dir.so) is a directory: give the vlugin's file in `path`".to_owned(),
        ),
        (
            format!(r#""name": "a", "path": "./{text}""#),
            format!(
                "FILE({text}) is not a library but a text file: give the file that cargo builds for `crate-type = \
                 [\"cdylib\"]`"
            ),
        ),
    ] {
        let folder = Folder::new(&native(&keys));
        folder.write(&text, "just some text\n");
        folder.write("dir.so/file", "");
        let faults = faults_of(&folder);
        let (name, rest) = fault
            .strip_prefix("FILE(")
            .unwrap()
            .split_once(')')
            .unwrap();
        let file = folder.path().join(format!("./{name}"));
        assert_eq!(
            faults,
            [format!(
                ":2:42: plugins[0].path: vlugin `a`: {}{rest}",
                file.display()
            )]
        );
    }
}

#[test]
fn libraries_that_are_none_or_not_all_there() {
    let whole = std::fs::read(library("hello_plugin")).unwrap();
    let garbage = [&whole[..16], &[0xa5; 4096]].concat();
    let cut = &whole[..whole.len() / 2];
    for (bytes, fault) in [
        (
            &[0xa5; 4096][..],
            "is not a library but something unknown that begins with the bytes a5 a5 a5 a5: give the file that cargo \
             builds for `crate-type = [\"cdylib\"]`",
        ),
        (&garbage[..], ": "),
        (cut, "; build it or copy it again"),
        (&whole[..40], " header; build it or copy it again"),
    ] {
        let folder = Folder::new(&native(r#""name": "a", "path": "./bad.lib""#));
        folder.write("bad.lib", bytes);
        let file = folder.path().join("./bad.lib").display().to_string();
        for command in [&["check"][..], &["run", "--addr", "127.0.0.1:0"]] {
            let finished = run(&[command, &["-p", &folder.file("plugins.json")]].concat());
            assert_eq!((finished.code, &*finished.out), (Some(1), ""));
            let [line] = finished.faults()[..] else {
                panic!("{}", finished.err);
            };
            let start = format!(":2:42: plugins[0].path: vlugin `a`: {file} is ");
            assert!(line.contains(&start) && line.contains(fault), "{line}");
        }
    }
}

#[test]
fn faults_of_folders() {
    for (keys, fault) in [
        (
            r#""path": "none""#,
            ":2:41: plugins[0].path: vlugin `a`: the folder DIR/none does not exist: create it, or correct `path`",
        ),
        (
            r#""path": "file.txt""#,
            ":2:41: plugins[0].path: vlugin `a`: DIR/file.txt is not a folder: give the folder to serve in `path`",
        ),
        (
            r#""path": ".", "config": { "fallback": "app.html" }"#,
            ":2:56: plugins[0].config: vlugin `a`: DIR/./app.html is not a file that can be served: create it, or \
             correct `fallback`",
        ),
        (
            r#""path": ".", "config": { "fallbck": "app.html" }"#,
            ":2:58: plugins[0].config.fallbck: unknown key; did you mean `fallback`?",
        ),
    ] {
        let folder = Folder::new(&format!(
            "{{ \"plugins\": [\n{{ \"type\": \"files\", \"name\": \"a\", {keys} }}\n] }}"
        ));
        folder.write("file.txt", "");
        let dir = folder.path().display().to_string();
        let faults: Vec<_> = faults_of(&folder)
            .iter()
            .map(|fault| fault.replace(&dir, "DIR").replace('\\', "/"))
            .collect();
        assert_eq!(faults, [fault]);
    }
    let folder =
        Folder::new(r#"{ "plugins": [{ "type": "files", "name": "a", "path": "site" }] }"#);
    folder.write("site/index.html", "");
    let finished = run(&["check", "-p", &folder.file("plugins.json")]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let row = finished.out.lines().nth(1).unwrap_or_default();
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(
        (cells[..3].to_vec(), cells[4]),
        (vec!["a", "files", "/a"], "ready")
    );
}

#[test]
fn a_library_that_is_not_built_yet_says_how_to_build_it() {
    let folder = Folder::new(&native(r#""name": "a", "source": "crate""#));
    folder.write("crate/Cargo.toml", "[package]\nname = \"some-crate\"");
    let library = format!(
        "{}some_crate{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let fault = faults_of(&folder).remove(0);
    let line = format!(
        ":2:44: plugins[0].source: vlugin `a`: {library} was not found; run with --build, which builds it"
    );
    assert_eq!(fault, line);
}

#[test]
fn libraries_that_are_not_there_are_a_line_each_and_the_folders_one() {
    let entry = |n: usize| format!(r#"{{ "type": "native", "name": "lib{n}" }}"#);
    let entries: Vec<_> = (0..10).map(entry).collect();
    let folder = Folder::new(&format!("{{ \"plugins\": [\n{}\n] }}", entries.join(",\n")));
    folder.write("one/file", "");
    let one = folder.file("one");
    let finished = run(&[
        "check",
        "-p",
        &folder.file("plugins.json"),
        "--plugin-dir",
        &one,
    ]);
    let faults = finished.faults();
    assert_eq!((finished.code, faults.len()), (Some(1), 10), "{finished:?}");
    for fault in faults {
        assert!(
            !fault.contains(&format!("{one},")) && !fault.contains(&format!("in {one}")),
            "{fault}"
        );
        assert!(fault.contains(" was not found; "), "{fault}");
    }
    let notes = finished
        .err
        .lines()
        .filter(|line| line.starts_with("note: looked in "));
    let notes: Vec<_> = notes.collect();
    assert!(
        notes.len() == 1 && notes[0].contains(&one),
        "{}",
        finished.err
    );
}

#[test]
fn after_a_hundred_faults_the_others_are_counted() {
    let text = format!(
        "{{ \"plugins\": [{}] }}",
        vec![r#"{ "type": "x" }"#; 20_000].join(",")
    );
    let folder = Folder::new(&text);
    let faults = faults_of(&folder);
    // For each the type, and that it has no name.
    assert_eq!(faults.len(), 101);
    assert!(faults[99].starts_with(":1:"), "{}", faults[99]);
    assert_eq!(faults[100], "39900 further faults");
}

#[cfg(unix)]
#[test]
fn what_has_no_end_is_not_read() {
    let folder = Folder::new("");
    let pipe = folder.file("pipe.json");
    let mut mkfifo = std::process::Command::new("mkfifo");
    let made = crate::support::started(mkfifo.arg(&pipe), std::process::Command::status);
    assert!(made.success());
    let sparse = folder.file("sparse.json");
    std::fs::File::create(&sparse)
        .unwrap()
        .set_len(3 << 30)
        .unwrap();
    let irregular = "this is not a regular file; name one, or pipe it to `-p -`";
    let large = "this has more than 16777216 bytes, which no plugins.json needs";
    for (file, line) in [
        (&*pipe, irregular),
        ("/dev/zero", irregular),
        (&sparse, large),
    ] {
        let finished = run(&["check", "-p", file]);
        assert_eq!(finished.code, Some(1));
        assert_eq!(finished.faults(), [format!("{file}: {line}")]);
    }
    for (option, file) in [("--trust", &pipe), ("--trust", &sparse)] {
        let finished = run(&["check", "-p", &folder.file("plugins.json"), option, file]);
        let [fault] = finished.faults()[..] else {
            panic!("{}", finished.err);
        };
        assert!(fault.contains(" cannot be read: it "), "{fault}");
    }
}

#[test]
fn plugins_json_may_be_the_one_here_or_standard_input() {
    use std::io::{Seek, Write};
    let folder =
        Folder::new(r#"{ "plugins": [{ "type": "files", "name": "a", "path": "site" }] }"#);
    folder.write("site/index.html", "");
    let here = |args: &[&str]| {
        let mut command = valor_cli();
        command.current_dir(folder.path()).args(args);
        command
    };
    let finished = finish(here(&["check"]));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut input = tempfile::tempfile().unwrap();
    write!(
        input,
        "{{ \"plugins\": [\n{{ \"type\": \"files\", \"name\": \"b\", \"path\": \"site\" }}] }}"
    )
    .unwrap();
    input.rewind().unwrap();
    let mut command = here(&["check", "-p", "-"]);
    command.stdin(input);
    let finished = finish(command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.out.contains("b     files  /b"), "{}", finished.out);
    let mut input = tempfile::tempfile().unwrap();
    write!(input, "{{ \"plugins\": [\n{{ }}] }}").unwrap();
    input.rewind().unwrap();
    let mut command = here(&["check", "-p", "-"]);
    command.stdin(input);
    let finished = finish(command);
    let fault = "standard input:2:1: plugins[0]: `type` is missing";
    assert!(finished.faults()[0].starts_with(fault), "{finished:?}");
    // What comes from there cannot be read again.
    let finished = finish(here(&[
        "run",
        "-p",
        "-",
        "--watch",
        "--addr",
        "127.0.0.1:0",
    ]));
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert!(
        finished
            .err
            .contains("only a plugins.json that can be read again is watched"),
        "{finished:?}"
    );
    let empty = Folder::new("");
    std::fs::remove_file(empty.file("plugins.json")).unwrap();
    let mut command = valor_cli();
    command
        .current_dir(empty.path())
        .args(["run", "--addr", "127.0.0.1:0"]);
    let finished = finish(command);
    let line = "plugins.json: there is no such file; name one with -p, or start with none with -w";
    assert_eq!(finished.faults(), [line]);
}

#[test]
fn every_fault_is_told_at_once_and_in_the_order_of_the_file() {
    let folder = Folder::new(
        r#"{ "plugins": [
    { "type": "native", "name": "a", "path": "./none.so" },
    { "type": "native", "name": "b", "limits": { "timeout": 0 } },
    { "type": "native", "name": "c", "path": "./none.so", "allow": ["a:b:c"] },
    { "type": "native", "name": "a", "path": "./other.so" },
    { "type": "native", "name": "d", "path": "./none.so" }
] }"#,
    );
    let faults = faults_of(&folder);
    let keys: Vec<_> = faults
        .iter()
        .map(|fault| fault.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(
        keys,
        [
            ":2:46: plugins[0].path",
            ":3:61: plugins[1].limits.timeout",
            ":4:69: plugins[2].allow[0]",
            ":5:33: plugins[3].name",
            ":6:46: plugins[4].path",
        ]
    );
}

#[test]
fn a_checksum_that_does_not_match() {
    let digest = "0".repeat(64);
    let folder = Folder::new(&native(&format!(
        r#""name": "hello_plugin", "sha256": "{digest}""#
    )));
    let mut command = valor_cli();
    command
        .args(["check", "-p", &folder.file("plugins.json"), "--plugin-dir"])
        .arg(libraries());
    let finished = finish(command);
    assert_eq!(finished.code, Some(1));
    let [fault] = finished.faults()[..] else {
        panic!("{}", finished.err);
    };
    assert!(
        fault.contains(":2:55: plugins[0].sha256: vlugin `hello_plugin`: "),
        "{fault}"
    );
    assert!(
        fault.contains(&format!("but its definition says {digest}")),
        "{fault}"
    );
}

#[test]
fn a_creation_that_fails_is_a_fault_of_the_config() {
    // `proxy` has a configuration with its own shape.
    let folder = Folder::new(&native(r#""name": "proxy", "config": 7"#));
    let mut command = valor_cli();
    command
        .args(["check", "-p", &folder.file("plugins.json"), "--plugin-dir"])
        .arg(libraries());
    let finished = finish(command);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let [fault] = finished.faults()[..] else {
        panic!("{}", finished.err);
    };
    assert!(
        fault.contains(":2:48: plugins[0].config: vlugin `proxy` could not be created: "),
        "{fault}"
    );
}

#[test]
fn faults_are_records_where_the_log_is_json() {
    let folder = Folder::new(&native(r#""name": "a b""#));
    let file = folder.file("plugins.json");
    let finished = run(&["check", "-p", &file, "--log-format", "json"]);
    assert_eq!((finished.code, &*finished.out), (Some(1), ""));
    let record: serde_json::Value = serde_json::from_str(&finished.err).unwrap();
    assert_eq!(record["level"], "ERROR");
    let message = record["message"].as_str().unwrap();
    assert!(
        message.starts_with(&format!("{file}:2:29: plugins[0].name: ")),
        "{message}"
    );
}

#[test]
fn without_faults_there_is_a_table_and_no_escape_codes_in_a_pipe() {
    let folder = Folder::new(&native(
        r#""name": "hello", "path": "hello_plugin", "prefix": "/""#,
    ));
    let mut command = valor_cli();
    command
        .current_dir(folder.path())
        .args(["check", "-p", "plugins.json", "--plugin-dir"])
        .arg(libraries());
    let finished = finish(command);
    assert_eq!((finished.code, &*finished.err), (Some(0), ""));
    assert!(!finished.out.contains('\u{1b}'), "{:?}", finished.out);
    let rows: Vec<Vec<_>> = finished
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["name", "type", "prefix", "file", "state"]);
    assert_eq!(
        (rows[1][0], rows[1][1], rows[1][2], rows[1][4]),
        ("hello", "native", "/", "ready")
    );
}
