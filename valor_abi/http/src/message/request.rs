//! [`Request`]: a request whose parts are made when they are asked for.

use super::{asked::Asked, shared::message};
use crate::{
    body::body_of,
    headers,
    request::{method_of, request_of, version_of},
};
use http_types as theirs;
use std::{
    any::Any,
    sync::{Mutex, OnceLock},
};
use theirs::{
    Body, Method, StatusCode, Url, Version,
    convert::{Deserialize, DeserializeOwned},
    headers::{HeaderName, HeaderValues},
};
use valor_abi_wire::{
    self as wire, Fault, RequestHead,
    lock::{inside, locked},
};

#[cfg(target_family = "wasm")]
use crate::assemble as url;
#[cfg(not(target_family = "wasm"))]
use crate::url;

/// A request: the one of [`http_types`](https://docs.rs/http-types/2) with all of its methods, made on demand.
///
/// Method, URL, query, headers asked for by their name, and a body that is there as a whole are taken from what was
/// received. Any other method comes from `http_types`, and the first such call makes the rest of the request, which
/// costs about as much as everything else on the way to a small handler.
///
/// ```
/// use valor_abi_http::Request;
///
/// let mut req = Request::post("http://localhost/notes?page=2");
/// req.insert_header("x-by", "Zoe");
/// req.set_body("hello");
/// assert_eq!(req.url().path(), "/notes");
/// assert_eq!(req["x-by"], "Zoe");
///
/// // A function that takes http_types' own type, and back.
/// let theirs: http_types::Request = req.into();
/// let req = Request::from(theirs);
/// assert_eq!(req.len(), Some(5));
/// ```
pub struct Request {
    /// What was received. `None` once it may differ from what was made of it.
    came: Option<Came>,
    /// A request of `http_types`. As a type that only [`Request::made`] names, it is not part of a module that never
    /// calls that.
    made: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// The request as a handler receives it.
///
/// The URL is the target after `http://` or `https://` and the `host` header; without such a header the host is
/// `localhost`. Trailers can be received once the body has been read.
///
/// # Errors
/// A fault of status 400 for a URL or a header that `http_types` cannot carry (its header values are ASCII), and of
/// status 501 for a method that it does not know.
pub fn request_from_wire(request: wire::Request) -> Result<Request, Fault> {
    Request::from_wire(request)
}

const MADE: &str = "a request was received, or made of http_types from the start";

struct Came {
    head: RequestHead,
    method: Method,
    /// Until the request is made, which takes it along.
    body: Mutex<wire::Body>,
    url: OnceLock<Box<Url>>,
    asked: Asked,
}

impl Request {
    fn from_wire(request: wire::Request) -> Result<Self, Fault> {
        let wire::Request { head, body } = request;
        let method = method_of(&head)?;
        url::check(&head)?;
        headers::check(head.as_bytes(), head.fields())?;
        Ok(Self {
            came: Some(Came {
                head,
                method,
                body: Mutex::new(body),
                url: OnceLock::new(),
                asked: Asked::default(),
            }),
            made: OnceLock::new(),
        })
    }

    /// A request of this method, for this URL.
    ///
    /// # Panics
    /// If `url` is not a URL, as that of `http_types`.
    pub fn new<U>(method: Method, url: U) -> Self
    where
        U: TryInto<Url>,
        U::Error: std::fmt::Debug,
    {
        theirs::Request::new(method, url).into()
    }

    /// What was received, if it is still all that there is.
    fn came(&self) -> Option<&Came> {
        self.came.as_ref().filter(|_| self.made.get().is_none())
    }

    fn made(&self) -> &theirs::Request {
        let made = self.made.get_or_init(|| match &self.came {
            Some(came) => {
                let body = std::mem::take(&mut *locked(&came.body));
                Box::new(came.make(body))
            }
            None => unreachable!("{MADE}"),
        });
        made.downcast_ref().expect(MADE)
    }

    /// The request of `http_types`, which there is if nothing was received.
    fn own(&self) -> &theirs::Request {
        let made = self.made.get().and_then(|made| made.downcast_ref());
        made.expect(MADE)
    }

    fn made_mut(&mut self) -> &mut theirs::Request {
        self.made();
        self.came = None;
        let made = self.made.get_mut().and_then(|made| made.downcast_mut());
        made.expect(MADE)
    }

    fn into_made(mut self) -> theirs::Request {
        self.made();
        let made = self.made.take().and_then(|made| made.downcast().ok());
        *made.expect(MADE)
    }

    /// The method.
    pub fn method(&self) -> Method {
        match &self.came {
            Some(came) => came.method,
            None => self.own().method(),
        }
    }

    /// The URL: what the client asked for after the vlugin's prefix, behind scheme and host.
    pub fn url(&self) -> &Url {
        match &self.came {
            Some(came) => came.url(),
            None => self.own().url(),
        }
    }

    /// The version of HTTP that the client speaks.
    pub fn version(&self) -> Option<Version> {
        match &self.came {
            Some(came) => version_of(came.head.version()),
            None => self.own().version(),
        }
    }

