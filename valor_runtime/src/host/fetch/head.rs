//! Heads: a vlugin's request as hyper sends it, and hyper's response as vlugins receive it.

use super::{distrust, error, upload::Upload};
use crate::{Fault, RequestHead, ResponseHead, host::allow::Host, status};
use hyper::{
    HeaderMap, Method, Uri,
    header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use std::fmt;
use url::{Position, Url};

/// Where a request goes. Shown as `host:port`.
pub(super) struct Target {
    pub(super) https: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Scheme, host and port, which together identify a connection.
    pub(super) origin: String,
    /// Host and port, without the scheme's default port.
    authority: HeaderValue,
    path: Uri,
    shown: String,
}

impl Target {
    /// Reads an absolute URL as browsers do (WHATWG URL). Hosts come out in one spelling, so that `http://0x7f.1/` is
    /// judged by the address it leads to.
    pub(super) fn parse(target: &str) -> Result<Self, Fault> {
        let bad = |why: &dyn fmt::Display| {
            let target = distrust::cut(target);
            error::bad_request(format!("`{target}` is not a URL to fetch: {why}"))
        };
        let url = Url::parse(target).map_err(|error| bad(&error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad(&"its scheme is neither `http` nor `https`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(error::bad_request(
                "the URL has a user name or password: send them in an `authorization` header",
            ));
        }
        let (Some(name), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(bad(&"it has no host"));
        };
        let host = Host::parse(name).ok_or_else(|| bad(&"it has no host"))?;
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        Ok(Self {
            https: url.scheme() == "https",
            host,
            port,
            origin: url[..Position::AfterPort].to_owned(),
            authority: HeaderValue::from_str(authority).map_err(|error| bad(&error))?,
            path: uri(&url[Position::BeforePath..Position::AfterQuery]).map_err(|why| bad(&why))?,
            shown: format!("{name}:{port}"),
        })
    }
}

impl Target {
    /// The target of a request to a process on this machine: the head's own host and path.
    pub(super) fn local(head: &RequestHead) -> Result<Self, Fault> {
        let bad = |why: &dyn fmt::Display| {
            let target = distrust::cut(head.target());
            error::bad_request(format!("`{target}` cannot be asked for: {why}"))
        };
        // Deno would replace an empty host with the name of its socket.
        let authority = head.header("host").filter(|it| !it.is_empty());
        let authority = authority.unwrap_or(b"localhost");
        Ok(Self {
            https: false,
            host: Host::Name(String::new()),
            port: 0,
            origin: String::new(),
            authority: HeaderValue::from_bytes(authority).map_err(|error| bad(&error))?,
            path: uri(head.target()).map_err(|why| bad(&why))?,
            shown: "the script".into(),
        })
    }
}

/// A path and query as hyper sends it, or why it cannot be sent.
fn uri(path: &str) -> Result<Uri, String> {
    /// The most that the crate `http` can count.
    const MOST: usize = u16::MAX as usize - 1;
    Uri::try_from(path).map_err(|error| match path.len() {
        ..=MOST => error.to_string(),
        len => format!("its path and query have {len} bytes, more than the {MOST} that are sent"),
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The length that a head announces for a body whose length is not known.
pub(super) fn announced(head: &RequestHead) -> Option<u64> {
    let text = head.header_str("content-length")?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A request for hyper, which adds `content-length`.
pub(super) fn outgoing(
    head: &RequestHead,
    target: &Target,
    body: Upload,
) -> Result<hyper::Request<Upload>, Fault> {
    let method = Method::from_bytes(head.method().as_bytes())
        .map_err(|_| error::bad_request(format!("`{}` is not a method", head.method())))?;
    if method == Method::CONNECT {
        return Err(error::bad_request(
            "CONNECT opens tunnels and fetches nothing",
        ));
    }
    let named = named_by_connection(head.headers());
    let mut headers = HeaderMap::new();
    headers.insert(HOST, target.authority.clone());
    for (name, value) in head.headers() {
        // The server in front of the vlugin has already answered `expect`.
        if is_of_one_connection(name, &named)
            || matches!(name, "host" | "content-length" | "expect")
        {
            continue;
        }
        let bad = || error::bad_request(format!("the header `{name}` cannot be sent"));
        headers
            .try_append(
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?,
                HeaderValue::from_bytes(value).map_err(|_| bad())?,
            )
            .map_err(|_| error::bad_request("the request has too many headers"))?;
    }
    match body.len() {
        // RFC 9110, section 8.6. hyper announces lengths above zero by itself.
        Some(0) if matches!(method, Method::POST | Method::PUT | Method::PATCH) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Some(_) => {}
        // Otherwise hyper would leave out the body of a GET.
        None => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
    let mut request = hyper::Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target.path.clone();
    *request.headers_mut() = headers;
    Ok(request)
}

/// A response's head for vlugins.
pub(super) fn incoming(
    parts: &hyper::http::response::Parts,
    target: &Target,
) -> Result<ResponseHead, Fault> {
    let status = parts.status.as_u16();
    if status == 101 {
        return Err(error::bad_gateway(
            target,
            "it switched protocols unasked (status 101)",
        ));
    }
    let broken = |error: &dyn fmt::Display| error::bad_gateway(target, &error.to_string());
    let mut head = ResponseHead::new(status).map_err(|error| broken(&error))?;
    let headers = || {
        let pairs = parts.headers.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_bytes()))
    };
    let len = status::head_len(headers());
    if len > status::MAX_HEAD {
        return Err(error::too_long_head(target, len));
    }
    let named = named_by_connection(headers());
    let chunked = parts.headers.contains_key(TRANSFER_ENCODING);
    for (name, value) in headers() {
        if is_of_one_connection(name, &named) || (chunked && name == "content-length") {
            continue;
        }
        head.push(name, value).map_err(|error| broken(&error))?;
    }
    Ok(head)
}

/// The trailers of a response that may be passed on (RFC 9110, section 6.5.1).
pub(super) fn trailers(trailers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let pairs = trailers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    pairs
        .filter(|(name, _)| !is_of_one_connection(name, &[]))
        .filter(|(name, _)| !matches!(*name, "content-length" | "host"))
        .map(|(name, value)| (name.to_owned(), value.to_vec()))
        .collect()
}

/// Removes the headers that concern a single connection from a request's head. The rest travels on by other means.
pub(super) fn end_to_end(head: &mut RequestHead) {
    let named = named_by_connection(head.headers());
    let names = head.headers().map(|(name, _)| name);
    let mut gone: Vec<_> = names
        .filter(|name| is_of_one_connection(name, &named) || *name == "expect")
        .map(str::to_owned)
        .collect();
    gone.dedup();
    for name in gone {
        head.remove(&name);
    }
}

/// The headers that `connection` names as belonging to a single connection, in lower case.
fn named_by_connection<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<String> {
    let values = headers.filter(|(name, _)| *name == "connection");
    values
        .flat_map(|(_, value)| value.split(|&byte| byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .filter_map(|name| String::from_utf8(name).ok())
        .collect()
}

/// Whether a header belongs to a single connection (RFC 9110, section 7.6.1). `name` is in lower case.
fn is_of_one_connection(name: &str, named: &[String]) -> bool {
    matches!(
        name,
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "trailers"
            | "transfer-encoding"
            | "upgrade"
    ) || named.iter().any(|named| named == name)
}
