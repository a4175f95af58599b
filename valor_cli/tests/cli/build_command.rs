//! `valor_cli build`: what it builds, with which tools, and its error if a tool is missing.

use crate::support::{Finished, Folder, finish, valor_cli};
use std::path::{Path, PathBuf};

/// A workspace of two crates, one of which is built for three kinds of vlugins.
fn folder() -> Folder {
    let folder = Folder::new(
        r#"{ "plugins": [
    { "type": "native", "name": "one", "source": "one" },
    { "type": "wasm", "name": "two", "source": "one" },
    { "type": "wasm", "name": "again", "source": "one", "optional": true },
    { "type": "wasi", "name": "three", "source": "one" },
    { "type": "native", "name": "other", "source": "other" },
    { "type": "files", "name": "site", "path": "." }
] }"#,
    );
    folder.write("Cargo.toml", "[workspace]\nmembers = [\"one\", \"other\"]");
    for name in ["one", "other"] {
        folder.write(
            &format!("{name}/Cargo.toml"),
            format!("[package]\nname = \"{name}\"\nedition = \"2021\"\n[lib]\ncrate-type = [\"cdylib\"]\n"),
        );
        folder.write(&format!("{name}/src/lib.rs"), "");
    }
    folder
}

fn build(folder: &Folder, args: &[&str], env: &[(&str, &Path)]) -> Finished {
    let mut command = valor_cli();
    command
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .env("WASM_OPT", folder.path().join("no-wasm-opt"))
        .envs(env.iter().copied())
        .args(["build", "-p", &folder.file("plugins.json")])
        .args(args);
    finish(command)
}

/// The names and the files of the table.
fn table(finished: &Finished) -> Vec<(String, PathBuf)> {
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    let rows = finished.out.lines().skip(1).map(|line| {
        let mut cells = line.split_whitespace();
        let mut next = || cells.next().unwrap().to_owned();
        let (name, _, file) = (next(), next(), next());
        (name, PathBuf::from(file))
    });
    rows.collect()
}

#[test]
fn every_source_is_built_as_its_type_says() {
    let folder = folder();
    let finished = build(&folder, &[], &[]);
    let built = table(&finished);
    let names: Vec<_> = built.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["one", "two", "again", "three", "other"]);
    for (name, file) in &built {
        let bytes = std::fs::read(file).unwrap();
        let is_module = bytes.starts_with(b"\0asm\x01\0\0\0");
        assert_eq!(is_module, matches!(&**name, "two" | "again"), "{name}");
        let is_component = bytes.starts_with(b"\0asm\x0d\0\x01\0");
        assert_eq!(is_component, name == "three");
        assert!(file.starts_with(folder.path().join("target")), "{name}");
    }
    assert_eq!(built[1].1, built[2].1);
    for part in [
        "building one, other in",
        " for WebAssembly",
        " for WASI",
        "built 1 of 1 crates in",
    ] {
        assert!(finished.err.contains(part), "{part}: {}", finished.err);
    }
    // Nobody asked to make them smaller.
    assert!(!finished.err.contains("wasm-opt"), "{}", finished.err);
    // Into a pipe, all of it is plain.
    assert!(!(finished.out + &finished.err).contains('\u{1b}'));
}

#[test]
fn what_is_named_is_built_and_nothing_else() {
    let folder = folder();
    let built = table(&build(&folder, &["other"], &[]));
    assert_eq!(built.len(), 1);
    assert_eq!(built[0].0, "other");

    let finished = build(&folder, &["othr", "site"], &[]);
    assert_eq!(finished.code, Some(1));
    assert_eq!(
        finished.faults(),
        [format!(
            "{}: no vlugin is called `othr`; did you mean `other`?",
            folder.file("plugins.json")
        )]
    );
    let finished = build(&folder, &["site"], &[]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.faults()[0]
            .ends_with("vlugin `site`: it has no `source`, the folder of a crate to build"),
        "{}",
        finished.err
    );

    let finished = build(&folder, &["two", "--log-format", "json"], &[]);
    assert_eq!((finished.code, &*finished.out), (Some(0), ""));
    let records = finished
        .err
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line));
    let built: Vec<_> = records.filter(|it| it["message"] == "built").collect();
    assert_eq!(built.len(), 1);
    assert!(built[0]["file"].as_str().unwrap().ends_with("one.wasm"));
}

#[test]
fn a_crate_that_does_not_compile_keeps_no_other_back() {
    let folder = folder();
    folder.write("other/src/lib.rs", "nonsense");
    let finished = build(&folder, &[], &[]);
    assert_eq!(finished.code, Some(1));
    let faults = finished.faults();
    let own: Vec<_> = faults
        .iter()
        .filter(|it| it.contains("plugins.json"))
        .collect();
    assert_eq!(own.len(), 1, "{}", finished.err);
    assert!(own[0].contains("its crate `other` cannot be built"));
    let wasm = "target/wasm32-unknown-unknown/debug/one.wasm";
    assert!(folder.path().join(wasm).exists());
}

#[cfg(unix)]
mod with_tools {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A tool of a few lines.
    fn tool(folder: &Folder, name: &str, text: &str) -> PathBuf {
        folder.write(name, format!("#!/bin/sh\n{text}\n"));
        let file = folder.path().join(name);
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        file
    }

