//! What a vlugin may use: [`Limits`], a field for each limit. `limit_rows` has the row of each.

use serde::{Deserialize, Serialize};

/// What a vlugin may use. What is not said is taken from the runtime's defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Seconds until the response has to begin; 504 after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Bytes in a request's body; 413 over that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<u64>,
    /// Requests at once, streaming responses included; 503 over that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// `wasm` and `js`: bytes of memory that an instance or a script may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// `wasm` and `js`: seconds that an instance or a script may run without a pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// `wasm` alone: instances at once, each with its own state; with more than one, several threads work for the
    /// vlugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// All but `files`: bytes of bodies, heads and texts that the host holds for an instance, a script or a library at
    /// once. Over that, an instance or a script ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_memory: Option<u64>,
    /// All but `files`: requests to servers that run at once; a fetch over that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetches: Option<u32>,
    /// All but `files`: calls of other vlugins that run at once; a call over that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// `native` and `wasm`: timers of a library or an instance that run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<u32>,
    /// `wasm` alone: how many times the usual work and time compiling the module may take, for one that is known and
    /// large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile: Option<u32>,
}

impl Limits {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
