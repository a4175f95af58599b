//! What a vlugin may use: [`Limits`], how they are read, and what each may be.

use super::{
    Definition, Kind,
    read::{Node, Reader, join},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const KEYS: &[&str] = &[
    "timeout",
    "body",
    "concurrency",
    "memory",
    "cpu",
    "instances",
    "host_memory",
    "fetches",
    "calls",
    "timers",
    "compile",
];

/// A day. Whoever waits longer wants a stream.
const MAX_TIMEOUT: f64 = 86_400.0;
/// One TiB.
const MAX_BODY: u64 = 1 << 40;
const MAX_CONCURRENCY: u32 = 1_000_000;
/// What 32 bits can count.
const MAX_MEMORY: u64 = 1 << 32;
/// One page of WebAssembly.
const MIN_MEMORY: u64 = 65_536;
/// What a script and what runs it need: 16 MiB.
pub(super) const MIN_HEAP: u64 = 16 << 20;
/// One tick of the clock that guests are held to.
const MIN_CPU: f64 = 0.01;
const MAX_INSTANCES: u32 = 1000;
/// One MiB: a head and the pieces of a few bodies.
const MIN_HOST_MEMORY: u64 = 1 << 20;
/// Fetches, calls and timers at once: a million.
const MAX_AT_ONCE: u32 = 1_000_000;

/// Times the usual work of compiling.
const MAX_COMPILE: u32 = 1_000_000;

/// What a vlugin may use. What is not said is taken from the runtime's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Seconds until the response has to begin; 504 after that. Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64", range(max = MAX_TIMEOUT), extend("exclusiveMinimum" = 0))]
    pub timeout: Option<f64>,
    /// Bytes in a request's body; 413 over that. Default 10 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", range(min = 1, max = MAX_BODY))]
    pub body: Option<u64>,
    /// Requests at once, streaming responses included; 503 over that. Default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = MAX_CONCURRENCY))]
    pub concurrency: Option<u32>,
    /// `wasm` and `js`: bytes of memory that an instance or a script may have. Default 64 MiB for `wasm`, 256 MiB
    /// for `js`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", range(min = 65_536, max = MAX_MEMORY))]
    pub memory: Option<u64>,
    /// `wasm` and `js`: seconds that an instance or a script may run without a pause. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64", range(min = MIN_CPU, max = MAX_TIMEOUT))]
    pub cpu: Option<f64>,
    /// `wasm` alone: instances at once, each with a state of its own; with more than one, several threads work
    /// for the vlugin. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = MAX_INSTANCES))]
    pub instances: Option<u32>,
    /// All but `files`: bytes of bodies, heads and texts that the host holds for an instance, a script or a library at
    /// once. Over that, an instance or a script ends. Default 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64", range(min = MIN_HOST_MEMORY, max = MAX_BODY))]
    pub host_memory: Option<u64>,
    /// All but `files`: requests to servers that run at once; a fetch over that fails. Default 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = MAX_AT_ONCE))]
    pub fetches: Option<u32>,
    /// All but `files`: calls of other vlugins that run at once; a call over that fails. Default 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = MAX_AT_ONCE))]
    pub calls: Option<u32>,
    /// `wasm` and `native`: timers of an instance or a library that run at once. Default 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = MAX_AT_ONCE))]
    pub timers: Option<u32>,
    /// `wasm` alone: how many times the usual work and time compiling the module may take, for one that is known and
    /// large. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = MAX_COMPILE))]
    pub compile: Option<u32>,
}

impl Limits {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The time until the response has to begin.
    pub fn timeout(&self) -> Duration {
        self.timeout
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or(Duration::from_secs(30))
    }

    /// Bytes in a request's body.
    pub fn body(&self) -> u64 {
        self.body.unwrap_or(10 * 1024 * 1024)
    }

    /// Requests at once.
    pub fn concurrency(&self) -> u32 {
        self.concurrency.unwrap_or(1024)
    }

    /// Bytes of memory that an instance of a guest may have.
    pub fn memory(&self) -> u64 {
        self.memory.unwrap_or(64 * 1024 * 1024)
    }

    /// Bytes that the heap of a script may have.
    pub fn heap(&self) -> u64 {
        self.memory.unwrap_or(256 * 1024 * 1024)
    }

    /// How long an instance of a guest or a script may run without a pause.
    pub fn cpu(&self) -> Duration {
        self.cpu
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .unwrap_or(Duration::from_secs(1))
    }

    /// Instances of a guest at once.
    pub fn instances(&self) -> u32 {
        self.instances.unwrap_or(1)
    }

    /// Bytes that the host holds for an instance, a script or a library at once.
    pub fn host_memory(&self) -> u64 {
        self.host_memory.unwrap_or(64 * 1024 * 1024)
    }

    /// Requests to servers that run at once.
    pub fn fetches(&self) -> u32 {
        self.fetches.unwrap_or(128)
    }

