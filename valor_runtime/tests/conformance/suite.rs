//! What the conversations' files say, read for the runner: topics, conversations, steps. Nothing
//! here knows of a host; `play` has the steps done by one and judges what comes back.

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
    /// Steps as they are written: `{names}` in them are filled in when each is played.
    pub steps: Vec<Value>,
}

/// A request, and what has to come of it. `"times": 100` has so many of it made at once, where `{n}`
/// is the number of each, from 0; `"together": […]` has several steps made at once; `"differs": { "js": { … } }`
/// replaces parts of `expect` on the hosts of that `type` or name. `play` takes these apart.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub send: Send,
    /// Again and again, until what has to come of it does.
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
    /// The body in pieces of this many bytes, of a length that is not said beforehand.
    #[serde(default)]
    pub pieces: Option<usize>,
    /// Whether a redirect is followed; one that is not ends with `redirect` as its status.
    #[serde(default)]
    pub follow: bool,
    /// The client goes away, once `meanwhile` is done.
    #[serde(default)]
    pub leave: bool,
    /// A request to be made before this one goes on: before the rest of its body in pieces is sent,
    /// before more of the response is read than its first piece, before the client leaves.
    #[serde(default)]
    pub meanwhile: Option<Box<Send>>,
}

fn get() -> String {
    "GET".into()
}

/// Bytes: a text, or how they are made.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    Text(String),
    /// Hexadecimal digits.
    Hex {
        hex: String,
    },
    /// So many, each of which tells where it belongs; as the vlugin's own `/bytes`.
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

/// What has to come of a request. Texts may have `[..]`, which stands for anything, `[id]`, which
/// stands for 32 hexadecimal digits, and `[number]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// A number, or `"redirect"`: a browser shows no more of one.
    pub status: Option<Value>,
    /// By name; `null` where there must be none. Values of the same name are one, with commas.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    pub body: Option<Bytes>,
    /// A JSON body that has at least this in it.
    pub json: Option<Value>,
    /// A body that this one must not be.
    pub body_not: Option<String>,
    /// The body is a time in milliseconds since 1970, and so near to the runner's own.
    pub near_now_ms: Option<u64>,
    /// The body breaks off, after this.
    pub broken: Option<Bytes>,
    /// The path and query that redirects led to.
    pub url: Option<String>,
    pub at_least_ms: Option<u64>,
    /// What has to come of `meanwhile`: the body of a 200.
    pub meanwhile: Option<String>,
    /// A line that the host's log has from now on: level and text.
    pub log: Option<(String, String)>,
    /// Names for what came: `body`, `status`, `header:NAME`, or a JSON pointer into the body.
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

/// A text with `{names}` filled in; what is no name stays.
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
