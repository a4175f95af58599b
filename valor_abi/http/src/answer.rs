//! A request, a handler, a response: the way there and back.

use crate::{
    Request, Response,
    error::{to_fault, to_http},
    message::{request_from_wire, response_from_wire, response_to, switch},
    upgrade::Offer,
};
use http_types::StatusCode;
use std::{
    pin::pin,
    task::{Poll, ready},
};
use valor_abi_wire::{self as wire, Fault};

/// What a handler's response is made of: the types of `valor::http`, or the wire's own, if the handler is written with
/// other types and `http_types` would lose something of it.
#[derive(Debug)]
// It is moved once and then taken apart: a box would cost more.
#[allow(clippy::large_enum_variant)]
pub enum Answer {
    /// A response of `valor::http`.
    Http(Response),
    /// A response as it crosses a boundary. It switches no protocols.
    Wire(wire::Response),
    /// None: the handler's request cannot be made of what was received, or its response cannot be sent.
    Refused(Fault),
}

impl Answer {
    /// The response as `valor::http` has it.
    ///
    /// # Errors
    /// Those of [`response_from_wire`], and the fault of [`Answer::Refused`].
    pub fn into_http(self) -> http_types::Result<Response> {
        match self {
            Self::Http(res) => Ok(res),
            Self::Wire(response) => response_from_wire(response).map_err(to_http),
            Self::Refused(fault) => Err(to_http(fault)),
        }
    }
}

/// Answers a request with a handler: the way there and back, upgrades included.
///
/// # Errors
/// Those of [`request_from_wire`] and [`response_into_wire`](crate::response_into_wire), the handler's own, and a fault
/// of status 500 for a response that switches protocols when it must not.
pub async fn answer<Fut>(
    request: wire::Request,
    handler: impl FnOnce(Request) -> Fut,
) -> Result<wire::Response, Fault>
where
    Fut: Future<Output = http_types::Result<Response>>,
{
    let handler = async |request| match request_from_wire(request) {
        Ok(req) => handler(req).await.map(Answer::Http),
        Err(fault) => Ok(Answer::Refused(fault)),
    };
    answer_wire(request, handler).await
}

/// Answers a request with a handler that converts it by itself. If the client offers an upgrade, the request has no
/// body.
///
/// # Errors
/// The handler's own, those of [`response_into_wire`](crate::response_into_wire), and a fault of status 500 for a
/// response that switches protocols when it must not.
pub async fn answer_wire<Fut>(
    mut request: wire::Request,
    handler: impl FnOnce(wire::Request) -> Fut,
) -> Result<wire::Response, Fault>
where
    Fut: Future<Output = http_types::Result<Answer>>,
{
    let mut offer = Offer::take(&mut request);
    let mut answering = pin!(handler(request));
    // From the handler's response to the wire's in one poll: held over an `await`, the response would be stored, and
    // moved, once per surrounding future.
    std::future::poll_fn(|cx| {
        let answer = ready!(answering.as_mut().poll(cx)).map_err(to_fault)?;
        Poll::Ready(match answer {
            Answer::Http(res) => match res.status() {
                StatusCode::SwitchingProtocols => switch(res, offer.take(), cx),
                _ => response_to(res, cx),
            },
            Answer::Wire(response) => Ok(response),
            Answer::Refused(fault) => Err(fault),
        })
    })
    .await
}
