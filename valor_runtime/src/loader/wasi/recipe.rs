//! [`Recipe`]: what every instance of a vlugin gets, beside its code.

use crate::account::Account;
use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use valor_abi_wire::Host;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi_config::WasiConfigVariables;

/// What every instance of a vlugin gets.
pub(super) struct Recipe {
    pub name: String,
    pub host: Arc<dyn Host>,
    /// The environment that it sees.
    pub environment: Vec<(String, String)>,
    /// What `wasi:config/store` has.
    pub config: Arc<WasiConfigVariables>,
    /// The folders that it gets.
    pub files: Option<WasiFilesystemCtx>,
    /// Bytes of memory of an instance.
    pub memory: usize,
    /// How long it may run without a pause.
    pub cpu: Duration,
    /// How long it may go on behind its responses.
    pub timeout: Duration,
    /// Whether an instance answers one request only.
    pub is_single: bool,
    /// How many bodies its instances may be writing at this moment.
    pub bodies: Arc<AtomicUsize>,
    /// The vlugin's account. Each instance has a part of it.
    pub account: Account,
}
