//! Put Valor's host into your own program: load vlugins, route requests to them, guard them, serve them.
//!
//! A [`Runtime`] answers requests. Its vlugins come from files, from linked crates, or from the program itself, and
//! need no socket:
//!
//! ```
//! use valor_runtime::{Runtime, from_http, http};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # futures_lite::future::block_on(async {
//! let runtime = Runtime::builder().build()?;
//! runtime.add(
//!     "greet",
//!     from_http(|req: http::Request| async move { format!("hello, {}", req.url().path()) }),
//! )?;
//!
//! let req = http::Request::new(http::Method::Get, "http://localhost/greet/Zoe");
//! assert_eq!(runtime.handle(req).await.body_string().await?, "hello, /Zoe");
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! [`server::Server`] puts it behind sockets, and `valor_cli` adds a command line to that. Vlugins are written with
//! the crate `valor_abi`.
//!
//! # Layout
//!
//! From the ground up: a module imports only from those above it in this list.
//!
//! - [`definition`]: what plugins.json says. [`Vlugin`]: the trait behind every kind.
//! - [`hex`], [`lock`]: bytes as digits, and locks that a panic does not poison.
//! - [`escape`]: text from outside, made safe to show. [`mod@file`]: reads whole files. [`fifo`]: says what a program
//!   waits for. [`keeper`]: programs that end with this one. [`private_dir`]: temporary folders that no other user can
//!   look into.
//!   [`ownership`]: who owns a file. [`project`]: finds programs near a file.
//! - [`account`]: what the host holds and runs for one vlugin. `id`: a request's id. `reactor`: which sockets are
//!   ready. `timer`: time limits. `blocked`: reports blocked threads. `metrics`: counters.
//!   `registry`: names and prefixes. [`host`]: what vlugins ask for.
//! - [`package`]: one file with the libraries for several targets.
//! - [`loader`]: from a definition to a vlugin, and the table of kinds. `built_in`: definitions of those kinds.
//!   [`mod@inspect`]: what a file says about itself.
//! - [`versions`]: of the ABIs, of wasmtime and of Deno.
//! - `dispatch`: a request's way to its vlugin, with ids, limits and panics.
//! - [`admin`]: the runtime's own vlugins, on `/_health`, `/_metrics`, `/_plugins` and `/_welcome`.
//! - [`Runtime`]: all of that together. It is a vlugin itself.
//! - [`server`]: bytes to requests and back, for one vlugin.
//! - [`web`]: the files of the host in a browser. It imports nothing and nothing imports it.

#![deny(unsafe_code)]

pub mod account;
pub mod admin;
mod blocked;
#[cfg(doctest)]
mod book;
mod built_in;
mod deadline;
pub mod definition;
mod descriptors;
mod dispatch;
pub mod escape;
pub mod fifo;
pub mod file;
pub mod hex;
pub mod host;
mod id;
mod in_band;
pub mod inspect;
pub mod keeper;
pub mod loader;
mod metrics;
pub mod ownership;
pub mod package;
mod place;
pub mod private_dir;
pub mod project;
mod reactor;
mod registry;
mod runtime;
pub mod server;
mod stall;
mod status;
mod timer;
pub mod versions;
mod vlugin;
pub mod web;

pub use admin::{RegistryAccess, Token, Welcome};
pub use blocked::{Listening, on_blocked};
pub use built_in::json_schema;
pub use definition::{Definition, Kind, KindRow, Kinds, Limits};
pub use descriptors::raise_descriptor_limit;
pub use dispatch::CallTimeouts;
pub use inspect::{Inspection, PackageInspection, inspect, inspect_package};
pub use loader::{LoadError, Loaded, Loader, NativeLoader, Wanted};
pub use place::Place;
pub use registry::{Lack, Mount, Origin, RegistryError, Unavailable};
pub use runtime::{Applied, Builder, Change, Prepared, Runtime, RuntimeError};
pub use valor::http;
#[doc(hidden)]
pub use valor_abi_wire::lock;
pub use vlugin::*;
