//! What a Valor vlugin is written against, and the ABI that it shares with its host.
//!
//! A vlugin is a small message handler: an HTTP request in, a response out. Its crate depends
//! on this one alone, under the name `valor`, and is a `cdylib`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! valor = { package = "valor_abi", version = "0.1" }
//! ```
//!
//! ```
//! use valor::*;
//!
//! #[vlugin]
//! pub async fn on_request(_req: http::Request) -> http::Response {
//!     "OK response from a plugin".into()
//! }
//! # fn main() {}
//! ```
//!
//! With state, [`macro@vlugin`] stands on `on_create` instead, which fills a [`Context`]; the
//! typed form is `#[vlugin] impl Vlugin for …`, see [`Vlugin`].
//!
//! # Layout
//!
//! - [`Context`], [`Vlugin`], [`IntoResponse`], [`sleep`], [`now`], [`random`], [`streaming`],
//!   [`upgrade`], [`offers_upgrade`]: for authors.
//! - [`wire`]: requests and responses in the form in which they cross boundaries; `head` holds
//!   the encoding of a head.
//! - [`convert`]: from the wire's form to [`http`] and back.
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
