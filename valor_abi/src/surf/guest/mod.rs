//! surf's client for a WebAssembly module: the names and signatures of surf 2.3, over the [`HttpClient`] that it is
//! created with, which is the guest's fetch.
//!
//! It knows nothing of Valor except the messages and the URLs of `valor_abi_http`, so that the tests can compile it on
//! any target and compare it with the real surf. It is written for size: the path of a request is compiled once, and
//! what a vlugin does not call is not in its module.

#[macro_use]
mod message;

mod builder;
mod client;
pub mod middleware;
mod request;
mod response;

pub use builder::RequestBuilder;
pub use client::{Client, HttpClient};
pub use http_types::{self as http, Body, Error, Status, StatusCode, Url};
pub use request::Request;
pub use response::{DecodeError, Response};

/// Miscellaneous utilities.
pub mod utils {
    pub use async_trait::async_trait;
}

/// A result whose error has a status.
pub type Result<T = Response> = std::result::Result<T, Error>;

/// A future on the heap.
type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
