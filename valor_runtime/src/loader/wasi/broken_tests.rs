//! Components that are broken in more than 200 ways, judged one after the other in one process: each gives one line
//! that names an interface and says what to do, and the sound ones among them stay sound.

use super::{
    interfaces::{self, Interface, Name},
    sample::{self, P2, P3},
    world::{self, Version, World},
};
use crate::{Limits, loader::ComponentError};

pub(super) fn judged(bytes: &[u8]) -> Result<World, String> {
    world::read(bytes, &Limits::default()).map_err(|error| line(&error))
}

/// The line of an error, which is held to what every line promises.
fn line(error: &ComponentError) -> String {
    let line = error.to_string();
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(line.len() < 5_000, "{} bytes: {line}", line.len());
    assert!(
        line.contains("wasi:") || line.contains("WASI"),
        "no interface: {line}"
    );
    let remedies = [
        "build",
        "write `",
        "copy it",
        "did you mean",
        "raise `",
        "put them",
        "wasm-tools",
        "give ",
        "unpack",
        "git lfs",
    ];
    assert!(
        remedies.iter().any(|it| line.contains(it)),
        "no remedy: {line}"
    );
    line
}

fn refused(text: &str) -> String {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    match judged(&bytes) {
        Ok(world) => panic!("{world:?}\n{text}"),
        Err(line) => line,
    }
}

