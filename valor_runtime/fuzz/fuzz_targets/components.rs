//! Any bytes, as a component that is to be loaded: everything up to its instantiation refuses it in one line, or takes
//! it, and what it takes can be compiled and linked.

#![no_main]

use valor_runtime::loader::wasi;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    wasi::check(bytes);
});