    #[test]
    fn modules_are_made_smaller_once_each() {
        let folder = folder();
        // It writes its last argument, and notes each call.
        let shrinks = tool(
            &folder,
            "shrinks",
            "[ \"$1\" = --version ] && exit\nfor out; do :; done\necho x >> \"$(dirname \"$0\")/calls\"\nprintf \
             '\\0asm' > \"$out\"",
        );
        let env = [("WASM_OPT", &*shrinks)];
        let built = table(&build(&folder, &["--release"], &env));
        assert_eq!(std::fs::read(&built[1].1).unwrap(), b"\0asm");
        let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls, "x\n");
        // In dev it is not run, unless it is asked for.
        let built = table(&build(&folder, &[], &env));
        assert_ne!(std::fs::read(&built[1].1).unwrap(), b"\0asm");
        let built = table(&build(&folder, &["--wasm-opt", "always"], &env));
        assert_eq!(std::fs::read(&built[1].1).unwrap(), b"\0asm");
        let built = table(&build(&folder, &["--release", "--wasm-opt", "never"], &env));
        assert_ne!(std::fs::read(&built[1].1).unwrap(), b"\0asm");
    }

    #[test]
    fn a_page_gets_the_small_ones_without_build() {
        let folder = folder();
        folder.write(
            "plugins.json",
            r#"{ "plugins": [
                { "type": "wasm", "name": "two", "source": "one" },
                { "type": "native", "name": "other", "source": "other" }
            ] }"#,
        );
        let copies = tool(
            &folder,
            "copies",
            "[ \"$1\" = --version ] && exit\nfor out; do [ -f \"$out\" ] && in=$out; done\n\
             echo x >> \"$(dirname \"$0\")/calls\"\n[ \"$in\" = \"$out\" ] || cp \"$in\" \"$out\"",
        );
        let web = |args: &[&str]| {
            let mut command = folder.web();
            command
                .args(args)
                .env("CARGO_TARGET_DIR", folder.path().join("target"))
                .env("WASM_OPT", &copies);
            finish(command)
        };
        let calls = || std::fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
        let finished = web(&["--release"]);
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        assert_eq!(calls(), "x\n");
        // A native one is not built for a page.
        assert!(
            finished
                .out
                .contains("a native vlugin does not run in a browser"),
            "{}",
            finished.out
        );
        assert!(!finished.err.contains("building other"), "{}", finished.err);
        let finished = web(&["--release", "--wasm-opt", "never"]);
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        assert_eq!(calls(), "x\n");
    }

    #[test]
    fn a_missing_wasm_opt_is_a_line_and_a_failing_one_a_fault() {
        let folder = folder();
        let finished = build(&folder, &["--release"], &[]);
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        let lines = finished
            .err
            .lines()
            .filter(|it| it.contains("apt install binaryen"));
        assert_eq!(lines.count(), 1, "{}", finished.err);
        let finished = build(&folder, &["--wasm-opt", "always"], &[]);
        assert_eq!(finished.code, Some(1));
        assert!(finished.faults()[0].contains("install binaryen"));

        let fails = tool(
            &folder,
            "fails",
            "[ \"$1\" = --version ] || { echo not today >&2; exit 1; }",
        );
        let finished = build(&folder, &["--wasm-opt", "always"], &[("WASM_OPT", &*fails)]);
        assert_eq!(finished.code, Some(1));
        let faults = finished.faults();
        assert!(faults[0].contains("smaller: not today"), "{faults:?}");
        let silent = tool(&folder, "silent", "[ \"$1\" = --version ]");
        let finished = build(
            &folder,
            &["--wasm-opt", "always"],
            &[("WASM_OPT", &*silent)],
        );
        let line =
            "smaller: it ended with exit status: 1 and said nothing; see that it is wasm-opt";
        assert!(finished.faults()[0].ends_with(line), "{}", finished.err);
        let module = folder
            .path()
            .join("target/wasm32-unknown-unknown/debug/one.wasm");
        assert!(
            std::fs::read(module).unwrap().len() > 8,
            "it is as cargo made it"
        );
    }

    #[test]
    fn a_missing_target_is_a_line_with_the_remedy() {
        let folder = folder();
        // A compiler without a std for WebAssembly, and a rustup that installs none.
        let rustc = tool(
            &folder,
            "rustc",
            "case \"$*\" in\n*target-libdir*) echo /nowhere ;;\n*--crate-name\\ one*wasm32*) echo 'cannot find `core`' \
             >&2; exit 1 ;;\n*) exec rustc \"$@\" ;;\nesac",
        );
        let path = std::env::var("PATH").unwrap();
        tool(&folder, "bin/rustup", "echo 'no network' >&2; exit 1");
        let path = format!("{}:{path}", folder.file("bin"));
        let env = [("RUSTC", &*rustc), ("PATH", Path::new(&path))];
        let finished = build(&folder, &["two", "three", "other"], &env);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        let faults = finished.faults();
        let own: Vec<_> = faults
            .iter()
            .filter(|it| it.contains("plugins.json"))
            .collect();
        assert_eq!(own.len(), 2, "{}", finished.err);
        for (fault, target) in own.iter().zip(["wasm32-unknown-unknown", "wasm32-wasip2"]) {
            let line = format!(
                "its crate `one` cannot be built: the target {target} is not installed (no network): rustup target \
                 add {target}"
            );
            assert!(fault.ends_with(&line), "{fault}");
        }
        // If it is missing, an optional one is left out.
        let finished = build(&folder, &["again", "one"], &env);
        assert_eq!(finished.code, Some(0), "{}", finished.err);
        assert!(
            finished
                .out
                .contains("unavailable: its crate `one` cannot be built: the target")
        );
    }
}
