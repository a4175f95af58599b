//! Sound components for tests, as text: they import all that this host has, type by type, from the same tables that a
//! component is compared with. Tests break them.

use super::interfaces::{self, Interface, Name};
use std::fmt::Write;

/// The handler of a version, and the wat of a component that exports it.
pub(super) const P2: &str = "wasi:http/incoming-handler@0.2.12";
pub(super) const P3: &str = "wasi:http/handler@0.3.0";

/// A component that imports every interface of the handler's version, and exports the handler.
pub(super) fn sound(handler: &str) -> String {
    component(&everything_beside(handler), &exported(handler))
}

/// A component with little more than its handler.
pub(super) fn small(handler: &str) -> String {
    with_only(handler, "wasi:http/types")
}

/// A component that imports this interface, what that one needs, and what the handler needs.
pub(super) fn with_only(handler: &str, interface: &str) -> String {
    let line = Name::of(handler).line();
    let of_line = |it: &&Interface| Name::of(&it.full()).line() == line && it.full() != handler;
    let mut names = vec!["wasi:http/types".to_owned(), interface.to_owned()];
    loop {
        let is_in = |it: &&Interface| names.iter().any(|name| name == it.name);
        let all: Vec<_> = interfaces::all().filter(of_line).filter(is_in).collect();
        let mut needs = Needs::default();
        for interface in &all {
            instance(interface, &mut needs);
        }
        let before = names.len();
        for need in needs.types {
            let name = format!("wasi:{}", need.rsplit_once('.').unwrap().0);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        if names.len() == before {
            return component(&imported(&all), &exported(handler));
        }
    }
}

/// What an instance needs besides its own definitions.
#[derive(Default)]
struct Needs {
    /// Types of other interfaces.
    types: Vec<String>,
    /// Types that have to be written before they are used.
    first: Vec<String>,
}

pub(super) fn component(imports: &str, rest: &str) -> String {
    format!("(component\n{imports}\n{rest})")
}

/// The module behind a handler, and its export.
pub(super) fn exported(handler: &str) -> String {
    let core = format!(
        r#"(core module $module
             (memory (export "memory") 1)
             (func (export "handle") {}))
           (core instance $instance (instantiate $module))"#,
        match handler {
            P3 => "(param i32) (result i32) i32.const 0",
            _ => "(param i32 i32)",
        }
    );
    let ty = match handler {
        P3 => {
            r#"(func $handle async (param "request" (own $http/types.request))
                 (result (result (own $http/types.response) (error $http/types.error-code)))
                 (canon lift (core func $instance "handle") (memory (core memory $instance "memory"))))"#
        }
        _ => {
            r#"(func $handle (param "request" (own $http/types.incoming-request))
                 (param "response-out" (own $http/types.response-outparam))
                 (canon lift (core func $instance "handle")))"#
        }
    };
    format!(
        r#"{core}
           {ty}
           (instance $handler (export "handle" (func $handle)))
           (export "{handler}" (instance $handler))"#
    )
}

/// All interfaces of a version, except for its handler.
fn everything_beside(handler: &str) -> String {
    let line = Name::of(handler).line();
    let beside = |it: &&Interface| {
        let full = it.full();
        full != handler && Name::of(&full).line() == line
    };
    imported(&interfaces::all().filter(beside).collect::<Vec<_>>())
}

/// The imports of these interfaces, each behind those that it needs.
pub(super) fn imported(interfaces: &[&Interface]) -> String {
    let mut text = String::new();
    let mut known: Vec<String> = Vec::new();
    let mut left: Vec<_> = interfaces.to_vec();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|interface| {
            let mut needs = Needs::default();
            let inner = instance(interface, &mut needs);
            if !needs.types.iter().all(|need| known.contains(need)) {
                return true;
            }
            let of = interface.name.strip_prefix("wasi:").unwrap();
            let mut aliases = String::new();
            for need in needs.types {
                writeln!(aliases, "(alias outer 1 ${need} (type ${need}))").unwrap();
            }
            let full = interface.full();
            writeln!(
                text,
                "(import \"{full}\" (instance ${of}\n{aliases}{inner}))"
            )
            .unwrap();
            for ty in interface.type_names() {
                writeln!(text, "(alias export ${of} \"{ty}\" (type ${of}.{ty}))").unwrap();
                known.push(format!("{of}.{ty}"));
            }
            false
        });
        assert_ne!(
            left.len(),
            before,
            "interfaces that nothing satisfies: {left:?}"
        );
    }
    text
}

