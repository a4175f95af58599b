//! The limits of vlugins, one row each, and the methods of [`Limits`] that use them.
//!
//! To add a limit: a field of [`Limits`], its row in [`KEYS`], an accessor, the code that enforces it, and a test of
//! that. Reading, checking, merging, the schema, the book and the browser's check follow from the row.

use super::{
    kind::Kind,
    limit::{DAY, Field, GIB, KIB, Least, Limit, MIB, Number, TIB},
    limits::Limits,
    of_kind,
    table::{self, KEY, Key, Shape, Takers},
};
use std::time::Duration;

/// Why a kind of vlugin does not have a limit.
const HELD: Takers = Takers::Only("only those of {types} have it");

/// The limits.
pub(super) const KEYS: &[Key] = &[
    Key {
        name: "timeout",
        shape: Shape::Limit(Limit {
            field: Field::Seconds(|limits| &mut limits.timeout),
            unit: "seconds",
            least: Least::Above(0.0),
            most: DAY,
            says: "a timeout is {range}",
            default: 30.0,
        }),
        says: "the time until the response has to begin; 504 after that",
        ..KEY
    },
    Key {
        name: "body",
        shape: Shape::Limit(Limit {
            field: Field::U64(|limits| &mut limits.body),
            unit: "bytes",
            least: Least::Is(1.0),
            most: TIB as f64,
            says: "a body's limit is {range}",
            default: (10 * MIB) as f64,
        }),
        says: "the size of a request's body; 413 over that",
        ..KEY
    },
    Key {
        name: "concurrency",
        shape: Shape::Limit(Limit {
            field: Field::U32(|limits| &mut limits.concurrency),
            unit: "requests",
            least: Least::Is(1.0),
            most: 1e6,
            says: "a concurrency is {range}",
            default: 1024.0,
        }),
        says: "requests at once, streaming responses included; 503 with `retry-after` over that",
        ..KEY
    },
    Key {
        name: "memory",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::U64(|limits| &mut limits.memory),
            unit: "bytes",
            // One page of WebAssembly, and the maximum for 32 bits.
            least: Least::Is((64 * KIB) as f64),
            most: (4 * GIB) as f64,
            says: "a memory is {range}",
            default: (64 * MIB) as f64,
        }),
        says: "the memory of an instance or of a script's process; over that it ends, and its requests get 502",
        ..KEY
    },
    Key {
        name: "cpu",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::Seconds(|limits| &mut limits.cpu),
            unit: "seconds",
            // One tick of the clock that measures guests.
            least: Least::Is(0.01),
            most: DAY,
            says: "a run is {range}",
            default: 1.0,
        }),
        says: "how long an instance or a script may run without a pause; over that it ends, and its requests get 504",
        ..KEY
    },
    Key {
        name: "instances",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::U32(|limits| &mut limits.instances),
            unit: "instances",
            least: Least::Is(1.0),
            most: 1000.0,
            says: "there are {range}",
            default: 1.0,
        }),
        says: "[instances at once](wasm.md#instances), each with its own state; with more than one, several threads \
               work for the vlugin; 64 for a component of [WASI 0.2](wasi.md#instances)",
        ..KEY
    },
    Key {
        name: "host_memory",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::U64(|limits| &mut limits.host_memory),
            unit: "bytes",
            // Enough for a head and the pieces of a few bodies.
            least: Least::Is(MIB as f64),
            most: TIB as f64,
            says: "the host's memory for a vlugin is {range}",
            default: (64 * MIB) as f64,
        }),
        says: "bodies, heads and texts that the host holds at once for an instance, a script or a library; above three \
               quarters, new requests get 503 with `retry-after`; over it, an instance or a script ends, and its \
               requests get 502",
        ..KEY
    },
    Key {
        name: "fetches",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::U32(|limits| &mut limits.fetches),
            unit: "fetches",
            ..AT_ONCE
        }),
        says: "requests to servers that run at once; a fetch over that fails with 503",
        ..KEY
    },
    Key {
        name: "calls",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::U32(|limits| &mut limits.calls),
            unit: "calls",
            ..AT_ONCE
        }),
        says: "calls of other vlugins that run at once; a call over that fails with 503",
        ..KEY
    },
    Key {
        name: "timers",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::U32(|limits| &mut limits.timers),
            unit: "timers",
            default: 10_000.0,
            ..AT_ONCE
        }),
        says: "timers of a library or an instance that run at once; over that an instance ends, and its requests get \
               502",
        ..KEY
    },
    Key {
        name: "compile",
        takers: HELD,
        shape: Shape::Limit(Limit {
            field: Field::U32(|limits| &mut limits.compile),
            unit: "times the usual work",
            least: Least::Is(1.0),
            most: 1e6,
            says: "compiling takes {range}",
            default: 1.0,
        }),
        says: "how many times [the usual work](wasm.md#starting-again) and time compiling the module may take; over \
               that it is not loaded",
        ..KEY
    },
];

