//! [`Definition`]: what plugins.json says about one vlugin, one field per key. `keys` has the row of each.

use super::{component::Instance, keys, kind::Kind, limits::Limits, script::Start};
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
    /// Where it is mounted; without it, `/` and the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the prefix is removed from the path. An app with a base path gets the whole path.
    #[serde(default = "stripped", skip_serializing_if = "Clone::clone")]
    pub strip: bool,
    /// Whether the prefix is put before the paths in `location`, `content-location` and cookies.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewrite: bool,
    /// The library's file, or a bare name to look up; without it, the library of `source`, or else the name. For `js`,
    /// the script; for `files`, the folder, which is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The folder of the crate that it is built from, relative to plugins.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Passed to the vlugin unchanged; for `files`, see [`FilesConfig`](crate::definition::FilesConfig).
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// The SHA-256 that the file must have, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The hosts that it may reach, `host`, `host:port` or `*.domain`, or `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// The vlugins that it may call, or `*` for every one, and what the host offers, whose names begin with `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callees: Option<Vec<String>>,
    /// Its limits.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Only for `js` and `wasi`: the files and folders that a script may read, and the folders that a component may
    /// read, relative to its folder; `.` is all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Only for `wasi`: the folders that the component may read and change, relative to its folder; `.` is all of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writable: Vec<String>,
    /// Only for `wasm` and `wasi`: what an instance answers; without it, the instance of a module is shared, and a
    /// component's version of WASI decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// Only for `js`: vlugins of the same group share a process, and end with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only for `js`: whether it starts when it is loaded, or with its first request.
    #[serde(default, skip_serializing_if = "Start::is_default")]
    pub start: Start,
    /// Whether the other vlugins are still served when this one lacks a tool or a package, or was not built.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

fn stripped() -> bool {
    const { keys::flag("strip") }
}

impl Definition {
    /// A definition with only the two keys that each one has.
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
            writable: Vec::new(),
            instance: None,
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
