//! A guest written by hand, with nothing but docs/src/guest-abi.md: the page is enough.

use super::{get, runtime};
use futures_lite::future::block_on;
use valor_runtime::{Definition, Kind};

/// Answers everything with `hi`, and takes memory in order, from 4096 on.
pub const HELLO: &str = include_str!("hello.wat");

/// A definition of the module that this text assembles to.
pub fn definition(folder: &tempfile::TempDir, text: &str) -> Definition {
    let file = folder.path().join("by_hand.wasm");
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    let mut definition = Definition::new(Kind::Wasm, "by_hand");
    definition.path = Some(file);
    definition
}

#[test]
fn the_page_is_enough_for_a_guest() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime(&definition(&folder, HELLO));
    for _ in 0..3 {
        assert_eq!(block_on(get(&runtime, "/by_hand")), (200, "hi".into()));
    }
}

#[test]
fn a_guest_that_breaks_the_rules_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    // Each replaces the answer.
    let answer = "(call $respond (local.get $id) (i32.const 0) (i32.const 30))";
    for (instead, why) in [
        (
            "(call $respond (local.get $id) (i32.const 0) (i32.const 7))",
            "cut off",
        ),
        (
            "(call $respond (local.get $id) (i32.const 1048570) (i32.const 30))",
            "past the end",
        ),
        (
            "(call $respond (local.get $id) (i32.const -8) (i32.const 30))",
            "no address",
        ),
        ("(call $ready (i32.const 0) (i32.const 0))", "twice"),
        ("unreachable", "a trap"),
    ] {
        let text = HELLO.replace(answer, instead);
        let runtime = runtime(&definition(&folder, &text));
        for _ in 0..2 {
            assert_eq!(block_on(get(&runtime, "/by_hand")).0, 502, "{why}");
        }
    }
}

#[test]
fn more_than_was_asked_for_must_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let answer = "(call $respond (local.get $id) (i32.const 0) (i32.const 30))";
    // A body in pieces, and 2 bytes of it at once that nobody has asked for.
    let text = HELLO
        .replace(
            r#"(memory (export"#,
            r#"(import "valor1" "write" (func $write (param i32 i32 i32 i32))) (memory (export"#,
        )
        .replace(
            r"\0c\00\00\00\02\00\00\00\02",
            r"\0c\00\00\00\01\00\00\00\00",
        )
        .replace(
            answer,
            "(call $respond (local.get $id) (i32.const 0) (i32.const 28))
             (call $write (local.get $id) (i32.const 28) (i32.const 2) (i32.const 1))",
        );
    let runtime = runtime(&definition(&folder, &text));
    let (_, text) = block_on(get(&runtime, "/by_hand"));
    assert_ne!(text, "hi");
}