/// A number of things that run for a vlugin at once.
const AT_ONCE: Limit = Limit {
    field: Field::U32(|limits| &mut limits.fetches),
    unit: "",
    least: Least::Is(1.0),
    most: 1e6,
    says: "there are {range} at once",
    default: 128.0,
};

impl Limits {
    /// The time until the response must begin.
    pub fn timeout(&self) -> Duration {
        seconds(self.timeout, const { limit("timeout").default })
    }

    /// Bytes in a request's body.
    pub fn body(&self) -> u64 {
        self.body.unwrap_or(const { limit("body").default as u64 })
    }

    /// Requests at once.
    pub fn concurrency(&self) -> u32 {
        self.concurrency
            .unwrap_or(const { limit("concurrency").default as u32 })
    }

    /// Bytes of memory that an instance of a guest may have.
    pub fn memory(&self) -> u64 {
        self.memory
            .unwrap_or(const { limit("memory").default as u64 })
    }

    /// Bytes of memory that a vlugin of this kind may have; its row may have a different default.
    pub fn memory_of(&self, kind: Kind) -> u64 {
        let default = || of_kind::default(kind, "memory", const { limit("memory") }) as u64;
        self.memory.unwrap_or_else(default)
    }

    /// How long an instance of a guest, or a script, may run without a pause.
    pub fn cpu(&self) -> Duration {
        seconds(self.cpu, const { limit("cpu").default })
    }

    /// Instances of a guest at once.
    pub fn instances(&self) -> u32 {
        self.instances
            .unwrap_or(const { limit("instances").default as u32 })
    }

    /// Bytes that the host holds for an instance, a script or a library at once.
    pub fn host_memory(&self) -> u64 {
        self.host_memory
            .unwrap_or(const { limit("host_memory").default as u64 })
    }

    /// Requests to servers at once.
    pub fn fetches(&self) -> u32 {
        self.fetches
            .unwrap_or(const { limit("fetches").default as u32 })
    }

    /// Calls of other vlugins at once.
    pub fn calls(&self) -> u32 {
        self.calls
            .unwrap_or(const { limit("calls").default as u32 })
    }

    /// Timers at once.
    pub fn timers(&self) -> u32 {
        self.timers
            .unwrap_or(const { limit("timers").default as u32 })
    }

    /// How many times the usual work and time it may take to compile a module.
    pub fn compile(&self) -> u32 {
        self.compile
            .unwrap_or(const { limit("compile").default as u32 })
    }

    /// These limits, with `defaults` for those that are not set.
    pub fn or(mut self, defaults: &Self) -> Self {
        let mut defaults = defaults.clone();
        for (_, limit) in rows() {
            limit.field.fill(&mut self, &mut defaults);
        }
        self
    }
}

/// The row's default if nothing is set, or something that no row allows.
fn seconds(said: Option<f64>, default: f64) -> Duration {
    said.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(Duration::from_secs_f64(default))
}

/// Whether vlugins of this kind can have the limit of this name.
pub(crate) fn holds(kind: Kind, limit: &str) -> bool {
    let row = KEYS.iter().find(|key| key.name == limit);
    row.is_some_and(|key| of_kind::has(kind, key))
}

/// The rows by name.
pub(super) fn rows() -> impl Iterator<Item = (&'static str, &'static Limit)> {
    KEYS.iter().filter_map(|key| match &key.shape {
        Shape::Limit(limit) => Some((key.name, limit)),
        _ => None,
    })
}

/// The row of this name, found at compile time.
const fn limit(name: &str) -> &'static Limit {
    match &table::find(KEYS, name).shape {
        Shape::Limit(limit) => limit,
        _ => panic!("this key is no limit"),
    }
}

