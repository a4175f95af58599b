//! The ticks of the engine: a thread counts them while guests run, and raises the engine's epoch with each. At each
//! tick a guest asks its `clock` whether it should give its thread back to others, or has used up its time.
//!
//! `config` starts the thread with the engine. Whoever runs a guest holds a [`Running`].

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use wasmtime::Engine;

/// How often a guest looks at its time.
const TICK: Duration = Duration::from_millis(2);

/// Ticks without a call after which the clock stops.
const IDLE_TICKS: u32 = 500;

/// Ticks so far.
static TICKS: AtomicU64 = AtomicU64::new(0);

static CALLS: AtomicU64 = AtomicU64::new(0);
static CLOCK: OnceLock<thread::Thread> = OnceLock::new();
static STOPPED: AtomicU64 = AtomicU64::new(0);

/// Starts the thread that counts.
pub(super) fn start_clock(engine: &Engine) -> std::io::Result<()> {
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
pub(in crate::loader) fn ticks() -> u64 {
    TICKS.load(Ordering::Relaxed)
}

static RUNNING: AtomicU64 = AtomicU64::new(0);

/// While this lives, a guest may run, so the clock runs too.
pub(in crate::loader) struct Running(());

impl Running {
    pub(in crate::loader) fn begin() -> Self {
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
