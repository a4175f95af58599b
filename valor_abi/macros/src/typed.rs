//! The typed form: `impl Vlugin for …`.
//!
//! `on_request` moves into an inherent method under another name, so that it can return anything that is
//! `IntoResponse`, and take any request. What the glue runs calls it, and the trait's own method calls that.
//! `on_create` stays.

use crate::signature;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Error, FnArg, ImplItem, ItemImpl, parse_quote, spanned::Spanned};

const CONFIG: &str = "type Config = …;";
const ON_CREATE: &str =
    "async fn on_create(config: Self::Config, cx: &mut Context) -> http::Result<Self>";
const ON_REQUEST: &str =
    "async fn on_request(&self, cx: &Context, req: http::Request) -> http::Response";

pub fn expand(mut item: ItemImpl) -> Result<TokenStream, Error> {
    let implemented = item.trait_.as_ref().map(|(_, path, _)| path);
    if implemented.is_none_or(|path| path.segments.last().unwrap().ident != "Vlugin") {
        return Err(Error::new(
            implemented.map_or(item.self_ty.span(), Spanned::span),
            "in its typed form #[vlugin] goes on `impl Vlugin for YourType { … }`",
        ));
    }
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics.params,
            "a vlugin's type is known when the library is built: leave the parameters out",
        ));
    }

    let (mut config, mut created, mut handlers) = (false, false, None);
    for entry in &mut item.items {
        match entry {
            ImplItem::Type(ty) => config |= ty.ident == "Config",
            ImplItem::Fn(function) if function.sig.ident == "on_create" => {
                on_create(function)?;
                created = true;
            }
            ImplItem::Fn(function) if function.sig.ident == "on_request" => {
                handlers = Some(on_request(function)?);
            }
            ImplItem::Fn(function) => {
                let name = &function.sig.ident;
                return Err(Error::new(
                    name.span(),
                    format!(
                        "a vlugin has `on_create` and `on_request`; move `{name}` into a separate `impl`"
                    ),
                ));
            }
            _ => {}
        }
    }
    let needed = [
        (config, CONFIG),
        (created, ON_CREATE),
        (handlers.is_some(), ON_REQUEST),
    ];
    if let Some((_, missing)) = needed.iter().find(|(there, _)| !there) {
        return Err(Error::new(
            item.self_ty.span(),
            format!("this vlugin is incomplete: write `{missing}` as well"),
        ));
    }

    let ty = &item.self_ty;
    let (handler, served) = handlers.unzip();
    let name = Ident::new("VLUGIN", Span::call_site().located_at(ty.span()));
    let export = signature::export(signature::entry(&quote!(#ty)), &name, 3);
    Ok(quote! {
        #item

        impl #ty {
            #handler
        }

        impl ::valor::__private::Served for #ty {
            type Config = <Self as ::valor::Vlugin>::Config;

            async fn on_create(
                __config: Self::Config,
                __cx: &mut ::valor::Context,
            ) -> ::valor::http::Result<Self> {
                <Self as ::valor::Vlugin>::on_create(__config, __cx).await
            }

            #served
        }

        #export
    })
}

fn on_create(function: &syn::ImplItemFn) -> Result<(), Error> {
    signature::check(&function.sig, "async fn on_create")?;
    if let Some(receiver) = function.sig.receiver() {
        return Err(Error::new_spanned(
            receiver,
            format!("`on_create` makes the vlugin, so there is no `self` yet: write `{ON_CREATE}`"),
        ));
    }
    if function.sig.inputs.len() != 2 {
        return Err(Error::new(
            function.sig.paren_token.span.join(),
            format!("`on_create` takes the config and the context: write `{ON_CREATE}`"),
        ));
    }
    Ok(())
}

/// Replaces the author's function with a call, and returns that function under another name, and what the glue runs.
fn on_request(function: &mut syn::ImplItemFn) -> Result<(syn::ImplItemFn, TokenStream), Error> {
    let signature = &function.sig;
    signature::check(signature, "async fn on_request")?;
    let expected = "`(&self, cx: &Context, req: http::Request)`";
    match signature.inputs.first() {
        Some(FnArg::Receiver(receiver))
            if receiver.reference.is_some() && receiver.mutability.is_none() => {}
        Some(FnArg::Receiver(receiver)) => {
            return Err(Error::new_spanned(
                receiver,
                "requests are answered at the same time: write `&self`, and keep what changes behind a lock or an \
                 atomic",
            ));
        }
        _ => {
            return Err(Error::new(
                signature.paren_token.span.join(),
                format!("`on_request` is called on a vlugin: write {expected}"),
            ));
        }
    }
    let inputs = signature::behind_receiver(&signature.inputs);
    if inputs.len() != 2 {
        return Err(Error::new(
            signature.paren_token.span.join(),
            format!("`on_request` takes the context and the request: write {expected}"),
        ));
    }
    let arguments = signature::request_arguments(signature, &inputs, expected)?;
    let callee = |span| quote_spanned!(span=> self.__valor_on_request);
    let served = signature::on_request(signature, callee, &arguments)?;

    let mut handler = function.clone();
    handler.sig.ident = format_ident!("__valor_on_request", span = signature.ident.span());
    *function = parse_quote! {
        async fn on_request(
            &self,
            __cx: &::valor::Context,
            __req: ::valor::http::Request,
        ) -> ::valor::http::Result<::valor::http::Response> {
            ::valor::__private::Served::on_request(self, __cx, __req).await?.into_http()
        }
    };
    Ok((handler, served))
}
