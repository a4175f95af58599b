//! The `#[vlugin]` attribute of `valor_abi`.
//!
//! It reads the item below it, reports what is wrong with that, and writes an `impl Vlugin` and one call of `valor`'s
//! own macro that exports it. Everything that happens at run time is in `valor_abi`, where it can be read and tested as
//! ordinary code.

#![forbid(unsafe_code)]

mod app;
mod function;
mod signature;
mod typed;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;
use quote::quote;
use syn::{Error, Item};

const FORMS: &str = "#[vlugin] goes on one of four things:\n\
    - `pub async fn on_request(req: http::Request) -> http::Response`\n\
    - `pub async fn on_create(cx: &mut Context)`, beside a `pub async fn on_request(cx: &Context, req: http::Request) \
    -> …`\n\
    - `impl Vlugin for YourType { … }`\n\
    - `fn app(cx: &mut Context) -> axum::Router`, with the feature `tower` of `valor_abi`";

/// Makes a vlugin from the item below it, and exports it from the library.
///
/// Use it once in a crate, at the top level, on one of four things:
///
/// - `pub async fn on_request(req: http::Request) -> http::Response`: a handler. It may take `cx: &Context` first, and
///   return anything that is `IntoResponse`.
/// - `pub async fn on_create(cx: &mut Context)`: state for the `on_request` next to it, which may take `cx: &Context`.
///   `on_create` may return a `Result<(), E>`; an error fails the load with its message.
/// - `impl Vlugin for YourType`: the typed form, with its `Config`.
/// - `fn app(cx: &mut Context) -> axum::Router`, with the feature `tower`: an app of a framework, or any other
///   `tower::Service`. It may be async, leave `cx` out, and return a `Result`, whose error fails the load.
///
/// It also writes `pub const VLUGIN`. A program can use that to run the vlugin without a library file, and tests pass
/// it to `valor::testing`.
#[proc_macro_attribute]
pub fn vlugin(attr: TokenStream, item: TokenStream) -> TokenStream {
    let item: TokenStream2 = item.into();
    match expand(attr.into(), item.clone()) {
        Ok(tokens) => tokens,
        Err(error) => {
            let error = error.to_compile_error();
            match syn::parse2(item) {
                // It would not fit the trait, and the compiler would report that as well.
                Ok(Item::Impl(_)) => error,
                Ok(item) => quote!(#item #error),
                Err(_) => error,
            }
        }
    }
    .into()
}

fn expand(attr: TokenStream2, item: TokenStream2) -> Result<TokenStream2, Error> {
    if !attr.is_empty() {
        return Err(Error::new_spanned(
            attr,
            "#[vlugin] takes no arguments: the name, the prefix and the limits are set in plugins.json",
        ));
    }
    match syn::parse2::<Item>(item)? {
        Item::Fn(item) => function::expand(item),
        Item::Impl(item) => typed::expand(item),
        other => Err(Error::new_spanned(other, FORMS)),
    }
}