/// What is in an instance, and the types of other interfaces that it needs.
fn instance(interface: &Interface, needs: &mut Needs) -> String {
    let of = interface.name.strip_prefix("wasi:").unwrap();
    let mut text = String::new();
    for resource in interface.resources() {
        writeln!(
            text,
            "(export \"{resource}\" (type ${of}.{resource} (sub resource)))"
        )
        .unwrap();
    }
    let mut types: Vec<_> = interface.types().collect();
    // Each behind those that it needs.
    let mut done: Vec<&str> = Vec::new();
    while !types.is_empty() {
        types.retain(|(name, ty)| {
            let waits = types_named(ty).any(|it| !it.contains('/') && !done.contains(&it));
            if !waits {
                let wat = wat(ty, of, needs);
                writeln!(text, "(type $of-{name} {wat})").unwrap();
                writeln!(
                    text,
                    "(export \"{name}\" (type ${of}.{name} (eq $of-{name})))"
                )
                .unwrap();
                done.push(name);
            }
            waits
        });
    }
    let mut written = needs.first.len();
    for (name, ty) in interface.functions() {
        let is_async = ty.starts_with("async ");
        let ty = ty.strip_prefix("async ").unwrap_or(ty);
        let (params, result) = ty.split_once(" -> ").unwrap_or((ty, ""));
        let params = params.strip_prefix("func").unwrap();
        // The parameters are the parts of a tuple, with other brackets.
        let inner = &params[1..params.len() - 1];
        let params = match inner {
            "" => Vec::new(),
            _ => parts(&mut format!("<{inner}>").as_str(), of, needs),
        };
        let is_method = name.starts_with("[method]");
        let params = params.iter().enumerate().map(|(at, ty)| {
            let name = if is_method && at == 0 {
                "self".into()
            } else {
                format!("p{at}")
            };
            format!("(param \"{name}\" {ty})")
        });
        let params: String = params.collect();
        let result = match result {
            "" => String::new(),
            ty => format!("(result {})", wat(ty, of, needs)),
        };
        for first in needs.first.iter().skip(written) {
            writeln!(text, "{first}").unwrap();
        }
        written = needs.first.len();
        let is_async = if is_async { "async " } else { "" };
        writeln!(
            text,
            "(export \"{name}\" (func {is_async}{params}{result}))"
        )
        .unwrap();
    }
    text
}

/// The names of types in a type.
fn types_named(ty: &str) -> impl Iterator<Item = &str> {
    let ends = [',', ')', '>'];
    ty.split('$')
        .skip(1)
        .map(move |it| it.split(ends).next().unwrap())
}

fn wat(ty: &str, of: &str, needs: &mut Needs) -> String {
    let mut rest = ty;
    let wat = one(&mut rest, of, needs);
    assert_eq!(rest, "", "of {ty}");
    wat
}

fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find([',', '(', ')', '<', '>', ':', ' ']);
    let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = after;
    word
}

fn skip(rest: &mut &str, what: &str) -> bool {
    match rest.strip_prefix(what) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

/// One type, as wat.
fn one(rest: &mut &str, of: &str, needs: &mut Needs) -> String {
    let full = |name: &str, needs: &mut Needs| {
        let name = match name.contains('/') {
            true => name.to_owned(),
            false => format!("{of}.{name}"),
        };
        let is_foreign = name.rsplit_once('.').unwrap().0 != of;
        if is_foreign && !needs.types.contains(&name) {
            needs.types.push(name.clone());
        }
        format!("${name}")
    };
    let kind = word(rest);
    if let Some(name) = kind.strip_prefix('$') {
        return full(name, needs);
    }
    match kind {
        "record" | "variant" => {
            let mut text = format!("({kind}");
            assert!(skip(rest, "("));
            while !skip(rest, ")") {
                let name = word(rest);
                let is_field = skip(rest, ": ");
                let (part, ty) = match is_field {
                    true => ("field", one(rest, of, needs)),
                    false if skip(rest, "(") => {
                        let ty = one(rest, of, needs);
                        assert!(skip(rest, ")"));
                        ("case", ty)
                    }
                    false => ("case", String::new()),
                };
                write!(text, " ({part} \"{name}\" {ty})").unwrap();
                skip(rest, ", ");
            }
            text + ")"
        }
        "enum" | "flags" => {
            let mut text = format!("({kind}");
            assert!(skip(rest, "("));
            while !skip(rest, ")") {
                write!(text, " \"{}\"", word(rest)).unwrap();
                skip(rest, ", ");
            }
            text + ")"
        }
        "own" | "borrow" => {
            assert!(skip(rest, "<"));
            let name = full(word(rest), needs);
            assert!(skip(rest, ">"));
            format!("({kind} {name})")
        }
        "result" => match &*parts(rest, of, needs) {
            [] => "(result)".into(),
            [ok] => format!("(result {ok})"),
            [ok, error] if ok == "_" => format!("(result (error {error}))"),
            [ok, error] if !ok.starts_with('(') => format!("(result {ok} (error {error}))"),
            // wat takes no other types there.
            [ok, error] => {
                let at = needs.first.len();
                needs.first.push(format!("(type $first-{at} {ok})"));
                format!("(result $first-{at} (error {error}))")
            }
            other => panic!("{other:?}"),
        },
        "tuple" | "list" | "option" | "stream" | "future" => {
            format!("({kind} {})", parts(rest, of, needs).join(" "))
        }
        primitive => primitive.to_owned(),
    }
}

/// The types between `<` and `>`, if there are any.
fn parts(rest: &mut &str, of: &str, needs: &mut Needs) -> Vec<String> {
    let mut all = Vec::new();
    if skip(rest, "<") {
        while !skip(rest, ">") {
            all.push(one(rest, of, needs));
            skip(rest, ", ");
        }
    }
    all
}
