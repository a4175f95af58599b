//! The contents of the conversations' files, read for the runner: topics, conversations, steps. Nothing here depends
//! on a host: `play` has a host do the steps and judges the results.

use serde::Deserialize;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// A file: conversations about one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    pub topic: String,
    pub conversations: Vec<Conversation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    pub name: String,
    /// Whether its requests meet in the vlugin's state: one waits for what another does.
    #[serde(default)]
    pub shared: bool,
    /// The steps as they are in the file. `{names}` in them are filled in when each is played.
    pub steps: Vec<Value>,
}

/// A request, and its expected result. `"times": 100` makes that many of it at once, and `{n}` is the number of each,
/// from 0. `"together": […]` makes several steps at once. `"differs": { "js": { … } }` replaces parts of `expect`
/// on the hosts of that `type` or name. `play` handles these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub send: Send,
    /// Repeats the request until the result is as expected.
    #[serde(default)]
    pub until: bool,
    #[serde(default)]
    pub expect: Expect,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    #[serde(default = "get")]
    pub method: String,
    /// Path and query.
    pub to: String,
    /// Name and value, in order.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub body: Option<Bytes>,
    /// The body in pieces of this many bytes, without a length sent beforehand.
    #[serde(default)]
    pub pieces: Option<usize>,
    /// Whether to follow a redirect. If not, the status is `redirect`.
    #[serde(default)]
    pub follow: bool,
    /// The client leaves once `meanwhile` is done.
    #[serde(default)]
    pub leave: bool,
    /// A request to make before this one goes on: before the rest of a body in pieces is sent, before more of the
    /// response than its first piece is read, before the client leaves.
    #[serde(default)]
    pub meanwhile: Option<Box<Send>>,
}

fn get() -> String {
    "GET".into()
}

/// Bytes: a text, or how to make them.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    Text(String),
    /// Hexadecimal digits.
    Hex {
        hex: String,
    },
    /// This many, each of which shows its position, as from the vlugin's own `/bytes`.
    Pattern {
        pattern: usize,
    },
    Repeat {
        repeat: String,
        times: usize,
    },
}

impl Bytes {
    pub fn to_vec(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Hex { hex } => (0..hex.len() / 2)
                .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal"))
                .collect(),
            Self::Pattern { pattern } => (0..*pattern).map(|at| (at % 251) as u8).collect(),
            Self::Repeat { repeat, times } => repeat.repeat(*times).into_bytes(),
        }
    }
}

/// The expected result of a request. Texts may contain `[..]`, which matches anything, `[id]`, which matches 32
/// hexadecimal digits, and `[number]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// A number, or `"redirect"`, since a browser shows no more of a redirect.
    pub status: Option<Value>,
    /// By name; `null` if there must be none. Several values of a name are joined with commas.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    pub body: Option<Bytes>,
    /// A JSON body with at least these keys.
    pub json: Option<Value>,
    /// A body that this one must not be.
    pub body_not: Option<String>,
    /// The body is a time in milliseconds since 1970, this close to the runner's own.
    pub near_now_ms: Option<u64>,
    /// The body breaks off, after this.
    pub broken: Option<Bytes>,
    /// The path and query after redirects.
    pub url: Option<String>,
    pub at_least_ms: Option<u64>,
    /// The expected result of `meanwhile`: the body of a 200.
    pub meanwhile: Option<String>,
    /// A line that appears in the host's log from now on: level and text.
    pub log: Option<(String, String)>,
    /// Names for parts of the answer: `body`, `status`, `header:NAME`, or a JSON pointer into the body.
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
}

/// All topics, in the order of their files' names.
pub fn topics() -> Vec<Topic> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let files = std::fs::read_dir(folder).expect("the folder of conversations");
    let mut files: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .filter(|file| {
            file.extension().is_some_and(|it| it == "json") && !file.ends_with("plugins.json")
        })
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).expect("a file of conversations");
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        })
        .collect()
}

/// A text with `{names}` filled in. Unknown names stay as they are.
pub fn fill(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        filled += &rest[..at];
        rest = &rest[at..];
        let named = rest.find('}').map(|end| (end, &rest[1..end]));
        match named.and_then(|(end, name)| Some((end, names.get(name)?))) {
            Some((end, value)) => {
                filled += value;
                rest = &rest[end + 1..];
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled + rest
}

/// The same in every text of a value.
pub fn fill_all(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => *text = fill(text, names),
        Value::Array(values) => values.iter_mut().for_each(|value| fill_all(value, names)),
        Value::Object(fields) => fields.values_mut().for_each(|value| fill_all(value, names)),
        _ => {}
    }
}
