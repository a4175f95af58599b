//! The guest boundary: a vlugin as a WebAssembly module, in a server or in a page. The major version of this crate is
//! the version of the guest ABI.
//!
//! `docs/src/guest-abi.md` describes it byte by byte. [`message`] is the encoding of what crosses, and serves both
//! sides. [`ascii`] creates headers for `http_types`. Everything else is the guest's side and only exists on
//! WebAssembly: `export` is what the host calls, `imports` what the guest can call, `tasks` the executor in between,
//! `init` what the vlugin is created with, `bodies` the bodies in pieces, `host` all of that as the
//! [`Host`](valor_abi_wire::Host) that an author's code knows.
//!
//! There is one thread, and the host calls nothing while an import runs. So all state is in thread-local cells, and
//! none of them is borrowed while an author's code runs.

#![deny(unsafe_code)]

#[allow(unsafe_code)] // Each block states the invariant it leans on.
pub mod ascii;
pub mod message;
mod version;

#[cfg(target_family = "wasm")]
mod bodies;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)] // The boundary: each block states the invariant it leans on.
pub mod export;
#[cfg(target_family = "wasm")]
pub mod host;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)] // As above.
mod imports;
#[cfg(any(target_family = "wasm", test))]
mod init;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code)] // As above.
mod memory;
#[cfg(target_family = "wasm")]
mod numbered;
#[cfg(any(all(target_family = "wasm", feature = "pool"), test))]
#[allow(unsafe_code)] // As above.
mod pool;
#[cfg(target_family = "wasm")]
mod tasks;

pub use version::GUEST_ABI;

#[cfg(all(
    target_family = "wasm",
    feature = "pool",
    not(target_feature = "atomics")
))]
#[global_allocator]
static POOL: pool::Pool = pool::Pool::new();
