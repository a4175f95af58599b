//! [`Response`]: a response that goes to the wire as it is, unless a handler changes it.

use super::{asked::Asked, shared::message};
use crate::{
    headers,
    response::{made_to, response_of, status_of},
    upgrade::{Offer, refused},
};
use http_types as theirs;
use std::{
    any::Any,
    fmt::Debug,
    sync::{Mutex, OnceLock},
    task::{Context, Poll},
};
use theirs::{
    Body, Mime, StatusCode,
    headers::{HeaderName, HeaderValues},
    mime,
};
use valor_abi_wire::{self as wire, Bytes, Fault, ResponseHead, lock::locked};

/// A response: the one of [`http_types`](https://docs.rs/http-types/2) with all of its methods, made on demand.
///
/// One that is made of a text, of bytes, of JSON or of a status goes to the client without a response of `http_types`
/// in between, and so does one that another server or vlugin has sent. Any method but the few that are here makes one.
///
/// ```
/// use valor_abi_http::Response;
///
/// let mut res = Response::from("hello");
/// assert_eq!(res.status(), 200);
/// assert_eq!(res["content-type"], "text/plain;charset=utf-8");
///
/// res.insert_header("x-by", "Zoe");
/// let theirs: http_types::Response = res.into();
/// assert_eq!(theirs["x-by"], "Zoe");
/// ```
///
/// A type of your own that converts to a `Body` does so first: `http::Body::from(page).into()`.
pub struct Response {
    /// What goes to the wire. `None` once it may differ from what was made of it.
    came: Option<Came>,
    /// A response of `http_types`. As a type that only [`Response::made`] names, it is not part of a module that never
    /// calls that.
    made: OnceLock<Box<dyn Made>>,
}

/// A response as code written in Rust receives it. What it is signed with is left out. Its trailers stay if it goes on
/// as it is, and are left out once it is made of `http_types`, of which a response that may have some has no length any
/// more.
///
/// # Errors
/// A fault of status 502 for a status or a header that `http_types` cannot carry.
pub fn response_from_wire(response: wire::Response) -> Result<Response, Fault> {
    Response::from_wire(response)
}

/// The same with its trailers, if the length of its body is not known.
///
/// # Errors
/// Those of [`response_from_wire`].
pub fn response_from_wire_with_trailers(response: wire::Response) -> Result<Response, Fault> {
    let status = status_of(&response.head)?;
    response_of(&response.head, status, response.body, true).map(Response::from)
}

/// A handler's response for the wire.
///
/// # Errors
/// A fault of status 500 for a header that would break the response apart.
pub fn response_into_wire(
    res: impl Into<Response>,
) -> impl Future<Output = Result<wire::Response, Fault>> + Send {
    let mut res = Some(res.into());
    // By hand, since an `async fn` would store the response several times.
    std::future::poll_fn(move |cx| {
        let res = res.take().expect("it is ready at the first poll");
        Poll::Ready(response_to(res, cx))
    })
}

/// The way there in one poll.
pub(crate) fn response_to(res: Response, cx: &mut Context<'_>) -> Result<wire::Response, Fault> {
    match res.into_parts() {
        Ok(response) => Ok(response),
        Err(made) => made.into_wire(cx),
    }
}

/// The same for a response that switches protocols, if the request offers that.
pub(crate) fn switch(
    res: Response,
    offer: Option<Offer>,
    cx: &mut Context<'_>,
) -> Result<wire::Response, Fault> {
    match res.into_parts() {
        // Nothing awaits the connection.
        Ok(_) => Err(refused(offer.is_some())),
        Err(made) => made.switch(offer, cx),
    }
}

const MADE: &str = "a response was received, or made of http_types from the start";

