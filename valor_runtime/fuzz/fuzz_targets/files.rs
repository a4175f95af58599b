//! Any bytes, as a file that is to be loaded: everything that reads a library or a package before
//! its code runs never panics, refuses with one line, and takes nothing that is not what it says.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| valor_runtime::inspect::check(bytes));
