//! `doctor`: which tools are here, which are needed for a plugins.json, and what its exit code says of that. The tools
//! are scripts that say what the real ones say; the last test asks the real ones.

use crate::{
    scripting::{deno, tool},
    support::{Finished, Folder, finish, script, valor_cli},
};
use serde_json::{Value, json};

/// Runs it with no other tools than those in the folder `bin`, for a plugins.json with these definitions.
fn doctor(folder: &Folder, args: &[&str]) -> Finished {
    let mut command = valor_cli();
    command.arg("doctor").args(args).current_dir(folder.path());
    for name in ["CARGO", "RUSTC", "WASM_OPT", "VALOR_DENO", "VALOR_ESBUILD"] {
        command.env_remove(name);
    }
    command.env("PATH", folder.path().join("bin"));
    finish(command)
}

fn with(definitions: &str) -> Folder {
    Folder::new(&format!(r#"{{ "plugins": [{definitions}] }}"#))
}

/// A rustc whose folder has the std of WebAssembly modules, but not that of components; and a cargo and a rustup.
fn rust(folder: &Folder) {
    script(
        folder,
        "bin/cargo",
        "echo 'cargo 1.95.0 (f2d3ce0bd 2026-03-21)'",
    );
    script(
        folder,
        "bin/rustup",
        "echo 'rustup 1.29.0 (abc 2026-03-01)'",
    );
    folder.write("std/wasm32-unknown-unknown/libstd-1.rlib", "");
    let std = folder.file("std");
    let says = format!(
        "case \"$1\" in --version) echo 'rustc 1.95.1 (abc 2026-04-01)';; *) echo \"{std}/$4\";; esac"
    );
    script(folder, "bin/rustc", &says);
}

fn tools(finished: &Finished) -> Vec<Value> {
    let shown: Value = serde_json::from_str(&finished.out).expect("JSON");
    shown["tools"].as_array().unwrap().clone()
}

fn named<'t>(tools: &'t [Value], name: &str) -> &'t Value {
    tools.iter().find(|tool| tool["tool"] == name).unwrap()
}

#[test]
fn without_a_plugins_json_nothing_is_needed() {
    let folder = with("");
    std::fs::remove_file(folder.path().join("plugins.json")).unwrap();
    let finished = doctor(&folder, &["--json"]);
    assert_eq!(
        (finished.code, &*finished.err),
        (Some(0), ""),
        "{finished:?}"
    );
    let tools = tools(&finished);
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["tool"].as_str().unwrap())
        .collect();
    let all = [
        "cargo",
        "wasm32-unknown-unknown",
        "wasm32-wasip2",
        "wasm-opt",
        "deno",
        "esbuild",
    ];
    assert_eq!(names, all);
    for tool in &tools {
        assert_eq!(
            (&tool["version"], &tool["needed"]),
            (&Value::Null, &json!(false)),
            "{tool}"
        );
        assert!(tool["reason"].is_string() && tool["for"].is_string() && tool["get"].is_string());
    }

    let finished = doctor(&folder, &["-p", "plugins.json"]);
    let line = "error: plugins.json: there is no such file; name one with -p\n";
    assert_eq!((finished.code, &*finished.err), (Some(1), line));
    folder.write("plugins.json", "{ plugins");
    let finished = doctor(&folder, &[]);
    let line = "error: plugins.json has faults, which `valor_cli check` lists\n";
    assert_eq!(
        (finished.code, &*finished.err, &*finished.out),
        (Some(1), line, "")
    );
}

#[test]
fn what_the_vlugins_need_decides_the_exit_code() {
    let native = r#"{ "type": "native", "name": "a", "source": "a" }"#;
    let wasm = r#"{ "type": "wasm", "name": "b", "source": "b" }"#;
    let wasi = r#"{ "type": "wasi", "name": "c", "source": "c" }"#;
    let js = r#"{ "type": "js", "name": "d" }"#;
    for (definition, needed, missing) in [
        (native, &["cargo"][..], false),
        (wasm, &["cargo", "wasm32-unknown-unknown"], false),
        (wasi, &["cargo", "wasm32-wasip2"], true),
        (js, &["deno"], true),
        (r#"{ "type": "native", "name": "e" }"#, &[], false),
        (
            r#"{ "type": "files", "name": "f", "path": "." }"#,
            &[],
            false,
        ),
        (
            r#"{ "type": "js", "name": "g", "optional": true }"#,
            &[],
            false,
        ),
    ] {
        let folder = with(definition);
        rust(&folder);
        let finished = doctor(&folder, &["--json"]);
        let tools = tools(&finished);
        let wanted: Vec<_> = tools.iter().filter(|tool| tool["needed"] == true).collect();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|tool| tool["tool"].as_str().unwrap())
            .collect();
        assert_eq!(wanted, needed, "{definition}");
        assert_eq!(finished.code, Some(i32::from(missing)), "{definition}");
        assert_eq!(named(&tools, "cargo")["version"], "1.95.0");
        assert_eq!(named(&tools, "wasm32-unknown-unknown")["version"], "1.95.1");
        let wasi = named(&tools, "wasm32-wasip2");
        assert_eq!(wasi["reason"], "rustc 1.95.1 does not have it");
        assert_eq!(wasi["get"], "rustup target add wasm32-wasip2");
    }

    let folder = with(&[native, js].join(", "));
    assert_eq!(doctor(&folder, &[]).code, Some(1));

    // A compiler of the system's own comes without rustup.
    let folder = with(wasi);
    rust(&folder);
    std::fs::remove_file(folder.path().join("bin/rustup")).unwrap();
    let tools = tools(&doctor(&folder, &["--json"]));
    let get = named(&tools, "wasm32-wasip2")["get"].as_str().unwrap();
    assert!(
        get.contains("rustup.rs") && get.ends_with("| sh, then rustup target add wasm32-wasip2"),
        "{get}"
    );
}

