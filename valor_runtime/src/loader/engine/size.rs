//! How large a module may be. `module` asks before it has one compiled, because the cost of compiling is not
//! proportional to the size of the file: ten KiB can take a minute, and some hundred KiB gigabytes.
//!
//! [`check`] reads a module once, validates it, and adds up the compiler's work; [`Work`] does so for the modules of a
//! component, which are compiled together. `flow` says what a function costs.
//! The limits leave room for real modules: SQLite has half of what a function may have, a debug build of a Rust
//! program a sixth. What they let through compiles within some seconds for each MiB. `limits.compile` multiplies them,
//! for a larger module that its operator knows.

use super::{
    flow::{self, Flow},
    sound,
};
use crate::loader::GuestError;
use wasmparser::{
    BinaryReaderError, FuncValidatorAllocations, FunctionBody, Operator, Parser, Payload,
    ValidPayload, Validator,
};

/// What is counted, how much of it a module may have, and what it is called.
#[derive(Clone, Copy)]
struct Limit {
    name: &'static str,
    most: u64,
    /// How much more is allowed for each byte of code.
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
const GLOBALS: Limit = limit("globals", 10_000);
const BODY: Limit = limit("bytes in one function", 512 << 10);
const LOCALS: Limit = limit("locals in one function", 20_000);
const DEPTH: Limit = limit("blocks inside of each other", 2_000);
/// A million of these takes the compiler some tenths of a second, and 30 MB.
const LIVES: Limit = limit(
    "values times the branches that they live through in one function",
    16_000_000,
);
const ALL_LIVES: Limit = Limit {
    name: "values times the branches that they live through",
    most: 24_000_000,
    each: 16,
};
/// The compiler's time grows with the square of their number. A function with this many takes some seconds.
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
    /// This limit for a module that may take this many times the work.
    fn times(self, times: u32) -> Self {
        let times = u64::from(times);
        let most = match self.name == CHOICES.name {
            // Their time grows with the square of their number.
            true => (self.most * self.most * times).isqrt(),
            false => self.most * times,
        };
        Self {
            most,
            each: self.each * times,
            ..self
        }
    }

    fn check(&self, found: u64) -> Result<(), GuestError> {
        self.check_of(found, 0)
    }

    /// Checks the number found in a module with this many bytes of code.
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

/// Whether a module is sound and small enough to be compiled. `times` is its `limits.compile`.
pub(in crate::loader) fn check(bytes: &[u8], times: u32) -> Result<(), GuestError> {
    Work::default().add(bytes, times)
}

/// Why counting stopped.
enum Stop {
    Refused(GuestError),
    Unsound(BinaryReaderError),
}

impl From<GuestError> for Stop {
    fn from(error: GuestError) -> Self {
        Self::Refused(error)
    }
}

impl From<BinaryReaderError> for Stop {
    fn from(error: BinaryReaderError) -> Self {
        Self::Unsound(error)
    }
}

/// The compiler's work for some modules together.
#[derive(Debug, Default)]
pub(in crate::loader) struct Work {
    types: u64,
    functions: u64,
    names: u64,
    globals: u64,
    segments: u64,
    code: u64,
    lives: u64,
    choices: u64,
}

impl Work {
    /// Adds a module. `times` is the `limits.compile` that all of them together are held to.
    ///
    /// # Errors
    /// The module is not sound, or all so far are too much together.
    pub(in crate::loader) fn add(&mut self, bytes: &[u8], times: u32) -> Result<(), GuestError> {
        self.count(bytes, times).map_err(|stop| match stop {
            Stop::Refused(error) => error,
            Stop::Unsound(error) => sound::refusal(bytes, &error),
        })
    }

    fn count(&mut self, bytes: &[u8], times: u32) -> Result<(), Stop> {
        let mut validator = Validator::new_with_features(sound::FEATURES);
        let mut allocations = FuncValidatorAllocations::default();
        let mut tables = sound::Tables::default();
        let most = Flow {
            lives: LIVES.times(times).most,
            choices: CHOICES.times(times).most,
        };
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            tables.see(&payload)?;
            match &payload {
                Payload::TypeSection(types) => self.types += u64::from(types.count()),
                Payload::ImportSection(imports) => self.names += u64::from(imports.count()),
                Payload::ExportSection(exports) => self.names += u64::from(exports.count()),
                Payload::GlobalSection(all) => self.globals += u64::from(all.count()),
                Payload::DataSection(data) => self.segments += u64::from(data.count()),
                Payload::ElementSection(elements) => self.segments += u64::from(elements.count()),
                Payload::FunctionSection(functions) => {
                    self.functions += u64::from(functions.count());
                }
                Payload::CodeSectionEntry(body) => {
                    let len = (body.range().end - body.range().start) as u64;
                    BODY.times(times).check(len)?;
                    self.code += len;
                    MODULE.times(times).check(self.code)?;
                    check_shape(body, times)?;
                }
                _ => {}
            }
            TYPES.times(times).check(self.types)?;
            FUNCTIONS.times(times).check(self.functions)?;
            NAMES.times(times).check(self.names)?;
            GLOBALS.times(times).check(self.globals)?;
            SEGMENTS.times(times).check(self.segments)?;
            if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
                let (flow, again) = flow::of(function, &body, allocations, most)?;
                allocations = again;
                LIVES.times(times).check(flow.lives)?;
                CHOICES.times(times).check(flow.choices)?;
                self.lives += flow.lives;
                self.choices = flow.choices.saturating_pow(2).saturating_add(self.choices);
            }
        }
        ALL_LIVES.times(times).check_of(self.lives, self.code)?;
        ALL_CHOICES.times(times).check_of(self.choices, self.code)?;
        Ok(())
    }
}

/// Checks the limits of a function's shape, before it is looked at more closely.
fn check_shape(body: &FunctionBody<'_>, times: u32) -> Result<(), Stop> {
    let (most_locals, most_depth) = (LOCALS.times(times), DEPTH.times(times));
    // A parameter or two makes no difference.
    let mut locals = 1;
    for group in body.get_locals_reader()? {
        locals += u64::from(group?.0);
        most_locals.check(locals)?;
    }
    let mut depth = 0u64;
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Block { .. }
            | Operator::If { .. }
            | Operator::Loop { .. }
            | Operator::TryTable { .. } => depth += 1,
            Operator::End => depth = depth.saturating_sub(1),
            _ => {}
        }
        most_depth.check(depth)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<&'static str> {
        fault_of(text, 1)
    }

    /// The same for a module with this `limits.compile`.
    fn fault_of(text: &str, times: u32) -> Option<&'static str> {
        match check(&wat::parse_str(text).expect("sound text"), times) {
            Ok(()) => None,
            Err(GuestError::TooLarge { what, found, most }) => {
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
            format!(
                "(if (local.get 0) (then (local.set {at} (local.get 0)) (drop (local.get {at}))))"
            )
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
        };
        assert_eq!(error, too_many);
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
}
