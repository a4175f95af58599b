//! [`Definition`]: what plugins.json says of one vlugin, a field for each key. `keys` has the row of each.

use super::{keys, kind::Kind, limits::Limits, script::Start};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// One vlugin of plugins.json.
///
/// ```
/// use valor_runtime::{Definition, Kind};
///
/// let hello = Definition::from_json(r#"{ "type": "native", "name": "hello" }"#)?;
/// assert_eq!((hello.kind, &*hello.prefix()), (Kind::Native, "/hello"));
///
/// let faults = Definition::from_json(r#"{ "type": "nativ", "name": "hello" }"#).unwrap_err();
/// assert_eq!(
///     faults.to_string(),
///     "1:11: type: `nativ` is not a type of vlugin; did you mean `native`?"
/// );
/// # Ok::<(), valor_runtime::definition::DefinitionFaults>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Which loader turns it into a vlugin.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The name: in the log, in `x-valor-plugin`, and for `call`. Letters, digits, `_`, `.` and
    /// `-`, at most 64, the first neither `_` nor `.`.
    pub name: String,
    /// Where it is mounted; `/` and the name, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the prefix is taken off the path. An app with a base path takes all of it.
    #[serde(default = "stripped", skip_serializing_if = "Clone::clone")]
    pub strip: bool,
    /// Whether the prefix is put in front of paths in `location`, `content-location` and cookies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewrite: bool,
    /// The library's file, or a bare name to look for; where it is not said, the library of
    /// `source`, or else the name. For `js`, the script; for `files`, the folder, which has to be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The folder of the crate that it is built from, relative to plugins.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Handed to the vlugin as it is; what `files` has of it is said there.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// The SHA-256 that the file must have, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The hosts that it may reach, `host`, `host:port` or `*.domain`, or `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// The vlugins that it may call, `*` for every one, and what the host offers, whose names begin with `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callees: Option<Vec<String>>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// `js` alone: the files and folders that the script may read, from its folder; `.` is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// `js` alone: vlugins of the same group share a process, and its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `js` alone: whether it is started when it is loaded, or by its first request.
    #[serde(default, skip_serializing_if = "Start::is_default")]
    pub start: Start,
    /// Whether to serve the rest where this one cannot be built or loaded for want of a tool or a package.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

fn stripped() -> bool {
    const { keys::flag("strip") }
}

impl Definition {
    /// A definition with nothing but the two keys that each has.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            prefix: None,
            strip: stripped(),
            rewrite: false,
            path: None,
            source: None,
            config: Value::Null,
            sha256: None,
            allow: None,
            callees: None,
            limits: Limits::default(),
            files: Vec::new(),
            group: None,
            start: Start::default(),
            optional: false,
        }
    }

    /// Where it is mounted.
    pub fn prefix(&self) -> String {
        self.prefix
            .clone()
            .unwrap_or_else(|| format!("/{}", self.name))
    }
}
