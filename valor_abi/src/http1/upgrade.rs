//! Connections that go on in another protocol, for handlers with the types of `http`. `crate::upgrade` does the work:
//! its response travels in the extensions of this one.

use super::Body;
use crate::http;
use http_crate::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::sync::{Arc, Mutex};
use valor_abi_http::to_http;
use valor_abi_wire::{Fault, lock::locked};

/// Whether the client that sent these headers offers to switch to this protocol. Its name is compared without regard to
/// case.
///
/// ```
/// use valor::http1::{self, HeaderMap, HeaderValue};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("connection", HeaderValue::from_static("keep-alive, Upgrade"));
/// headers.insert("upgrade", HeaderValue::from_static("websocket"));
/// assert!(http1::offers_upgrade(&headers, "WebSocket"));
/// assert!(!http1::offers_upgrade(&headers, "irc"));
/// ```
pub fn offers_upgrade(headers: &HeaderMap, protocol: &str) -> bool {
    let has = |name: header::HeaderName, wanted: &str| {
        let values = headers.get_all(name).into_iter();
        let mut elements = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, protocol)
}

/// The response that accepts an upgrade, as [`valor::upgrade`](crate::upgrade()) makes it: 101 Switching Protocols.
/// Once the client has it, `serve` gets the connection. Middleware may add headers to the response; its extensions have
/// the rest.
///
/// # Panics
/// If `protocol` is not ASCII.
pub fn upgrade<F, Fut>(protocol: &str, serve: F) -> Response<Body>
where
    F: FnOnce(http::upgrade::Connection) -> Fut + Send + 'static,
    Fut: Future<Output = http::Result<()>> + Send + 'static,
{
    kept(crate::upgrade(protocol, serve)).expect("its headers are ASCII")
}

/// The response of `http_types` that waits for a connection.
#[derive(Clone)]
struct Switching(Arc<Mutex<Option<http::Response>>>);

/// A response that switches protocols, as one of `http`.
pub(super) fn kept(switching: http::Response) -> http::Result<Response<Body>> {
    let mut res = Response::new(Body::empty());
    *res.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, values) in switching.iter() {
        for value in values {
            let name = header::HeaderName::from_bytes(name.as_str().as_bytes())?;
            res.headers_mut()
                .append(name, HeaderValue::from_str(value.as_str())?);
        }
    }
    let kept = Switching(Arc::new(Mutex::new(Some(switching))));
    res.extensions_mut().insert(kept);
    Ok(res)
}

/// The response of `http_types`, with the headers that this one has by now; `None` if it does not switch protocols.
pub(super) fn switching<B>(res: &mut Response<B>) -> Option<http::Result<http::Response>> {
    if res.status() != StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    let Switching(kept) = res.extensions_mut().remove()?;
    let mut switching = locked(&kept).take()?;
    for name in res.headers().keys() {
        switching.remove_header(name.as_str());
    }
    for (name, value) in res.headers() {
        let Ok(text) = value.to_str() else {
            let what = format!("the value of header {name} is not ASCII");
            return Some(Err(to_http(Fault::error(500, what))));
        };
        switching.append_header(name.as_str(), text);
    }
    Some(Ok(switching))
}
