//! What `valor_cli --version` prints: everything that a report of a fault should contain. `-V` is one line.

use std::sync::LazyLock;
use valor_runtime::versions;

/// The version, with the commit, the features, and the versions that decide what can be loaded.
pub fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let features = match cfg!(feature = "wasm") {
            true => "wasm",
            false => "none",
        };
        let rows = [
            ("commit", env!("VALOR_COMMIT").to_owned()),
            ("target", env!("VALOR_TARGET").to_owned()),
            ("features", features.to_owned()),
            (
                "ABI",
                format!(
                    "native {}, guest {}",
                    versions::native_abi(),
                    versions::GUEST_ABI
                ),
            ),
            ("wasmtime", versions::WASMTIME.unwrap_or("none").to_owned()),
            (
                "Deno",
                format!("{} or later, for scripts", versions::least_deno()),
            ),
        ];
        let mut text = env!("CARGO_PKG_VERSION").to_owned();
        for (name, value) in rows {
            text.push_str(&format!("\n{name:<10}{value}"));
        }
        text
    });
    &TEXT
}