    /// The address and port of the peer.
    pub fn peer_addr(&self) -> Option<&str> {
        match &self.came {
            Some(came) => came.head.peer(),
            None => self.own().peer_addr(),
        }
    }

    /// The values of a header.
    pub fn header(&self, name: impl Into<HeaderName>) -> Option<&HeaderValues> {
        match &self.came {
            Some(came) => came.asked.header(name.into(), came.head.fields()),
            None => self.own().header(name),
        }
    }

    /// The query, deserialized.
    ///
    /// # Errors
    /// 400 for a query of another shape.
    pub fn query<'de, T: Deserialize<'de>>(&'de self) -> theirs::Result<T> {
        let query = self.url().query().unwrap_or_default();
        serde_qs::from_str(query)
            .map_err(|error| theirs::Error::from_str(StatusCode::BadRequest, error.to_string()))
    }

    /// The length of the body in bytes, if it is known.
    pub fn len(&self) -> Option<usize> {
        match self.came() {
            // Of a body without a length, `http_types` does not know that it is none.
            Some(came) => locked(&came.body).len().and_then(|len| len.try_into().ok()),
            None => self.own().len(),
        }
    }

    /// Whether there is no body, if that is known.
    pub fn is_empty(&self) -> Option<bool> {
        self.len().map(|len| len == 0)
    }

    /// Takes the body, and leaves an empty one.
    pub fn take_body(&mut self) -> Body {
        let whole = match &mut self.came {
            Some(came) if self.made.get().is_none() => came.take_whole(),
            _ => None,
        };
        whole.unwrap_or_else(|| self.made_mut().take_body())
    }

    /// The body as text.
    ///
    /// # Errors
    /// If it breaks off, or is not text in the encoding of its type.
    pub async fn body_string(&mut self) -> theirs::Result<String> {
        self.take_body().into_string().await
    }

    /// The body as bytes.
    ///
    /// # Errors
    /// If it breaks off.
    pub async fn body_bytes(&mut self) -> theirs::Result<Vec<u8>> {
        self.take_body().into_bytes().await
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// 422 for JSON of another shape.
    pub async fn body_json<T: DeserializeOwned>(&mut self) -> theirs::Result<T> {
        self.take_body().into_json().await
    }

    /// The body, read as a form.
    ///
    /// # Errors
    /// 422 for a form of another shape.
    pub async fn body_form<T: DeserializeOwned>(&mut self) -> theirs::Result<T> {
        self.take_body().into_form().await
    }
}

impl Came {
    fn url(&self) -> &Url {
        self.url.get_or_init(|| match url::of(&self.head) {
            Ok(url) => Box::new(url),
            Err(fault) => unreachable!("it was checked: {fault}"),
        })
    }

    fn make(&self, body: wire::Body) -> theirs::Request {
        let url = self.url().clone();
        match request_of(&self.head, self.method, url, body) {
            Ok(req) => req,
            Err(fault) => unreachable!("it was checked: {fault}"),
        }
    }

    /// The body, if it is all there. Taking it notes its type, as `http_types` does it.
    fn take_whole(&mut self) -> Option<Body> {
        let wire::Body::Bytes(bytes) = inside(&mut self.body) else {
            return None;
        };
        if self.head.header("content-type").is_none() {
            let untyped = b"application/octet-stream";
            self.head.push_parsed("content-type", untyped).ok()?;
        }
        let bytes = std::mem::take(bytes);
        Some(match bytes.is_empty() {
            true => Body::empty(),
            false => body_of(wire::Body::Bytes(bytes), None),
        })
    }
}

/// As that of `http_types`, a copy has no body and no extensions.
impl Clone for Request {
    fn clone(&self) -> Self {
        match self.came() {
            Some(came) => Self {
                came: Some(Came {
                    head: came.head.clone(),
                    method: came.method,
                    body: Mutex::default(),
                    url: came.url.clone(),
                    asked: Asked::default(),
                }),
                made: OnceLock::new(),
            },
            None => self.made().clone().into(),
        }
    }
}

macro_rules! begins {
    ($($name:ident $method:ident $text:literal,)*) => {
        impl Request {
            $(
                #[doc = concat!("A ", $text, " request.")]
                ///
                /// # Panics
                /// As [`Request::new`].
                pub fn $name<U>(url: U) -> Self
                where
                    U: TryInto<Url>,
                    U::Error: std::fmt::Debug,
                {
                    Self::new(Method::$method, url)
                }
            )*
        }
    };
}

begins! {
    get Get "GET",
    head Head "HEAD",
    post Post "POST",
    put Put "PUT",
    delete Delete "DELETE",
    connect Connect "CONNECT",
    options Options "OPTIONS",
    trace Trace "TRACE",
    patch Patch "PATCH",
}

message!(Request);

impl From<Request> for Body {
    fn from(req: Request) -> Self {
        req.into_made().into()
    }
}
