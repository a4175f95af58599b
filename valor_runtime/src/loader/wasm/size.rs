//! How large a module may be. `module` asks before it has one compiled, because what compiling takes is not
//! proportional to a file: ten KiB can take a minute, and some hundred KiB gigabytes.
//!
//! [`check`] reads a module once, validates it, and adds up what the compiler will have to do. `flow` says what a
//! function costs. The limits leave room for real modules: SQLite has half of what a function may have, a program in
//! Rust that was built for debugging a sixth. What they let through compiles within some seconds for each MiB.

use super::{
    error::GuestError,
    flow::{self, Flow},
};
use wasmparser::{
    BinaryReaderError, FuncValidatorAllocations, FunctionBody, Operator, Parser, Payload,
    ValidPayload, Validator, WasmFeatures,
};

/// What is counted, how much of it a module may have, and what it is called.
struct Limit {
    name: &'static str,
    most: u64,
    /// How much more for each byte of code.
    each: u64,
}

const fn limit(name: &'static str, most: u64) -> Limit {
    Limit {
        name,
        most,
        each: 0,
    }
}

const MODULE: Limit = limit("bytes of code", 32 << 20);
const TYPES: Limit = limit("types", 20_000);
const FUNCTIONS: Limit = limit("functions", 40_000);
const SEGMENTS: Limit = limit("segments", 20_000);
const NAMES: Limit = limit("imports and exports", 10_000);
const GLOBALS: Limit = limit("globals and tables", 10_000);
const BODY: Limit = limit("bytes in one function", 512 << 10);
const LOCALS: Limit = limit("locals in one function", 20_000);
const DEPTH: Limit = limit("blocks inside of each other", 2_000);
/// Of each million of these the compiler takes some tenths of a second, and 30 MB.
const LIVES: Limit = limit(
    "values times the branches that they live through in one function",
    16_000_000,
);
const ALL_LIVES: Limit = Limit {
    name: "values times the branches that they live through",
    most: 24_000_000,
    each: 16,
};
/// The time for these grows with their square: that for a function with as many is some seconds.
const CHOICES: Limit = limit(
    "choices of a value where branches join in one function",
    32_000,
);
const ALL_CHOICES: Limit = Limit {
    name: "choices of a value where branches join, squared for each function,",
    most: 1_500_000_000,
    each: 500,
};

impl Limit {
    fn check(&self, found: u64) -> Result<(), GuestError> {
        self.check_of(found, 0)
    }

    /// Of a module with so many bytes of code.
    fn check_of(&self, found: u64, code: u64) -> Result<(), GuestError> {
        let most = self.most + self.each * code;
        match found > most {
            true => Err(GuestError::TooLarge {
                what: self.name,
                found,
                most,
            }),
            false => Ok(()),
        }
    }
}

fn unsound(error: BinaryReaderError) -> GuestError {
    GuestError::NotAModule(super::module::one_line(&error.to_string()))
}

/// Whether a module is small enough to be compiled. What is not sound is refused too; whether it keeps to what
/// guests may use, the compiler says.
pub(super) fn check(bytes: &[u8]) -> Result<(), GuestError> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut allocations = FuncValidatorAllocations::default();
    let (mut names, mut globals, mut segments, mut code) = (0, 0, 0, 0);
    let (mut lives, mut choices) = (0, 0);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(unsound)?;
        match &payload {
            Payload::TypeSection(types) => TYPES.check(types.count().into())?,
            Payload::ImportSection(imports) => names += u64::from(imports.count()),
            Payload::ExportSection(exports) => names += u64::from(exports.count()),
            Payload::GlobalSection(all) => globals += u64::from(all.count()),
            Payload::TableSection(tables) => globals += u64::from(tables.count()),
            Payload::DataSection(data) => segments += u64::from(data.count()),
            Payload::ElementSection(elements) => segments += u64::from(elements.count()),
            Payload::FunctionSection(functions) => FUNCTIONS.check(functions.count().into())?,
            Payload::CodeSectionEntry(body) => {
                let len = (body.range().end - body.range().start) as u64;
                BODY.check(len)?;
                code += len;
                MODULE.check(code)?;
                check_shape(body)?;
            }
            _ => {}
        }
        NAMES.check(names)?;
        GLOBALS.check(globals)?;
        SEGMENTS.check(segments)?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(unsound)? {
            let most = Flow {
                lives: LIVES.most,
                choices: CHOICES.most,
            };
            let (flow, again) = flow::of(function, &body, allocations, most).map_err(unsound)?;
            allocations = again;
            LIVES.check(flow.lives)?;
            CHOICES.check(flow.choices)?;
            lives += flow.lives;
            choices += flow.choices * flow.choices;
        }
    }
    ALL_LIVES.check_of(lives, code)?;
    ALL_CHOICES.check_of(choices, code)
}

