//! How large a module may be. `module` asks before it has one compiled, because the cost of compiling is not
//! proportional to the size of the file: ten KiB can take a minute, and some hundred KiB gigabytes.
//!
//! [`check`] reads a module once, validates it, and adds up the compiler's work; [`check_all`] does so for the modules
//! of a component, which are compiled together. `flow` says what a function costs.
//! The limits leave room for real modules: SQLite has half of what a function may have, a debug build of a Rust
//! program a sixth. What they let through compiles within some seconds for each MiB. `limits.compile` multiplies them,
//! for a larger module that its operator knows.

use super::{
    flow::{self, Flow},
    sound,
};
use crate::loader::GuestError;
use std::time::{Duration, Instant};
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
    name: "choices of a value where branches join (squared for each function)",
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

    /// Checks the number found in a module with this many bytes of code.
    fn check_of(&self, found: u64, code: u64) -> Result<(), GuestError> {
        let most = self.most + self.each * code;
        match found > most {
            true => Err(GuestError::TooLarge {
                what: self.name,
                found,
                most,
                enough: None,
            }),
            false => Ok(()),
        }
    }
}

/// Whether a module is sound and small enough to be compiled. `times` is its `limits.compile`.
pub(in crate::loader) fn check(bytes: &[u8], times: u32) -> Result<(), GuestError> {
    check_all(|| [bytes], times)
}

/// The same for modules that are compiled together.
pub(in crate::loader) fn check_all<'a, M: IntoIterator<Item = &'a [u8]>>(
    modules: impl Fn() -> M,
    times: u32,
) -> Result<(), GuestError> {
    let mut work = Work::default();
    let mut checked = modules().into_iter().map(|it| work.add(it, times));
    let checked = checked.find(Result::is_err).unwrap_or(Ok(()));
    checked.map_err(|error| match error {
        GuestError::TooLarge {
            what, found, most, ..
        } => GuestError::TooLarge {
            what,
            found,
            most,
            enough: enough(modules(), times, PATIENCE),
        },
        error => error,
    })
}

/// What the limits are multiplied by while something is counted.
#[derive(Clone, Copy)]
struct Factor {
    times: u32,
    /// Until then, the factor grows with what is found, so that nothing is refused.
    grows_until: Option<Instant>,
}

impl Factor {
    fn check(&mut self, limit: Limit, found: u64) -> Result<(), GuestError> {
        self.check_of(limit, found, 0)
    }

    /// Checks the number found in modules with this many bytes of code.
    fn check_of(&mut self, limit: Limit, found: u64, code: u64) -> Result<(), GuestError> {
        loop {
            let checked = limit.times(self.times).check_of(found, code);
            let grows = self.grows_until.is_some_and(|until| Instant::now() < until);
            match checked {
                Err(_) if grows && self.times <= MOST / 2 => self.times *= 2,
                checked => return checked,
            }
        }
    }

    /// Where the count of a function's flow may stop, because it would be refused.
    fn flow(&self) -> Flow {
        let (lives, choices) = match self.grows_until {
            Some(_) => (self.times.max(32), self.times.max(4096)),
            None => (self.times, self.times),
        };
        Flow {
            lives: LIVES.times(lives).most,
            choices: CHOICES.times(choices).most,
        }
    }
}

/// The most that `limits.compile` can be.
const MOST: u32 = 1_000_000;

/// How long a refusal may be delayed to give advice.
const PATIENCE: Duration = Duration::from_secs(1);

/// A `limits.compile` above `times` that lets these modules through together, a power of two times that. `None` if it
/// takes too long to find one.
fn enough<'a>(
    modules: impl IntoIterator<Item = &'a [u8]>,
    times: u32,
    patience: Duration,
) -> Option<u32> {
    let mut factor = Factor {
        times,
        grows_until: Some(Instant::now() + patience),
    };
    let mut work = Work::default();
    for module in modules {
        work.count(module, &mut factor).ok()?;
    }
    Some(factor.times)
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
struct Work {
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
    fn add(&mut self, bytes: &[u8], times: u32) -> Result<(), GuestError> {
        let mut factor = Factor {
            times,
            grows_until: None,
        };
        self.count(bytes, &mut factor).map_err(|stop| match stop {
            Stop::Refused(error) => error,
            Stop::Unsound(error) => sound::refusal(bytes, &error),
        })
    }

    fn count(&mut self, bytes: &[u8], factor: &mut Factor) -> Result<(), Stop> {
        let mut validator = Validator::new_with_features(sound::FEATURES);
        let mut allocations = FuncValidatorAllocations::default();
        let mut tables = sound::Tables::default();
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
                    factor.check(BODY, len)?;
                    self.code += len;
                    factor.check(MODULE, self.code)?;
                    check_shape(body, factor)?;
                }
                _ => {}
            }
            factor.check(TYPES, self.types)?;
            factor.check(FUNCTIONS, self.functions)?;
            factor.check(NAMES, self.names)?;
            factor.check(GLOBALS, self.globals)?;
            factor.check(SEGMENTS, self.segments)?;
            if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
                let (flow, again) = flow::of(function, &body, allocations, factor.flow())?;
                allocations = again;
                factor.check(LIVES, flow.lives)?;
                factor.check(CHOICES, flow.choices)?;
                self.lives += flow.lives;
                self.choices = flow.choices.saturating_pow(2).saturating_add(self.choices);
            }
        }
        factor.check_of(ALL_LIVES, self.lives, self.code)?;
        factor.check_of(ALL_CHOICES, self.choices, self.code)?;
        Ok(())
    }
}

/// Checks the limits of a function's shape, before it is looked at more closely.
fn check_shape(body: &FunctionBody<'_>, factor: &mut Factor) -> Result<(), Stop> {
    // A parameter or two makes no difference.
    let mut locals = 1;
    for group in body.get_locals_reader()? {
        locals += u64::from(group?.0);
        factor.check(LOCALS, locals)?;
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
        factor.check(DEPTH, depth)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
