//! Responses from the wire's form to that of `http_types`, and back.

use crate::{
    body::{body_of, body_to, with_trailers},
    headers,
};
use http_types::{self as http, headers::CONTENT_TYPE};
use std::task::Context;
use valor_abi_wire::{self as wire, Fault, ResponseHead};

/// The status.
///
/// # Errors
/// A fault of status 502 for one that `http_types` does not know.
pub(crate) fn status_of(head: &ResponseHead) -> Result<http::StatusCode, Fault> {
    http::StatusCode::try_from(head.status())
        .map_err(|_| Fault::error(502, format!("the status {} is not known", head.status())))
}

/// All of it at once, as `http_types` has it.
pub(crate) fn response_of(
    head: &ResponseHead,
    status: http::StatusCode,
    body: wire::Body,
    trailers: bool,
) -> Result<http::Response, Fault> {
    let mut res = http::Response::new(status);
    headers::fill(head.len(), head.fields(), &mut res)
        .map_err(|fault| Fault::error(502, fault.message))?;
    let typed = head.header("content-type").is_some();
    if !body.is_empty() {
        let has_trailers = trailers && body.len().is_none();
        let trailers = has_trailers.then(|| res.send_trailers());
        res.set_body(body_of(body, trailers));
        if !typed {
            res.remove_header(CONTENT_TYPE);
        }
    }
    Ok(res)
}

/// A response of `http_types` for the wire, in one poll.
///
/// # Errors
/// A fault of status 500 for a header that would break the response apart.
pub(crate) fn made_to(
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
