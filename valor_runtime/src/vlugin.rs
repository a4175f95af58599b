//! [`Vlugin`]: the one trait in front of every kind of vlugin, and the ways to make one from code in this program.
//!
//! A request in, a response out. A loaded library is one, a closure is one, `/_health` is one, and the
//! [`Runtime`](crate::Runtime) is one too, so that it can be embedded, nested and tested without a socket. Loaders
//! make them, `dispatch` calls them, `server` serves one.

pub use valor_abi_wire::{
    Body, BoxFuture, Bytes, Chunk, ChunkStream, Fault, FaultKind, Instance as Vlugin, Request,
    RequestHead, Response, ResponseHead, Signature,
};

use std::{cell::Cell, error, fmt, io, sync::Arc};

/// Why a body broke off, if the log has a line about that already: who passes the body on says it no more.
#[derive(Debug)]
pub(crate) struct Logged(io::Error);

impl Logged {
    /// The error, marked.
    pub(crate) fn mark(error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self(error))
    }

    /// Whether an error is marked.
    pub(crate) fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|it| it.is::<Self>())
    }
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for Logged {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source()
    }
}

/// What a client gets in place of a vlugin's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instead {
    /// Nothing: it has gone, or its connection is closed.
    Nothing,
    /// A response that the server makes.
    Response {
        /// Its status.
        status: u16,
        /// The bytes of its body.
        bytes: u64,
    },
}

thread_local! {
    static INSTEAD: Cell<Option<Instead>> = const { Cell::new(None) };
}

impl Instead {
    /// This response.
    pub(crate) fn of(response: &Response) -> Self {
        Self::Response {
            status: response.head.status(),
            bytes: response.body.len().unwrap_or(0),
        }
    }

    /// Runs `end`, which throws away a vlugin's response or its work on one. The server calls this, and the runtime
    /// that logs and counts the request asks [`Self::now`].
    pub(crate) fn during<R>(self, end: impl FnOnce() -> R) -> R {
        struct Restore(Option<Instead>);
        impl Drop for Restore {
            fn drop(&mut self) {
                INSTEAD.set(self.0);
            }
        }
        let _restore = Restore(INSTEAD.replace(Some(self)));
        end()
    }

    /// What the client gets, if not the response that ends now.
    pub(crate) fn now() -> Option<Self> {
        INSTEAD.get()
    }
}

struct Closure<F>(F);

/// A vlugin from a closure over requests and responses in the wire's form, which are cheap to take apart.
/// [`from_http`] is more convenient.
///
/// ```
/// use valor_runtime::{from_fn, Body, Request, Response};
///
/// let vlugin = from_fn(|request: Request| async move {
///     let mut response = Response::new(200);
///     response.body = Body::from(request.head.path().to_owned());
///     Ok(response)
/// });
/// # let _ = vlugin;
/// ```
pub fn from_fn<F, Fut>(handler: F) -> Arc<dyn Vlugin>
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Fault>> + Send + 'static,
{
    Arc::new(Closure(handler))
}

impl<F, Fut> Vlugin for Closure<F>
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Fault>> + Send + 'static,
{
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        Box::pin((self.0)(request))
    }
}

/// A vlugin from a closure over `http_types`' requests. The closure may return anything that is
/// [`IntoResponse`](valor::IntoResponse).
///
/// ```
/// use valor_runtime::{from_http, http};
///
/// let vlugin = from_http(|req: http::Request| async move {
///     format!("you asked for {}", req.url().path())
/// });
/// # let _ = vlugin;
/// ```
pub fn from_http<F, Fut>(handler: F) -> Arc<dyn Vlugin>
where
    F: Fn(crate::http::Request) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: valor::IntoResponse,
{
    let handler = Arc::new(handler);
    from_fn(move |request| {
        let handler = handler.clone();
        async move {
            let answering = async |req| valor::IntoResponse::into_response(handler(req).await);
            valor_abi_http::answer(request, answering).await
        }
    })
}
