//! Between the types of `http` and those of `http_types`, for code that has both: a vlugin in one that uses a library
//! in the other.

use super::{
    Body, PeerAddr,
    body::MessageBody,
    upgrade,
    wire::{self as http1_wire, Target},
};
use crate::http;
use http_crate::{Extensions, Request, Response, Uri, Version};
use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};
use valor_abi_http::{
    body_into_wire, request_from_wire, response_from_wire_with_trailers, response_into_wire,
    to_http, with_trailers,
};
use valor_abi_wire::{Fault, lock::locked};

/// A request of `valor::http` as one of `http`: its URI is absolute, and its body streams.
///
/// Nothing is lost. A fragment is not part of a request. Extensions of the other type of request are not visible in
/// this one, but [`request_into`] gives them back.
///
/// # Errors
/// 400 for a URL or a header that `http` cannot carry.
pub fn request_from(req: http::Request) -> http::Result<Request<Body>> {
    request_of(req).map_err(to_http)
}

pub(super) fn request_of(mut req: http::Request) -> Result<Request<Body>, Fault> {
    let mut url = req.url().clone();
    url.set_fragment(None);
    let bad = |error: http_crate::Error| Fault::error(400, error.to_string());
    let uri: Uri = Uri::try_from(url.as_str()).map_err(|error| bad(error.into()))?;
    let mut asked = Request::builder().method(req.method().as_ref()).uri(uri);
    if let Some(version) = req.version().and_then(version_of) {
        asked = asked.version(version);
    }
    for (name, values) in req.iter() {
        for value in values {
            asked = asked.header(name.as_str(), value.as_str());
        }
    }
    let trailers = req.has_trailers().then(|| req.recv_trailers());
    let body = with_trailers(at_once(body_into_wire(req.take_body())), trailers);
    let peer = req.peer_addr().and_then(|peer| peer.parse().ok());
    let mut asked = asked.body(Body::of(body)).map_err(bad)?;
    *asked.extensions_mut() = extensions_from(req.ext_mut());
    if let Some(peer) = peer {
        asked.extensions_mut().insert(PeerAddr(peer));
    }
    Ok(asked)
}

/// A request of `http` as one of `valor::http`. If its URI is in origin form, the host is that of its header `host`,
/// or `localhost`.
///
/// Extensions of the other type of request are not visible in this one, but [`request_from`] gives them back.
///
/// # Errors
/// 400 for a URI or a header value that is not ASCII, and 501 for a method that `http_types` does not know.
pub fn request_into<B>(mut req: Request<B>) -> http::Result<http::Request>
where
    B: MessageBody,
{
    let extensions = std::mem::take(req.extensions_mut());
    // What the conversion itself reads.
    let read = req.extensions_mut();
    if let Some(peer) = extensions.get::<PeerAddr>() {
        read.insert(*peer);
    }
    if let Some(scheme) = extensions.get::<http_crate::uri::Scheme>() {
        read.insert(scheme.clone());
    }
    let request = http1_wire::request_into_wire(req, Target::Same).map_err(to_http)?;
    let mut req = request_from_wire(request).map_err(to_http)?;
    *req.ext_mut() = extensions_into(extensions);
    Ok(req)
}

/// A response of `valor::http` as one of `http`. Nothing is lost, an upgrade included: if a handler returns the
/// response, the connection goes to the future that waits for it.
///
/// # Errors
/// 502 for a header that `http` cannot carry.
pub fn response_from(mut res: http::Response) -> http::Result<Response<Body>> {
    if res.has_upgrade() {
        return upgrade::kept(res);
    }
    let extensions = extensions_from(res.ext_mut());
    let version = res.version().and_then(version_of);
    let response = at_once(response_into_wire(res)).map_err(to_http)?;
    let mut res = http1_wire::response_from_wire(response).map_err(to_http)?;
    *res.extensions_mut() = extensions;
    if let Some(version) = version {
        *res.version_mut() = version;
    }
    Ok(res)
}

/// A response of `http` as one of `valor::http`.
///
/// # Errors
/// 502 for a status that `http_types` does not know, and for a header value that is not ASCII.
pub fn response_into<B>(mut res: Response<B>) -> http::Result<http::Response>
where
    B: MessageBody,
{
    if let Some(switching) = upgrade::switching(&mut res) {
        return switching;
    }
    let extensions = std::mem::take(res.extensions_mut());
    let version = types_version_of(res.version());
    let response = http1_wire::response_into_wire(res).map_err(to_http)?;
    let mut res = response_from_wire_with_trailers(response).map_err(to_http)?;
    *res.ext_mut() = extensions_into(extensions);
    res.set_version(version);
    Ok(res)
}

/// The extensions of the other type, out of sight.
#[derive(Clone)]
struct FromTypes(Arc<Mutex<http::Extensions>>);

struct FromHttp(Extensions);

fn extensions_from(extensions: &mut http::Extensions) -> Extensions {
    let mut extensions = std::mem::take(extensions);
    let FromHttp(mut own) = extensions.remove().unwrap_or(FromHttp(Extensions::new()));
    own.insert(FromTypes(Arc::new(Mutex::new(extensions))));
    own
}

fn extensions_into(mut extensions: Extensions) -> http::Extensions {
    let mut own = match extensions.remove() {
        Some(FromTypes(own)) => std::mem::take(&mut *locked(&own)),
        None => http::Extensions::default(),
    };
    own.insert(FromHttp(extensions));
    own
}

/// The result of a future that has nothing to wait for.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("the conversion of a body does not wait"),
    }
}

fn version_of(version: http::Version) -> Option<Version> {
    Some(match version {
        http::Version::Http0_9 => Version::HTTP_09,
        http::Version::Http1_0 => Version::HTTP_10,
        http::Version::Http1_1 => Version::HTTP_11,
        http::Version::Http2_0 => Version::HTTP_2,
        http::Version::Http3_0 => Version::HTTP_3,
        _ => return None,
    })
}

fn types_version_of(version: Version) -> Option<http::Version> {
    Some(match version {
        Version::HTTP_09 => http::Version::Http0_9,
        Version::HTTP_10 => http::Version::Http1_0,
        Version::HTTP_11 => http::Version::Http1_1,
        Version::HTTP_2 => http::Version::Http2_0,
        Version::HTTP_3 => http::Version::Http3_0,
        _ => return None,
    })
}
