//! `new`: what it writes is served by the commands that it names, nothing is overwritten, and each wrong answer gets a
//! line. On a terminal it asks; in a pipe it does not.

#[cfg(target_os = "linux")]
use crate::scripting::deno;
#[cfg(unix)]
use crate::support::workspace;
use crate::support::{Answer, Finished, Server, finish, valor_cli};
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn new_in(folder: &Path, args: &[&str]) -> Finished {
    let mut command = valor_cli();
    command.arg("new").args(args).current_dir(folder);
    finish(command)
}

/// The command lines that it has printed.
fn next(finished: &Finished) -> Vec<&str> {
    assert_eq!(
        (finished.code, &*finished.err),
        (Some(0), ""),
        "{finished:?}"
    );
    let lines = finished.out.lines();
    lines.filter_map(|line| line.strip_prefix("    ")).collect()
}

/// Writes a vlugin, does what it says, and returns the answer. `prepare` comes in between, in the
/// vlugin's folder.
fn served(args: &[&str], prepare: impl FnOnce(&mut Command, &Path)) -> Answer {
    let folder = temp();
    let finished = new_in(folder.path(), args);
    let [enter, run, curl] = next(&finished)[..] else {
        panic!("{finished:?}");
    };
    let name = enter.strip_prefix("cd ").unwrap();
    assert_eq!(name, args[0]);
    let mut words = run.split(' ');
    assert_eq!(words.next(), Some("valor_cli"));
    let mut command = valor_cli();
    let inside = folder.path().join(name);
    command
        .args(words)
        .args(["--addr", "127.0.0.1:0"])
        .current_dir(&inside);
    prepare(&mut command, &inside);
    let server = Server::spawn(command);
    let url = curl.strip_prefix("curl 'http://127.0.0.1:8080").unwrap();
    let answer = server.get(url.strip_suffix('\'').unwrap());
    assert_eq!(answer.status, 200, "{answer:?} {}", server.err());
    assert_eq!(answer.header("x-valor-plugin"), Some(name));
    answer
}

#[test]
fn an_empty_working_directory_is_as_good_as_a_new_folder() {
    let folder = temp();
    let inside = folder.path().join("greet");
    fs::create_dir(&inside).unwrap();
    let finished = new_in(&inside, &[".", "--kind", "js"]);
    let curl = "curl 'http://127.0.0.1:8080/greet?who=Zoe'";
    assert_eq!(next(&finished), ["valor_cli dev", curl]);
    assert!(finished.out.starts_with("wrote greet, "), "{finished:?}");
    assert!(inside.join("plugins.json").is_file());
    // Now it is not empty.
    let again = new_in(&inside, &[".", "--kind", "js"]);
    assert_eq!(again.code, Some(1), "{again:?}");
}

/// Builds it offline where everything else is built, with the versions of a lock file.
#[cfg(unix)]
fn offline(command: &mut Command, crate_folder: &Path, lock: &str) {
    fs::copy(workspace().join(lock), crate_folder.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    command
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true");
}

/// A crate of Valor, built as those of the workspace are, so that nothing is built twice.
#[cfg(unix)]
fn as_in_the_workspace(command: &mut Command, crate_folder: &Path) {
    offline(command, crate_folder, "Cargo.lock");
    command
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .env("CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG", "line-tables-only");
}

#[cfg(unix)]
#[test]
fn a_library_answers() {
    let answer = served(&["new_native"], as_in_the_workspace);
    assert_eq!(answer.body, "Hello Zoe!");
}

#[cfg(unix)]
#[test]
fn a_library_with_its_own_type_answers() {
    let answer = served(&["new-typed", "--form", "typed"], as_in_the_workspace);
    assert_eq!(answer.body, "Hello Zoe!");
}

#[cfg(all(unix, feature = "wasm"))]
#[test]
fn a_module_answers() {
    let args = ["new_wasm", "--kind", "wasm", "--form", "state"];
    assert_eq!(served(&args, as_in_the_workspace).body, "Hello Zoe!");
}

#[cfg(all(unix, feature = "wasm"))]
#[test]
fn a_component_answers() {
    // The example has built what it needs.
    let lock = "examples/wasi_hello/Cargo.lock";
    let answer = served(&["new-wasi", "--kind", "wasi"], |command, folder| {
        offline(command, folder, lock);
    });
    assert_eq!(answer.body, "Hello Zoe!");
}

#[cfg(target_os = "linux")]
#[test]
fn a_script_answers() {
    for (name, kind) in [("new.js", "js"), ("2new-ts", "ts")] {
        let answer = served(&[name, "--kind", kind], |command, folder| {
            assert!(folder.join(format!("main.{kind}")).is_file());
            command.env("VALOR_DENO", deno());
        });
        assert_eq!(answer.body, "Hello Zoe!");
    }
}

#[test]
fn a_folder_answers() {
    let args = [
        "new_files",
        "--kind",
        "files",
        "--description",
        "Mine & yours",
    ];
    let answer = served(&args, |_, _| {});
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        answer
            .body
            .contains("<h1>new_files</h1>\n<p>Mine &amp; yours</p>"),
        "{answer:?}"
    );
}

