//! Any bytes, as a connection would send them: the guard and the framing of bodies never panic,
//! give one verdict for every split, accept nothing with two meanings, and keep little.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| valor_runtime::server::check(bytes));
