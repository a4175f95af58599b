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

/// Exports a vlugin; only `#[vlugin]` writes it.
///
/// `$entry` is the [`Entry`](instance::Entry). A second macro of the name `$once` in one crate is
/// an error, wherever it stands: there is one root module in a library. The symbols bear the
/// crate's name, so that several such crates can be linked into one program. The metadata block names the symbol of the root module, and is exported itself so
/// that no linker leaves it out.
#[cfg(not(target_family = "wasm"))]
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

/// As above, for a WebAssembly module: the exports of the guest boundary. There is one module in a
/// file, so its symbols have the boundary's own names.
#[cfg(target_family = "wasm")]
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
            use $crate::__private::export;

            #[unsafe(no_mangle)]
            extern "C" fn valor_abi() -> u32 {
                $crate::guest::GUEST_ABI
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_alloc(len: usize) -> *mut u8 {
                export::alloc(len)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_free(ptr: *mut u8, len: usize) {
                unsafe { export::free(ptr, len) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_init(ptr: *mut u8, len: usize) {
                unsafe { export::init($VLUGIN, ptr, len) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_request(id: u32, ptr: *mut u8, len: usize) {
                unsafe { export::request(id, ptr, len) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_body(id: u32, ptr: *mut u8, len: usize, flags: u32) {
                unsafe { export::body(id, ptr, len, flags) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn valor_fetch_response(id: u32, ptr: *mut u8, len: usize) {
                unsafe { export::fetch_response(id, ptr, len) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_writable(id: u32, bytes: u32) {
                export::writable(id, bytes)
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_timer(id: u32) {
                export::timer(id)
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_cancel(id: u32) {
                export::cancel(id)
            }

            #[unsafe(no_mangle)]
            extern "C" fn valor_poll() {
                export::poll()
            }

            #[unsafe(link_section = ".valor")]
            #[used]
            pub static METADATA: export::MetadataBlock = export::metadata(
                $crate::__private::core::env!("CARGO_PKG_NAME"),
                $crate::__private::core::env!("CARGO_PKG_VERSION"),
                $form,
            );
        };
    };
}
