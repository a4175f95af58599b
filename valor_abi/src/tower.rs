//! An app of a framework as a vlugin (feature `tower`): what `#[vlugin] pub fn app` calls. [`App`] is any
//! `tower::Service` of requests of `http`, without its type.

use crate::{
    Context, IntoResponse,
    glue::TakesRequest,
    http,
    http1::{Body, MessageBody, Request, Response},
    served::Incoming,
};
use std::{
    fmt::Display,
    future::poll_fn,
    sync::{Arc, Mutex},
};
use tower_service::Service;
use valor_abi_http::Answer;
use valor_abi_wire::{BoxFuture, lock::locked};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service with its context.
pub struct App {
    service: Box<dyn Answers>,
    cx: Arc<Context>,
}

impl App {
    /// The service that `app` returned, with the context that `app` has filled.
    pub fn new(cx: &mut Context, service: Mounted) -> Self {
        Self {
            service: service.0,
            cx: Arc::new(cx.take()),
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// The service's, as a 500.
    pub async fn answer(&self, req: Incoming) -> http::Result<Answer> {
        let mut req = match Request::<Body>::of(req) {
            Ok(req) => req,
            Err(fault) => return Ok(Answer::Refused(fault)),
        };
        req.extensions_mut().insert(self.cx.clone());
        self.service.answer(req).await
    }
}

/// A service without its type.
pub struct Mounted(Box<dyn Answers>);

trait Answers: Send + Sync {
    fn answer(&self, req: Request<Body>) -> BoxFuture<'static, http::Result<Answer>>;
}

// A service need not be `Sync`; the lock is held for a clone.
impl<S, B> Answers for Mutex<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: MessageBody,
{
    fn answer(&self, req: Request<Body>) -> BoxFuture<'static, http::Result<Answer>> {
        // Readiness belongs to the clone that it was asked of.
        let mut service = locked(self).clone();
        Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
            let response = service.call(req).await.map_err(failed)?;
            response.__into_answer()
        })
    }
}

fn failed(error: impl Into<BoxError>) -> http::Error {
    http::Error::from_str(http::StatusCode::InternalServerError, error.into())
}

/// What `app` may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an app that a host can call",
    label = "return `axum::Router`, or another service",
    note = "an app is a `tower::Service<http1::Request<http1::Body>>` that is `Clone` and `Send`, with futures that \
            are `Send`; its response is a `http1::Response` of a body that implements `http_body::Body`",
    note = "a `Router<S>` still lacks its state: `.with_state(…)`"
)]
pub trait IntoApp<B> {
    #[doc(hidden)]
    fn into_app(self) -> Mounted;
}

impl<S, B> IntoApp<B> for S
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: MessageBody,
{
    fn into_app(self) -> Mounted {
        Mounted(Box::new(Mutex::new(self)))
    }
}

/// What `app` may return besides an app: a result, whose error fails the load. See [`kind`](crate::__private::kind) for
/// how it is found.
#[allow(missing_docs)] // Only `#[vlugin]` writes their names.
pub mod app_kind {
    use super::{Display, http};

    pub struct OfResult;

    pub trait KindOfResult {
        fn __app_kind(&self) -> OfResult {
            OfResult
        }
    }

    impl<S, E: Display> KindOfResult for Result<S, E> {}

    impl OfResult {
        /// # Errors
        /// The load's, with the text of `app`'s error.
        pub fn of<S, E: Display>(self, app: Result<S, E>) -> http::Result<S> {
            app.map_err(|error| {
                http::Error::from_str(http::StatusCode::InternalServerError, format!("{error:#}"))
            })
        }
    }

    pub struct OfApp;

    pub trait KindOfApp {
        fn __app_kind(&self) -> OfApp {
            OfApp
        }
    }

    impl<S> KindOfApp for &S {}

    impl OfApp {
        /// # Errors
        /// None.
        pub fn of<S>(self, app: S) -> http::Result<S> {
            Ok(app)
        }
    }
}
