//! Whether bytes are a sound module that uses only what guests may use, and the name of anything else. `size` asks
//! about a module that is to be compiled, `module` about one that another host compiles.
//!
//! The line says why a module is refused: the feature of WebAssembly and how to build without it, or the limit and its
//! number. Only a module that nothing else explains is called damaged.

use crate::escape::one_line;
use crate::loader::{GuestError, guest_error::TABLES};
use wasmparser::{BinaryReaderError, Parser, Payload, TypeRef, Validator, WasmFeatures};

/// What guests may use: WebAssembly 3.0, except whatever needs more from an instance than one memory of 32 bits. The
/// engine of `engine` has the same features.
pub(in crate::loader) const FEATURES: WasmFeatures = WasmFeatures::WASM3
    .difference(WasmFeatures::MEMORY64)
    .difference(WasmFeatures::MULTI_MEMORY)
    .difference(WasmFeatures::THREADS)
    .difference(WasmFeatures::EXCEPTIONS)
    .difference(WasmFeatures::GC_TYPES);

/// Features that guests do not have: their names, and how to build without them.
const REFUSED: [(WasmFeatures, &str, &str); 9] = [
    (
        WasmFeatures::MEMORY64,
        "a memory or a table of 64 bits (memory64)",
        "build it for wasm32-unknown-unknown, not for wasm64 (clang: without `-mwasm64`)",
    ),
    (
        WasmFeatures::MULTI_MEMORY,
        "several memories (multi-memory)",
        "build it with one, or join them with `wasm-opt --multi-memory-lowering`",
    ),
    (
        WasmFeatures::THREADS,
        "shared memory or atomic operations (threads)",
        "build it with `-C target-feature=-atomics` (clang: without `-pthread` and `-matomics`)",
    ),
    (
        WasmFeatures::EXCEPTIONS,
        "exceptions (exception-handling)",
        "build it with `-C panic=abort -C target-feature=-exception-handling` (clang: `-fno-exceptions`)",
    ),
    (
        WasmFeatures::LEGACY_EXCEPTIONS,
        "exceptions in their old form (exception-handling)",
        "build it with `-C panic=abort -C target-feature=-exception-handling` (clang: `-fno-exceptions`)",
    ),
    (
        WasmFeatures::GC_TYPES,
        "references to the host's values or a garbage collector (`externref`, gc)",
        "build it for wasm32-unknown-unknown without wasm-bindgen, from a language that manages its own memory",
    ),
    (
        WasmFeatures::WIDE_ARITHMETIC,
        "arithmetic of 128 bits (wide-arithmetic)",
        "build it with `-C target-feature=-wide-arithmetic` (clang: `-mno-wide-arithmetic`)",
    ),
    (
        WasmFeatures::CUSTOM_PAGE_SIZES,
        "pages of another size than 64 KiB (custom-page-sizes)",
        "link it without `--page-size`",
    ),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared functions and tables (shared-everything-threads)",
        "build it without threads",
    ),
];

/// Whether bytes are a sound module that uses only what guests may use.
pub(in crate::loader) fn check(bytes: &[u8]) -> Result<(), GuestError> {
    let mut tables = Tables::default();
    for payload in Parser::new(0).parse_all(bytes) {
        // The validator describes better what cannot be read.
        let Ok(payload) = payload else { break };
        tables.see(&payload)?;
    }
    validate(bytes, FEATURES).map_err(|error| refusal(bytes, &error))
}

fn validate(bytes: &[u8], features: WasmFeatures) -> Result<(), BinaryReaderError> {
    let mut validator = Validator::new_with_features(features);
    validator.validate_all(bytes).map(drop)
}

/// How many tables a module has, and the longest of them.
#[derive(Default)]
pub(in crate::loader) struct Tables {
    count: u64,
    longest: u64,
}

impl Tables {
    /// Counts the tables of a part of the module.
    ///
    /// # Errors
    /// There are more than an instance has.
    pub(in crate::loader) fn see(&mut self, payload: &Payload<'_>) -> Result<(), GuestError> {
        match payload {
            Payload::TableSection(tables) => {
                // Each entry may be unsound. That is for the validator to say.
                self.count += u64::from(tables.count());
                let initial = tables.clone().into_iter().flatten().map(|it| it.ty.initial);
                self.longest = self.longest.max(initial.max().unwrap_or(0));
            }
            Payload::ImportSection(imports) => {
                let imports = imports.clone().into_imports().flatten();
                for import in imports {
                    if let TypeRef::Table(table) = import.ty {
                        self.count += 1;
                        self.longest = self.longest.max(table.initial);
                    }
                }
            }
            _ => {}
        }
        let most = (u64::from(TABLES.0), TABLES.1 as u64);
        if self.count > most.0 {
            return Err(GuestError::Tables {
                what: "tables",
                found: self.count,
            });
        }
        if self.longest > most.1 {
            return Err(GuestError::Tables {
                what: "elements in a table",
                found: self.longest,
            });
        }
        Ok(())
    }
}

