//! Components that are too large or too deep for something, or use what no vlugin may: each is refused by the name of
//! what there is too much of, and reading it takes no more than the limits allow.

use super::{
    broken_tests::{judged, refused_with, with},
    sample::{self, P2},
    world,
};
use crate::Limits;

#[test]
fn what_is_too_much_is_refused_by_its_name() {
    let module = |text: &str| with(&format!("(core module {text})"));
    let many = |count: usize, what: &str| what.repeat(count);
    let nested = |depth| {
        with(&format!(
            "{}{}",
            many(depth, "(component "),
            many(depth, ")")
        ))
    };
    for (text, parts) in [
        (
            sample::small(P2).replace(
                "(memory (export \"memory\") 1)",
                "(memory (export \"memory\") 65536)",
            ),
            vec!["wants 4294967296 bytes", "`limits.memory`"],
        ),
        (
            with(
                "(core module $big (memory 900)) (core instance (instantiate $big)) (core instance (instantiate $big))",
            ),
            vec!["bytes of memory to begin with", "`limits.memory`"],
        ),
        (
            module(&many(50_000, "(func)")),
            vec!["functions", "at most 40000"],
        ),
        (
            with(&many(
                4,
                &format!("(core module {})", many(12_000, "(func)")),
            )),
            vec!["48001 functions", "at most 40000 in a component"],
        ),
        (
            with(&many(501, "(core module)")),
            vec!["core modules", "500"],
        ),
        (
            with(&many(201, "(component)")),
            vec!["components inside of it", "200"],
        ),
        (nested(40), vec!["inside of each other", "32"]),
        (
            with(&many(20_001, "(type u8)")),
            vec!["types", "at most 20000"],
        ),
        (
            with(&many(2_000, "(core instance (instantiate $module))")),
            vec!["instances inside", "1000"],
        ),
        (module("(memory i64 1)"), vec!["memory64", "wasm32-wasip2"]),
        (module("(memory 1 1 shared)"), vec!["threads"]),
        (module("(memory 1) (memory 1)"), vec!["several memories"]),
        (
            module("(table 1 externref)"),
            vec!["externref", "manages its own memory"],
        ),
        (module("(tag)"), vec!["exceptions"]),
        (module("(type (struct (field anyref)))"), vec!["gc"]),
        (
            module(&many(9, "(table 1 funcref)")),
            vec!["9 tables", "at most 8"],
        ),
        (module("(table 100001 funcref)"), vec!["100001 elements"]),
    ] {
        refused_with(&text, &parts);
    }
    // An operator may allow it more.
    let functions = wat::parse_str(module(&many(50_000, "(func)"))).unwrap();
    let limits = Limits {
        compile: Some(2),
        ..Limits::default()
    };
    world::read(&functions, &limits).unwrap();
}

/// Sixty levels that each hold the one below twice: 2^60 instances in a few KiB, were there no limit.
#[test]
fn components_that_double_are_counted_and_not_made() {
    let mut text = "(core module $m0)(core instance (instantiate $m0))".to_owned();
    for level in 0..30 {
        text = format!(
            "(component $c{level} {text}) (instance (instantiate $c{level})) (instance (instantiate $c{level}))"
        );
    }
    refused_with(&with(&text), &["instances inside of an instance", "1000"]);
}

/// Types inside of types, by the bytes: the reader of types would overflow its stack.
#[test]
fn types_inside_of_types_end_at_a_limit() {
    for depth in [33, 1_000_000] {
        let mut types = vec![1];
        for _ in 0..depth {
            // An instance type with one declaration, which is a type.
            types.extend([0x42, 0x01, 0x01]);
        }
        types.push(0x7f);
        let mut bytes = b"\0asm\x0d\0\x01\0\x07".to_vec();
        let mut len = types.len();
        while len >= 0x80 {
            bytes.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        bytes.push(len as u8);
        bytes.extend(types);
        let error = judged(&bytes).unwrap_err();
        assert!(error.contains("inside of each other"), "{error}");
    }
}
