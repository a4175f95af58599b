//! What the code that `#[vlugin]` writes calls, so that the compiler's own texts fit when the macro cannot see what is
//! wrong: types, and the function next to `on_create`.

use crate::{Context, http, served::Incoming};
use std::marker::PhantomData;
use valor_abi_wire::Fault;

/// The type of the first argument of an `on_request` that takes two.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a host hands over with a request",
    label = "write `&Context`"
)]
pub trait TakesContext {
    #[doc(hidden)]
    fn of(cx: &Context) -> &Self;
}

impl TakesContext for Context {
    fn of(cx: &Context) -> &Self {
        cx
    }
}

/// The context for a handler.
pub fn context<T: TakesContext>(cx: &Context) -> &T {
    T::of(cx)
}

/// The type of the last argument of an `on_request`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not what a host hands over as a request",
    label = "write `http::Request`"
)]
pub trait TakesRequest: Sized {
    #[doc(hidden)]
    fn of(req: Incoming) -> Result<Self, Fault>;
}

impl TakesRequest for http::Request {
    #[inline]
    fn of(req: Incoming) -> Result<Self, Fault> {
        req.into_http()
    }
}

/// Of code that names the crate `http_types` itself.
impl TakesRequest for http_types::Request {
    fn of(req: Incoming) -> Result<Self, Fault> {
        req.into_http().map(Into::into)
    }
}

/// The request for a handler.
///
/// # Errors
/// A fault for a request that this type cannot carry.
#[inline]
pub fn request<T: TakesRequest>(req: Incoming) -> Result<T, Fault> {
    T::of(req)
}

/// The two shapes of an `on_request` with `on_create`; `Shape` lets the compiler tell them apart.
#[diagnostic::on_unimplemented(
    message = "there is no `on_request` next to this `on_create` that a host can call",
    label = "write `pub async fn on_request(cx: &Context, req: http::Request) -> …` beside it, or leave `cx` out"
)]
pub trait OnRequest<'a, Shape> {
    /// What the function returns, awaited.
    type Output;

    /// What the function returns.
    type Future: Future<Output = Self::Output>;

    /// Calls the function.
    ///
    /// # Errors
    /// A fault for a request that its type cannot carry.
    fn call(&self, cx: &'a Context, req: Incoming) -> Result<Self::Future, Fault>;
}

pub struct WithContext<R>(PhantomData<R>);

pub struct WithoutContext<R>(PhantomData<R>);

impl<'a, F, R, Fut> OnRequest<'a, WithContext<R>> for F
where
    F: Fn(&'a Context, R) -> Fut,
    R: TakesRequest,
    Fut: Future,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(&self, cx: &'a Context, req: Incoming) -> Result<Fut, Fault> {
        R::of(req).map(|req| self(cx, req))
    }
}

impl<'a, F, R, Fut> OnRequest<'a, WithoutContext<R>> for F
where
    F: Fn(R) -> Fut,
    R: TakesRequest,
    Fut: Future,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(&self, _: &'a Context, req: Incoming) -> Result<Fut, Fault> {
        R::of(req).map(self)
    }
}

/// What a module gets by a glob import if it defines no `on_request`.
#[allow(missing_docs)] // Their names are all that anyone reads.
pub mod missing {
    pub struct NoOnRequest;

    #[allow(non_upper_case_globals)]
    pub const on_request: NoOnRequest = NoOnRequest;
}