    /// Calls of other vlugins that run at once.
    pub fn calls(&self) -> u32 {
        self.calls.unwrap_or(128)
    }

    /// Timers that run at once.
    pub fn timers(&self) -> u32 {
        self.timers.unwrap_or(10_000)
    }

    /// How many times the usual work and time compiling a module may take.
    pub fn compile(&self) -> u32 {
        self.compile.unwrap_or(1)
    }

    /// These limits, with `defaults` for what is not said.
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            timeout: self.timeout.or(defaults.timeout),
            body: self.body.or(defaults.body),
            concurrency: self.concurrency.or(defaults.concurrency),
            memory: self.memory.or(defaults.memory),
            cpu: self.cpu.or(defaults.cpu),
            instances: self.instances.or(defaults.instances),
            host_memory: self.host_memory.or(defaults.host_memory),
            fetches: self.fetches.or(defaults.fetches),
            calls: self.calls.or(defaults.calls),
            timers: self.timers.or(defaults.timers),
            compile: self.compile.or(defaults.compile),
        }
    }
}

/// Every rule that a definition's limits break, by key.
pub(super) fn broken(definition: &Definition) -> Vec<(String, String)> {
    let (limits, kind) = (&definition.limits, definition.kind);
    let whole = |number: Option<u32>, rule: fn(u64) -> Option<String>| {
        (number.is_some(), number.map(u64::from).and_then(rule))
    };
    let bytes = |number: Option<u64>, rule: &dyn Fn(u64) -> Option<String>| {
        (number.is_some(), number.and_then(rule))
    };
    let seconds = |number: Option<f64>, rule: fn(f64) -> Option<String>| {
        (number.is_some(), number.and_then(rule))
    };
    [
        ("timeout", seconds(limits.timeout, timeout)),
        ("body", bytes(limits.body, &body)),
        ("concurrency", whole(limits.concurrency, concurrency)),
        ("memory", bytes(limits.memory, &|it| memory_of(it, kind))),
        ("cpu", seconds(limits.cpu, cpu)),
        ("instances", whole(limits.instances, instances)),
        ("host_memory", bytes(limits.host_memory, &host_memory)),
        ("fetches", whole(limits.fetches, fetches)),
        ("calls", whole(limits.calls, calls)),
        ("timers", whole(limits.timers, timers)),
        ("compile", whole(limits.compile, compile)),
    ]
    .into_iter()
    .filter_map(|(key, (is_said, broken))| {
        let strange = is_said.then(|| without_meaning(key, kind)).flatten();
        Some((format!("limits.{key}"), strange.or(broken)?))
    })
    .collect()
}

/// Reads the `limits` of a text; of a vlugin of this kind, where that is known.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    node: Node<'t>,
    key: &str,
    kind: Option<Kind>,
) -> Option<Limits> {
    if node.object().is_none() {
        reader.expected(node, key, "an object such as { \"timeout\": 30 }");
        return None;
    }
    let mut keys = reader.keys(node, key, KEYS, &[]);
    let timeout = reader.optional(&keys, "timeout", key, |reader, node, key| {
        reader.seconds(node, key, timeout)
    });
    let body = reader.optional(&keys, "body", key, |reader, node, key| {
        reader.whole(node, key, "bytes", body)
    });
    let concurrency = reader.optional(&keys, "concurrency", key, |reader, node, key| {
        reader.whole(node, key, "requests", concurrency)
    });
    let strange = |name| kind.and_then(|kind| without_meaning(name, kind));
    for name in KEYS {
        if let (Some(value), Some(message)) = (keys.get(name), strange(name)) {
            reader.fault(value.at, join(key, name), message);
        }
    }
    keys.retain(|name, _| strange(name).is_none());
    let memory = reader.optional(&keys, "memory", key, |reader, node, key| {
        let rule = |bytes| kind.map_or_else(|| memory(bytes), |kind| memory_of(bytes, kind));
        reader.whole(node, key, "bytes", rule)
    });
    let cpu = reader.optional(&keys, "cpu", key, |reader, node, key| {
        reader.seconds(node, key, cpu)
    });
    let instances = reader.optional(&keys, "instances", key, |reader, node, key| {
        reader.whole(node, key, "instances", instances)
    });
    let host_memory = reader.optional(&keys, "host_memory", key, |reader, node, key| {
        reader.whole(node, key, "bytes", host_memory)
    });
    let fetches = reader.optional(&keys, "fetches", key, |reader, node, key| {
        reader.whole(node, key, "fetches", fetches)
    });
    let calls = reader.optional(&keys, "calls", key, |reader, node, key| {
        reader.whole(node, key, "calls", calls)
    });
    let timers = reader.optional(&keys, "timers", key, |reader, node, key| {
        reader.whole(node, key, "timers", timers)
    });
    let compile = reader.optional(&keys, "compile", key, |reader, node, key| {
        reader.whole(node, key, "times the usual work", compile)
    });
    let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    Some(Limits {
        timeout,
        body,
        concurrency: small(concurrency),
        memory,
        cpu,
        instances: small(instances),
        host_memory,
        fetches: small(fetches),
        calls: small(calls),
        timers: small(timers),
        compile: small(compile),
    })
}

