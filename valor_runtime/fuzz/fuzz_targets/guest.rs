//! Any program, as a guest that asks its host for things: the host counts no more for it than its limit, holds about as
//! much in truth, and releases all of it.

#![no_main]

use peak_alloc::PeakAlloc;
use std::sync::LazyLock;
use valor_runtime::loader::wasm;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static GUEST: LazyLock<Vec<u8>> =
    LazyLock::new(|| wat::parse_str(include_str!("../guest.wat")).expect("a module"));

libfuzzer_sys::fuzz_target!(
    // The engine, and the compiled module.
    init: wasm::check(&GUEST, &[]),
    |program: &[u8]| {
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        wasm::check(&GUEST, program);
        let peak = MEMORY.peak_usage().saturating_sub(before);
        assert!(peak < wasm::BOUND, "{peak} bytes");
    }
);
