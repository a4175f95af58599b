//! The one engine that compiles and runs every guest of this process: modules and components.
//!
//! [`engine`] is made when the first guest is loaded.

use super::{cache, ticks::start_clock};
use crate::escape::one_line;
use crate::loader::guest_error::TABLES;
use std::sync::OnceLock;
use wasmtime::{
    Cache, Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// Instances at once in this process; each takes 4 GiB of addresses, and memory as it uses it.
const INSTANCES: u32 = 4096;

const MIB: u64 = 1 << 20;

/// The bytes of a memory and of a table that stay with the process after an instance. Up to 100 of each stay.
const RESIDENT: (usize, usize) = (256 << 10, 64 << 10);

/// Why an instance cannot begin if there are [`INSTANCES`].
pub(in crate::loader) fn no_instance() -> String {
    format!(
        "this process has {INSTANCES} instances of modules, and there can be no more: lower `limits.instances`, remove \
         vlugins that are not needed, or run some of them in another process"
    )
}

static KEEPS_CODE: OnceLock<bool> = OnceLock::new();

/// Whether compiled code is kept for the next start. If not, the log says why.
pub fn keeps_code() -> bool {
    engine().is_ok() && KEEPS_CODE.get().copied().unwrap_or_default()
}

/// The engine, or why there can be none.
pub(in crate::loader) fn engine() -> Result<&'static Engine, String> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let cache = cache::open();
        let _ = KEEPS_CODE.set(cache.is_some());
        let engine = pooled(cache.clone()).or_else(|error| {
            log::warn!(
                target: "valor::wasm",
                "modules run slower than they could: the system gives out too few addresses for a pool of instances \
                 ({}); raise `ulimit -v`",
                one_line(&format!("{error:#}"))
            );
            Engine::new(&frugal(cache))
        });
        let engine = engine.map_err(|error| format!("{error:#}"))?;
        start_clock(&engine)
            .map_err(|error| format!("the clock's thread cannot start: {error}"))?;
        Ok(engine)
    });
    engine.as_ref().map_err(Clone::clone)
}

/// An engine that compiles for hosts of another target, with the settings that [`engine`] has there. It uses nothing
/// that only this machine's processor has.
pub(super) fn for_target(target: &str) -> wasmtime::Result<Engine> {
    let mut config = config(None);
    config.target(target)?;
    Engine::new(&config)
}

fn pooled(cache: Option<Cache>) -> wasmtime::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(INSTANCES)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES)
        .max_tables_per_module(TABLES.0)
        .table_elements(TABLES.1)
        // This holds what each function needs, for example, and `limits.compile` may allow more functions.
        .max_core_instance_size(16 << 20)
        .total_stacks(INSTANCES);
    #[cfg(feature = "wasi")]
    pool.total_component_instances(INSTANCES);
    // What an instance has written is overwritten for the next one instead of given back to the system and taken again
    // page by page. Linux says which pages those are.
    pool.linear_memory_keep_resident(RESIDENT.0)
        .table_keep_resident(RESIDENT.1)
        .pagemap_scan(Enabled::Auto);
    let mut config = config(cache);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
}

/// For a system that gives out few addresses (`ulimit -v`): memories take what they need and move when they grow, and
/// the compiled code checks each access itself.
fn frugal(cache: Option<Cache>) -> Config {
    let mut config = config(cache);
    config
        .memory_reservation(0)
        .memory_reservation_for_growth(MIB)
        .memory_guard_size(64 * 1024)
        .guard_before_linear_memory(false);
    config
}

fn config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .cache(cache);
    #[cfg(feature = "wasi")]
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true);
    config
}
