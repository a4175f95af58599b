//! A request, a handler, a response: the way there and back.

use crate::{
    error::to_fault,
    request::request_from_wire,
    response::response_to,
    upgrade::{self, Offer},
};
use http_types as http;
use std::{
    pin::pin,
    task::{Context, Poll, ready},
};
use valor_abi_wire::{self as wire, Fault};

/// Answers a request with a handler: the way there and back, upgrades included.
///
/// # Errors
/// Those of [`request_from_wire`] and [`response_into_wire`](crate::response_into_wire), the handler's own, and a fault
/// of status 500 for a response that switches protocols when it must not.
pub async fn answer<Fut>(
    mut request: wire::Request,
    handler: impl FnOnce(http::Request) -> Fut,
) -> Result<wire::Response, Fault>
where
    Fut: Future<Output = http::Result<http::Response>>,
{
    let mut offer = Offer::take(&mut request);
    let mut answering = pin!(handler(request_from_wire(request)?));
    // From the handler's response to the wire's in one poll: held over an `await`, the response would be stored, and
    // moved, once per surrounding future.
    std::future::poll_fn(|cx| {
        let res = ready!(answering.as_mut().poll(cx)).map_err(to_fault)?;
        Poll::Ready(match res.status() {
            http::StatusCode::SwitchingProtocols => switch(res, offer.take(), cx),
            _ => response_to(res, cx),
        })
    })
    .await
}

fn switch(
    mut res: http::Response,
    offer: Option<Offer>,
    cx: &mut Context<'_>,
) -> Result<wire::Response, Fault> {
    let body = match offer {
        Some(offer) if res.has_upgrade() => offer.accept(&mut res),
        offer => return Err(upgrade::refused(offer.is_some())),
    };
    let head = response_to(res, cx)?.head;
    Ok(wire::Response::of(head, body))
}
