//! `valor_cli package`: from libraries to a package that is served, and what is refused.

use crate::support::{Finished, Folder, Server, libraries, run, workspace};
use serde_json::{Value, json};
use std::path::PathBuf;

/// As long as the name of any target that this test runs on.
const OTHER: &str = "riscv64gc-unknown-linux-gnu";

pub fn library(name: &str) -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    libraries().join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"))
}

/// Writes a library of `hello_plugin` that claims another target, and the metadata of this host's library.
fn other(folder: &Folder) -> (String, String) {
    let mut bytes = std::fs::read(library("hello_plugin")).unwrap();
    let magic = block_at(&bytes);
    let field = &mut bytes[magic + 192..][..64];
    let this = String::from_utf8_lossy(field);
    let this = this.trim_end_matches('\0').to_owned();
    field.fill(0);
    field[..OTHER.len()].copy_from_slice(OTHER.as_bytes());
    folder.write("other.so", bytes);
    (folder.file("other.so"), this)
}

/// Where the block of metadata is: its size follows its magic.
fn block_at(bytes: &[u8]) -> usize {
    let name = b"hello_plugin\0";
    let at = (32..bytes.len() - 384)
        .find(|at| bytes[at - 16..][..4] == 384u32.to_le_bytes() && bytes[*at..].starts_with(name));
    at.expect("a block of metadata") - 32
}

/// Packages these libraries as `hello.vlugin` in the folder.
fn package(folder: &Folder, args: &[&str]) -> Finished {
    let file = folder.file("hello.vlugin");
    run(&[&["package", "-o", &file], args].concat())
}

#[test]
fn a_package_is_made_shown_and_served() {
    let folder = Folder::new(
        r#"{ "plugins": [{ "type": "native", "name": "hello", "path": "hello.vlugin" }] }"#,
    );
    let own = library("hello_plugin").display().to_string();
    let source = workspace().join("examples/hello_plugin");
    let source = source.to_str().unwrap();
    let (other, this) = other(&folder);
    let made = package(&folder, &["--source", source, &own, &other]);
    assert_eq!((made.code, &*made.err), (Some(0), ""));
    for line in [
        "format   package 1\n".to_owned(),
        "name     hello_plugin\n".into(),
        "license  MIT OR Apache-2.0\n".into(),
        format!("library  {this}, "),
        format!("library  {OTHER}, "),
        "loads    yes\n".into(),
    ] {
        assert!(made.out.contains(&line), "{line} is not in {}", made.out);
    }

    // Another order gives the same.
    let bytes = std::fs::read(folder.file("hello.vlugin")).unwrap();
    let again = package(&folder, &[&other, &own, "--source", source]);
    assert_eq!(again.out, made.out);
    assert!(bytes == std::fs::read(folder.file("hello.vlugin")).unwrap());
    assert!(!folder.path().join("hello.vlugin.part").exists());

    let shown = run(&["inspect", &folder.file("hello.vlugin")]);
    assert_eq!((shown.code, shown.out), (Some(0), made.out));
    let shown = run(&["inspect", "--json", &folder.file("hello.vlugin")]);
    let json: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(json["format"], "package");
    assert_eq!(json["manifest"]["license"], "MIT OR Apache-2.0");
    assert_eq!(json["loads"], true);
    assert_eq!(json["libraries"].as_array().unwrap().len(), 2);
    let mut libraries = json["libraries"].as_array().unwrap().iter();
    let of_other = libraries.find(|it| it["target"] == OTHER).unwrap();
    assert_eq!(of_other["library"]["vlugin"]["target"], OTHER);

    let server = Server::start(&["-p", &folder.file("plugins.json")]);
    assert_eq!(server.get("/hello").body, "OK response from a plugin");
}

#[test]
fn a_package_for_others_is_made_but_not_loaded() {
    let folder = Folder::new(
        "{ \"plugins\": [\n{ \"type\": \"native\", \"name\": \"hello\", \"path\": \"hello.vlugin\" }] }",
    );
    let (other, this) = other(&folder);
    let made = package(&folder, &[&other]);
    assert_eq!((made.code, &*made.err), (Some(0), ""));
    let file = folder.file("hello.vlugin");
    let reason = format!(
        "{file} has no library for {this}, but for {OTHER}: build the vlugin with `--target {this}` \
         and package it with the others"
    );
    assert!(made.out.ends_with(&format!("\nloads    no: {reason}\n")));
    assert_eq!(run(&["inspect", &file]).code, Some(1));

    let plugins = folder.file("plugins.json");
    let checked = run(&["check", "-p", &plugins]);
    assert_eq!(checked.code, Some(1));
    assert_eq!(
        checked.faults(),
        [format!(
            "{plugins}:2:46: plugins[0].path: vlugin `hello`: {reason}"
        )]
    );
}

