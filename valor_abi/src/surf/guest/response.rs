//! [`Response`]: an `http_types` response, whose body is read as it comes.

use super::{
    Body, Error, Result, StatusCode,
    http::{
        self, Mime, Version,
        headers::{self, HeaderName, HeaderValues, ToHeaderValues},
    },
};
use futures_lite::{AsyncBufRead, AsyncRead};
use serde::de::DeserializeOwned;
use std::{
    fmt, io,
    ops::Index,
    pin::Pin,
    task::{Context, Poll},
};

/// The response of another server.
#[derive(Debug)]
pub struct Response {
    inner: http::Response,
}

message!(Response);

impl Response {
    fn of(inner: http::Response) -> Self {
        Self { inner }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The version of HTTP, if the host reports it.
    pub fn version(&self) -> Option<Version> {
        self.inner.version()
    }

    /// Sets a header.
    pub fn insert_header(&mut self, key: impl Into<HeaderName>, value: impl ToHeaderValues) {
        self.inner.insert_header(key, value);
    }

    /// Stores a value for others, by its type.
    pub fn insert_ext<T: Send + Sync + 'static>(&mut self, val: T) {
        self.inner.ext_mut().insert(val);
    }

    /// Replaces the body.
    pub fn swap_body(&mut self, body: &mut Body) {
        self.inner.swap_body(body);
    }

    /// The body.
    ///
    /// # Errors
    /// If it breaks off.
    pub async fn body_bytes(&mut self) -> Result<Vec<u8>> {
        self.inner.body_bytes().await
    }

    /// The body as text.
    ///
    /// # Errors
    /// If it breaks off, or has an encoding other than UTF-8: then with a [`DecodeError`].
    pub async fn body_string(&mut self) -> Result<String> {
        let bytes = self.body_bytes().await?;
        let mime = self.content_type();
        let charset = mime.as_ref().and_then(|mime| mime.param("charset"));
        if charset.is_none_or(|charset| is_utf8(charset.as_str())) {
            String::from_utf8(bytes).map_err(|error| not_utf8(error.into_bytes()))
        } else {
            Err(not_utf8(bytes))
        }
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// If it breaks off, or is not JSON of a `T`.
    pub async fn body_json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let bytes = self.body_bytes().await?;
        serde_json::from_slice(&bytes).map_err(Error::from)
    }

    /// The body, read as a form.
    ///
    /// # Errors
    /// If it breaks off, or is not a form of a `T`.
    pub async fn body_form<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.inner.body_form().await
    }
}

/// The labels of UTF-8 that surf knows when it knows no other encoding.
fn is_utf8(label: &str) -> bool {
    ["utf-8", "utf8", "unicode-1-1-utf-8"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(label))
}

fn not_utf8(data: Vec<u8>) -> Error {
    let encoding = "utf-8".to_owned();
    io::Error::new(io::ErrorKind::InvalidData, DecodeError { encoding, data }).into()
}

impl AsyncRead for Response {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncBufRead for Response {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().inner).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.inner).consume(amount);
    }
}

/// A body that is not text in the encoding that it was read with.
#[derive(Clone)]
pub struct DecodeError {
    /// The encoding.
    pub encoding: String,
    /// The body.
    pub data: Vec<u8>,
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encoding, data } = self;
        write!(f, "DecodeError({encoding}, {} bytes)", data.len())
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not decode body as {}", self.encoding)
    }
}

impl std::error::Error for DecodeError {}
