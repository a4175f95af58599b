//! From the wire's form to `http_types` and back.
//!
//! The glue around a handler written in Rust calls these, on whichever side of a boundary the
//! handler lives. Bodies of known, small size are moved whole; others stay streams.

mod assemble;
mod body;
mod headers;
mod parts;
#[cfg(not(target_family = "wasm"))]
mod url;

#[cfg(target_family = "wasm")]
use assemble::of as url_of;
#[cfg(not(target_family = "wasm"))]
use url::of as url_of;

pub(crate) use body::Reader;
pub use body::{body_from_wire, body_into_wire};
use body::{body_of, body_to, with_trailers};

use crate::{
    fault::Fault,
    http::{self, headers::CONTENT_TYPE},
    upgrade::{self, Offer},
    wire::{self, Body, RequestHead, ResponseHead},
};
use std::{
    pin::pin,
    task::{Context, Poll, ready},
};

/// The URL that a module's client makes of a text, without the parser for all URLs: absolute or relative
/// to a base, of HTTP, its host in ASCII. For that client and its tests alone.
#[doc(hidden)]
pub fn http_url(base: Option<&http::Url>, text: &str) -> Option<http::Url> {
    assemble::resolve(base, text)
}

/// Answers a request with a handler: the way there and back, upgrades included.
///
/// # Errors
/// Those of [`request_from_wire`] and [`response_into_wire`], the handler's own, and a fault of
/// status 500 for a response that switches protocols where it cannot.
pub async fn answer<Fut>(
    mut request: wire::Request,
    handler: impl FnOnce(http::Request) -> Fut,
) -> Result<wire::Response, Fault>
where
    Fut: Future<Output = http::Result<http::Response>>,
{
    let mut offer = Offer::take(&mut request);
    let mut answering = pin!(handler(request_from_wire(request)?));
    // In one poll from the handler's response to the wire's: held over an `await`, it would be
    // kept, and moved, as often as there are futures around it.
    std::future::poll_fn(|cx| {
        let res = ready!(answering.as_mut().poll(cx))?;
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
    Ok(wire::Response { head, body })
}

/// The request as a handler receives it.
///
/// The URL is the target behind `http://` or `https://` and the `host` header; without such a
/// header the host is `localhost`. Trailers can be received once the body has been read.
///
/// # Errors
/// A fault of status 400 for a URL or a header that `http_types` cannot carry (its header
/// values are ASCII), and of 501 for a method that it does not know.
pub fn request_from_wire(request: wire::Request) -> Result<http::Request, Fault> {
    let head = &request.head;
    let method = method_of(head.method())
        .ok_or_else(|| Fault::error(501, format!("the method {} is not known", head.method())))?;
    let url = url_of(head)?;
    let mut req = http::Request::new(method, url);
    req.set_version(version_of(head.version()));
    req.set_peer_addr(head.peer());
    headers::fill(head.len(), head.fields(), &mut req)?;
    if !request.body.is_empty() {
        let typed = req.header(CONTENT_TYPE).is_some();
        let trailers = match request.body {
            Body::Stream { .. } => Some(req.send_trailers()),
            Body::Bytes(_) => None,
        };
        req.set_body(body_of(request.body, trailers));
        if !typed {
            req.remove_header(CONTENT_TYPE);
        }
    }
    Ok(req)
}

/// A request for another vlugin: the target is path and query.
///
/// # Errors
/// A fault of status 400 for what the wire cannot carry.
pub async fn request_into_wire(req: http::Request) -> Result<wire::Request, Fault> {
    let url = req.url();
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    request_to(req, &target).await
}

/// A request for another server: the target is the whole URL.
///
/// # Errors
/// A fault of status 400 for what the wire cannot carry.
pub async fn request_into_wire_absolute(req: http::Request) -> Result<wire::Request, Fault> {
    let mut url = req.url().clone();
    url.set_fragment(None);
    request_to(req, url.as_str()).await
}

async fn request_to(mut req: http::Request, target: &str) -> Result<wire::Request, Fault> {
    let bad = |error: wire::HeadError| Fault::error(400, error.to_string());
    let mut head = RequestHead::new(req.method().as_ref(), target).map_err(bad)?;
    for (name, values) in req.iter() {
        for value in values {
            head.push(name.as_str(), value.as_str().as_bytes())
                .map_err(bad)?;
        }
    }
    let body = body_into_wire(req.take_body()).await;
    Ok(wire::Request { head, body })
}

/// A response as code written in Rust receives it.
///
/// # Errors
/// A fault of status 502 for a status or a header that `http_types` cannot carry.
pub fn response_from_wire(response: wire::Response) -> Result<http::Response, Fault> {
    let status = http::StatusCode::try_from(response.head.status()).map_err(|_| {
        Fault::error(
            502,
            format!("the status {} is not known", response.head.status()),
        )
    })?;
    let mut res = http::Response::new(status);
    headers::fill(response.head.len(), response.head.fields(), &mut res)
        .map_err(|fault| Fault::error(502, fault.message))?;
    let typed = response.head.header("content-type").is_some();
    if !response.body.is_empty() {
        res.set_body(body_from_wire(response.body));
        if !typed {
            res.remove_header(CONTENT_TYPE);
        }
    }
    Ok(res)
}

/// A handler's response for the wire.
///
/// # Errors
/// A fault of status 500 for a header that would break the response apart.
pub fn response_into_wire(
    res: http::Response,
) -> impl Future<Output = Result<wire::Response, Fault>> + Send {
    let mut res = Some(res);
    // By hand, since an `async fn` would keep the response several times over.
    std::future::poll_fn(move |cx| {
        let res = res.take().expect("it is ready at the first poll");
        Poll::Ready(response_to(res, cx))
    })
}

fn response_to(mut res: http::Response, cx: &mut Context<'_>) -> Result<wire::Response, Fault> {
    let bad = |error: wire::HeadError| Fault::error(500, error.to_string());
    let mut head = ResponseHead::new(res.status().into()).map_err(bad)?;
    for (name, values) in res.iter() {
        for value in values {
            head.push(name.as_str(), value.as_str().as_bytes())
                .map_err(bad)?;
        }
    }
    let trailers = res.has_trailers().then(|| res.recv_trailers());
    let body = body_to(res.take_body(), cx);
    let body = with_trailers(body, trailers);
    Ok(wire::Response { head, body })
}

/// All that `http_types` knows.
const METHODS: [http::Method; 39] = {
    use http::Method::*;
    [
        Acl,
        BaselineControl,
        Bind,
        Checkin,
        Checkout,
        Connect,
        Copy,
        Delete,
        Get,
        Head,
        Label,
        Link,
        Lock,
        Merge,
        MkActivity,
        MkCalendar,
        MkCol,
        MkRedirectRef,
        MkWorkspace,
        Move,
        Options,
        OrderPatch,
        Patch,
        Post,
        Pri,
        PropFind,
        PropPatch,
        Put,
        Rebind,
        Report,
        Search,
        Trace,
        Unbind,
        Uncheckout,
        Unlink,
        Unlock,
        Update,
        UpdateRedirectRef,
        VersionControl,
    ]
};

fn method_of(method: &str) -> Option<http::Method> {
    match method {
        "GET" => return Some(http::Method::Get),
        "POST" => return Some(http::Method::Post),
        _ => {}
    }
    // `from_str` takes memory, and does not mind the case; HTTP does (RFC 9110, section 9.1).
    METHODS.into_iter().find(|known| known.as_ref() == method)
}

fn version_of(version: u8) -> Option<http::Version> {
    match version {
        9 => Some(http::Version::Http0_9),
        10 => Some(http::Version::Http1_0),
        11 => Some(http::Version::Http1_1),
        20 => Some(http::Version::Http2_0),
        30 => Some(http::Version::Http3_0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_found_by_its_name_as_it_is_written() {
        for method in METHODS {
            let name = method.as_ref();
            assert_eq!(name.parse::<http::Method>().ok(), Some(method));
            assert_eq!(method_of(name), Some(method));
            assert_eq!(method_of(&name.to_ascii_lowercase()), None);
            assert_eq!(METHODS.iter().filter(|it| **it == method).count(), 1);
        }
    }
}