#[test]
fn the_table_says_what_is_missing_and_what_gets_it() {
    let folder = with(r#"{ "type": "js", "name": "a" }"#);
    rust(&folder);
    script(
        &folder,
        "bin/wasm-opt",
        "echo 'wasm-opt version 108 (version_108)'",
    );
    script(&folder, "bin/esbuild", "echo nothing; exit 1");
    let finished = doctor(&folder, &[]);
    assert_eq!((finished.code, &*finished.err), (Some(1), ""));
    let rows: Vec<_> = finished.out.lines().collect();
    assert_eq!(rows.len(), 7, "{}", finished.out);
    let columns = |row: &str| {
        row.split("  ")
            .filter(|it| !it.is_empty())
            .map(|it| it.trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        columns(rows[0]),
        ["tool", "version", "needed", "what it is for", "state"]
    );
    assert_eq!(
        columns(rows[1]),
        ["cargo", "1.95.0", "no", "builds vlugins in Rust", "found"]
    );
    assert_eq!(
        columns(rows[4]),
        ["wasm-opt", "108", "no", "makes modules smaller", "found"]
    );
    let deno = columns(rows[5]);
    assert_eq!(deno[..4], ["deno", "-", "yes", "runs `js` vlugins"]);
    let nowhere =
        "failed: it is neither in node_modules/.bin nor on the PATH; get it: npm install deno";
    assert_eq!(deno[4], nowhere);
    let esbuild = columns(rows[6]).pop().unwrap();
    let silent = format!(
        "unavailable: {} does not say its version; get it: npm install esbuild",
        folder.file("bin/esbuild")
    );
    assert_eq!(esbuild, silent);
}

/// Neither one that hangs nor one that says its version without an end.
#[cfg(unix)]
#[test]
fn a_tool_that_does_not_end_is_ended() {
    let folder = with("");
    let pid = folder.file("pid");
    let hangs = format!("echo $$ > '{pid}'; PATH=/usr/bin:/bin; exec sleep 600");
    script(&folder, "bin/cargo", &hangs);
    script(&folder, "bin/wasm-opt", "while :; do echo 1.2.3; done");
    let finished = doctor(&folder, &["--json"]);
    let tools = tools(&finished);
    for name in ["cargo", "wasm-opt"] {
        let tool = named(&tools, name);
        assert_eq!(tool["version"], Value::Null, "{tool}");
        assert_eq!(tool["reason"], format!("{name} does not say its version"));
    }
    crate::support::wait_for_the_end_of(&std::fs::read_to_string(pid).unwrap());
}

#[test]
fn a_plugins_json_with_faults_is_counted_as_far_as_it_is_sound() {
    let folder = with(r#"{ "type": "js", "name": "a" }, { "type": "native" }"#);
    let finished = doctor(&folder, &["--json"]);
    assert_eq!(finished.code, Some(1));
    let line = "warning: plugins.json has faults, which `valor_cli check` lists; what they concern is not counted\n";
    assert_eq!(finished.err, line);
    assert_eq!(named(&tools(&finished), "deno")["needed"], true);
}

#[test]
fn the_real_tools_say_their_versions() {
    let folder =
        with(r#"{ "type": "js", "name": "a" }, { "type": "native", "name": "b", "source": "b" }"#);
    let mut command = valor_cli();
    command
        .args(["doctor", "--json", "--deno"])
        .arg(deno())
        .arg("--esbuild")
        .arg(tool("esbuild"));
    command.current_dir(folder.path());
    let finished = finish(command);
    assert_eq!(
        (finished.code, &*finished.err),
        (Some(0), ""),
        "{finished:?}"
    );
    let tools = tools(&finished);
    for name in ["cargo", "wasm32-unknown-unknown", "deno", "esbuild"] {
        let version = named(&tools, name)["version"]
            .as_str()
            .unwrap_or_else(|| panic!("{tools:?}"));
        let numbers = version
            .split(['.', '-'])
            .filter(|it| it.parse::<u32>().is_ok())
            .count();
        assert!(numbers >= 3, "{name}: {version}");
    }
}