#[cfg(feature = "wasm")]
#[test]
fn a_module_is_packaged_beside_a_library_or_alone() {
    let of_type = |kind: &str| {
        let entry = json!({ "type": kind, "name": kind, "path": "hello.vlugin" });
        json!({ "plugins": [entry] }).to_string()
    };
    let folder = Folder::new(&of_type("native"));
    folder.write("wasm.json", of_type("wasm"));
    let own = library("hello_plugin").display().to_string();
    let module = crate::support::module().display().to_string();
    let source = workspace().join("examples/hello_plugin");
    let source = source.to_str().unwrap();
    let made = package(&folder, &["--source", source, &module, &own]);
    assert_eq!((made.code, &*made.err), (Some(0), ""));
    assert!(
        made.out.contains("library  wasm32-unknown-unknown, "),
        "{}",
        made.out
    );
    assert!(made.out.contains(", panic abort\n"), "{}", made.out);
    assert!(
        made.out
            .ends_with("\nloads    yes, as \"native\" or \"wasm\"\n"),
        "{}",
        made.out
    );
    for file in ["plugins.json", "wasm.json"] {
        let server = Server::start(&["-p", &folder.file(file)]);
        let target = file
            .replace("plugins.json", "/native")
            .replace("wasm.json", "/wasm");
        assert_eq!(server.get(&target).body, "OK response from a plugin");
    }

    let made = package(&folder, &[&module]);
    assert!(
        made.out.ends_with("\nloads    yes, as \"wasm\"\n"),
        "{}",
        made.out
    );
    let file = folder.file("hello.vlugin");
    let shown = run(&["inspect", "--json", &file]);
    assert_eq!(shown.code, Some(0));
    let json: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(
        (&json["types"], &json["loads"]),
        (&json!(["wasm"]), &json!(true))
    );
    let library = &json["libraries"][0]["library"];
    assert_eq!(library["format"], "WebAssembly");
    assert_eq!(library["vlugin"]["panic"], "abort");
    let refused = run(&["check", "-p", &folder.file("plugins.json")]);
    let line = "but a WebAssembly module: write `\"type\": \"wasm\"`";
    assert!(refused.faults()[0].contains(line), "{}", refused.err);
}