/// What an error of the validator means to the author of the module: a feature, a limit, or damage.
pub(in crate::loader) fn refusal(bytes: &[u8], error: &BinaryReaderError) -> GuestError {
    let why = || one_line(&error.to_string());
    if let Some(feature) = error
        .missing_wasm_feature()
        .or_else(|| obstacle(bytes, error))
    {
        let known = REFUSED
            .iter()
            .find(|(known, ..)| feature.intersects(*known));
        return match known {
            Some((_, what, remedy)) => GuestError::Feature {
                what: (*what).to_owned(),
                remedy,
            },
            None => GuestError::Feature {
                what: format!("a feature that is not on by default: {}", why()),
                remedy: "build it for wasm32-unknown-unknown with its default features",
            },
        };
    }
    // The validator's own limits, which are those of all engines (WebAssembly JavaScript Interface, "Limits").
    let limits = [
        "exceeds limit of",
        "exceeds the limit of",
        "size is out of bounds",
        "too many locals",
    ];
    match limits.iter().any(|it| error.message().contains(it)) {
        true => GuestError::Limit(why()),
        false => GuestError::NotAModule(why()),
    }
}

/// The feature behind an error that names none: a second memory, for example, is one too many. With this feature, the
/// validator gets past the error.
fn obstacle(bytes: &[u8], error: &BinaryReaderError) -> Option<WasmFeatures> {
    let leads_past = |feature: &WasmFeatures| match validate(bytes, FEATURES | *feature) {
        Ok(()) => true,
        Err(next) => next.offset() > error.offset(),
    };
    REFUSED
        .iter()
        .map(|(feature, ..)| *feature)
        .find(leads_past)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::engine::engine;
    use wasmtime::Module;

    fn said(text: &str) -> String {
        let bytes = wat::parse_str(text).expect("sound text");
        let error = check(&bytes).expect_err(text).to_string();
        // The compiler's check says the same.
        assert_eq!(
            super::super::size::check(&bytes, 1)
                .expect_err(text)
                .to_string(),
            error
        );
        error
    }

    #[test]
    fn what_a_guest_may_not_use_has_its_name() {
        for (text, parts) in [
            ("(memory i64 1)", ["memory64", "wasm32-unknown-unknown"]),
            (
                "(table i64 1 funcref)",
                ["memory64", "wasm32-unknown-unknown"],
            ),
            (
                "(memory 1 1 shared)",
                ["threads", "-C target-feature=-atomics"],
            ),
            (
                "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))",
                ["threads", "-C target-feature=-atomics"],
            ),
            (
                "(memory 1) (memory 1)",
                ["several memories", "--multi-memory-lowering"],
            ),
            // Something else may be wrong after the one that is too many.
            (
                "(memory 1) (memory 1) (memory 1 1 shared)",
                ["several memories", "--multi-memory-lowering"],
            ),
            (
                "(table 10 externref)",
                ["`externref`", "without wasm-bindgen"],
            ),
            (
                "(type (struct (field anyref)))",
                ["gc", "without wasm-bindgen"],
            ),
            ("(tag)", ["exceptions", "-C panic=abort"]),
            (
                "(func (drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))) drop)",
                ["wide-arithmetic", "-C target-feature=-wide-arithmetic"],
            ),
            (
                "(memory 1 (pagesize 1))",
                ["custom-page-sizes", "--page-size"],
            ),
        ] {
            let error = said(&format!("(module {text})"));
            for part in parts {
                assert!(error.contains(part), "`{part}` is not in: {error}");
            }
            assert!(
                !error.contains("is not a WebAssembly module"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn what_there_is_too_much_of_has_its_limit() {
        let many = |count: usize| format!("(module {})", "(table 1 funcref)".repeat(count));
        for (text, parts) in [
            (many(9), ["9 tables", "at most 8"]),
            (many(101), ["101 tables", "at most 8"]),
            (
                "(module (import \"a\" \"b\" (table 100001 funcref)))".into(),
                ["100001 elements in a table", "100000"],
            ),
            (
                format!("(module (func (param {})))", "i32 ".repeat(1001)),
                ["function params", "WebAssembly engines"],
            ),
        ] {
            let error = said(&text);
            for part in parts {
                assert!(error.contains(part), "`{part}` is not in: {error}");
            }
            assert!(!error.contains("is not a WebAssembly module"), "{error}");
        }
    }

    #[test]
    fn the_engine_has_the_same_features() {
        let engine = engine().unwrap();
        for text in [
            "(memory i64 1)",
            "(memory 1 1 shared)",
            "(memory 1) (memory 1)",
            "(table 10 externref)",
            "(tag)",
            "(memory 1 (pagesize 1))",
            "(func (result v128) (v128.const i32x4 0 0 0 0))",
            "(func (result v128) (i8x16.relaxed_swizzle (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0)))",
            "(func $f (return_call $f))",
            "(global i32 (i32.add (i32.const 1) (i32.const 1)))",
            "(func (result i32 i32) (i32.const 1) (i32.const 1))",
            "(table 1 funcref) (table 1 funcref)",
            "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))",
            "(memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
        ] {
            let bytes = wat::parse_str(format!("(module {text})")).expect("sound text");
            let (ours, theirs) = (check(&bytes), Module::validate(engine, &bytes));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}: {ours:?}, {theirs:?}");
        }
    }
}
