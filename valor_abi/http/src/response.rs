//! Responses from the wire's form to `http_types`, and back.

use crate::{
    body::{body_of, body_to, with_trailers},
    headers,
};
use http_types::{self as http, headers::CONTENT_TYPE};
use std::task::{Context, Poll};
use valor_abi_wire::{self as wire, Fault, ResponseHead};

/// A response as code written in Rust receives it. Its trailers are left out: a response of `http_types` that may have
/// some has no length any more.
///
/// # Errors
/// A fault of status 502 for a status or a header that `http_types` cannot carry.
pub fn response_from_wire(response: wire::Response) -> Result<http::Response, Fault> {
    from_wire(response, false)
}

/// The same with its trailers, if the length of its body is not known.
///
/// # Errors
/// Those of [`response_from_wire`].
pub fn response_from_wire_with_trailers(response: wire::Response) -> Result<http::Response, Fault> {
    from_wire(response, true)
}

fn from_wire(response: wire::Response, trailers: bool) -> Result<http::Response, Fault> {
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
        let has_trailers = trailers && response.body.len().is_none();
        let trailers = has_trailers.then(|| res.send_trailers());
        res.set_body(body_of(response.body, trailers));
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
    // By hand, since an `async fn` would store the response several times.
    std::future::poll_fn(move |cx| {
        let res = res.take().expect("it is ready at the first poll");
        Poll::Ready(response_to(res, cx))
    })
}

/// The way there in one poll.
pub(crate) fn response_to(
    mut res: http::Response,
    cx: &mut Context<'_>,
) -> Result<wire::Response, Fault> {
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
    Ok(wire::Response::of(head, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Body, Response};

    #[test]
    fn a_problem_has_the_phrase_that_http_types_has() {
        for status in 400..600 {
            let known = http::StatusCode::try_from(status).map_or("", |it| it.canonical_reason());
            let Body::Bytes(body) = Response::problem(status, "").body else {
                panic!("a problem is a text");
            };
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&problem["title"], &problem["status"]),
                (&known.into(), &status.into())
            );
        }
    }
}
