//! [`Request`]: an `http_types` request, and the middleware for it.

use super::{
    Body, RequestBuilder, Result,
    http::{
        self, Method, Mime, Url,
        headers::{self, HeaderName, HeaderValues, ToHeaderValues},
    },
    middleware::Middleware,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, ops::Index, sync::Arc};

/// A request to another server. A clone of it has no body.
#[derive(Clone)]
pub struct Request {
    inner: http::Request,
    middleware: Vec<Arc<dyn Middleware>>,
}

message!(Request);

impl Request {
    /// A request without headers or body.
    pub fn new(method: Method, url: Url) -> Self {
        Self::of(http::Request::new(method, url))
    }

    /// Begins a request without a client.
    #[must_use]
    pub fn builder(method: Method, url: Url) -> RequestBuilder {
        RequestBuilder::new(method, url)
    }

    fn of(inner: http::Request) -> Self {
        Self {
            inner,
            middleware: Vec::new(),
        }
    }

    /// The URL's query.
    ///
    /// # Errors
    /// If it is not one of a `T`.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        self.inner.query()
    }

    /// Sets the URL's query.
    ///
    /// # Errors
    /// If it cannot be written as one.
    pub fn set_query(&mut self, query: &impl Serialize) -> Result<()> {
        self.inner.set_query(query)
    }

    /// Sets a header, and returns its previous values.
    pub fn insert_header(
        &mut self,
        name: impl Into<HeaderName>,
        values: impl ToHeaderValues,
    ) -> Option<HeaderValues> {
        self.inner.insert_header(name, values)
    }

    /// Sets a header.
    pub fn set_header(&mut self, key: impl Into<HeaderName>, value: impl ToHeaderValues) {
        self.inner.insert_header(key, value);
    }

    /// Stores a value for others, by its type, and returns the previous one.
    pub fn set_ext<T: Send + Sync + 'static>(&mut self, val: T) -> Option<T> {
        self.inner.ext_mut().insert(val)
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.inner.method()
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// Sets the `content-type`.
    pub fn set_content_type(&mut self, mime: Mime) {
        self.inner.set_content_type(mime);
    }

    /// Sets the body to this value as JSON.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn body_json(&mut self, json: &impl Serialize) -> Result<()> {
        self.set_body(Body::from_json(json)?);
        Ok(())
    }

    /// Sets the body to this text.
    pub fn body_string(&mut self, string: String) {
        self.set_body(Body::from_string(string));
    }

    /// Sets the body to these bytes.
    pub fn body_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        self.set_body(Body::from(bytes.as_ref()));
    }

    /// Sets the body to this value as a form.
    ///
    /// # Errors
    /// If it cannot be written as one.
    pub fn body_form(&mut self, form: &impl Serialize) -> Result<()> {
        self.set_body(Body::from_form(form)?);
        Ok(())
    }

    /// Adds middleware for this request, after the client's.
    pub fn middleware(&mut self, middleware: impl Middleware) {
        self.middleware.push(Arc::new(middleware));
    }

    pub(super) fn take_middleware(&mut self) -> Vec<Arc<dyn Middleware>> {
        std::mem::take(&mut self.middleware)
    }
}

impl IntoIterator for Request {
    type Item = (HeaderName, HeaderValues);
    type IntoIter = headers::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.inner.into_iter()
    }
}

impl<'a> IntoIterator for &'a Request {
    type Item = (&'a HeaderName, &'a HeaderValues);
    type IntoIter = headers::Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.inner.iter()
    }
}

impl<'a> IntoIterator for &'a mut Request {
    type Item = (&'a HeaderName, &'a mut HeaderValues);
    type IntoIter = headers::IterMut<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.inner.iter_mut()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