/// What has to be within limits before a function is looked at more closely.
fn check_shape(body: &FunctionBody<'_>) -> Result<(), GuestError> {
    // A parameter or two is nothing.
    let mut locals = 1;
    for group in body.get_locals_reader().map_err(unsound)? {
        locals += u64::from(group.map_err(unsound)?.0);
        LOCALS.check(locals)?;
    }
    let mut depth = 0u64;
    for operator in body.get_operators_reader().map_err(unsound)? {
        match operator.map_err(unsound)? {
            Operator::Block { .. }
            | Operator::If { .. }
            | Operator::Loop { .. }
            | Operator::TryTable { .. } => depth += 1,
            Operator::End => depth = depth.saturating_sub(1),
            _ => {}
        }
        DEPTH.check(depth)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<&'static str> {
        match check(&wat::parse_str(text).expect("sound text")) {
            Ok(()) => None,
            Err(GuestError::TooLarge { what, found, most }) => {
                assert!(found > most, "{found} {what}");
                Some(what)
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A function with so many locals, and this in its body.
    fn function(locals: usize, body: &str) -> String {
        format!(
            "(module (func (param i32) {} {body}))",
            "(local i32)".repeat(locals)
        )
    }

    fn each(locals: usize, what: impl Fn(usize) -> String) -> String {
        (1..=locals).map(what).collect()
    }

    /// Each local is set and used once, in a branch of its own.
    fn moments(locals: usize) -> String {
        each(locals, |at| {
            format!(
                "(if (local.get 0) (then (local.set {at} (local.get 0)) (drop (local.get {at}))))"
            )
        })
    }

    /// Blocks inside of each other, each of which may be left before the innermost sets all locals.
    fn around(depth: usize, locals: usize) -> String {
        let (open, close) = (
            "(block (br_if 0 (local.get 0)) ".repeat(depth),
            ")".repeat(depth),
        );
        let set = each(locals, |at| format!("(local.set {at} (local.get 0))"));
        let get = each(locals, |at| format!("(drop (local.get {at}))"));
        format!("{set}{open}{set}{close}{get}")
    }

    /// Loops inside of each other, the innermost of which changes all locals.
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

    /// Values that live through all branches between their first use and their last.
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
        let nest =
            |open: &str, depth: usize| format!("{}{}", open.repeat(depth), ")".repeat(depth));
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
                Some("globals and tables"),
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
            // Built for debugging: many locals and many branches, each local for a moment.
            (function(9000, &moments(9000)), None),
            // A few KiB each, that took from seconds to minutes.
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
            // On the stack of operands as well.
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
            Some("choices of a value where branches join, squared for each function,")
        );
        let lives = far(16_000, 300);
        assert_eq!(fault(&all(2, &lives)), None);
        assert_eq!(
            fault(&all(9, &lives)),
            Some("values times the branches that they live through")
        );
    }

    #[test]
    fn what_is_cut_off_is_no_module() {
        let module = wat::parse_str(function(3, "nop")).unwrap();
        for len in 9..module.len() {
            // Where a section has just ended, what is left is a module.
            match check(&module[..len]) {
                Ok(()) | Err(GuestError::NotAModule(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(matches!(
            check(&module[..module.len() - 1]),
            Err(GuestError::NotAModule(_))
        ));
    }
}
