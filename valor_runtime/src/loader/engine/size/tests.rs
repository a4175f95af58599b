use super::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(600);

fn fault(text: &str) -> Option<&'static str> {
    fault_of(text, 1)
}

/// The same for a module with this `limits.compile`.
fn fault_of(text: &str, times: u32) -> Option<&'static str> {
    match check(&wat::parse_str(text).expect("sound text"), times) {
        Ok(()) => None,
        Err(GuestError::TooLarge {
            what, found, most, ..
        }) => {
            assert!(found > most, "{found} {what}");
            Some(what)
        }
        Err(error) => panic!("{error}"),
    }
}

/// A function with this many locals and this body.
fn function(locals: usize, body: &str) -> String {
    format!(
        "(module (func (param i32) {} {body}))",
        "(local i32)".repeat(locals)
    )
}

fn each(locals: usize, what: impl Fn(usize) -> String) -> String {
    (1..=locals).map(what).collect()
}

/// Each local is set and used once, in a separate branch.
fn moments(locals: usize) -> String {
    each(locals, |at| {
        format!("(if (local.get 0) (then (local.set {at} (local.get 0)) (drop (local.get {at}))))")
    })
}

/// Nested blocks. Each may be left before the innermost sets all locals.
fn around(depth: usize, locals: usize) -> String {
    let (open, close) = (
        "(block (br_if 0 (local.get 0)) ".repeat(depth),
        ")".repeat(depth),
    );
    let set = each(locals, |at| format!("(local.set {at} (local.get 0))"));
    let get = each(locals, |at| format!("(drop (local.get {at}))"));
    format!("{set}{open}{set}{close}{get}")
}

/// Nested loops. The innermost changes all locals.
fn loops(depth: usize, locals: usize) -> String {
    let (open, close) = (
        "(loop ".repeat(depth),
        "(br_if 0 (local.get 0)))".repeat(depth),
    );
    let set = each(locals, |at| {
        format!("(local.set {at} (i32.add (local.get {at}) (i32.const 1)))")
    });
    format!("{open}{set}{close}")
}

/// Values that live through all branches between their first and last use.
fn far(branches: usize, locals: usize) -> String {
    let set = each(locals, |at| format!("(local.set {at} (local.get 0))"));
    let get = each(locals, |at| format!("(drop (local.get {at}))"));
    format!(
        "{set}{}{get}",
        "(if (local.get 0) (then nop))".repeat(branches)
    )
}

