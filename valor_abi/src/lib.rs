//! Write HTTP plugins, *vlugins*, that Valor loads while it runs: a request in, a response out.
//!
//! One crate is a native library, a WebAssembly module for the server, and the same module in a browser. Its tests
//! need none of these:
//!
//! ```
//! use valor::*;
//!
//! #[vlugin]
//! pub async fn on_create(cx: &mut Context) {
//!     cx.set(cx.config::<String>().unwrap());
//! }
//!
//! pub async fn on_request(cx: &Context, req: http::Request) -> String {
//!     format!("{}, {}", cx.get::<String>(), req.url().path())
//! }
//!
//! # fn main() {
//! testing::create(VLUGIN, "hello")
//!     .get("/Zoe")
//!     .assert_status(200)
//!     .assert_body("hello, /Zoe");
//! # }
//! ```
//!
//! Without state, one function is enough; see [`macro@vlugin`] for that and for the typed form, `impl Vlugin for …`.
//! The crate is a `cdylib` and depends on this one under the name `valor`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! valor = { package = "valor_abi", version = "0.1" }
//! ```
//!
//! `valor_cli run -p plugins.json` serves what a plugins.json names. The crate `valor_runtime` does so inside of
//! another program.
//!
//! # What is here
//!
//! - [`macro@vlugin`] makes a vlugin; [`Vlugin`] is its typed form. [`Entry`] is the result.
//! - [`Context`] has a vlugin's configuration and state, and asks other servers and other vlugins.
//! - [`http`] has requests and responses, made on demand. [`IntoResponse`] says what a handler may return; [`Json`] and
//!   [`streaming()`] help with that. [`ResponseError`] gives an error its own status.
//! - [`sleep`], [`now`] and [`random`] ask the host, and so do the macros of [`log`](https://docs.rs/log).
//! - [`offers_upgrade`] and [`upgrade()`]: WebSocket and other protocols.
//! - `surf`: the HTTP client, with the feature of that name. `http1`: the types of the crate http, version 1. With the
//!   feature `tower`, `#[vlugin] fn app` mounts an axum router or another tower service.
//! - The feature `tokio` runs a native vlugin inside a tokio runtime, and the feature `tracing` sends what the crate
//!   `tracing` collects to the host's log. Neither needs a line of code.
//! - [`testing`]: the test kit.
//!
//! What crosses between a vlugin and its host is in separate crates, which authors need not know: `valor_abi_wire`,
//! `valor_abi_native`, `valor_abi_guest` and `valor_abi_http`.

#![cfg_attr(not(test), warn(missing_docs))]
#![forbid(unsafe_code)]

pub mod http;
#[cfg(feature = "http1")]
pub mod http1;
#[cfg(feature = "surf")]
pub mod surf;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

#[cfg(doctest)]
mod book;
mod config;
mod context;
mod entry;
mod failure;
mod glue;
mod handler;
mod host;
mod served;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tracing")]
mod trace;
mod upgrade;

pub use context::Context;
pub use entry::Entry;
pub use failure::ResponseError;
pub use handler::{IntoCreated, IntoResponse, Json, Vlugin, streaming};
pub use host::{now, random, sleep};
pub use log;
pub use serde_json;
pub use upgrade::{offers_upgrade, upgrade};
pub use valor_abi_macros::vlugin;

/// For the code that `#[vlugin]` writes; not for people.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "tower")]
    pub use crate::tower::{App, IntoApp, Mounted, app_kind};
    pub use crate::{
        Entry,
        failure::kind,
        glue::{OnRequest, context, missing, request},
        served::{Arriving, Served},
    };
    pub use core;
    /// A config that nobody reads.
    pub use serde::de::IgnoredAny as Unread;
    #[cfg(target_family = "wasm")]
    pub use valor_abi_guest::__export as boundary;
    pub use valor_abi_http::Answer;
    #[cfg(not(target_family = "wasm"))]
    pub use valor_abi_native::__export as boundary;
}
