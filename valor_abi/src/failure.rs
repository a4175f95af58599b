//! [`ResponseError`]: an author's error that has its own status, in a handler's `Result`.
//!
//! Any error converts to an `http::Error` of status 500, so an author's conversion of the same type would conflict with
//! that. The code that `#[vlugin]` writes therefore asks the type of the result first: [`kind`] has what it calls.

use crate::{IntoResponse, http};
use std::fmt::Display;
use valor_abi_http::Answer;

/// An error that decides on its own response: a handler may return it in a `Result`.
///
/// The type may implement `std::error::Error`, derived by `thiserror` for example, or only `Display`.
///
/// ```
/// use valor::*;
///
/// #[derive(Debug)]
/// pub enum Failure {
///     Taken,
///     Broken(std::io::Error),
/// }
///
/// impl std::fmt::Display for Failure {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         match self {
///             Self::Taken => f.write_str("the name is taken"),
///             Self::Broken(error) => error.fmt(f),
///         }
///     }
/// }
///
/// impl std::error::Error for Failure {}
///
/// impl From<std::io::Error> for Failure {
///     fn from(error: std::io::Error) -> Self {
///         Self::Broken(error)
///     }
/// }
///
/// impl ResponseError for Failure {
///     fn status(&self) -> http::StatusCode {
///         match self {
///             Self::Taken => http::StatusCode::Conflict,
///             Self::Broken(_) => http::StatusCode::InternalServerError,
///         }
///     }
/// }
///
/// #[vlugin]
/// pub async fn on_request(req: http::Request) -> Result<&'static str, Failure> {
///     match req.url().path() {
///         "/alice" => Err(Failure::Taken),
///         _ => Ok("free"),
///     }
/// }
///
/// # fn main() {
/// let vlugin = testing::create(VLUGIN, ());
/// vlugin.get("/alice").assert_status(409).assert_fault("the name is taken");
/// vlugin.get("/zoe").assert_body("free");
/// # }
/// ```
///
/// `#[vlugin]` looks at the handler's own return type: `Result<T, E>`, also by the name of an alias. Inside another
/// type (`Option<Result<T, E>>`, `impl IntoResponse`) and after `?` in a function that returns a `http::Result`, an
/// error that implements `std::error::Error` is a 500, as any other; [`into_error`](Self::into_error) converts it
/// there: `.map_err(ResponseError::into_error)?`.
pub trait ResponseError: Display {
    /// The status of the response.
    fn status(&self) -> http::StatusCode;

    /// The response. Unless you write this function, it is a JSON problem (RFC 9457) with [`status`](Self::status).
    /// Below 500, the client reads the error's text in it; from 500 on, only the log has the text.
    ///
    /// # Errors
    /// The error replaces the response.
    fn response(self) -> http::Result<http::Response>
    where
        Self: Sized,
    {
        Err(self.into_error())
    }

    /// The error for a function that returns a `http::Result`: this status and this text.
    fn into_error(self) -> http::Error
    where
        Self: Sized,
    {
        http::Error::from_str(self.status(), self.to_string())
    }
}

/// A handler's result whose error has its own status.
pub struct OwnStatus<T, E>(Result<T, E>);

impl<T: IntoResponse, E: ResponseError> IntoResponse for OwnStatus<T, E> {
    fn into_response(self) -> http::Result<http::Response> {
        match self.0 {
            Ok(value) => value.into_response(),
            Err(error) => error.response(),
        }
    }

    fn __into_answer(self) -> http::Result<Answer> {
        match self.0 {
            Ok(value) => value.__into_answer(),
            Err(error) => error.response().map(Answer::Http),
        }
    }
}

/// Which of the two ways a handler's value goes: `(&value).__kind().of(value)`, with both traits in scope.
///
/// The compiler looks for a method of the type itself before it looks for one of a reference to it. So a result whose
/// error is a [`ResponseError`] has the first kind, and any other value the second.
#[allow(missing_docs)] // Only `#[vlugin]` writes their names.
pub mod kind {
    use super::{OwnStatus, ResponseError};

    pub struct OfError;

    pub trait KindOfError {
        fn __kind(&self) -> OfError {
            OfError
        }
    }

    impl<T, E: ResponseError> KindOfError for Result<T, E> {}

    impl OfError {
        pub fn of<T, E>(self, value: Result<T, E>) -> OwnStatus<T, E> {
            OwnStatus(value)
        }
    }

    pub struct OfAny;

    pub trait KindOfAny {
        fn __kind(&self) -> OfAny {
            OfAny
        }
    }

    impl<T> KindOfAny for &T {}

    impl OfAny {
        pub fn of<T>(self, value: T) -> T {
            value
        }
    }
}
