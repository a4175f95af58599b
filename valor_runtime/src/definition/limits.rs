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
];
/// Those of them that only what is apart from this process has, or a guest alone.
const OF_SOME: [&str; 3] = ["memory", "cpu", "instances"];

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

    /// These limits, with `defaults` for what is not said.
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            timeout: self.timeout.or(defaults.timeout),
            body: self.body.or(defaults.body),
            concurrency: self.concurrency.or(defaults.concurrency),
            memory: self.memory.or(defaults.memory),
            cpu: self.cpu.or(defaults.cpu),
            instances: self.instances.or(defaults.instances),
        }
    }
}

/// Every rule that a definition's limits break, by key.
pub(super) fn broken(definition: &Definition) -> Vec<(String, String)> {
    let limits = &definition.limits;
    let found = [
        ("timeout", limits.timeout.and_then(timeout)),
        ("body", limits.body.and_then(body)),
        (
            "concurrency",
            limits.concurrency.map(u64::from).and_then(concurrency),
        ),
        ("memory", limits.memory.and_then(memory)),
        ("cpu", limits.cpu.and_then(cpu)),
        (
            "instances",
            limits.instances.map(u64::from).and_then(instances),
        ),
    ];
    let said = [
        limits.memory.is_some(),
        limits.cpu.is_some(),
        limits.instances.is_some(),
    ];
    let strange = OF_SOME
        .into_iter()
        .zip(said)
        .filter(|(_, said)| *said)
        .filter_map(|(key, _)| Some((key, without_meaning(key, definition.kind)?)));
    let small = limits.memory.and_then(|bytes| heap(bytes, definition.kind));
    found
        .into_iter()
        .chain([("memory", small)])
        .filter_map(|(key, message)| Some((key, message?)))
        .chain(strange)
        .map(|(key, message)| (format!("limits.{key}"), message))
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
    for name in OF_SOME {
        if let (Some(value), Some(message)) = (keys.get(name), strange(name)) {
            reader.fault(value.at, join(key, name), message);
        }
    }
    keys.retain(|name, _| strange(name).is_none());
    let memory = reader.optional(&keys, "memory", key, |reader, node, key| {
        let rule = |bytes| memory(bytes).or_else(|| heap(bytes, kind?));
        reader.whole(node, key, "bytes", rule)
    });
    let cpu = reader.optional(&keys, "cpu", key, |reader, node, key| {
        reader.seconds(node, key, cpu)
    });
    let instances = reader.optional(&keys, "instances", key, |reader, node, key| {
        reader.whole(node, key, "instances", instances)
    });
    let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    Some(Limits {
        timeout,
        body,
        concurrency: small(concurrency),
        memory,
        cpu,
        instances: small(instances),
    })
}

fn without_meaning(key: &str, kind: Kind) -> Option<String> {
    let which = match (key, kind) {
        (_, Kind::Wasm) | ("memory" | "cpu", Kind::Js) => return None,
        ("instances", _) => "type `wasm`",
        ("memory" | "cpu", _) => "types `wasm` and `js`",
        _ => return None,
    };
    Some(format!(
        "`{key}` has no meaning for a `{kind}` vlugin: only those of {which} can be held to it; take it out"
    ))
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

fn heap(bytes: u64, kind: Kind) -> Option<String> {
    (kind == Kind::Js && bytes < MIN_HEAP)
        .then(|| format!("a script has at least {MIN_HEAP} bytes (16 MiB) of memory, not {bytes}"))
}

fn cpu(seconds: f64) -> Option<String> {
    let sane = (MIN_CPU..=MAX_TIMEOUT).contains(&seconds);
    (!sane).then(|| format!("a run is {MIN_CPU} to {MAX_TIMEOUT} seconds (a day), not {seconds}"))
}

fn instances(number: u64) -> Option<String> {
    (!(1..=u64::from(MAX_INSTANCES)).contains(&number))
        .then(|| format!("there are 1 to {MAX_INSTANCES} instances, not {number}"))
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
        assert_eq!(KEYS.len(), 6);
    }
}
