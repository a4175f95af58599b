//! The two forms on a function: just a handler, and `on_create` with a handler.

use crate::{FORMS, app, signature};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, FnArg, ItemFn, ReturnType, Type, Visibility, spanned::Spanned};

pub fn expand(item: ItemFn) -> Result<TokenStream, Error> {
    match item.sig.ident.to_string().as_str() {
        "on_request" => on_request(item),
        "on_create" => on_create(item),
        "app" => app::expand(item),
        other => Err(Error::new(
            item.sig.ident.span(),
            format!(
                "a vlugin's function is called `on_request`, `on_create` or `app`, not `{other}`\n{FORMS}"
            ),
        )),
    }
}

fn on_request(item: ItemFn) -> Result<TokenStream, Error> {
    check(&item)?;
    let inputs: Vec<_> = item.sig.inputs.iter().collect();
    let expected = "`(req: http::Request)` or `(cx: &Context, req: http::Request)`";
    let arguments = signature::request_arguments(&item.sig, &inputs, expected)?;
    let callee = |span| quote_spanned!(span=> on_request);
    let on_request = signature::on_request(&item.sig, callee, &arguments)?;
    Ok(write(&item, 1, quote!(Ok(Self)), &on_request))
}

fn on_create(item: ItemFn) -> Result<TokenStream, Error> {
    check(&item)?;
    let takes_context = match (item.sig.inputs.len(), item.sig.inputs.first()) {
        (1, Some(FnArg::Typed(cx))) => {
            matches!(&*cx.ty, Type::Reference(r) if r.mutability.is_some())
        }
        _ => false,
    };
    if !takes_context {
        return Err(Error::new(
            item.sig.paren_token.span.join(),
            "`on_create` fills the context: write `(cx: &mut Context)`",
        ));
    }
    let returned = match &item.sig.output {
        ReturnType::Default => item.sig.ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let created = quote_spanned! {returned=>
        ::valor::IntoCreated::into_created(on_create(__cx).await)?;
        Ok(Self)
    };
    let name = item.sig.ident.span();
    let called = quote_spanned! {name=>
        ::valor::__private::OnRequest::call(&on_request, __cx, __req)
    };
    let called = signature::made_of(&called);
    let response = signature::answer(name, &quote_spanned!(name=> __answering.await));
    let response = quote! {
        let __req = ::valor::__private::Arriving::incoming(__req);
        let __answering = #called;
        #response
    };
    let written = write(&item, 2, created, &signature::answering(name, &response));
    Ok(quote! {
        // Names defined in this module come before those that a glob imports.
        #[allow(unused_imports)]
        use ::valor::__private::missing::*;

        #written
    })
}

fn check(item: &ItemFn) -> Result<(), Error> {
    let name = &item.sig.ident;
    check_place(item)?;
    let write = format!("pub async fn {name}");
    signature::check(&item.sig, &write)?;
    if !matches!(item.vis, Visibility::Public(_)) {
        let at = match &item.vis {
            Visibility::Inherited => name.span(),
            vis => vis.span(),
        };
        return Err(Error::new(
            at,
            format!("a vlugin's function is public: write `{write}`"),
        ));
    }
    Ok(())
}

/// A vlugin's function is at the top level.
pub fn check_place(item: &ItemFn) -> Result<(), Error> {
    let name = &item.sig.ident;
    match item.sig.receiver() {
        Some(receiver) => Err(Error::new_spanned(
            receiver,
            format!(
                "a vlugin's function belongs at the top level of its crate: move `{name}` out of the `impl`, or write \
                 `#[vlugin] impl Vlugin for …`"
            ),
        )),
        None => Ok(()),
    }
}

/// The type that represents the module's functions.
fn write(item: &ItemFn, form: u8, created: TokenStream, on_request: &TokenStream) -> TokenStream {
    let name = &item.sig.ident;
    let on_create = quote_spanned!(name.span()=> async fn on_create);
    let entry = signature::entry(&quote!(Functions));
    let entry = quote! {{
        struct Functions;

        impl ::valor::__private::Served for Functions {
            type Config = ::valor::__private::Unread;

            #on_create(
                _: ::valor::__private::Unread,
                __cx: &mut ::valor::Context,
            ) -> ::valor::http::Result<Self> {
                #created
            }

            #on_request
        }

        #entry
    }};
    let export = signature::export(entry, name, form);
    quote! {
        #item

        #export
    }
}
