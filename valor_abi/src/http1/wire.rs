//! Messages of `http` from what crosses a boundary, and back. Handlers and the context's `call` and `fetch` use it.

use super::{
    Body, PeerAddr,
    body::{MessageBody, into_wire},
};
use http_crate::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header, uri::Scheme,
};
use valor_abi_wire::{self as wire, Fault, HeadError, RequestHead, ResponseHead};

/// The request as a handler receives it.
///
/// # Errors
/// A fault of status 400 for a target or a header that `http` cannot carry.
pub(super) fn request_from_wire(request: wire::Request) -> Result<Request<Body>, Fault> {
    let head = &request.head;
    let bad = |what: &str| Fault::error(400, format!("{what} is not one that `http` can carry"));
    let mut req = Request::new(Body::of(request.body));
    *req.method_mut() = Method::from_bytes(head.method().as_bytes())
        .map_err(|_| bad(&format!("the method {}", head.method())))?;
    *req.uri_mut() =
        Uri::try_from(head.target()).map_err(|_| bad(&format!("the target {}", head.target())))?;
    if let Some(version) = version_of(head.version()) {
        *req.version_mut() = version;
    }
    *req.headers_mut() = headers_of(head.len(), head.fields(), 400)?;
    let scheme = match head.is_https() {
        true => Scheme::HTTPS,
        false => Scheme::HTTP,
    };
    let peer = head.peer().and_then(|peer| peer.parse().ok());
    let extensions = req.extensions_mut();
    extensions.insert(scheme);
    if let Some(peer) = peer {
        extensions.insert(PeerAddr(peer));
    }
    Ok(req)
}

/// How a request names what it asks for.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Path and query, for a vlugin.
    Origin,
    /// The whole URI, for another server.
    Absolute,
    /// The URI as it is.
    Same,
}

/// A request for another vlugin or another server.
///
/// # Errors
/// A fault of status 400 for what the wire cannot carry.
pub(super) fn request_into_wire<B: MessageBody>(
    req: Request<B>,
    target: Target,
) -> Result<wire::Request, Fault> {
    let (parts, body) = req.into_parts();
    let target = match target {
        Target::Origin => parts
            .uri
            .path_and_query()
            .map_or("/", |it| it.as_str())
            .into(),
        Target::Absolute if parts.uri.host().is_none() => {
            let what = format!("the URI {} has no host to send the request to", parts.uri);
            return Err(Fault::error(400, what));
        }
        Target::Absolute | Target::Same => parts.uri.to_string(),
    };
    let bad = |error: HeadError| Fault::error(400, error.to_string());
    let mut head = RequestHead::new(parts.method.as_str(), &target).map_err(bad)?;
    for (name, value) in &parts.headers {
        head.push(name.as_str(), value.as_bytes()).map_err(bad)?;
    }
    head.set_version(number_of(parts.version));
    head.set_https(parts.extensions.get() == Some(&Scheme::HTTPS));
    if let Some(PeerAddr(peer)) = parts.extensions.get() {
        head.set_peer(&peer.to_string());
    }
    let body = into_wire(body, parts.headers.contains_key(header::TRAILER));
    Ok(wire::Request { head, body })
}

/// A response as the one who asked receives it.
///
/// # Errors
/// A fault of status 502 for a status or a header that `http` cannot carry.
pub(super) fn response_from_wire(response: wire::Response) -> Result<Response<Body>, Fault> {
    let head = &response.head;
    let mut res = Response::new(Body::of(response.body));
    *res.status_mut() = StatusCode::from_u16(head.status())
        .map_err(|_| Fault::error(502, format!("the status {} is not known", head.status())))?;
    *res.headers_mut() = headers_of(head.len(), head.fields(), 502)?;
    Ok(res)
}

/// A handler's response for the wire.
///
/// # Errors
/// A fault of status 500 for a status or a header that the wire cannot carry.
pub(super) fn response_into_wire<B: MessageBody>(
    res: Response<B>,
) -> Result<wire::Response, Fault> {
    let (parts, body) = res.into_parts();
    let head = response_head(parts.status, &parts.headers)?;
    let body = into_wire(body, parts.headers.contains_key(header::TRAILER));
    Ok(wire::Response::of(head, body))
}

fn response_head(status: StatusCode, headers: &HeaderMap) -> Result<ResponseHead, Fault> {
    let bad = |error: HeadError| Fault::error(500, error.to_string());
    let mut head = ResponseHead::new(status.as_u16()).map_err(bad)?;
    for (name, value) in headers {
        head.push(name.as_str(), value.as_bytes()).map_err(bad)?;
    }
    Ok(head)
}

fn headers_of<'a>(
    count: usize,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    status: u16,
) -> Result<HeaderMap, Fault> {
    let too_many = |_| Fault::error(status, "the head has more headers than `http` can carry");
    let mut headers = HeaderMap::try_with_capacity(count).map_err(too_many)?;
    for (name, value) in fields {
        let bad = |what| {
            let name = name.escape_ascii();
            Fault::error(
                status,
                format!("the {what} of header {name} has a control character"),
            )
        };
        let key = HeaderName::from_bytes(name).map_err(|_| bad("name"))?;
        let value = HeaderValue::from_bytes(value).map_err(|_| bad("value"))?;
        headers.try_append(key, value).map_err(too_many)?;
    }
    Ok(headers)
}

const VERSIONS: [(u8, Version); 5] = [
    (9, Version::HTTP_09),
    (10, Version::HTTP_10),
    (11, Version::HTTP_11),
    (20, Version::HTTP_2),
    (30, Version::HTTP_3),
];

fn version_of(number: u8) -> Option<Version> {
    let found = VERSIONS.iter().find(|(known, _)| *known == number);
    found.map(|(_, version)| *version)
}

fn number_of(version: Version) -> u8 {
    let found = VERSIONS.iter().find(|(_, known)| *known == version);
    found.map_or(0, |(number, _)| *number)
}