/// A response of `http_types`.
trait Made: Any + Send + Sync {
    fn into_wire(self: Box<Self>, cx: &mut Context<'_>) -> Result<wire::Response, Fault>;

    fn switch(
        self: Box<Self>,
        offer: Option<Offer>,
        cx: &mut Context<'_>,
    ) -> Result<wire::Response, Fault>;

    fn as_any(&self) -> &dyn Any;

    fn as_any_mut(&mut self) -> &mut dyn Any;

    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl Made for theirs::Response {
    fn into_wire(self: Box<Self>, cx: &mut Context<'_>) -> Result<wire::Response, Fault> {
        made_to(*self, cx)
    }

    fn switch(
        mut self: Box<Self>,
        offer: Option<Offer>,
        cx: &mut Context<'_>,
    ) -> Result<wire::Response, Fault> {
        let body = match offer {
            Some(offer) if self.has_upgrade() => offer.accept(&mut self),
            offer => return Err(refused(offer.is_some())),
        };
        let head = made_to(*self, cx)?.head;
        Ok(wire::Response::of(head, body))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

struct Came {
    head: ResponseHead,
    status: StatusCode,
    /// Until the response is made, which takes it along.
    body: Mutex<wire::Body>,
    /// The type that a body of `http_types` made of the same value has.
    mime: fn() -> Mime,
    asked: Asked,
}

impl Response {
    /// A response of this status, with no headers and no body.
    ///
    /// # Panics
    /// If it is not a status that `http_types` knows.
    pub fn new<S>(status: S) -> Self
    where
        S: TryInto<StatusCode>,
        S::Error: Debug,
    {
        match status.try_into() {
            Ok(status) => Self::of(status, wire::Response::new(status.into()), untyped),
            Err(error) => panic!("Could not convert into a valid `StatusCode`: {error:?}"),
        }
    }

    fn from_wire(response: wire::Response) -> Result<Self, Fault> {
        let head = &response.head;
        let status = status_of(head)?;
        headers::check(head.as_bytes(), head.fields())
            .map_err(|fault| Fault::error(502, fault.message))?;
        Ok(Self::of(status, response, untyped))
    }

    fn of(status: StatusCode, response: wire::Response, mime: fn() -> Mime) -> Self {
        Self {
            came: Some(Came {
                head: response.head,
                status,
                body: Mutex::new(response.body),
                mime,
                asked: Asked::default(),
            }),
            made: OnceLock::new(),
        }
    }

    /// A body of this type, which has two forms.
    fn typed(content_type: &str, mime: fn() -> Mime, bytes: impl Into<Bytes>) -> Self {
        let mut response = wire::Response::new(200);
        // There is room for one.
        let _ = response
            .head
            .push_parsed("content-type", content_type.as_bytes());
        response.body = wire::Body::Bytes(bytes.into());
        Self::of(StatusCode::Ok, response, mime)
    }

    /// A response with this JSON as its body.
    ///
    /// # Errors
    /// If the value cannot be JSON.
    pub fn from_json(value: &impl serde::Serialize) -> theirs::Result<Self> {
        let json = serde_json::to_vec(value)?;
        Ok(Self::typed("application/json", || mime::JSON, json))
    }

    /// The response for the wire, if it is still as it came or was made of parts; else that of `http_types`.
    fn into_parts(mut self) -> Result<wire::Response, Box<dyn Made>> {
        match (self.made.take(), self.came) {
            (Some(made), _) => Err(made),
            (None, Some(came)) => {
                let body = came.body.into_inner();
                let body = body.unwrap_or_else(std::sync::PoisonError::into_inner);
                Ok(wire::Response::of(came.head, body))
            }
            (None, None) => unreachable!("{MADE}"),
        }
    }

    /// What goes to the wire, if it is still all that there is.
    fn came(&self) -> Option<&Came> {
        self.came.as_ref().filter(|_| self.made.get().is_none())
    }

    fn made(&self) -> &theirs::Response {
        let made = self.made.get_or_init(|| match &self.came {
            Some(came) => {
                let body = std::mem::take(&mut *locked(&came.body));
                Box::new(came.make(body))
            }
            None => unreachable!("{MADE}"),
        });
        made.as_any().downcast_ref().expect(MADE)
    }

    /// The response of `http_types`, which there is if nothing was received.
    fn own(&self) -> &theirs::Response {
        let made = self
            .made
            .get()
            .and_then(|made| made.as_any().downcast_ref());
        made.expect(MADE)
    }

    fn made_mut(&mut self) -> &mut theirs::Response {
        self.made();
        self.came = None;
        let made = self.made.get_mut();
        let made = made.and_then(|made| made.as_any_mut().downcast_mut());
        made.expect(MADE)
    }

    fn into_made(mut self) -> theirs::Response {
        self.made();
        let made = self.made.take();
        let made = made.and_then(|made| made.into_any().downcast().ok());
        *made.expect(MADE)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        match &self.came {
            Some(came) => came.status,
            None => self.own().status(),
        }
    }

    /// Sets the status.
    pub fn set_status(&mut self, status: StatusCode) {
        match &mut self.came {
            Some(came) if self.made.get().is_none() => {
                came.status = status;
                // Every status of `http_types` is one of the wire.
                let _ = came.head.set_status(status.into());
            }
            _ => self.made_mut().set_status(status),
        }
    }

    /// The values of a header.
    pub fn header(&self, name: impl Into<HeaderName>) -> Option<&HeaderValues> {
        match &self.came {
            Some(came) => came.asked.header(name.into(), came.head.fields()),
            None => self.own().header(name),
        }
    }

    /// The length of the body in bytes, if it is known.
    pub fn len(&self) -> Option<usize> {
        match self.came() {
            Some(came) => locked(&came.body).len().and_then(|len| len.try_into().ok()),
            None => self.own().len(),
        }
    }

    /// Whether there is no body, if that is known.
    pub fn is_empty(&self) -> Option<bool> {
        self.len().map(|len| len == 0)
    }
}

impl Came {
    fn make(&self, body: wire::Body) -> theirs::Response {
        let mut res = match response_of(&self.head, self.status, body, false) {
            Ok(res) => res,
            Err(fault) => unreachable!("it was checked: {fault}"),
        };
        let mime = (self.mime)();
        if mime != mime::BYTE_STREAM {
            let mut body = res.take_body();
            body.set_mime(mime);
            res.set_body(body);
        }
        res
    }
}

fn untyped() -> Mime {
    mime::BYTE_STREAM
}

/// As that of `http_types`, a copy has no body and no extensions.
impl Clone for Response {
    fn clone(&self) -> Self {
        match self.came() {
            Some(came) => Self {
                came: Some(Came {
                    head: came.head.clone(),
                    status: came.status,
                    body: Mutex::default(),
                    mime: untyped,
                    asked: Asked::default(),
                }),
                made: OnceLock::new(),
            },
            None => self.made().clone().into(),
        }
    }
}

message!(Response);

impl From<StatusCode> for Response {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

impl From<()> for Response {
    fn from((): ()) -> Self {
        Self::new(StatusCode::NoContent)
    }
}

impl From<&str> for Response {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Response {
    fn from(text: String) -> Self {
        Self::typed("text/plain;charset=utf-8", || mime::PLAIN, text)
    }
}

impl From<&[u8]> for Response {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<Vec<u8>> for Response {
    fn from(bytes: Vec<u8>) -> Self {
        Self::typed("application/octet-stream", untyped, bytes)
    }
}

impl From<Body> for Response {
    fn from(body: Body) -> Self {
        theirs::Response::from(body).into()
    }
}

impl From<serde_json::Value> for Response {
    fn from(value: serde_json::Value) -> Self {
        Self::typed("application/json", || mime::JSON, value.to_string())
    }
}

impl From<super::Request> for Response {
    fn from(req: super::Request) -> Self {
        Body::from(req).into()
    }
}
