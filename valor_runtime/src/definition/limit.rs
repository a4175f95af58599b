//! The parts of a limit's row: a [`Limit`] is a number in a range, with its default, its words, and its field of
//! [`Limits`]. `limit_rows` has the rows.

use super::{cursor::Cursor, limits::Limits};

pub(super) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;
/// Seconds. A request that takes longer should use a stream.
pub(super) const DAY: f64 = 86_400.0;

/// A number in a range, and its field of [`Limits`].
///
/// Numbers are `f64` here, whatever the field's type: all numbers of the rows are exact in it.
pub(crate) struct Limit {
    pub field: Field,
    /// What it counts.
    pub unit: &'static str,
    pub least: Least,
    pub most: f64,
    /// The range in words, with `{range}` for its numbers.
    pub says: &'static str,
    pub default: f64,
}

/// The number that a limit is set to.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    /// Any number, including those that JSON does not have.
    Seconds(f64),
    Whole(u64),
}

/// The field of [`Limits`], by its type.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    /// It may have a fraction.
    Seconds(fn(&mut Limits) -> &mut Option<f64>),
    U64(fn(&mut Limits) -> &mut Option<u64>),
    U32(fn(&mut Limits) -> &mut Option<u32>),
}

/// The lower end of a range.
#[derive(Clone, Copy)]
pub(crate) enum Least {
    Is(f64),
    Above(f64),
}

/// What differs for one kind of vlugin.
pub(crate) struct Bound {
    /// The limit's key.
    pub limit: &'static str,
    pub least: f64,
    /// The range in words, with `{least}` for its number.
    pub says: &'static str,
    pub default: f64,
}

/// What people write behind a number of bytes or seconds, and how many it is.
const BYTES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", KIB),
    ("MiB", MIB),
    ("GiB", GIB),
    ("TiB", TIB),
    ("KB", 1_000),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
const SECONDS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("min", 60), ("h", 3_600)];

impl Field {
    pub fn said(self, limits: &mut Limits) -> Option<Number> {
        match self {
            Self::Seconds(field) => field(limits).map(Number::Seconds),
            Self::U64(field) => field(limits).map(Number::Whole),
            Self::U32(field) => field(limits).map(|number| Number::Whole(number.into())),
        }
    }

    /// Takes from `defaults` what `limits` does not set.
    pub fn fill(self, limits: &mut Limits, defaults: &mut Limits) {
        fn fill<T: Copy>(field: &mut Option<T>, default: Option<T>) {
            *field = field.or(default);
        }
        match self {
            Self::Seconds(field) => fill(field(limits), *field(defaults)),
            Self::U64(field) => fill(field(limits), *field(defaults)),
            Self::U32(field) => fill(field(limits), *field(defaults)),
        }
    }
}

impl Limit {
    fn has_fraction(&self) -> bool {
        matches!(self.field, Field::Seconds(_))
    }

    /// The number of a value, and how to show it.
    pub fn number<C: Cursor>(&self, value: &C) -> Option<(f64, String)> {
        if self.has_fraction() {
            return value.number().map(|number| (number, number.to_string()));
        }
        match value.whole() {
            Some(number) => Some((number as f64, number.to_string())),
            // Too large for any integer is out of range, and not something other than a number.
            None => {
                let number = value.number().filter(|number| *number > self.most)?;
                Some((number, value.shown()))
            }
        }
    }

    /// What a value should have been.
    pub fn expected(&self) -> String {
        match self.has_fraction() {
            true => format!("a number of {}", self.unit),
            false => format!("a whole number of {}, at least 1", self.unit),
        }
    }

    /// The number that a text such as "256MiB" or "5s" means.
    pub fn meant(&self, text: &str) -> Option<u64> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let units: &[(&str, u64)] = match self.unit {
            "bytes" => &BYTES,
            "seconds" => &SECONDS,
            _ => &[],
        };
        let factor = match unit.trim() {
            "" => 1,
            unit => units.iter().find(|(name, _)| *name == unit)?.1,
        };
        let number = number.parse::<u64>().ok()?.checked_mul(factor)?;
        (number > 0 && number as f64 <= self.most).then_some(number)
    }

    /// What is wrong with a number, for a kind of vlugin with this bound.
    pub fn broken(&self, number: f64, shown: &str, bound: Option<&Bound>) -> Option<String> {
        let is_enough = match self.least {
            Least::Is(least) => number >= least,
            Least::Above(least) => number > least,
        };
        // Written so that it also refuses NaN, which code could set.
        if !(is_enough && number <= self.most) {
            return Some(format!("{}, not {shown}", self.sentence(&self.range())));
        }
        let bound = bound.filter(|bound| number < bound.least)?;
        Some(format!("{}, not {shown}", self.sentence_of(bound)))
    }

    /// "a body's limit is 1 to 1099511627776 bytes (1 TiB)"; `range` is the part "1 to 1099511627776".
    pub fn sentence(&self, range: &str) -> String {
        let name = self.range_name().map(|name| format!(" ({name})"));
        let range = format!("{range} {}{}", self.unit, name.unwrap_or_default());
        self.says.replace("{range}", &range)
    }

    /// "a script has at least 16777216 bytes (16 MiB) of memory"
    pub fn sentence_of(&self, bound: &Bound) -> String {
        bound.says.replace("{least}", &self.amount(bound.least))
    }

    /// "65536 to 4294967296"
    pub fn range(&self) -> String {
        match self.least {
            Least::Is(least) => format!("{least} to {}", self.most),
            Least::Above(least) => format!("above {least} and at most {}", self.most),
        }
    }

    /// "64 KiB to 4 GiB", if it counts bytes.
    pub fn range_name(&self) -> Option<String> {
        let most = self.name_of(self.most)?;
        match self.least {
            Least::Is(least) => match self.name_of(least) {
                Some(least) => Some(format!("{least} to {most}")),
                None => Some(most),
            },
            Least::Above(_) => Some(most),
        }
    }

    /// "16777216 bytes (16 MiB)"
    fn amount(&self, number: f64) -> String {
        let name = self.name_of(number).map(|name| format!(" ({name})"));
        format!("{number} {}{}", self.unit, name.unwrap_or_default())
    }

    /// "67108864 (64 MiB)"
    pub fn with_name(&self, number: f64) -> String {
        match self.name_of(number) {
            Some(name) => format!("{number} ({name})"),
            None => number.to_string(),
        }
    }

    /// The name of a round number of bytes or seconds: "64 KiB", "a day".
    fn name_of(&self, number: f64) -> Option<String> {
        if self.unit == "seconds" {
            return (number == DAY).then(|| "a day".into());
        }
        if self.unit != "bytes" {
            return None;
        }
        let number = number as u64;
        let units = [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")];
        let (unit, name) = units.into_iter().find(|(unit, _)| number >= *unit)?;
        number
            .is_multiple_of(unit)
            .then(|| format!("{} {name}", number / unit))
    }
}
