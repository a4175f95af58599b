//! What a host passes to a vlugin's functions, and what it takes back: the checks and the calls that both forms share.
//!
//! This file reports what the tokens show. Only the compiler knows the rest, for example whether a type is that of a
//! request. Traits in `valor` check that, in code that carries the span of the word to change; their texts are there.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Error, FnArg, ReturnType, Signature, Type, punctuated::Punctuated, spanned::Spanned};

/// The arguments of an `on_request`: the context, if it takes one, and the request, which is made of `__req` first.
pub struct Arguments {
    request: TokenStream,
    arguments: TokenStream,
}

/// The arguments of an `on_request`.
///
/// `inputs` are those after a receiver; `expected` is what the author should write instead.
pub fn request_arguments(
    signature: &Signature,
    inputs: &[&FnArg],
    expected: &str,
) -> Result<Arguments, Error> {
    let count = || {
        let wrong = format!("`on_request` takes the request: write {expected}");
        Error::new(signature.paren_token.span.join(), wrong)
    };
    let mut types = Vec::new();
    for input in inputs {
        match input {
            FnArg::Typed(input) => types.push(&*input.ty),
            FnArg::Receiver(_) => return Err(count()),
        }
    }
    match types[..] {
        [req] => Ok(Arguments {
            request: request(req)?,
            arguments: quote!(__req),
        }),
        [cx, req] if !is_reference(cx) && is_reference(req) => {
            let both = signature.paren_token.span.join();
            Err(Error::new(
                both,
                format!("the context comes before the request: write {expected}"),
            ))
        }
        [cx, req] => {
            let (cx, request) = (context(cx)?, request(req)?);
            Ok(Arguments {
                request,
                arguments: quote!(#cx, __req),
            })
        }
        _ => Err(count()),
    }
}

fn is_reference(ty: &Type) -> bool {
    matches!(ty, Type::Reference(_))
}

fn context(ty: &Type) -> Result<TokenStream, Error> {
    match ty {
        Type::Reference(reference) if reference.mutability.is_none() => {
            let ty = &reference.elem;
            Ok(quote_spanned!(ty.span()=> ::valor::__private::context::<#ty>(__cx)))
        }
        _ => Err(Error::new_spanned(
            ty,
            "`on_request` shares its context with other requests: write `cx: &Context`",
        )),
    }
}

fn request(ty: &Type) -> Result<TokenStream, Error> {
    match ty {
        Type::Reference(_) => Err(Error::new_spanned(
            ty,
            "the request is the handler's own: write `req: http::Request`, without `&`",
        )),
        Type::ImplTrait(_) => Err(Error::new_spanned(
            ty,
            "the host only passes one type: write `req: http::Request`",
        )),
        ty => Ok(quote_spanned!(ty.span()=> ::valor::__private::request::<#ty>(__req))),
    }
}

/// The `on_request` that the glue runs, which calls the author's with these arguments.
///
/// It has the span of the author's function, and the call has the span of its type. So the compiler points there if a
/// future is not `Send` or a value is no response.
pub fn on_request(
    signature: &Signature,
    callee: impl FnOnce(Span) -> TokenStream,
    arguments: &Arguments,
) -> Result<TokenStream, Error> {
    let Arguments { request, arguments } = arguments;
    match &signature.output {
        ReturnType::Default => Err(Error::new(
            signature.paren_token.span.close(),
            "`on_request` returns a response: write `-> http::Response`, or `-> http::Result<http::Response>`",
        )),
        ReturnType::Type(_, ty) => {
            let callee = callee(ty.span());
            let request = made_of(request);
            let response = quote_spanned!(ty.span()=> #callee(#arguments).await);
            let response = answer(ty.span(), &response);
            Ok(answering(
                signature.ident.span(),
                &quote! {
                    let __req = ::valor::__private::Arriving::incoming(__req);
                    let __req = #request;
                    #response
                },
            ))
        }
    }
}

/// What a fallible step of the glue returns, or the end of `on_request` with its fault.
pub fn made_of(step: &TokenStream) -> TokenStream {
    quote! {
        match #step {
            Ok(__made) => __made,
            Err(__fault) => return Ok(::valor::__private::Answer::Refused(__fault)),
        }
    }
}

/// The answer that a handler's value becomes. An error that has its own status comes before other conversions.
pub fn answer(span: Span, value: &TokenStream) -> TokenStream {
    let kind = quote_spanned!(span=> (&__value).__kind().of(__value));
    let answered = quote_spanned!(span=> ::valor::IntoResponse::__into_answer(__value));
    quote! {{
        #[allow(unused_imports)]
        use ::valor::__private::kind::{KindOfAny as _, KindOfError as _};
        let __value = #value;
        let __value = #kind;
        #answered
    }}
}

/// The `on_request` that the glue runs, around an expression.
pub fn answering(span: Span, response: &TokenStream) -> TokenStream {
    quote_spanned! {span=>
        async fn on_request<__R: ::valor::__private::Arriving>(
            &self,
            __cx: &::valor::Context,
            __req: __R,
        ) -> ::valor::http::Result<::valor::__private::Answer> {
            #response
        }
    }
}

/// A vlugin's functions are async and not generic; `write` is what the author should write.
pub fn check(signature: &Signature, write: &str) -> Result<(), Error> {
    if signature.asyncness.is_none() {
        return Err(Error::new(
            signature.fn_token.span,
            format!("a vlugin's function is async: write `{write}`"),
        ));
    }
    check_generics(signature)
}

/// A vlugin's functions are not generic.
pub fn check_generics(signature: &Signature) -> Result<(), Error> {
    let mut types = signature.generics.params.iter();
    match types.find(|param| !matches!(param, syn::GenericParam::Lifetime(_))) {
        Some(param) => Err(Error::new_spanned(
            param,
            format!(
                "`{}` is called by the host, which knows no type parameters: leave them out",
                signature.ident
            ),
        )),
        None => Ok(()),
    }
}

/// The inputs, without a receiver.
pub fn behind_receiver<T>(inputs: &Punctuated<FnArg, T>) -> Vec<&FnArg> {
    inputs
        .iter()
        .filter(|input| !matches!(input, FnArg::Receiver(_)))
        .collect()
}

/// The entry of a type.
pub fn entry(ty: &TokenStream) -> TokenStream {
    quote! {
        ::valor::__private::Entry::serving::<#ty>(
            ::valor::__private::core::env!("CARGO_PKG_NAME"),
            ::valor::__private::core::env!("CARGO_PKG_VERSION"),
        )
    }
}

/// The call that exports a vlugin. `entry` makes it, `name` is the word that the compiler points at if there are two,
/// and `form` is the number of the form in the metadata block.
pub fn export(entry: TokenStream, name: &Ident, form: u8) -> TokenStream {
    let krate = std::env::var("CARGO_CRATE_NAME").unwrap_or_else(|_| "vlugin".into());
    let module = format!("valor_module_{krate}");
    let metadata = format!("valor_metadata_{krate}");
    let constant = Ident::new("VLUGIN", name.span());
    let once = Ident::new(
        "a_crate_has_one_vlugin_put_the_other_into_its_own_crate",
        name.span(),
    );
    quote! {
        ::valor::__export!(#constant, #once, #entry, #form, #module, #metadata);
    }
}