/// All files in a folder, with their texts.
fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter();
    let files = entries
        .map(Result::unwrap)
        .filter(|it| it.file_type().is_file());
    files
        .map(|file| {
            let name = file
                .path()
                .strip_prefix(folder)
                .unwrap()
                .display()
                .to_string();
            (
                name.replace('\\', "/"),
                fs::read_to_string(file.path()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn nothing_is_overwritten() {
    let folder = temp();
    let here = folder.path();
    fs::create_dir(here.join("empty")).unwrap();
    assert_eq!(new_in(here, &["empty", "--kind", "js"]).code, Some(0));
    let before = files(here);
    assert_eq!(before.len(), 4, "{before:?}");

    fs::write(here.join("file"), "mine").unwrap();
    fs::create_dir_all(here.join("full/of/folders")).unwrap();
    for (name, what) in [
        ("empty", "is not empty"),
        ("full", "is not empty"),
        ("file", "is not a folder"),
    ] {
        let finished = new_in(here, &[name, "--kind", "js"]);
        let line = format!(
            "error: {name} already exists and {what}: nothing is overwritten; give another name\n"
        );
        assert_eq!(
            (finished.code, &*finished.err, &*finished.out),
            (Some(1), &*line, "")
        );
    }
    assert_eq!(files(&here.join("empty")).len(), 4);
    assert_eq!(fs::read_to_string(here.join("file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(here.join("full")).unwrap().count(), 1);
}

#[test]
fn each_wrong_answer_gets_a_line() {
    let folder = temp();
    for (args, line) in [
        (&[][..], "a name is missing: valor_cli new NAME"),
        (
            &["2nd"],
            "the name of a crate begins with a letter; instead of `2nd`, write `v2nd`",
        ),
        (
            &["std", "--kind", "wasm"],
            "`std` is the name of a crate that this one needs; write `std_vlugin`",
        ),
        (
            &["_mine", "--kind", "js"],
            "names that begin with `_` or `.` are Valor's own; begin `_mine` otherwise",
        ),
        (
            &["a b", "--kind", "files"],
            "` ` is not allowed in a name; letters, digits, `_`, `.` and `-` are",
        ),
        (
            &["app", "--kind", "js", "--form", "typed"],
            "--form is for the kinds `native` and `wasm`; leave it out for `js`",
        ),
        (
            &["app", "--kind", "wasi", "--lean"],
            "--lean is for the kinds `native` and `wasm`; leave it out for `wasi`",
        ),
        (
            &["greet", "--valor", "nowhere/valor_abi"],
            "`nowhere/valor_abi` is neither a version nor the folder of valor_abi; give `0.1`, or the path of a clone",
        ),
    ] {
        let finished = new_in(folder.path(), args);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert_eq!(finished.err, format!("error: {line}\n"));
    }
    for (args, part) in [
        (
            ["greet", "--kind", "deno"],
            "[possible values: native, wasm, js, ts, wasi, files]",
        ),
        (
            ["greet", "--form", "struct"],
            "[possible values: function, state, typed]",
        ),
        (
            ["greet", "--description", "a \"b\""],
            "'\"' is not allowed; leave it out",
        ),
        (
            ["greet", "--valor", r"C:\valor"],
            r"`\` is not allowed; in a path, write `/`",
        ),
    ] {
        let finished = new_in(folder.path(), &args);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.err.contains(part), "{}", finished.err);
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "something was written"
    );
}

#[cfg(unix)]
#[test]
fn the_dependency_is_a_version_or_the_folder_of_a_clone() {
    let folder = temp();
    let manifest = |name: &str, more: &[&str]| {
        let finished = new_in(folder.path(), &[&[name], more].concat());
        assert_eq!((finished.code, &*finished.err), (Some(0), ""));
        let text = fs::read_to_string(folder.path().join(name).join("Cargo.toml")).unwrap();
        text.parse::<toml::Table>().unwrap()["dependencies"]["valor"].clone()
    };
    let clone = workspace().canonicalize().unwrap();
    let path = clone.join("valor_abi").display().to_string();
    assert_eq!(manifest("a", &[])["path"].as_str(), Some(&*path));
    let given = manifest("b", &["--valor", clone.to_str().unwrap(), "--client"]);
    assert_eq!(given["path"].as_str(), Some(&*path));
    assert_eq!(given["features"][0].as_str(), Some("surf"));
    assert_eq!(
        manifest("c", &["--valor", &path])["path"].as_str(),
        Some(&*path)
    );
    let version = manifest("d", &["--valor", "0.1"]);
    assert_eq!(version["version"].as_str(), Some("0.1"));
    assert!(version.get("path").is_none());
}

#[test]
fn a_workspace_above_is_named() {
    let folder = temp();
    fs::write(
        folder.path().join("Cargo.toml"),
        "[workspace]\nmembers = []\n",
    )
    .unwrap();
    let finished = new_in(folder.path(), &["greet", "--kind", "wasi"]);
    let line = format!(
        "warning: {} is a workspace, and cargo builds the new crate only if `members` or `exclude` there names it\n",
        folder.path().join("Cargo.toml").display()
    );
    assert_eq!((finished.code, finished.err), (Some(0), line));
    let finished = new_in(folder.path(), &["app", "--kind", "js"]);
    assert_eq!((finished.code, &*finished.err), (Some(0), ""));
}

/// Runs it on a terminal, with these lines typed.
#[cfg(target_os = "linux")]
fn on_a_terminal(folder: &Path, args: &str, typed: &str) -> (Option<i32>, String) {
    use std::{io::Write, process::Stdio};
    let mut script = Command::new("script");
    let program = env!("CARGO_BIN_EXE_valor_cli");
    script
        .args(["--quiet", "--return", "--command"])
        .arg(format!("'{program}' new {args}"))
        .arg("/dev/null")
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = crate::support::started(&mut script, Command::spawn);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(typed.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), shown.replace('\r', ""))
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_it_asks_for_what_is_missing() {
    let folder = temp();
    let here = folder.path();
    let (code, shown) = on_a_terminal(here, "", "_no\nasked\nwhat\nwasm\nstate\n");
    assert_eq!(code, Some(0), "{shown}");
    for part in [
        "What is its name? ",
        "error: names that begin with `_`",
        "Which kind?\n  native    A library for this machine, in Rust\n",
        "[native] error: `what` is none of these",
        "Which form?\n",
        "[function] wrote asked, a vlugin of the kind wasm",
    ] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
    let given = new_in(here, &["given", "--kind", "wasm", "--form", "state"]);
    assert_eq!(given.code, Some(0));
    let renamed = |(name, text): (String, String)| (name, text.replace("given", "asked"));
    let given: Vec<_> = files(&here.join("given"))
        .into_iter()
        .map(renamed)
        .collect();
    assert_eq!(files(&here.join("asked")), given);

    // An empty line is the answer in brackets.
    let (code, shown) = on_a_terminal(here, "empty", "\n\n");
    assert_eq!(code, Some(0), "{shown}");
    let plain = new_in(here, &["plain"]);
    assert_eq!(plain.code, Some(0));
    let renamed = |(name, text): (String, String)| (name, text.replace("plain", "empty"));
    let plain: Vec<_> = files(&here.join("plain"))
        .into_iter()
        .map(renamed)
        .collect();
    assert_eq!(files(&here.join("empty")), plain);

    // Nothing is asked that is given, and the end of the input is no answer.
    let (code, shown) = on_a_terminal(here, "all --kind files", "");
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("Which"), "{shown}");
    let (code, shown) = on_a_terminal(here, "none", "\u{4}");
    assert_eq!(code, Some(2), "{shown}");
    let line =
        "error: there is no answer: give it on the command line, as `valor_cli new --help` shows";
    assert!(shown.contains(line), "{shown}");
    assert!(!here.join("none").exists());
}

/// Before anything else is asked.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_a_name_is_refused_at_once() {
    let folder = temp();
    let here = folder.path();
    fs::create_dir_all(here.join("taken/folder")).unwrap();
    let line =
        "error: taken already exists and is not empty: nothing is overwritten; give another name\n";
    let (code, shown) = on_a_terminal(here, "", "taken\nfree\njs\n");
    assert_eq!(code, Some(0), "{shown}");
    let again = format!("What is its name? {line}What is its name? Which kind?\n");
    assert!(shown.contains(&again), "{shown}");
    assert!(here.join("free/plugins.json").exists());

    for (args, code, line) in [
        ("taken", 1, line),
        ("a+b", 2, "error: `+` is not allowed in a name"),
        ("box --kind native", 2, "error: `box` is a word of Rust"),
    ] {
        let (ended, shown) = on_a_terminal(here, args, "\n\n\n");
        assert_eq!(ended, Some(code), "{shown}");
        assert!(shown.contains(line) && !shown.contains("Which"), "{shown}");
    }
    let (code, shown) = on_a_terminal(here, "box", "native\n");
    assert_eq!(code, Some(2), "{shown}");
    assert!(!shown.contains("Which form"), "{shown}");
}

/// Nobody may make a folder there, whoever runs this test.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_reason() {
    let folder = temp();
    for name in ["/sys/app", "/sys/in/an/app"] {
        let finished = new_in(folder.path(), &[name, "--kind", "js"]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let err = &finished.err;
        let begin = format!("error: the folder {name} cannot be made: ");
        assert!(err.starts_with(&begin), "{err}");
        let end = "see that you may write to the folder /sys, and that it has room\n";
        assert!(err.contains(" (os error ") && err.ends_with(end), "{err}");
    }
}
