//! The form on `app`: a function that returns a `tower::Service`, such as an axum `Router`.
//!
//! It need not be public, as no such function of an app that exists already is.
//!
//! Only `valor_abi` knows whether its feature `tower` is there. So what is written here is one call of its macro
//! `__app`, which reports the lack of the feature.

use crate::{function, signature};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, FnArg, ItemFn, ReturnType, Type, spanned::Spanned};

const WRITE: &str = "fn app(cx: &mut Context) -> axum::Router";

pub fn expand(item: ItemFn) -> Result<TokenStream, Error> {
    function::check_place(&item)?;
    signature::check_generics(&item.sig)?;
    let arguments = match item.sig.inputs.iter().collect::<Vec<_>>()[..] {
        [] => TokenStream::new(),
        [FnArg::Typed(cx)] if matches!(&*cx.ty, Type::Reference(_)) => quote!(__cx),
        _ => {
            return Err(Error::new(
                item.sig.paren_token.span.join(),
                format!("`app` takes the context or nothing: write `{WRITE}`"),
            ));
        }
    };
    let ReturnType::Type(_, returned) = &item.sig.output else {
        return Err(Error::new(
            item.sig.paren_token.span.close(),
            format!("`app` returns a service: write `{WRITE}`"),
        ));
    };
    let name = item.sig.ident.span();
    let waiting = item
        .sig
        .asyncness
        .map(|_| quote_spanned!(returned.span()=> .await));
    let app = quote_spanned!(returned.span()=> app(#arguments) #waiting);
    let kind = quote_spanned!(returned.span()=> (&__app).__app_kind().of(__app));
    let mounted = quote_spanned! {returned.span()=>
        ::valor::__private::IntoApp::into_app(__app)
    };
    let on_create = quote_spanned!(name=> async fn on_create);
    let entry = signature::entry(&quote!(Functions));
    let entry = quote! {{
        struct Functions(::valor::__private::App);

        impl ::valor::__private::Served for Functions {
            type Config = ::valor::__private::Unread;

            #on_create(
                _: ::valor::__private::Unread,
                __cx: &mut ::valor::Context,
            ) -> ::valor::http::Result<Self> {
                #[allow(unused_imports)]
                use ::valor::__private::app_kind::{KindOfApp as _, KindOfResult as _};
                let __app = #app;
                let __app = #kind?;
                let __app = #mounted;
                Ok(Self(::valor::__private::App::new(__cx, __app)))
            }

            async fn on_request<__R: ::valor::__private::Arriving>(
                &self,
                _: &::valor::Context,
                __req: __R,
            ) -> ::valor::http::Result<::valor::__private::Answer> {
                self.0.answer(::valor::__private::Arriving::incoming(__req)).await
            }
        }

        #entry
    }};
    // In the file's own description, an app is a handler with state.
    let export = signature::export(entry, &item.sig.ident, 2);
    Ok(quote! {
        #item

        ::valor::__app! { #export }
    })
}
