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
//! - [`testing`]: for the tests of a vlugin, which runs inside of them.
//! - [`native`]: the boundary between a library and the program that loads it.

#![cfg_attr(not(test), warn(missing_docs))]
#![deny(unsafe_code)]

pub mod convert;
pub mod fault;
pub mod host;
pub mod instance;
#[allow(unsafe_code)] // A boundary: each block states the invariant it leans on.
pub mod native;
pub mod testing;
pub mod unwind;
pub mod wire;

#[cfg(doctest)]
mod book;
#[cfg(feature = "surf")]
mod client;
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
#[cfg(feature = "surf")]
pub use surf;
pub use upgrade::{offers_upgrade, upgrade};
pub use valor_abi_macros::vlugin;

/// For the code that `#[vlugin]` writes; not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::{
        glue::{OnRequest, context, missing, request},
        instance::Entry,
        native::export,
    };
    pub use core;
}

/// Exports a vlugin; only `#[vlugin]` writes it.
///
/// `$entry` is the [`Entry`](instance::Entry). A second macro of the name `$once` in one crate is
/// an error, wherever it stands: there is one root module in a library. The symbols bear the
/// crate's name, so that several such crates can be linked into one program. The metadata block names the symbol of the root module, and is exported itself so
/// that no linker leaves it out.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($VLUGIN:ident, $once:ident, $entry:expr, $form:literal, $module:literal, $metadata:literal) => {
        /// This crate's vlugin, for programs that link it in and for tests.
        pub const $VLUGIN: $crate::__private::Entry = $entry;

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $once {
            () => {};
        }

        const _: () = {
            use $crate::__private::export::*;

            extern "C" fn create(host: FfiHost, config: RString) -> FfiCreated {
                $crate::__private::export::create($VLUGIN, host, config)
            }

            fn module() -> ValorModuleRef {
                const MODULE: &WithMetadata<ValorModule> =
                    &WithMetadata::new(ValorModule { create });
                ValorModuleRef(MODULE.static_as_prefix())
            }

            extern "C" fn constructor() -> RootModuleResult {
                __call_root_module_loader(module)
            }

            #[unsafe(export_name = $module)]
            pub static HEADER: LibHeader = header(constructor);

            #[unsafe(export_name = $metadata)]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".valor"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__valor"))]
            pub static METADATA: MetadataBlock = metadata(
                $crate::__private::core::env!("CARGO_PKG_NAME"),
                $crate::__private::core::env!("CARGO_PKG_VERSION"),
                $crate::__private::core::cfg!(panic = "unwind"),
                $form,
                $module,
            );
        };
    };
}
