//! [`Served`], what `#[vlugin]` makes of each of its forms, and [`Incoming`], the request that such a vlugin takes.
//! Which of the two it is shows in its type, [`Arriving`], so that a module has no code for the other one.
//!
//! An [`Entry`](crate::Entry) runs nothing else. The types in the handler's signature decide what a request is
//! converted to, so a handler with types other than those of `http_types` loses nothing on the way.

use crate::{Context, Vlugin, http};
use serde::de::DeserializeOwned;
use valor_abi_http::{Answer, request_from_wire};
use valor_abi_wire::{self as wire, Fault};

/// A vlugin as the glue runs it.
pub trait Served: Sized + Send + Sync + 'static {
    /// The shape of its config.
    type Config: DeserializeOwned + Send;

    /// Creates it for one of its mounts.
    fn on_create(
        config: Self::Config,
        cx: &mut Context,
    ) -> impl Future<Output = http::Result<Self>> + Send;

    /// Answers a request.
    fn on_request<R: Arriving>(
        &self,
        cx: &Context,
        req: R,
    ) -> impl Future<Output = http::Result<Answer>> + Send;
}

/// A request as a vlugin's caller has it.
pub trait Arriving: Send {
    /// The same, whichever it is.
    fn incoming(self) -> Incoming;
}

impl Arriving for wire::Request {
    #[inline]
    fn incoming(self) -> Incoming {
        Incoming::Wire(self)
    }
}

impl Arriving for http::Request {
    #[inline]
    fn incoming(self) -> Incoming {
        Incoming::Http(self)
    }
}

/// A request before it has the type that a handler takes.
// It is taken apart where it arrives.
#[allow(clippy::large_enum_variant)]
pub enum Incoming {
    /// As it crosses a boundary.
    Wire(wire::Request),
    /// As code that calls a vlugin's `on_request` by itself has it.
    Http(http::Request),
}

impl Incoming {
    /// The request of `http_types`.
    #[inline]
    pub(crate) fn into_http(self) -> Result<http::Request, Fault> {
        match self {
            Self::Wire(request) => request_from_wire(request),
            Self::Http(req) => Ok(req),
        }
    }
}

/// A vlugin that is written without the attribute.
pub(crate) struct Plain<V>(V);

impl<V: Vlugin> Served for Plain<V> {
    type Config = V::Config;

    async fn on_create(config: V::Config, cx: &mut Context) -> http::Result<Self> {
        V::on_create(config, cx).await.map(Self)
    }

    async fn on_request<R: Arriving>(&self, cx: &Context, req: R) -> http::Result<Answer> {
        match req.incoming().into_http() {
            Ok(req) => self.0.on_request(cx, req).await.map(Answer::Http),
            Err(fault) => Ok(Answer::Refused(fault)),
        }
    }
}
