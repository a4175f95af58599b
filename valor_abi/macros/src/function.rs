//! The two forms on a function: a handler alone, and `on_create` beside a handler.

use crate::{FORMS, export};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, FnArg, ItemFn, ReturnType, Type, Visibility, spanned::Spanned};

pub fn expand(item: ItemFn) -> Result<TokenStream, Error> {
    match item.sig.ident.to_string().as_str() {
        "on_request" => on_request(item),
        "on_create" => on_create(item),
        other => Err(Error::new(
            item.sig.ident.span(),
            format!(
                "a vlugin's function is called `on_request` or `on_create`, not `{other}`\n{FORMS}"
            ),
        )),
    }
}

fn on_request(item: ItemFn) -> Result<TokenStream, Error> {
    check_function(&item)?;
    let inputs = &item.sig.inputs;
    let wrong = "`on_request` takes a request, and the context before it where it is needed: \
                 write `(req: http::Request)` or `(cx: &Context, req: http::Request)`";
    if inputs.is_empty() || inputs.len() > 2 {
        return Err(Error::new(item.sig.paren_token.span.join(), wrong));
    }
    if let (2, Some(FnArg::Typed(cx))) = (inputs.len(), inputs.first()) {
        match &*cx.ty {
            Type::Reference(reference) if reference.mutability.is_none() => {}
            ty => {
                return Err(Error::new(
                    ty.span(),
                    "`on_request` shares its context with other requests: write `cx: &Context`",
                ));
            }
        }
    }
    if let Some(FnArg::Typed(req)) = inputs.last() {
        if let Type::Reference(reference) = &*req.ty {
            return Err(Error::new(
                reference.span(),
                "the request is the handler's own: write `req: http::Request`, without `&`",
            ));
        }
    }
    if matches!(item.sig.output, ReturnType::Default) {
        return Err(Error::new(
            item.sig.paren_token.span.close(),
            "`on_request` returns a response: write `-> http::Response`, or `-> http::Result<http::Response>`",
        ));
    }
    let created = quote!(Ok(Self));
    Ok(write(&item, 1, &created))
}

fn on_create(item: ItemFn) -> Result<TokenStream, Error> {
    check_function(&item)?;
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
    let created = quote! {
        ::valor::IntoCreated::into_created(on_create(__cx).await)?;
        Ok(Self)
    };
    Ok(write(&item, 2, &created))
}

fn check_function(item: &ItemFn) -> Result<(), Error> {
    let name = &item.sig.ident;
    if item.sig.asyncness.is_none() {
        return Err(Error::new(
            item.sig.fn_token.span,
            format!("a vlugin's function is async: write `pub async fn {name}`"),
        ));
    }
    if !matches!(item.vis, Visibility::Public(_)) {
        return Err(Error::new(
            name.span(),
            format!("a vlugin's function is public: write `pub async fn {name}`"),
        ));
    }
    if !item.sig.generics.params.is_empty() {
        return Err(Error::new(
            item.sig.generics.span(),
            format!(
                "`{name}` is called by the host, which knows no type parameters: leave them out"
            ),
        ));
    }
    Ok(())
}

/// The type that stands for the module's functions. The handler's name gets the span of the
/// function that the attribute stands on, so that a fault in it is shown there.
fn write(item: &ItemFn, form: u8, created: &TokenStream) -> TokenStream {
    let on_request = quote_spanned!(item.sig.ident.span()=> on_request);
    let export = export(quote!(__ValorVlugin), form);
    quote! {
        #item

        #[doc(hidden)]
        pub struct __ValorVlugin;

        impl ::valor::Vlugin for __ValorVlugin {
            type Config = ::valor::serde_json::Value;

            async fn on_create(
                _: ::valor::serde_json::Value,
                __cx: &mut ::valor::Context,
            ) -> ::valor::http::Result<Self> {
                #created
            }

            async fn on_request(
                &self,
                __cx: &::valor::Context,
                __req: ::valor::http::Request,
            ) -> ::valor::http::Result<::valor::http::Response> {
                ::valor::IntoResponse::into_response(
                    ::valor::__private::OnRequest::call(&#on_request, __cx, __req).await,
                )
            }
        }

        #export
    }
}