pub(super) fn refused_with(text: &str, parts: &[&str]) {
    let line = refused(text);
    for part in parts {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

/// A component with only a module and a handler, in which something else is wrong.
pub(super) fn with(what: &str) -> String {
    let small = sample::small(P2);
    format!("{}{what})", small.strip_suffix(')').unwrap())
}

/// All interfaces of both versions, in turn, with a component that imports it.
fn all() -> impl Iterator<Item = (&'static Interface, String)> {
    [P2, P3].into_iter().flat_map(|handler| {
        let line = Name::of(handler).line();
        let of_line = move |it: &&Interface| {
            let full = it.full();
            full != handler && Name::of(&full).line() == line
        };
        interfaces::all()
            .filter(of_line)
            .map(move |it| (it, sample::with_only(handler, it.name)))
    })
}

#[test]
fn a_component_that_imports_all_of_its_version_is_sound() {
    for (handler, version) in [(P2, Version::P2), (P3, Version::P3)] {
        for text in [sample::sound(handler), sample::small(handler)] {
            let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            let world = judged(&bytes).unwrap();
            assert_eq!((world.version, &*world.handler), (version, handler));
            assert_eq!((world.modules, world.instances, world.memories), (1, 1, 1));
            assert_eq!(world.memory, 65_536);
        }
    }
    let shown = super::world::interfaces(&wat::parse_str(sample::sound(P2)).unwrap()).unwrap();
    let mut imports = shown.imports.iter();
    assert!(imports.any(|it| it == "wasi:sockets/tcp@0.2.12"));
    // An older release of the same line is the same interface.
    let old = sample::sound(P2).replace("@0.2.12", "@0.2.0");
    assert_eq!(
        judged(&wat::parse_str(old).unwrap()).unwrap().handler,
        "wasi:http/incoming-handler@0.2.0"
    );
}

#[test]
fn of_two_handlers_the_newer_one_is_called() {
    let export = |handler: &str| {
        sample::exported(handler)
            .replace("$module", "$module3")
            .replace("$instance", "$instance3")
            .replace("$handler", "$handler3")
            .replace("$handle ", "$handle3 ")
            .replace("$handle)", "$handle3)")
            .replace("$http/types", "$http3/types")
    };
    let types = |it: &str| interfaces::found(Name::of(it)).unwrap();
    let new = sample::imported(&[
        types("wasi:clocks/types@0.3.0"),
        types("wasi:http/types@0.3.0"),
    ]);
    let new = new.replace("$http/types", "$http3/types");
    let both = with(&format!("{new}{}", export(P3)));
    let world = judged(&wat::parse_str(&both).unwrap_or_else(|error| panic!("{error}\n{both}")));
    assert_eq!(world.unwrap().version, Version::P3);
    // A newer one that this host does not have is passed over.
    let newer = both.replace("wasi:http/handler@0.3.0", "wasi:http/handler@0.4.0");
    assert_eq!(
        judged(&wat::parse_str(newer).unwrap()).unwrap().version,
        Version::P2
    );
}

#[test]
fn a_core_module_is_told_what_becomes_of_it() {
    let preview1 = r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#;
    for (text, parts) in [
        (
            r#"(func (export "valor_abi") (result i32) i32.const 1)"#.into(),
            ["#[vlugin]", "`\"type\": \"wasm\"`"],
        ),
        (
            format!(r#"{preview1} (func (export "_start"))"#),
            ["`wasi_snapshot_preview1`", "`wasm-tools component new"],
        ),
        (
            preview1.into(),
            ["`wasi_snapshot_preview1`", "wasi:http/incoming-handler@0.2"],
        ),
        (
            format!(r#"{preview1} (func (export "wasi:http/incoming-handler@0.2.0#handle"))"#),
            ["--adapt wasi_snapshot_preview1=ADAPTER", "reactor.wasm"],
        ),
        (
            r#"(func (export "wasi:http/handler@0.3.0#handle"))"#.into(),
            [
                "bindings of a component",
                "`wasm-tools component new FILE -o COMPONENT`",
            ],
        ),
        (
            r#"(@custom "component-type:proxy" "")"#.into(),
            ["bindings", "component new FILE -o"],
        ),
        (
            r#"(import "wbg" "x" (func))"#.into(),
            ["is a core module", "wasi:http/handler@0.3"],
        ),
        (String::new(), ["is a core module", "`wstd`"]),
    ] {
        refused_with(&format!("(module {text})"), &parts);
    }
}

#[test]
fn what_is_no_handler_is_named() {
    let export = |name: &str| sample::small(P2).replace(P2, name);
    for (text, parts) in [
        ("(component)".to_owned(), vec!["exports nothing", "`wstd`"]),
        (
            export("wasi:cli/run@0.2.0"),
            vec!["`wasi:cli/run@0.2.0`", "a command"],
        ),
        (
            export("wasi:http/incoming-handlr@0.2.0"),
            vec!["did you mean `wasi:http/incoming-handler`?"],
        ),
        (
            export("my:own/api@1.0.0"),
            vec!["exports `my:own/api@1.0.0`, but no handler of wasi:http"],
        ),
        (export("handle"), vec!["exports `handle`, but no handler"]),
        (
            export("wasi:http/outgoing-handler@0.2.0"),
            vec!["no handler of wasi:http"],
        ),
        (
            export("wasi:http/incoming-handler@0.3.0-rc-2025-09-16"),
            vec!["@0.3.0-rc-2025-09-16`, a version", "@0.2.12"],
        ),
        (
            export("wasi:http/incoming-handler@0.2.0-rc-2023-12-05"),
            vec!["rc-2023-12-05`, a version"],
        ),
        (
            export("wasi:http/handler@0.4.0"),
            vec!["`wasi:http/handler@0.4.0`, a version that this host does not have"],
        ),
        (
            export("wasi:http/handler@0.3.0-rc-2026-01-06"),
            vec!["a version that this host does not have"],
        ),
        (
            export("wasi:http/incoming-handler"),
            vec!["`wasi:http/incoming-handler`, a version"],
        ),
        (
            export("wasi:http/handler@0.2.0"),
            vec!["`wasi:http/handler@0.2.0`, a version"],
        ),
        // The handler of one version with the name of the other.
        (
            export(P3),
            vec![
                "exports `handle` of `wasi:http/handler@0.3.0`",
                "has `async`",
            ],
        ),
        (
            sample::small(P2).replace(r#"(export "handle" (func $handle))"#, ""),
            vec!["with nothing in it", "the interface has `handle`"],
        ),
        (
            sample::small(P2).replace(
                r#"(export "handle" (func $handle))"#,
                r#"(export "handl" (func $handle))"#,
            ),
            vec!["with `handl` in it"],
        ),
        (
            format!(
                "{}(type $t u8)(export \"wasi:http/handler@0.3.0\" (func $handle)))",
                sample::small(P2).strip_suffix(')').unwrap()
            ),
            vec!["as a func, not as an instance"],
        ),
    ] {
        refused_with(&text, &parts);
    }
}

#[test]
fn an_interface_of_another_version_or_name_is_named() {
    let mut count = 0;
    for (interface, text) in all() {
        let full = interface.full();
        if interface.functions().count() == 0 {
            continue;
        }
        for version in ["0.2.0-rc-2023-11-10", "0.4.0"] {
            let import = format!("{}@{version}", interface.name);
            let line = refused(&text.replace(&format!("\"{full}\""), &format!("\"{import}\"")));
            // An import that only has types comes first, or uses the resources of another version.
            assert!(line.contains("wasi:"), "{line}");
            assert!(
                line.contains(&import) && line.contains(&full),
                "{full}: {line}"
            );
            count += 1;
        }
        let import = format!("{}s@{}", interface.name, interface.version);
        let line = refused(&text.replace(&format!("\"{full}\""), &format!("\"{import}\"")));
        assert!(line.contains(&import), "{line}");
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn a_function_of_another_name_or_type_is_named() {
    let mut count = 0;
    for (interface, text) in all() {
        for (name, ty) in interface.functions() {
            // One in four is enough.
            count += 1;
            let is_bound = name.starts_with("[constructor]");
            if count % 4 != 0
                || is_bound
                || text.matches(&format!("(export \"{name}\" (func")).count() != 1
            {
                continue;
            }
            let export = format!("(export \"{name}\" (func ");
            let line = refused(&text.replace(&export, &format!("(export \"{name}-x\" (func ")));
            assert!(
                line.contains(&format!("`{name}-x` of `{}`", interface.full())),
                "{line}"
            );
            if !ty.starts_with("func()") {
                continue;
            }
            let line = refused(&text.replace(&export, &format!("{export}(param \"more\" u8)")));
            assert!(
                line.contains(&format!(
                    "`{name}` of `{}` with `u8` in its type",
                    interface.full()
                )),
                "{line}"
            );
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn a_wrong_case_of_a_variant_is_named() {
    let mut count = 0;
    for (interface, text) in all() {
        for (name, ty) in interface.types() {
            // The first name in it.
            let first = ty.split(['(', ':', ',', ')']).nth(1).unwrap();
            let of = interface.name.strip_prefix("wasi:").unwrap();
            let line_of = text.lines().find(|line| {
                line.starts_with(&format!("(type $of-{name} "))
                    && line.contains(&format!("\"{first}\""))
            });
            let Some(line_of) = line_of else { continue };
            let broken = line_of.replacen(&format!("\"{first}\""), "\"first-of-all\"", 1);
            let is_used = text.matches(&format!("${of}.{name}")).count() > 2;
            if !is_used || text.matches(line_of).count() != 1 {
                continue;
            }
            let bytes = wat::parse_str(text.replace(line_of, &broken)).unwrap();
            if let Err(line) = judged(&bytes) {
                assert!(line.contains("`first-of-all`"), "{line}");
                assert!(line.contains(&format!("`{first}`")), "{line}");
                count += 1;
            }
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn imports_of_other_worlds_are_named() {
    for (text, parts) in [
        (
            r#"(import "wasi:keyvalue/store@0.2.0-draft" (instance (export "open" (func))))"#,
            ["`open` of `wasi:keyvalue/store@0.2.0-draft`", "`wac plug`"],
        ),
        (
            r#"(import "fermyon:spin/llm" (instance (export "infer" (func))))"#,
            ["fermyon:spin/llm", "this host does not have"],
        ),
        (
            r#"(import "log" (func (param "text" string)))"#,
            ["`log`", "compose it"],
        ),
        (
            r#"(import "a" (type (sub resource)))"#,
            ["`a`", "this host does not have"],
        ),
        (
            r#"(import "wasi:http/type@0.2.0" (instance (export "f" (func))))"#,
            ["did you mean `wasi:http/types`?", "`f`"],
        ),
    ] {
        let text = with(text);
        let error = world::read(&wat::parse_str(&text).unwrap(), &Limits::default())
            .unwrap_err()
            .to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
    // Types alone need nothing of a host.
    let types = with(
        r#"(import "my:own/types" (instance (type $r (record (field "a" u8))) (export "r" (type (eq $r)))))"#,
    );
    judged(&wat::parse_str(&types).unwrap()).unwrap();
}

#[test]
fn what_is_cut_off_or_damaged_is_refused_or_sound() {
    let mut count = 0;
    for handler in [P2, P3] {
        let bytes = wat::parse_str(sample::small(handler)).unwrap();
        for len in (0..bytes.len()).step_by(7) {
            let file = std::path::Path::new("cut.wasm");
            let cut = &bytes[..len];
            if let Err(error) = super::component::check_start(file, cut) {
                line(&error);
            } else if let Ok(world) = judged(cut) {
                // Only the names for debuggers are missing.
                assert_eq!(world.handler, handler);
            }
            count += 1;
        }
        // A change may leave it sound, with another name somewhere, for example.
        for at in (8..bytes.len()).step_by(9) {
            for value in [0, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x40] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                count += usize::from(judged(&damaged).is_err());
            }
        }
    }
    assert!(count > 200, "{count}");
}

#[test]
fn other_files_are_named() {
    for (bytes, part) in [
        (&b""[..], "an empty file"),
        (b"#!/bin/sh\n", "a script"),
        (b"\x7fELF\x02\x01\x01", "`\"type\": \"native\"`"),
        (b"PK\x03\x04", "unpack it"),
        (b"(component)", "a text file"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "git lfs pull",
        ),
        (b"\0asm\x01\0\0\0", "is a core module"),
        (b"\0asm\x01\0\0\0\x01", "damaged core module"),
    ] {
        let error =
            super::component::check_start(std::path::Path::new("a.wasm"), bytes).unwrap_err();
        let line = line(&error);
        assert!(line.contains(part), "{line}");
    }
}
