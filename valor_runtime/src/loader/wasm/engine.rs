//! The one engine that compiles and runs every guest of this process, and its clock.
//!
//! [`engine`] is made when the first guest is loaded. A thread counts ticks of [`TICK`] while guests run. At each tick
//! a guest asks its `clock` whether it should give its thread back to others, or has used up its time.

use crate::escape::one_line;
use crate::loader::guest_error::TABLES;
use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a guest looks at its time.
const TICK: Duration = Duration::from_millis(2);

/// Instances at once in this process; each takes 4 GiB of addresses, and memory as it uses it.
const INSTANCES: u32 = 4096;

/// Ticks without a call after which the clock stops.
const IDLE_TICKS: u32 = 500;

/// Ticks so far.
static TICKS: AtomicU64 = AtomicU64::new(0);

const MIB: u64 = 1 << 20;

static CALLS: AtomicU64 = AtomicU64::new(0);
static CLOCK: OnceLock<thread::Thread> = OnceLock::new();
static STOPPED: AtomicU64 = AtomicU64::new(0);

/// Why an instance cannot begin if there are [`INSTANCES`].
pub(super) fn no_instance() -> String {
    format!(
        "this process has {INSTANCES} instances of modules, and there can be no more: lower `limits.instances`, remove \
         vlugins that are not needed, or run some of them in another process"
    )
}

/// The engine, or why there can be none.
pub(super) fn engine() -> Result<&'static Engine, String> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| {
        let cache = super::cache::open();
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
    config
}

fn start_clock(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let clock = thread::Builder::new()
        .name("valor-epoch".into())
        .spawn(move || {
            let (mut seen, mut idle) = (0, 0);
            while let Some(engine) = engine.upgrade() {
                thread::sleep(TICK);
                engine.increment_epoch();
                TICKS.fetch_add(1, Ordering::Relaxed);
                let calls = CALLS.load(Ordering::Relaxed);
                idle = if calls == seen { idle + 1 } else { 0 };
                seen = calls;
                // A guest that runs on without a new call keeps the clock going.
                if idle >= IDLE_TICKS && RUNNING.load(Ordering::SeqCst) == 0 {
                    STOPPED.store(1, Ordering::SeqCst);
                    if RUNNING.load(Ordering::SeqCst) == 0 {
                        thread::park();
                    }
                    STOPPED.store(0, Ordering::SeqCst);
                    idle = 0;
                }
            }
        })?;
    let _ = CLOCK.set(clock.thread().clone());
    Ok(())
}

/// How many ticks there have been so far. They go on while guests run; otherwise they may have stopped.
pub(super) fn ticks() -> u64 {
    TICKS.load(Ordering::Relaxed)
}

static RUNNING: AtomicU64 = AtomicU64::new(0);

/// While this lives, a guest may run, so the clock runs too.
pub(super) struct Running(());

impl Running {
    pub(super) fn begin() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        CALLS.fetch_add(1, Ordering::Relaxed);
        if STOPPED.load(Ordering::SeqCst) == 1
            && let Some(clock) = CLOCK.get()
        {
            clock.unpark();
        }
        Self(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}
