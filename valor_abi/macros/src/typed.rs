//! The typed form: `impl Vlugin for …`.
//!
//! `on_request` moves into an inherent method under another name, so that it can return
//! anything that is `IntoResponse`; the trait's own method calls it. `on_create` stays.

use crate::export;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, ImplItem, ItemImpl, ReturnType, parse_quote, spanned::Spanned};

pub fn expand(mut item: ItemImpl) -> Result<TokenStream, Error> {
    let is_vlugin = item
        .trait_
        .as_ref()
        .and_then(|(_, path, _)| path.segments.last())
        .is_some_and(|segment| segment.ident == "Vlugin");
    if !is_vlugin {
        return Err(Error::new(
            item.self_ty.span(),
            "in its typed form #[vlugin] stands on `impl Vlugin for YourType { … }`",
        ));
    }
    if !item.generics.params.is_empty() {
        return Err(Error::new(
            item.generics.span(),
            "a vlugin's type is known when the library is built: leave the type parameters out",
        ));
    }

    let mut handler = None;
    for entry in &mut item.items {
        let ImplItem::Fn(function) = entry else {
            continue;
        };
        let name = function.sig.ident.clone();
        let arguments = match name.to_string().as_str() {
            "on_create" => "(config: Self::Config, cx: &mut Context)",
            "on_request" => "(&self, cx: &Context, req: http::Request)",
            other => {
                return Err(Error::new(
                    name.span(),
                    format!(
                        "a vlugin has `on_create` and `on_request`; move `{other}` into an `impl` of its own"
                    ),
                ));
            }
        };
        if function.sig.asyncness.is_none() {
            return Err(Error::new(
                function.sig.fn_token.span,
                format!("a vlugin's function is async: write `async fn {name}`"),
            ));
        }
        let expected = if name == "on_create" { 2 } else { 3 };
        if function.sig.inputs.len() != expected {
            return Err(Error::new(
                function.sig.paren_token.span.join(),
                format!("write `async fn {name}{arguments}`"),
            ));
        }
        if name == "on_request" {
            if matches!(function.sig.output, ReturnType::Default) {
                return Err(Error::new(
                    function.sig.paren_token.span.close(),
                    "`on_request` returns a response: write `-> http::Response`, or `-> http::Result<http::Response>`",
                ));
            }
            let mut inherent = function.clone();
            inherent.sig.ident = format_ident!("__valor_on_request", span = name.span());
            handler = Some(inherent);
            *function = parse_quote! {
                async fn on_request(
                    &self,
                    __cx: &::valor::Context,
                    __req: ::valor::http::Request,
                ) -> ::valor::http::Result<::valor::http::Response> {
                    ::valor::IntoResponse::into_response(self.__valor_on_request(__cx, __req).await)
                }
            };
        }
    }

    let ty = &item.self_ty;
    let export = export(quote!(#ty), 3);
    Ok(quote! {
        #item

        impl #ty {
            #handler
        }

        #export
    })
}
