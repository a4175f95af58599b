//! [`Vlugin`], the result of every form of `#[vlugin]`, and [`IntoResponse`], what a handler may return.

use crate::{Context, http};
use serde::{Serialize, de::DeserializeOwned};
use valor_abi_http::Answer;

/// A vlugin in its typed form: state without downcasts.
///
/// ```
/// use valor::*;
/// use serde::Deserialize;
///
/// pub struct Greeter(String);
///
/// #[derive(Deserialize)]
/// pub struct Config { greeting: String }
///
/// #[vlugin]
/// impl Vlugin for Greeter {
///     type Config = Config;
///
///     async fn on_create(config: Config, _cx: &mut Context) -> http::Result<Self> {
///         Ok(Greeter(config.greeting))
///     }
///
///     async fn on_request(&self, _cx: &Context, req: http::Request) -> String {
///         format!("{} {}", self.0, req.url().path())
///     }
/// }
/// # fn main() {}
/// ```
///
/// Written without the attribute, `on_request` returns a `http::Result` of a `http::Response`; the attribute lets it
/// return anything that is [`IntoResponse`], and exports the type from the library.
pub trait Vlugin: Sized + Send + Sync + 'static {
    /// The shape of `config` in plugins.json. A config of another shape fails the load with the reason. If there is no
    /// config, it is read from `null`, so that `()` and `Option` work.
    type Config: DeserializeOwned + Send;

    /// Creates the vlugin, once for each of its mounts.
    ///
    /// # Errors
    /// The load fails with the error's message.
    fn on_create(
        config: Self::Config,
        cx: &mut Context,
    ) -> impl Future<Output = http::Result<Self>> + Send;

    /// Answers a request. The path is without the prefix of the vlugin's mount.
    ///
    /// # Errors
    /// The response has the error's status; below 500, its message is in the body.
    fn on_request(
        &self,
        cx: &Context,
        req: http::Request,
    ) -> impl Future<Output = http::Result<http::Response>> + Send;
}

/// What a handler may return.
///
/// | of type | gives |
/// |---|---|
/// | `http::Response` | itself |
/// | `&str`, `String` | 200, `text/plain;charset=utf-8` |
/// | `Vec<u8>`, `&[u8]`, `http::Body` | 200 with these bytes, or this stream |
/// | `serde_json::Value`, [`Json`] | 200, `application/json` |
/// | `http::StatusCode` | that status without a body |
/// | `(http::StatusCode, T)` | `T` with that status |
/// | `()` | 204 |
/// | `Option<T>` | 404 for `None` |
/// | `Result<T, E>` | `E`'s status, 500 unless it is a `http::Error` or a [`ResponseError`](crate::ResponseError) |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a response",
    label = "not a response",
    note = "return `http::Response`, `http::Result<http::Response>`, text, bytes, `Json(…)` or `http::StatusCode`; \
            `valor::IntoResponse` has the whole list"
)]
pub trait IntoResponse {
    /// Turns it into a response.
    ///
    /// # Errors
    /// The error replaces the response.
    fn into_response(self) -> http::Result<http::Response>;

    /// The response for the wire: of types that go there by another way, it loses nothing.
    #[doc(hidden)]
    fn __into_answer(self) -> http::Result<Answer>
    where
        Self: Sized,
    {
        self.into_response().map(Answer::Http)
    }
}

impl IntoResponse for http_types::Response {
    fn into_response(self) -> http::Result<http::Response> {
        Ok(self.into())
    }
}

macro_rules! into_response {
    ($($type:ty),*) => {$(
        impl IntoResponse for $type {
            fn into_response(self) -> http::Result<http::Response> {
                Ok(self.into())
            }
        }
    )*};
}

into_response!(
    http::Response,
    &str,
    String,
    &[u8],
    Vec<u8>,
    http::StatusCode,
    http::Body
);

impl IntoResponse for () {
    fn into_response(self) -> http::Result<http::Response> {
        Ok(http::StatusCode::NoContent.into())
    }
}

impl IntoResponse for serde_json::Value {
    fn into_response(self) -> http::Result<http::Response> {
        Json(self).into_response()
    }
}

/// A value that is answered as JSON.
///
/// ```
/// use valor::{IntoResponse, Json};
///
/// let response = Json(vec![1, 2, 3]).into_response()?;
/// assert_eq!(response["content-type"], "application/json");
/// # Ok::<(), valor::http::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> http::Result<http::Response> {
        http::Response::from_json(&self.0)
    }
}

impl<T: IntoResponse> IntoResponse for (http::StatusCode, T) {
    fn into_response(self) -> http::Result<http::Response> {
        let mut response = self.1.into_response()?;
        response.set_status(self.0);
        Ok(response)
    }
}

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> http::Result<http::Response> {
        match self {
            Some(value) => value.into_response(),
            None => Err(not_found()),
        }
    }

    fn __into_answer(self) -> http::Result<Answer> {
        match self {
            Some(value) => value.__into_answer(),
            None => Err(not_found()),
        }
    }
}

fn not_found() -> http::Error {
    http::Error::from_str(http::StatusCode::NotFound, "not found")
}

impl<T: IntoResponse, E: Into<http::Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> http::Result<http::Response> {
        self.map_err(Into::into)?.into_response()
    }

    fn __into_answer(self) -> http::Result<Answer> {
        self.map_err(Into::into)?.__into_answer()
    }
}

/// A body of pieces that are made as the client takes them.
///
/// ```
/// use valor::{http, streaming};
///
/// let lines = futures_lite::stream::iter(["one\n", "two\n"]);
/// let mut response = http::Response::new(200);
/// response.set_body(streaming(futures_lite::StreamExt::map(lines, Ok)));
/// ```
///
/// An `Err` breaks the response off, so that the client notices.
pub fn streaming<S, B>(stream: S) -> http::Body
where
    S: futures_core::Stream<Item = std::io::Result<B>> + Send + 'static,
    B: Into<valor_abi_wire::Bytes>,
{
    use futures_lite::StreamExt;
    use valor_abi_wire::{Body, Chunk};
    let chunks = stream.map(|piece| piece.map(|data| Chunk::Data(data.into())));
    valor_abi_http::body_from_wire(Body::stream(None, chunks))
}

/// What the function form's `on_create` may return: nothing, or a result whose error fails the load.
#[diagnostic::on_unimplemented(
    message = "`on_create` cannot return `{Self}`",
    label = "return nothing, or a `Result<(), E>` whose error can be displayed",
    note = "state goes into the context: `cx.set(…)`"
)]
pub trait IntoCreated {
    /// The error's message, if it is one.
    ///
    /// # Errors
    /// The error that the load fails with.
    fn into_created(self) -> http::Result<()>;
}

impl IntoCreated for () {
    fn into_created(self) -> http::Result<()> {
        Ok(())
    }
}

impl<E: std::fmt::Display> IntoCreated for Result<(), E> {
    fn into_created(self) -> http::Result<()> {
        self.map_err(|error| {
            http::Error::from_str(http::StatusCode::InternalServerError, format!("{error:#}"))
        })
    }
}
