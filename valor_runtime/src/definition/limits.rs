//! [`Limits`]: what a vlugin may use, one field per limit. `limit_rows` has the row of each.

use serde::{Deserialize, Serialize};

/// What a vlugin may use. Limits that are not set come from the runtime's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Seconds until the response must begin; after that, 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Bytes in a request's body; above that, 413.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<u64>,
    /// Requests at once, streaming responses included; above that, 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// `wasm` and `js`: bytes of memory that an instance or a script may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// `wasm` and `js`: seconds that an instance or a script may run without a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Only `wasm`: instances at once, each with its own state; with more than one, several threads work for the
    /// vlugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// All but `files`: bytes of bodies, heads and texts that the host holds for an instance, a script or a library at
    /// once. Above that, an instance or a script ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_memory: Option<u64>,
    /// All but `files`: requests to servers at once; further ones fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetches: Option<u32>,
    /// All but `files`: calls of other vlugins at once; further ones fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// `native` and `wasm`: timers of a library or an instance at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<u32>,
    /// Only `wasm`: how many times the usual work and time it may take to compile the module, for one that is known to
    /// be large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile: Option<u32>,
}

impl Limits {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
