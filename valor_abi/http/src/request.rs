//! Requests from the wire's form to that of `http_types`, and back.

use crate::{
    body::{body_into_wire, body_of},
    headers,
};
use http_types::{self as http, Url, headers::CONTENT_TYPE};
use valor_abi_wire::{self as wire, Body, Fault, RequestHead};

/// All of it at once, as `http_types` has it.
pub(crate) fn request_of(
    head: &RequestHead,
    method: http::Method,
    url: Url,
    body: Body,
) -> Result<http::Request, Fault> {
    let mut req = http::Request::new(method, url);
    req.set_version(version_of(head.version()));
    req.set_peer_addr(head.peer());
    headers::fill(head.len(), head.fields(), &mut req)?;
    if !body.is_empty() {
        let typed = req.header(CONTENT_TYPE).is_some();
        let trailers = match body {
            Body::Stream { .. } => Some(req.send_trailers()),
            Body::Bytes(_) => None,
        };
        req.set_body(body_of(body, trailers));
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
pub async fn request_into_wire(req: impl Into<http::Request>) -> Result<wire::Request, Fault> {
    let req = req.into();
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
pub async fn request_into_wire_absolute(
    req: impl Into<http::Request>,
) -> Result<wire::Request, Fault> {
    let req = req.into();
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

/// The method.
///
/// # Errors
/// A fault of status 501 for one that `http_types` does not know.
pub(crate) fn method_of(head: &RequestHead) -> Result<http::Method, Fault> {
    let method = head.method();
    known(method).ok_or_else(|| Fault::error(501, format!("the method {method} is not known")))
}

fn known(method: &str) -> Option<http::Method> {
    match method {
        "GET" => return Some(http::Method::Get),
        "POST" => return Some(http::Method::Post),
        _ => {}
    }
    // `from_str` allocates, and ignores case; HTTP does not (RFC 9110, section 9.1).
    METHODS.into_iter().find(|known| known.as_ref() == method)
}

pub(crate) fn version_of(version: u8) -> Option<http::Version> {
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
            assert_eq!(known(name), Some(method));
            assert_eq!(known(&name.to_ascii_lowercase()), None);
            assert_eq!(METHODS.iter().filter(|it| **it == method).count(), 1);
        }
    }
}
