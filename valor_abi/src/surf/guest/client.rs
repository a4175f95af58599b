//! [`Client`]: takes a request through the middleware to the backend.

use super::{
    BoxFuture, Request, RequestBuilder, Response, Result,
    http::{self, Method, Url},
    middleware::{Middleware, Next},
};
use serde::de::DeserializeOwned;
use std::{fmt, sync::Arc};

/// What sends the requests of a [`Client`].
#[async_trait::async_trait]
pub trait HttpClient: fmt::Debug + Unpin + Send + Sync + 'static {
    /// Sends a request, and returns its response as soon as that has begun.
    async fn send(&self, req: http::Request) -> Result<http::Response>;
}

/// An HTTP client: a backend, and middleware that each request passes through.
#[derive(Clone)]
pub struct Client {
    http_client: Arc<dyn HttpClient>,
    base_url: Option<Url>,
    middleware: Arc<Vec<Arc<dyn Middleware>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client {}")
    }
}

macro_rules! methods {
    ($($name:ident $method:ident,)*) => {$(
        #[doc = concat!("Begins a request of this method: [`Method::", stringify!($method), "`].")]
        ///
        /// # Panics
        /// If `uri` is not an absolute HTTP URL, or its host is not ASCII.
        pub fn $name(&self, uri: impl AsRef<str>) -> RequestBuilder {
            self.begin(Method::$method, uri.as_ref())
        }
    )*};
}

impl Client {
    /// A client with this backend, and no middleware.
    pub fn with_http_client<C: HttpClient>(http_client: C) -> Self {
        Self {
            http_client: Arc::new(http_client),
            base_url: None,
            middleware: Arc::default(),
        }
    }

    /// Adds middleware after the existing ones.
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        Arc::make_mut(&mut self.middleware).push(Arc::new(middleware));
        self
    }

    /// Sends a request, and returns its response as soon as that has begun.
    ///
    /// # Errors
    /// Those of the middleware and of the backend; a response is not an error, whatever its status.
    pub async fn send(&self, req: impl Into<Request>) -> Result<Response> {
        self.clone().run(req.into()).await
    }

    /// Sends a request and returns the response's body.
    ///
    /// # Errors
    /// As [`send`](Self::send), and if the body breaks off.
    pub async fn recv_bytes(&self, req: impl Into<Request>) -> Result<Vec<u8>> {
        self.clone().run(req.into()).await?.body_bytes().await
    }

    /// Sends a request and returns the response's body as text.
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and if it is not UTF-8.
    pub async fn recv_string(&self, req: impl Into<Request>) -> Result<String> {
        self.clone().run(req.into()).await?.body_string().await
    }

    /// Sends a request and reads the response's body as JSON.
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and if it is not JSON of a `T`.
    pub async fn recv_json<T: DeserializeOwned>(&self, req: impl Into<Request>) -> Result<T> {
        self.clone().run(req.into()).await?.body_json().await
    }

    /// Sends a request and reads the response's body as a form.
    ///
    /// # Errors
    /// As [`recv_bytes`](Self::recv_bytes), and if it is not a form of a `T`.
    pub async fn recv_form<T: DeserializeOwned>(&self, req: impl Into<Request>) -> Result<T> {
        self.clone().run(req.into()).await?.body_form().await
    }

    methods! {
        get Get,
        head Head,
        post Post,
        put Put,
        delete Delete,
        connect Connect,
        options Options,
        trace Trace,
        patch Patch,
    }

    /// Begins a request.
    ///
    /// # Panics
    /// If `uri` is not an absolute HTTP URL, or its host is not ASCII.
    pub fn request(&self, verb: Method, uri: impl AsRef<str>) -> RequestBuilder {
        self.begin(verb, uri.as_ref())
    }

    /// Sets the base of relative URLs.
    #[deprecated(since = "6.5.0", note = "Please use `Config` instead")]
    pub fn set_base_url(&mut self, base: Url) {
        self.base_url = Some(base);
    }

    fn begin(&self, method: Method, uri: &str) -> RequestBuilder {
        // `Url::parse` would bring its parser and Unicode's tables into each module with a client.
        match valor_abi_http::http_url(self.base_url.as_ref(), uri) {
            Some(url) => RequestBuilder::new(method, url).with_client(self.clone()),
            None => panic!("`{uri}` is no URL of HTTP with a host in ASCII"),
        }
    }

    /// Sends a request. All ways lead here, so this is compiled once.
    pub(super) fn run(self, mut req: Request) -> BoxFuture<'static, Result<Response>> {
        Box::pin(async move {
            let of_request = req.take_middleware();
            let all: Vec<_> = self.middleware.iter().cloned().chain(of_request).collect();
            // Middleware gets a client without any: otherwise its own requests would come back to it.
            let bare = Self {
                middleware: Arc::default(),
                ..self
            };
            Next::new(&all, &endpoint).run(req, bare).await
        })
    }
}

/// What follows the last middleware.
fn endpoint(req: Request, client: Client) -> BoxFuture<'static, Result<Response>> {
    Box::pin(async move {
        let res = client.http_client.send(req.into()).await?;
        Ok(res.into())
    })
}
