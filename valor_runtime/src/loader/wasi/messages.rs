//! Requests and responses as the `http` crate has them, which wasmtime's wasi:http speaks, and as Valor has them.
//!
//! `driver` converts what comes from clients and goes back to them, `outgoing` what a component sends and receives.

use crate::{
    Body, Bytes, Chunk, Fault, Request, RequestHead, Response, ResponseHead,
    account::{Account, Charge},
    escape::one_line,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, uri::PathAndQuery};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use url::{Position, Url};
use wasmtime_wasi_http::{Error, WasiBody};

/// What follows a vlugin's name in the host of a URL, for a request to that vlugin. `.internal` is never a name on
/// the internet.
const CALLEES: &str = ".vlugin.internal";

/// A request of a client, for a component.
pub(super) fn to_component(request: Request) -> Result<http::Request<WasiBody>, Fault> {
    let Request { head, body } = request;
    let bad = |error: http::Error| Fault::error(400, one_line(&error.to_string()));
    let mut built = http::Request::new(to_body(body));
    *built.method_mut() =
        Method::from_bytes(head.method().as_bytes()).map_err(|error| bad(error.into()))?;
    *built.uri_mut() = uri(&head).map_err(bad)?;
    *built.headers_mut() = headers(head.headers());
    Ok(built)
}

/// The URL of a request. Its authority is the client's `host`.
fn uri(head: &RequestHead) -> Result<Uri, http::Error> {
    let target = head.target();
    let path = match target.starts_with('/') || target == "*" {
        true => PathAndQuery::try_from(target)?,
        false => Uri::try_from(target)?
            .into_parts()
            .path_and_query
            .unwrap_or(PathAndQuery::from_static("/")),
    };
    let scheme = match head.is_https() {
        true => "https",
        false => "http",
    };
    Uri::builder()
        .scheme(scheme)
        .authority(head.header_str("host").unwrap_or("localhost"))
        .path_and_query(path)
        .build()
}

fn headers<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        // The head was judged before: what this crate refuses, no component could read.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(value),
        ) {
            headers.append(name, value);
        }
    }
    headers
}

/// The response of a component, whose body may go on.
pub(super) fn of_component(
    response: http::Response<WasiBody>,
) -> Result<(ResponseHead, WasiBody), Fault> {
    let (parts, body) = response.into_parts();
    let invalid = |error: valor_abi_wire::HeadError| {
        Fault::error(502, format!("its response cannot be sent: {error}"))
    };
    let mut head = ResponseHead::new(parts.status.as_u16()).map_err(invalid)?;
    for (name, value) in &parts.headers {
        head.push(name.as_str(), value.as_bytes())
            .map_err(invalid)?;
    }
    Ok((head, body))
}

/// A request that a component sends, and the name of the vlugin that it is for.
pub(super) fn of_sent(
    request: http::Request<WasiBody>,
) -> Result<(Request, Option<String>), Error> {
    let (parts, body) = request.into_parts();
    let callee = parts.uri.host().and_then(callee).map(str::to_owned);
    let target = match &callee {
        Some(_) => path(&parts.uri)?,
        None => parts.uri.to_string(),
    };
    let mut head = RequestHead::new(parts.method.as_str(), &target)
        .map_err(|_| Error::HttpRequestUriInvalid)?;
    for (name, value) in &parts.headers {
        head.push(name.as_str(), value.as_bytes())
            .map_err(|_| Error::HttpProtocolError)?;
    }
    let body = match is_empty(&body) {
        true => Body::empty(),
        false => of_body(body, parts.headers.get("content-length")),
    };
    Ok((Request { head, body }, callee))
}

/// Path and query for a vlugin. Dots are resolved, as in the URL of a server.
fn path(uri: &Uri) -> Result<String, Error> {
    let url = Url::parse(&uri.to_string()).map_err(|_| Error::HttpRequestUriInvalid)?;
    Ok(url[Position::BeforePath..Position::AfterQuery].to_owned())
}

/// The vlugin that a host stands for.
fn callee(host: &str) -> Option<&str> {
    host.strip_suffix(CALLEES)
}

fn is_empty(body: &WasiBody) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

/// The response to what a component sent. A whole body counts in the account.
pub(super) fn to_received(
    response: Response,
    account: &Account,
) -> Result<http::Response<WasiBody>, Error> {
    let status =
        http::StatusCode::from_u16(response.head.status()).map_err(|_| Error::HttpProtocolError)?;
    let held = match &response.body {
        Body::Bytes(bytes) => Some(
            account
                .charge(bytes.len())
                .map_err(|_| Error::HttpResponseBodySize(Some(bytes.len() as u64)))?,
        ),
        Body::Stream { .. } => None,
    };
    let mut built = http::Response::new(counted(response.body, held));
    *built.status_mut() = status;
    *built.headers_mut() = headers(response.head.headers());
    Ok(built)
}

/// A body for a component.
pub(super) fn to_body(body: Body) -> WasiBody {
    counted(body, None)
}

fn counted(body: Body, held: Option<Charge>) -> WasiBody {
    Incoming { body, _held: held }.boxed_unsync()
}

/// A body that a component reads.
struct Incoming {
    body: Body,
    _held: Option<Charge>,
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let chunk = ready!(self.body.poll_chunk(cx));
        Poll::Ready(chunk.map(|chunk| match chunk {
            Ok(Chunk::Data(data)) => Ok(Frame::data(data)),
            Ok(Chunk::Trailers(trailers)) => {
                let fields = trailers.iter().map(|(name, value)| (&**name, &**value));
                Ok(Frame::trailers(headers(fields)))
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(Error::HttpRequestBodySize(None))
            }
            Err(error) => Err(Error::InternalError(Some(one_line(&error.to_string())))),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.len() {
            Some(len) => SizeHint::with_exact(len),
            None => SizeHint::default(),
        }
    }
}

/// A body that a component writes. Its length is what the head announces.
pub(super) fn of_body(body: WasiBody, announced: Option<&HeaderValue>) -> Body {
    let len = announced.and_then(|len| len.to_str().ok()?.parse().ok());
    Body::stream(len, Outgoing(body))
}

/// A body that a component writes, as a stream of chunks.
pub(super) struct Outgoing(pub WasiBody);

impl futures_core::Stream for Outgoing {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
            return Poll::Ready(match frame {
                None => None,
                Some(Err(error)) => Some(Err(io::Error::other(broken_off(&error)))),
                Some(Ok(frame)) => match frame.into_data() {
                    // A chunk is never empty.
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => Some(Ok(Chunk::Data(data))),
                    Err(frame) => match frame.into_trailers() {
                        Ok(trailers) => Some(Ok(Chunk::Trailers(fields(&trailers)))),
                        Err(_) => continue,
                    },
                },
            });
        }
    }
}

/// Why a body that a component writes has no end.
fn broken_off(error: &Error) -> String {
    match error {
        // Of 0.2.
        Error::HttpProtocolError => {
            "the component dropped its body without `finish`, or finished it before it had the \
                                     length that its `content-length` announces"
                .to_owned()
        }
        // Of 0.3.
        Error::HttpResponseBodySize(Some(len)) | Error::HttpRequestBodySize(Some(len)) => format!(
            "the component ended its body at {len} bytes, and its `content-length` announces another length"
        ),
        error => one_line(&error.to_string()),
    }
}

fn fields(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let fields = headers.iter();
    fields
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}
