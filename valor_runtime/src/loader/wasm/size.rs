//! How large a module may be. `module` asks before it has one compiled, because what compiling takes is not
//! proportional to a file: some hundred KiB can take gigabytes and minutes.
//!
//! [`check`] reads a module once, in a time proportional to its length, and adds up what the compiler will
//! have to do. The limits leave room for real modules: of programs in Rust, C and Go with more than ten MiB, as built for debugging
//! too. A time limit bounds what they let through.

use super::error::GuestError;
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

/// What is counted, how much of it a module may have, and what it is called.
struct Limit {
    name: &'static str,
    most: u64,
}

const fn limit(name: &'static str, most: u64) -> Limit {
    Limit { name, most }
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
const FLOW: Limit = limit("locals times branches in one function", 16_000_000);
const ALL_FLOW: Limit = limit("locals times branches", 40_000_000);

/// How many branches a loop counts for: at its head every local may have a value from each side.
const LOOP: u64 = 8;

impl Limit {
    fn check(&self, found: u64) -> Result<(), GuestError> {
        match found > self.most {
            true => Err(GuestError::TooLarge {
                what: self.name,
                found,
                most: self.most,
            }),
            false => Ok(()),
        }
    }
}

fn unsound(error: BinaryReaderError) -> GuestError {
    GuestError::NotAModule(super::module::one_line(&error.to_string()))
}

/// Whether a module is small enough to be compiled. Whether it is sound, the compiler says.
pub(super) fn check(bytes: &[u8]) -> Result<(), GuestError> {
    let (mut names, mut globals, mut segments, mut code, mut flow) = (0, 0, 0, 0, 0u64);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(unsound)? {
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
                flow += body_flow(&body)?;
                MODULE.check(code)?;
                ALL_FLOW.check(flow)?;
            }
            _ => {}
        }
        NAMES.check(names)?;
        GLOBALS.check(globals)?;
        SEGMENTS.check(segments)?;
    }
    Ok(())
}

/// The locals of a function times the branches in it: about what the compiler does to know which value a local
/// has where.
fn body_flow(body: &FunctionBody<'_>) -> Result<u64, GuestError> {
    let mut locals = 1u64;
    for group in body.get_locals_reader().map_err(unsound)? {
        locals += u64::from(group.map_err(unsound)?.0);
        LOCALS.check(locals)?;
    }
    let (mut branches, mut depth) = (1u64, 0u64);
    for operator in body.get_operators_reader().map_err(unsound)? {
        match operator.map_err(unsound)? {
            Operator::Block { .. } | Operator::If { .. } => {
                depth += 1;
                branches += 1;
            }
            Operator::Loop { .. } => {
                depth += 1;
                branches += LOOP;
            }
            Operator::End => depth = depth.saturating_sub(1),
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } | Operator::Return => {
                branches += 1;
            }
            Operator::BrTable { targets } => branches += u64::from(targets.len()) + 1,
            _ => {}
        }
        DEPTH.check(depth)?;
    }
    let flow = locals * branches;
    FLOW.check(flow)?;
    Ok(flow)
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

    #[test]
    fn what_costs_too_much_to_compile_is_refused_by_its_name() {
        let set =
            |count: usize| "(if (local.get 0) (then (local.set 1 (i32.const 1))))".repeat(count);
        let nest =
            |open: &str, depth: usize| format!("{}{}", open.repeat(depth), ")".repeat(depth));
        let jumps = |targets: usize, count: usize| {
            format!("(br_table {} (local.get 0))", "0 ".repeat(targets)).repeat(count)
        };
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
            // Each of these is some KiB, and takes a second for each million.
            (function(300, &set(10_000)), None),
            (
                function(3000, &set(10_000)),
                Some("locals times branches in one function"),
            ),
            (
                function(2000, &nest("(loop ", 300)),
                Some("locals times branches in one function"),
            ),
            (
                function(
                    300,
                    &nest("(block ", 100).replacen(')', &format!("{})", jumps(500, 30)), 1),
                ),
                Some("locals times branches in one function"),
            ),
        ] {
            assert_eq!(fault(&text), expected, "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn many_functions_that_are_each_within_the_limit_can_be_too_much() {
        let one = "(if (local.get 0) (then (local.set 1 (i32.const 1))))".repeat(5_000);
        let function = format!("(func (param i32) {} {one})", "(local i32)".repeat(700));
        let all = |count| format!("(module {})", function.repeat(count));
        assert_eq!(fault(&all(11)), None);
        assert_eq!(fault(&all(12)), Some("locals times branches"));
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