/// The limits that are set, by key.
pub(super) fn said(limits: &Limits) -> Vec<(&'static str, Number)> {
    let mut limits = limits.clone();
    rows()
        .filter_map(|(name, limit)| Some((name, limit.field.said(&mut limits)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The row of a limit on the page; it begins with the default.
    fn row(key: &str) -> String {
        let page = include_str!("../../../docs/src/plugins-json.md");
        let (_, limits) = page.split_once("\n## limits\n").expect("a part on limits");
        let mut rows = limits.lines().take_while(|line| !line.starts_with("## "));
        let row = rows.find(|line| line.starts_with(&format!("| `{key}` |")));
        row.unwrap_or_else(|| panic!("no row of `{key}`"))
            .to_owned()
    }

    #[test]
    fn the_defaults_are_those_of_the_page() {
        let none = Limits::default();
        let accessors = [
            ("timeout", none.timeout().as_secs_f64()),
            ("body", none.body() as f64),
            ("concurrency", none.concurrency().into()),
            ("memory", none.memory() as f64),
            ("cpu", none.cpu().as_secs_f64()),
            ("instances", none.instances().into()),
            ("host_memory", none.host_memory() as f64),
            ("fetches", none.fetches().into()),
            ("calls", none.calls().into()),
            ("timers", none.timers().into()),
            ("compile", none.compile().into()),
        ];
        for (key, default) in accessors {
            let row = row(key);
            let said = row.split('|').nth(3).unwrap_or_default().trim();
            let said = said.split([' ', ',']).next().unwrap_or_default();
            assert_eq!(said, default.to_string(), "{key}: {row}");
        }
        let asked_for = [
            none.timeout().as_secs(),
            none.memory() >> 20,
            none.memory_of(Kind::Js) >> 20,
            none.cpu().as_secs(),
        ];
        assert_eq!(asked_for, [30, 64, 256, 1]);
        assert_eq!(accessors.map(|(key, _)| key).as_slice(), names());
    }

    fn names() -> Vec<&'static str> {
        rows().map(|(name, _)| name).collect()
    }

    /// Each row has the field of its name, and each field has a row.
    #[test]
    fn a_row_is_a_field() {
        assert_eq!(
            super::super::row_tests::fields_of::<Limits>(),
            names(),
            "a field of `Limits` without a row, or a row without a field"
        );
        for (name, limit) in rows() {
            let mut limits = Limits::default();
            let wanted = match limit.field {
                Field::Seconds(field) => {
                    *field(&mut limits) = Some(limit.most);
                    json!({ name: limit.most })
                }
                Field::U64(field) => {
                    *field(&mut limits) = Some(limit.most as u64);
                    json!({ name: limit.most as u64 })
                }
                Field::U32(field) => {
                    *field(&mut limits) = Some(limit.most as u32);
                    json!({ name: limit.most as u32 })
                }
            };
            assert_eq!(serde_json::to_value(&limits).unwrap(), wanted);
            assert_eq!(limits.clone().or(&Limits::default()), limits);
            assert_eq!(Limits::default().or(&limits), limits);
            // A value that is set stays.
            let other = serde_json::from_value(json!({ name: 1 })).unwrap();
            assert_eq!(limits.clone().or(&other), limits);
        }
    }

    /// The numbers of a row are within its range, and exact.
    #[test]
    fn rows_keep_their_ranges() {
        for (name, limit) in rows() {
            let exact = 2_f64.powi(f64::MANTISSA_DIGITS as i32);
            assert!(limit.most <= exact, "{name}");
            if let Field::U32(_) = limit.field {
                assert!(limit.most <= f64::from(u32::MAX), "{name}");
            }
            let broken = |number, kind| of_kind::broken(name, limit, number, "", kind);
            assert_eq!(broken(limit.default, None), None, "{name}");
            for kind in Kind::ALL {
                let Some(of) = of_kind::bound(*kind, name) else {
                    continue;
                };
                assert_eq!(broken(of.default, Some(*kind)), None, "{name}");
                assert_eq!(broken(of.least, Some(*kind)), None, "{name}");
                assert!(broken(of.least - 1.0, Some(*kind)).is_some());
            }
            for outside in [f64::NAN, f64::INFINITY, -1.0, 0.0, limit.most + 1.0] {
                assert!(broken(outside, None).is_some(), "{name}: {outside}");
            }
        }
    }
}
