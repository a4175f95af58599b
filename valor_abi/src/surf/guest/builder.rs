//! [`RequestBuilder`]: a request under construction, and the future of its response.

use super::{
    Body, BoxFuture, Client, Request, Response, Result,
    http::{
        Method, Mime, Url,
        headers::{HeaderName, ToHeaderValues},
    },
    middleware::Middleware,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// A request that is about to be sent: awaiting it sends it, and returns the response.
pub struct RequestBuilder {
    // Taken when it is sent.
    req: Option<Request>,
    client: Option<Client>,
    sending: Option<BoxFuture<'static, Result<Response>>>,
}

impl RequestBuilder {
    /// A request without a client: [`build`](Self::build) it, and pass it to [`Client::send`].
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            req: Some(Request::new(method, url)),
            client: None,
            sending: None,
        }
    }

    pub(super) fn with_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    fn req(&mut self) -> &mut Request {
        self.req.as_mut().expect("the request was sent already")
    }

    /// Sets a header.
    pub fn header(mut self, key: impl Into<HeaderName>, value: impl ToHeaderValues) -> Self {
        self.req().insert_header(key, value);
        self
    }

    /// Sets the `content-type`.
    pub fn content_type(mut self, content_type: impl Into<Mime>) -> Self {
        self.req().set_content_type(content_type.into());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.req().set_body(body.into());
        self
    }

    /// Sets the body to this value as JSON.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn body_json(self, json: &impl Serialize) -> Result<Self> {
        Ok(self.body(Body::from_json(json)?))
    }

    /// Sets the body to this text.
    pub fn body_string(self, string: String) -> Self {
        self.body(Body::from_string(string))
    }

    /// Sets the body to these bytes.
    pub fn body_bytes(self, bytes: impl AsRef<[u8]>) -> Self {
        self.body(Body::from(bytes.as_ref()))
    }

    /// Sets the URL's query.
    ///
    /// # Errors
    /// If it cannot be written as one.
    pub fn query(mut self, query: &impl Serialize) -> Result<Self> {
        self.req().set_query(query)?;
        Ok(self)
    }

    /// Adds middleware for this request, after the client's.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.req().middleware(middleware);
        self
    }

    /// The request.
    pub fn build(self) -> Request {
        self.req.expect("the request was sent already")
    }

    /// Sends it.
    ///
    /// # Errors
    /// As [`Client::send`].
    ///
    /// # Panics
    /// If it has no client.
    pub async fn send(self) -> Result<Response> {
        self.await
    }

    /// Sends it and returns the response's body.
    ///
    /// # Errors
    /// As [`Client::recv_bytes`].
    pub async fn recv_bytes(self) -> Result<Vec<u8>> {
        self.await?.body_bytes().await
    }

    /// Sends it and returns the response's body as text.
    ///
    /// # Errors
    /// As [`Client::recv_string`].
    pub async fn recv_string(self) -> Result<String> {
        self.await?.body_string().await
    }

    /// Sends it and reads the response's body as JSON.
    ///
    /// # Errors
    /// As [`Client::recv_json`].
    pub async fn recv_json<T: DeserializeOwned>(self) -> Result<T> {
        self.await?.body_json().await
    }

    /// Sends it and reads the response's body as a form.
    ///
    /// # Errors
    /// As [`Client::recv_form`].
    pub async fn recv_form<T: DeserializeOwned>(self) -> Result<T> {
        self.await?.body_form().await
    }
}

impl Future for RequestBuilder {
    type Output = Result<Response>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(req) = self.req.take() {
            let client = self.client.take();
            let client = client.expect("a request without a client is sent with `Client::send`");
            self.sending = Some(client.run(req));
        }
        let sending = self.sending.as_mut();
        sending.expect("it was sent").as_mut().poll(cx)
    }
}

impl From<RequestBuilder> for Request {
    fn from(builder: RequestBuilder) -> Self {
        builder.build()
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.req.fmt(f)
    }
}