/// What is wrong with a limit that vlugins of this kind cannot be held to.
fn without_meaning(key: &str, kind: Kind) -> Option<String> {
    let (kinds, which): (&[Kind], _) = match key {
        "memory" | "cpu" => (&[Kind::Wasm, Kind::Js], "types `wasm` and `js`"),
        "instances" | "compile" => (&[Kind::Wasm], "type `wasm`"),
        "host_memory" | "fetches" | "calls" => (
            &[Kind::Native, Kind::Wasm, Kind::Js],
            "types `native`, `wasm` and `js`",
        ),
        "timers" => (&[Kind::Native, Kind::Wasm], "types `native` and `wasm`"),
        _ => return None,
    };
    (!kinds.contains(&kind)).then(|| {
        format!(
            "`{key}` has no meaning for a `{kind}` vlugin: only those of {which} can be held to it; take it out"
        )
    })
}

fn timeout(seconds: f64) -> Option<String> {
    // Written so that NaN, which code could put there, is refused too.
    let sane = seconds > 0.0 && seconds <= MAX_TIMEOUT;
    (!sane).then(|| {
        format!("a timeout is above 0 and at most {MAX_TIMEOUT} seconds (a day), not {seconds}")
    })
}

fn body(bytes: u64) -> Option<String> {
    (!(1..=MAX_BODY).contains(&bytes))
        .then(|| format!("a body's limit is 1 to {MAX_BODY} bytes (1 TiB), not {bytes}"))
}

fn concurrency(requests: u64) -> Option<String> {
    (!(1..=u64::from(MAX_CONCURRENCY)).contains(&requests))
        .then(|| format!("a concurrency is 1 to {MAX_CONCURRENCY} requests, not {requests}"))
}

fn memory(bytes: u64) -> Option<String> {
    (!(MIN_MEMORY..=MAX_MEMORY).contains(&bytes)).then(|| {
        format!("a memory is {MIN_MEMORY} to {MAX_MEMORY} bytes (64 KiB to 4 GiB), not {bytes}")
    })
}

fn memory_of(bytes: u64, kind: Kind) -> Option<String> {
    let heap = kind == Kind::Js && bytes < MIN_HEAP;
    memory(bytes).or_else(|| {
        heap.then(|| {
            format!("a script has at least {MIN_HEAP} bytes (16 MiB) of memory, not {bytes}")
        })
    })
}

fn cpu(seconds: f64) -> Option<String> {
    let sane = (MIN_CPU..=MAX_TIMEOUT).contains(&seconds);
    (!sane).then(|| format!("a run is {MIN_CPU} to {MAX_TIMEOUT} seconds (a day), not {seconds}"))
}

fn instances(number: u64) -> Option<String> {
    (!(1..=u64::from(MAX_INSTANCES)).contains(&number))
        .then(|| format!("there are 1 to {MAX_INSTANCES} instances, not {number}"))
}

fn host_memory(bytes: u64) -> Option<String> {
    (!(MIN_HOST_MEMORY..=MAX_BODY).contains(&bytes)).then(|| {
        format!(
            "the host's memory for a vlugin is {MIN_HOST_MEMORY} to {MAX_BODY} bytes (1 MiB to 1 TiB), not {bytes}"
        )
    })
}

fn fetches(number: u64) -> Option<String> {
    at_once(number, "fetches")
}

fn calls(number: u64) -> Option<String> {
    at_once(number, "calls")
}

fn timers(number: u64) -> Option<String> {
    at_once(number, "timers")
}

fn compile(times: u64) -> Option<String> {
    (!(1..=u64::from(MAX_COMPILE)).contains(&times))
        .then(|| format!("compiling takes 1 to {MAX_COMPILE} times the usual work, not {times}"))
}

fn at_once(number: u64, what: &str) -> Option<String> {
    (!(1..=u64::from(MAX_AT_ONCE)).contains(&number))
        .then(|| format!("there are 1 to {MAX_AT_ONCE} {what} at once, not {number}"))
}

#[cfg(test)]
mod tests {
    use super::{KEYS, Limits};

    /// The row of a limit on the page: what is said there, first of all its default.
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
        for (key, default) in [
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
        ] {
            assert!(KEYS.contains(&key));
            let row = row(key);
            let said = row.split('|').nth(3).unwrap_or_default().trim();
            let said = said.split(' ').next().unwrap_or_default();
            assert_eq!(said, default.to_string(), "{key}: {row}");
        }
        let asked_for = [
            none.timeout().as_secs(),
            none.memory() >> 20,
            none.cpu().as_secs(),
        ];
        assert_eq!(asked_for, [30, 64, 1]);
        assert_eq!(KEYS.len(), 11);
    }
}
