//! Modules that are not guests. Each is refused by name, in one line, before any of its code runs.

use super::by_hand::{HELLO, definition};
use futures_lite::future::block_on;
use valor_runtime::{
    Definition, Runtime,
    package::{Manifest, Package, WASM_TARGET},
};

/// The line that refuses a module.
fn refusal(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    of_definition(&definition(&folder, text))
}

fn of_definition(definition: &Definition) -> String {
    let runtime = Runtime::builder().build().unwrap();
    let error = block_on(runtime.load(definition)).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn what_is_missing_or_too_much_is_named() {
    let import = |what: &str| HELLO.replace("(memory (export", &format!("{what} (memory (export"));
    for (text, parts) in [
        (
            import(r#"(import "env" "puts" (func (param i32)))"#),
            vec!["`env.puts`"],
        ),
        (
            import(
                r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
            ),
            vec!["`wasi_snapshot_preview1.fd_write`", "without WASI"],
        ),
        (
            import(r#"(import "valor1" "launch" (func))"#),
            vec!["`valor1.launch`"],
        ),
        (
            import(r#"(import "valor1" "wake" (func (param i64)))"#),
            vec!["`valor1.wake`", "(i64) -> ()", "() -> ()"],
        ),
        (
            import(r#"(import "valor1" "timer" (global i32))"#),
            vec!["`valor1.timer`", "a global"],
        ),
        (
            HELLO.replace(r#"(export "valor_poll")"#, ""),
            vec!["no export `valor_poll`"],
        ),
        (
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (memory (export "memory") 1))"#
                .to_owned(),
            vec!["`wasi_snapshot_preview1`", r#"write `"type": "wasi"`"#],
        ),
        (
            HELLO.replace(r#"(export "memory")"#, ""),
            vec!["no export `memory`"],
        ),
        (
            HELLO.replace(
                r#"(export "valor_timer") (param i32)"#,
                r#"(export "valor_timer")"#,
            ),
            vec!["`valor_timer`", "() -> ()", "(i32) -> ()"],
        ),
        (
            HELLO.replace(
                "(func (export \"valor_poll\")",
                "(func (export \"valor_dream\")) (func (export \"valor_poll\")",
            ),
            vec!["`valor_dream`", "newer"],
        ),
        (
            HELLO.replace("i32.const 1)", "i32.const 7)"),
            vec!["version 7", "version 1"],
        ),
        (
            HELLO.replace("\"memory\") 16", "\"memory\") 65536"),
            vec!["4294967296 bytes", "limits.memory"],
        ),
        (
            HELLO.replace("(call $ready (i32.const 0) (i32.const 0))", "unreachable"),
            vec!["could not be created", "`unreachable`"],
        ),
    ] {
        let error = refusal(&text);
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}

#[test]
fn a_module_has_as_many_tables_as_the_book_says() {
    let with =
        |tables: &str| HELLO.replace("(memory (export", &format!("{tables} (memory (export"));
    for tables in [
        "(table 25000 funcref)",
        "(table 100000 funcref)",
        "(table 10 funcref) (table 20 funcref)",
        &"(table 1 funcref)".repeat(8),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let runtime = super::runtime(&definition(&folder, &with(tables)));
        let answer = block_on(super::get(&runtime, "/by_hand"));
        assert_eq!(answer, (200, "hi".into()), "{tables}");
    }
    for (tables, found) in [
        (&*"(table 1 funcref)".repeat(9), "has 9 tables"),
        (&*"(table 1 funcref)".repeat(101), "has 101 tables"),
        ("(table 100001 funcref)", "has 100001 elements in a table"),
    ] {
        refused_everywhere(
            &with(tables),
            &[found, "at most 8 tables of 100000 elements"],
        );
    }
}

/// Checks that the server, `inspect`, a package and the folder for a page refuse a module in one line, with all of
/// these parts.
fn refused_everywhere(text: &str, parts: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let plain = definition(&folder, text);
    let file = plain.path.clone().unwrap();
    let module = std::fs::read(&file).unwrap();
    let of_page = valor_runtime::loader::WasmLoader::new(folder.path()).read(&plain);
    let mut lines = vec![
        of_definition(&plain),
        valor_runtime::inspect(&file)
            .unwrap()
            .verdict
            .unwrap_err()
            .to_string(),
        of_page.unwrap_err().to_string(),
    ];
    let manifest = Manifest::new("by_hand", "1.0.0", "1.0");
    let packed = folder.path().join("by_hand.vlugin");
    let bytes = Package::write(manifest, vec![(WASM_TARGET, &module[..])]).unwrap();
    std::fs::write(&packed, bytes).unwrap();
    let inspection = valor_runtime::inspect_package(&packed).unwrap();
    lines.push(inspection.verdict.unwrap_err().to_string());
    lines.push(of_definition(&Definition {
        path: Some(packed),
        ..plain
    }));
    for line in lines {
        for part in parts {
            assert!(line.contains(part), "`{part}` is not in: {line}");
        }
        let damaged = line.contains("not a WebAssembly module") || line.contains('\n');
        assert!(!damaged, "{line}");
    }
}

#[test]
fn a_feature_that_no_guest_has_is_named() {
    let with = |what: &str| HELLO.replace("(memory (export", &format!("{what} (memory (export"));
    let memory = |what: &str| {
        HELLO.replace(
            "(export \"memory\") 16",
            &format!("(export \"memory\") {what}"),
        )
    };
    for (text, parts) in [
        (
            with("(table 10 externref)"),
            ["`externref`", "without wasm-bindgen"],
        ),
        (
            with("(memory 1)"),
            ["several memories", "--multi-memory-lowering"],
        ),
        (with("(tag)"), ["exceptions", "-C panic=abort"]),
        (
            with("(table i64 1 funcref)"),
            ["memory64", "wasm32-unknown-unknown"],
        ),
        (memory("i64 16"), ["memory64", "wasm32-unknown-unknown"]),
        (
            memory("16 32 shared"),
            ["threads", "-C target-feature=-atomics"],
        ),
    ] {
        refused_everywhere(&text, &parts);
    }
}

#[test]
fn what_is_no_module_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut definition = definition(&folder, HELLO);
    let file = definition.path.clone().unwrap();
    let whole = std::fs::read(&file).unwrap();
    for (bytes, part) in [
        (
            &b""[..],
            "is not a WebAssembly module but an empty file: build it again",
        ),
        (
            b"#!/bin/sh",
            "is not a WebAssembly module but a script: give the `.wasm` file",
        ),
        (
            b"\x7fELF\x02\x01\x01",
            "but a library or program (ELF): write `\"type\": \"native\"`",
        ),
        (b"\0asm\x0d\0\x01\0", "component"),
        (&whole[..whole.len() / 2], "not a WebAssembly module"),
        (&whole[..9], "not a WebAssembly module"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let error = of_definition(&definition);
        assert!(
            error.contains(part) && error.contains("by_hand.wasm"),
            "{error}"
        );
    }
    std::fs::write(&file, &whole).unwrap();
    definition.sha256 = Some("0".repeat(64));
    assert!(of_definition(&definition).contains("SHA-256"));
    std::fs::remove_file(&file).unwrap();
    assert!(of_definition(&definition).contains("does not exist"));
}

#[test]
fn a_module_says_what_it_is_without_running() {
    let inspection = valor_runtime::inspect(super::fixture::guest()).unwrap();
    let metadata = inspection.metadata.clone().unwrap();
    assert_eq!((&*metadata.name, &*metadata.version), ("guest", "0.3.1"));
    assert_eq!(metadata.target, "wasm32-unknown-unknown");
    let text = inspection.to_string();
    for part in [
        "WebAssembly for wasm32",
        "form     typed",
        "panic    abort",
        "loads    yes",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }

    let folder = tempfile::tempdir().unwrap();
    let refused = definition(&folder, &HELLO.replace("valor_poll", "valor_pool"));
    let inspection = valor_runtime::inspect(refused.path.unwrap()).unwrap();
    assert!(inspection.metadata.is_none());
    assert!(inspection.to_string().contains("loads    no: "));
}

#[test]
fn a_module_that_is_too_much_to_compile_is_refused() {
    let many = HELLO.replace(
        "(func (export \"valor_poll\")",
        &format!("{} (func (export \"valor_poll\")", "(func)".repeat(50_000)),
    );
    // Nine KiB that took the compiler half a minute.
    let each = |what: &str| -> String {
        (1..=300)
            .map(|at| what.replace('N', &at.to_string()))
            .collect()
    };
    let set = each("(local.set N (local.get 0))");
    let branchy = format!(
        "(func (param i32) {} {set} {} {set} {} {})",
        "(local i32)".repeat(300),
        "(block (br_if 0 (local.get 0)) ".repeat(200),
        ")".repeat(200),
        each("(drop (local.get N))"),
    );
    let branchy = HELLO.replace(
        "(func (export \"valor_poll\")",
        &format!("{branchy} (func (export \"valor_poll\")"),
    );
    for (text, part) in [
        (many, "functions, but Valor compiles at most 40000"),
        (branchy, "choices of a value where branches join"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut definition = definition(&folder, &text);
        let error = of_definition(&definition);
        let named = ["by_hand.wasm", "raise `limits.compile`"];
        assert!(
            error.contains(part) && named.iter().all(|it| error.contains(it)),
            "{error}"
        );
        // Its operator knows the module.
        definition.limits.compile = Some(20);
        let runtime = super::runtime(&definition);
        assert_eq!(
            block_on(super::get(&runtime, "/by_hand")),
            (200, "hi".into())
        );
    }
}