#[test]
fn what_a_crate_says_of_its_vlugin() {
    let folder = Folder::new("");
    let own = library("hello_plugin").display().to_string();
    let crate_of = |name: &str, version: &str, more: &str| {
        folder.write(
            "crate/Cargo.toml",
            format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n{more}\n[workspace]\n"),
        );
        folder.write("crate/src/lib.rs", "");
    };
    let source = folder.file("crate");
    let version = env!("CARGO_PKG_VERSION");

    let more = "license = \"MIT\"\n[package.metadata.valor]\nconfig-schema = \"config.json\"";
    crate_of("hello_plugin", version, more);
    folder.write("crate/config.json", r#"{ "type": "string" }"#);
    let made = package(&folder, &["--source", &source, &own]);
    assert_eq!((made.code, &*made.err), (Some(0), ""));
    assert!(
        made.out
            .contains("\nlicense  MIT\nconfig   a JSON Schema is in it\n")
    );
    let shown = run(&["inspect", "--json", &folder.file("hello.vlugin")]);
    let json: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(
        json["manifest"]["config_schema"],
        json!({ "type": "string" })
    );

    let fault = || {
        let failed = package(&folder, &["--source", &source, &own]);
        assert_eq!((failed.code, &*failed.out), (Some(1), ""));
        failed.faults().join("\n")
    };
    folder.write("crate/config.json", r#"{ "type": "strnig" }"#);
    let config = folder.path().join("crate").join("config.json");
    let begins = format!(
        "{} is not a JSON Schema for a package: at /type, ",
        config.display()
    );
    let line = fault();
    assert!(line.starts_with(&begins), "{line}");
    folder.write("crate/config.json", "[]");
    let schema = folder.path().join("crate").join("config.json");
    assert_eq!(
        fault(),
        format!(
            "{} is not a JSON Schema for a package: a JSON Schema is an object, or true or false",
            schema.display()
        )
    );
    // As cargo takes it, and as SPDX writes it.
    crate_of("hello_plugin", version, "license = \"MIT/Apache-2.0\"");
    let made = package(&folder, &["--source", &source, &own]);
    assert!(
        made.out.contains("\nlicense  MIT OR Apache-2.0\n"),
        "{made:?}"
    );
    crate_of("hello_plugin", version, "license = \"Foo Bar\"");
    let begins = format!(
        "`license` in the Cargo.toml of {source} is `Foo Bar`, which is no SPDX expression: "
    );
    let line = fault();
    assert!(line.starts_with(&begins), "{line}");
    let made = package(&folder, &["--source", &source, "--license", "MIT", &own]);
    assert!(made.out.contains("\nlicense  MIT\n"), "{made:?}");
    crate_of("hello_plugin", "9.9.9", "");
    assert_eq!(
        fault(),
        format!(
            "{own} is of version `{version}`, but the crate in {source} of version `9.9.9`: build it again"
        )
    );
    crate_of("other", version, "");
    assert_eq!(
        fault(),
        format!(
            "{own} is of name `hello_plugin`, but the crate in {source} of name `other`: build it again"
        )
    );
}

#[test]
fn what_makes_no_package() {
    let folder = Folder::new("");
    let own = library("hello_plugin").display().to_string();
    let state = library("with_state").display().to_string();
    folder.write("text.so", "just some text\n");
    let text = folder.file("text.so");
    for (args, line) in [
        (vec![&*own, &*own], format!("{own} and {own} are both for ")),
        (
            vec![&own, &state],
            format!(
                "{state} is of name `with_state`, but {own} of name `hello_plugin`: a package holds one vlugin"
            ),
        ),
        (
            vec![&text],
            format!(
                "{text} is not a library but a text file: give the file that cargo builds for `crate-type = \
                 [\"cdylib\"]`, or a script, whose name ends in .js, .mjs, .cjs, .jsx, .ts, .mts, .cts, .tsx\n"
            ),
        ),
        (
            vec!["a.vlugin"],
            "a.vlugin is a package: give the libraries that go into one, or a script; with `--precompile`, give it \
             alone\n"
                .into(),
        ),
        (
            vec!["nowhere.so"],
            "nowhere.so does not exist: give the file of a library, a module, a component or a script\n".into(),
        ),
        (
            vec![&own, "--source", "nowhere"],
            "nowhere has no Cargo.toml: give the folder of the vlugin's crate in --source".into(),
        ),
        (
            vec![&own, "--license", "a\nb"],
            "--license is `a\\nb`, which is no SPDX expression: ".into(),
        ),
    ] {
        let failed = package(&folder, &args);
        assert_eq!((failed.code, &*failed.out), (Some(1), ""));
        assert!(
            failed.err.starts_with(&format!("error: {line}")),
            "{}",
            failed.err
        );
        assert!(!folder.path().join("hello.vlugin").exists());
    }
    let so = folder.file("hello.so");
    let failed = run(&["package", "-o", &so, &own]);
    assert_eq!(
        failed.faults(),
        [format!(
            "{so} is no name for a package, which is known by its end: give one such as greet.vlugin"
        )]
    );
    let away = folder.file("nowhere/hello.vlugin");
    let failed = run(&["package", "-o", &away, &own]);
    let nowhere = folder.path().join("nowhere");
    assert_eq!(
        failed.faults(),
        [format!(
            "{away} cannot be written: there is no folder {}; create it, or name another",
            nowhere.display()
        )]
    );
    folder.write("file", "");
    folder.write("folder.vlugin/file", "");
    for (name, reason) in [
        (
            "file/hello.vlugin",
            format!(
                "{} is not a folder; name one in its place",
                folder.file("file")
            ),
        ),
        (
            "folder.vlugin",
            "it is a folder; give the name of a file".to_owned(),
        ),
    ] {
        let file = folder.file(name);
        let failed = run(&["package", "-o", &file, &own]);
        assert_eq!(
            failed.faults(),
            [format!("{file} cannot be written: {reason}")]
        );
    }
    assert_eq!(run(&["package"]).code, Some(2));
}
