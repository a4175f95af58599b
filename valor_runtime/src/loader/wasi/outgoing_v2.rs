//! Outgoing requests of WASI 0.2: `outgoing-handler`, and `future-incoming-response` of `wasi:http/types`.
//!
//! wasmtime would run each request as a task of tokio's. Here it is polled by whoever polls the instance. `imports`
//! puts these functions in the place of wasmtime's.

use super::{guest::Guest, outgoing::Received};
use crate::BoxFuture;
use http_body_util::{BodyExt, Empty};
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceType},
};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi_http::{
    Error, FieldMap, RequestOptions, WasiBody, WasiHttpView,
    p2::{
        bindings::http::types::{ErrorCode, Method, Scheme},
        body::HostIncomingBody,
        types::{HostIncomingResponse, HostOutgoingRequest},
    },
};

/// The interfaces whose functions are replaced.
const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

/// A response that is on its way (`future-incoming-response` of 0.2).
enum Awaited {
    Running(BoxFuture<'static, Received>),
    Here(Box<Received>),
    Taken,
}

#[async_trait::async_trait]
impl Pollable for Awaited {
    async fn ready(&mut self) {
        if let Self::Running(running) = self {
            *self = Self::Here(Box::new(running.await));
        }
    }
}

/// Puts Valor's own outgoing requests of 0.2 in place of wasmtime's, which are in the linker already.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.resource(
        "future-incoming-response",
        ResourceType::host::<Awaited>(),
        |mut store, index| {
            let awaited = Resource::<Awaited>::new_own(index);
            store.data_mut().table.delete(awaited)?;
            Ok(())
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.subscribe",
        |mut store: StoreContextMut<'_, Guest>,
         (awaited,): (Resource<Awaited>,)|
         -> wasmtime::Result<(Resource<DynPollable>,)> {
            Ok((subscribe(&mut store.data_mut().table, awaited)?,))
        },
    )?;
    types.func_wrap(
        "[method]future-incoming-response.get",
        |mut store: StoreContextMut<'_, Guest>, (awaited,): (Resource<Awaited>,)| {
            Ok((get(store.data_mut(), &awaited)?,))
        },
    )?;
    let mut handler = linker.instance(HANDLER)?;
    handler.func_wrap(
        "handle",
        |mut store: StoreContextMut<'_, Guest>,
         (request, options): (
            Resource<HostOutgoingRequest>,
            Option<Resource<RequestOptions>>,
        )| { Ok((handle(store.data_mut(), request, options)?,)) },
    )?;
    Ok(())
}

type Got = Option<Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>>;

fn get(guest: &mut Guest, awaited: &Resource<Awaited>) -> wasmtime::Result<Got> {
    let slot = guest.table.get_mut(awaited)?;
    let answer = match std::mem::replace(slot, Awaited::Taken) {
        Awaited::Here(answer) => *answer,
        Awaited::Taken => return Ok(Some(Err(()))),
        running => {
            *slot = running;
            return Ok(None);
        }
    };
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Ok(Some(Ok(Err(code(error))))),
    };
    let (parts, body) = response.into_parts();
    let http = guest.http();
    let headers = FieldMap::new_immutable(http.hooks, parts.headers);
    let response = http.table.push(HostIncomingResponse {
        status: parts.status.as_u16(),
        headers,
        body: Some(HostIncomingBody::new(body)),
    })?;
    Ok(Some(Ok(Ok(response))))
}

type Handled = Result<Resource<Awaited>, ErrorCode>;

fn handle(
    guest: &mut Guest,
    request: Resource<HostOutgoingRequest>,
    options: Option<Resource<RequestOptions>>,
) -> wasmtime::Result<Handled> {
    let options = match options {
        Some(options) => Some(guest.table.delete(options)?),
        None => None,
    };
    let request = guest.table.delete(request)?;
    let request = match built(request) {
        Ok(request) => request,
        Err(code) => return Ok(Err(code)),
    };
    let sending = guest.hooks.send(request, options);
    Ok(Ok(guest.table.push(Awaited::Running(sending))?))
}

/// The request that a component of 0.2 has put together.
fn built(request: HostOutgoingRequest) -> Result<http::Request<WasiBody>, ErrorCode> {
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
        Method::Connect => http::Method::CONNECT,
        Method::Options => http::Method::OPTIONS,
        Method::Trace => http::Method::TRACE,
        Method::Patch => http::Method::PATCH,
        Method::Other(method) => http::Method::from_bytes(method.as_bytes())
            .map_err(|_| ErrorCode::HttpRequestMethodInvalid)?,
    };
    let scheme = match request.scheme {
        Some(Scheme::Http) => http::uri::Scheme::HTTP,
        Some(Scheme::Https) | None => http::uri::Scheme::HTTPS,
        Some(Scheme::Other(scheme)) => {
            http::uri::Scheme::try_from(&*scheme).map_err(|_| ErrorCode::HttpRequestUriInvalid)?
        }
    };
    let uri = http::Uri::builder()
        .scheme(scheme)
        .authority(request.authority.unwrap_or_default())
        .path_and_query(request.path_with_query.unwrap_or_else(|| "/".to_owned()))
        .build()
        .map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    let body = request
        .body
        .unwrap_or_else(|| Empty::new().map_err(|never| match never {}).boxed_unsync());
    let mut built = http::Request::new(body);
    *built.method_mut() = method;
    *built.uri_mut() = uri;
    *built.headers_mut() = request.headers.into();
    Ok(built)
}

/// An error as 0.2 has it. Only those occur that are made here and in `messages`.
fn code(error: Error) -> ErrorCode {
    match error {
        Error::HttpRequestDenied => ErrorCode::HttpRequestDenied,
        Error::ConnectionLimitReached => ErrorCode::ConnectionLimitReached,
        Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
        Error::HttpResponseTimeout => ErrorCode::HttpResponseTimeout,
        Error::HttpRequestUriInvalid => ErrorCode::HttpRequestUriInvalid,
        Error::ConnectionRefused => ErrorCode::ConnectionRefused,
        Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(size),
        Error::HttpProtocolError => ErrorCode::HttpProtocolError,
        Error::HttpResponseBodySize(size) => ErrorCode::HttpResponseBodySize(size),
        Error::InternalError(text) => ErrorCode::InternalError(text),
        other => ErrorCode::InternalError(Some(other.to_string())),
    }
}
