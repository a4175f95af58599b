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
//! # Layout
//!
//! - [`Context`], [`Vlugin`], [`IntoResponse`], [`sleep`], [`now`], [`random`], [`streaming`],
//!   [`upgrade`], [`offers_upgrade`]: for authors.
//! - [`wire`]: requests and responses in the form in which they cross boundaries; `head` holds
//!   the encoding of a head.
//! - [`convert`]: from the wire's form to [`http`](https://docs.rs/http-types/2) and back.
//! - [`host`]: what a vlugin may ask of its host.
//! - [`instance`]: the glue around an author's code; [`unwind`] and [`fault`] serve it.
//! - `surf`: the HTTP client, with the feature of that name.
//! - [`testing`]: for the tests of a vlugin, which runs inside of them.
//! - [`native`]: the boundary between a library and the program that loads it.
//! - [`guest`]: the boundary between a WebAssembly module and its host.
//! - [`metadata`]: what a file of either kind says of itself.

#![cfg_attr(not(test), warn(missing_docs))]
#![deny(unsafe_code)]

pub mod convert;
pub mod fault;
pub mod guest;
pub mod host;
pub mod instance;
pub mod metadata;
#[cfg(not(target_family = "wasm"))]
#[allow(unsafe_code)] // A boundary: each block states the invariant it leans on.
pub mod native;
#[cfg(feature = "surf")]
pub mod surf;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod unwind;
pub mod wire;

#[cfg(doctest)]
mod book;
mod config;
mod context;
mod glue;
mod handler;
mod head;
mod upgrade;

pub use context::Context;
pub use handler::{IntoCreated, IntoResponse, Json, Vlugin, streaming};
pub use host::{now, random, sleep};
pub use http_types as http;
pub use log;
pub use serde_json;
pub use upgrade::{offers_upgrade, upgrade};
pub use valor_abi_macros::vlugin;

/// For the code that `#[vlugin]` writes; not for people.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::export;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::native::export;
    pub use crate::{
        glue::{OnRequest, context, missing, request},
        instance::Entry,
    };
    pub use core;
    /// A config that nobody reads.
    pub use serde::de::IgnoredAny as Unread;
}
