//! [`Settings`]: what the runtime's builder was told that loaders need.

use crate::{metrics::Metrics, package::TrustedKeys};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// What loaders are made with. Each takes of it what its kind has a use for.
pub(crate) struct Settings {
    /// The folder of plugins.json.
    pub(crate) base_dir: PathBuf,
    /// Where bare names are looked for first, and where files have to be when a load is restricted.
    pub(crate) plugin_dirs: Vec<PathBuf>,
    /// Where bare names of libraries are looked for last.
    pub(crate) library_dirs: Vec<PathBuf>,
    /// The keys that files have to be signed with.
    pub(crate) trust: Option<TrustedKeys>,
    /// How long the creation of a vlugin may take.
    pub(crate) create_timeout: Duration,
    /// The Deno to run.
    pub(crate) deno: Option<PathBuf>,
    /// After which time without a request a lazy script is stopped.
    pub(crate) script_idle: Option<Duration>,
    /// Whether Valor talks to scripts over TCP even if there are Unix sockets.
    pub(crate) scripts_over_tcp: bool,
    /// Where loaders count.
    pub(crate) metrics: Arc<Metrics>,
}
