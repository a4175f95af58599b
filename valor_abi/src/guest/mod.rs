//! The guest boundary: a vlugin as a WebAssembly module, in a server or in a page.
//!
//! `docs/src/guest-abi.md` describes it byte by byte. [`message`] is the encoding of what crosses, and serves both
//! sides, as does `ascii`, which makes headers for `http_types`; everything else is the guest's side and exists on
//! WebAssembly alone: `export` is what the host calls, `imports` what it can be asked for, `tasks` the executor in
//! between, `init` what the vlugin is created with, `bodies` what comes and goes in pieces, `host` all of that as the
//! [`Host`](crate::host::Host) that an author's code knows.
//!
//! There is one thread, and the host calls nothing while an import runs: so all state is in
//! thread-local cells, and none of them is borrowed while an author's code runs.

#[allow(unsafe_code)] // Each block states the invariant it leans on.
pub(crate) mod ascii;
pub mod message;

#[cfg(target_family = "wasm")]
mod bodies;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)] // The boundary: each block states the invariant it leans on.
pub mod export;
#[cfg(target_family = "wasm")]
pub(crate) mod host;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)] // As above.
mod imports;
#[cfg(any(test, target_family = "wasm"))]
mod init;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)] // As above.
mod memory;
#[cfg(target_family = "wasm")]
mod numbered;
#[cfg(any(test, all(target_family = "wasm", feature = "pool")))]
#[allow(unsafe_code)] // As above.
mod pool;
#[cfg(target_family = "wasm")]
mod tasks;

#[cfg(all(
    target_family = "wasm",
    feature = "pool",
    not(target_feature = "atomics")
))]
#[global_allocator]
static POOL: pool::Pool = pool::Pool::new();

/// The version of the boundary, which a guest's `valor_abi` returns.
pub const GUEST_ABI: u32 = 1;