#[test]
fn what_costs_too_much_to_compile_is_refused_by_its_name() {
    let nest = |open: &str, depth: usize| format!("{}{}", open.repeat(depth), ")".repeat(depth));
    let exports = (0..10_001).map(|at| format!(r#"(export "{at}" (func 0))"#));
    for (text, expected) in [
        (format!("(module {})", "(func)".repeat(40_000)), None),
        (
            format!("(module {})", "(func)".repeat(40_001)),
            Some("functions"),
        ),
        (
            format!("(module (func) {})", exports.collect::<String>()),
            Some("imports and exports"),
        ),
        (
            format!("(module {})", "(global i32 (i32.const 0))".repeat(10_001)),
            Some("globals"),
        ),
        (
            format!(
                "(module (memory 1) {})",
                r#"(data (i32.const 0) "x")"#.repeat(20_001)
            ),
            Some("segments"),
        ),
        (function(0, &"nop ".repeat(500_000)), None),
        (
            function(0, &"nop ".repeat(530_000)),
            Some("bytes in one function"),
        ),
        (function(20_000, ""), Some("locals in one function")),
        (function(0, &nest("(block ", 2_000)), None),
        (
            function(0, &nest("(block ", 2_001)),
            Some("blocks inside of each other"),
        ),
        // A debug build: many locals and many branches, each local alive for a moment.
        (function(9000, &moments(9000)), None),
        // A few KiB each that took from seconds to minutes.
        (function(300, &around(40, 300)), None),
        (
            function(300, &around(200, 300)),
            Some("choices of a value where branches join in one function"),
        ),
        (function(100, &loops(30, 100)), None),
        (
            function(300, &loops(264, 300)),
            Some("choices of a value where branches join in one function"),
        ),
        (
            function(2000, &far(20_000, 2000)),
            Some("values times the branches that they live through in one function"),
        ),
        // The same on the stack of operands.
        (
            format!(
                "(module (memory 1) (func (param i32) (result i32) {} {} {}))",
                "(i32.load (local.get 0))".repeat(5000),
                "(if (local.get 0) (then nop))".repeat(5000),
                "i32.add ".repeat(4999),
            ),
            Some("values times the branches that they live through in one function"),
        ),
    ] {
        assert_eq!(fault(&text), expected, "{}", &text[..text.len().min(80)]);
    }
}

#[test]
fn many_functions_that_are_each_within_the_limit_can_be_too_much() {
    let one = |body: &str| format!("(func (param i32) {} {body})", "(local i32)".repeat(300));
    let all = |count, body: &str| format!("(module {})", one(body).repeat(count));
    let joins = around(40, 300);
    assert_eq!(fault(&all(2, &joins)), None);
    assert_eq!(
        fault(&all(4, &joins)),
        Some("choices of a value where branches join (squared for each function)")
    );
    let lives = far(16_000, 300);
    assert_eq!(fault(&all(2, &lives)), None);
    assert_eq!(
        fault(&all(9, &lives)),
        Some("values times the branches that they live through")
    );
}

#[test]
fn an_operator_may_allow_a_module_more_work() {
    let functions = format!("(module {})", "(func)".repeat(40_001));
    assert_eq!(fault_of(&functions, 2), None);
    let deep = function(
        0,
        &format!("{}{}", "(block ".repeat(2_001), ")".repeat(2_001)),
    );
    assert_eq!(fault_of(&deep, 2), None);
    // 56,000 choices take three times as long as 32,000.
    let choices = function(300, &around(93, 300));
    let what = "choices of a value where branches join in one function";
    assert_eq!(fault_of(&choices, 2), Some(what));
    assert_eq!(fault_of(&choices, 4), None);
    let joins = format!(
        "(func (param i32) {} {})",
        "(local i32)".repeat(300),
        around(40, 300)
    );
    let many = format!("(module {})", joins.repeat(4));
    assert!(fault_of(&many, 1).is_some());
    assert_eq!(fault_of(&many, 2), None);
}

#[test]
fn modules_that_are_each_within_the_limit_can_be_too_much_together() {
    let module = wat::parse_str(format!("(module {})", "(func)".repeat(15_000))).unwrap();
    let mut work = Work::default();
    work.add(&module, 1).unwrap();
    work.add(&module, 1).unwrap();
    let error = work.add(&module, 1).unwrap_err();
    let too_many = GuestError::TooLarge {
        what: "functions",
        found: 45_000,
        most: 40_000,
        enough: None,
    };
    assert_eq!(error, too_many);
    assert_eq!(enough([&*module; 3], 1, LONG), Some(2));
    assert_eq!(enough([&*module; 9], 1, LONG), Some(4));
    assert_eq!(enough([&*module; 9], 3, LONG), Some(6));
}

#[test]
fn a_refusal_names_a_factor_that_is_enough() {
    let module = |text: &str| wat::parse_str(text).unwrap();
    let types = module(&format!("(module {})", "(type (func))".repeat(70_000)));
    let advice = |bytes: &[u8]| match check(bytes, 1) {
        Err(GuestError::TooLarge { enough, .. }) => enough,
        other => panic!("{other:?}"),
    };
    assert_eq!(advice(&types), Some(4));
    for text in [
        function(45_000, "nop"),
        function(1, &around(9_000, 1)),
        function(3_000, &loops(20, 3_000)),
        function(6_000, &far(4_000, 6_000)),
    ] {
        let bytes = module(&text);
        let most = enough([&*bytes], 1, LONG).expect("a factor");
        assert_eq!(check(&bytes, most), Ok(()));
        assert!(check(&bytes, most / 2).is_err(), "{most}");
    }
    assert_eq!(enough([&*types], 1, Duration::ZERO), None);
}

#[test]
fn what_is_cut_off_is_no_module() {
    let module = wat::parse_str(function(3, "nop")).unwrap();
    for len in 9..module.len() {
        // If a section has just ended, the first part is a module.
        match check(&module[..len], 1) {
            Ok(()) | Err(GuestError::NotAModule(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(matches!(
        check(&module[..module.len() - 1], 1),
        Err(GuestError::NotAModule(_))
    ));
}
