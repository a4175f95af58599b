//! The versions that matter to what this host can load: of the ABIs that it speaks, of the wasmtime in it, and of the
//! Deno that it needs. A program that embeds the host prints them (`valor_cli --version`). Each is read from the place
//! that decides it, so none can be stale.

use crate::loader::{self, js::LEAST_DENO};

/// The ABI of native vlugins: `1.0`. A library loads if its major version is the same and its minor version is not
/// higher.
#[must_use]
pub fn native_abi() -> String {
    use valor_abi_native::{ABI_MAJOR, ABI_MINOR};
    format!("{ABI_MAJOR}.{ABI_MINOR}")
}

/// The ABI of WebAssembly modules. A module loads if its version is the same.
pub const GUEST_ABI: u32 = valor_abi_guest::GUEST_ABI;

/// The wasmtime that runs modules and components, or `None` if this host was built without the feature `wasm`.
pub const WASMTIME: Option<&str> = loader::WASMTIME;

/// The oldest Deno that runs JavaScript vlugins: `2.9`.
///
/// ```
/// use valor_runtime::versions;
///
/// println!("scripts need Deno {} or later", versions::least_deno());
/// println!("libraries need ABI {}", versions::native_abi());
/// ```
#[must_use]
pub fn least_deno() -> String {
    let (major, minor) = LEAST_DENO;
    format!("{major}.{minor}")
}

/// The target triple that this host was built for, as a package names it: `x86_64-unknown-linux-gnu`.
#[must_use]
pub fn this_target() -> &'static str {
    valor_abi_wire::metadata::Metadata::this_target()
}
