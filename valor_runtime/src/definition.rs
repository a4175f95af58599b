//! What plugins.json says: which vlugins there are, where they come from and what each may do.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};

/// One vlugin of plugins.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// Which loader turns it into a vlugin.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The name: in the log, in `x-valor-plugin`, and for `call`.
    pub name: String,
    /// Where it is mounted; `/` and the name, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The file, or a bare name to look for; the name, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The crate that `--build` builds it from; relative to plugins.json.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Handed to the vlugin as it is.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// The SHA-256 that the file must have, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The hosts that it may reach, `host`, `host:port` or `*.domain`, or `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Whether to serve the rest where this one cannot be built or loaded for want of a tool.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// The kinds of vlugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// A shared library.
    Native,
}

/// What a vlugin may use. What is not said is taken from the runtime's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Seconds until the response has to begin; 504 after that. Default 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Bytes in a request's body; 413 over that. Default 10 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<u64>,
    /// Requests at once, streaming responses included; 503 over that. Default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

impl Limits {
    fn is_empty(&self) -> bool {
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

    /// These limits, with `defaults` for what is not said.
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            timeout: self.timeout.or(defaults.timeout),
            body: self.body.or(defaults.body),
            concurrency: self.concurrency.or(defaults.concurrency),
        }
    }
}

impl Definition {
    /// Where it is mounted.
    pub fn prefix(&self) -> String {
        self.prefix
            .clone()
            .unwrap_or_else(|| format!("/{}", self.name))
    }
}
