//! Responses in place of a vlugin's: if the vlugin failed, if its response cannot be sent, or if a request is about
//! the server itself. `exchange` asks for them.

use super::codec;
use crate::{
    id,
    in_band::{CORRELATION_ID, PLUGIN},
};
use valor_abi_wire::{Fault, RequestHead, Response, ResponseHead};

/// The answer to `OPTIONS *` (RFC 9110, section 9.3.7).
pub(super) fn about_server(head: &mut RequestHead) -> Response {
    let mut response = Response::new(204);
    let _ = response
        .head
        .push(CORRELATION_ID, id::settle(head).as_bytes());
    let _ = response
        .head
        .push("allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response
}

/// A runtime answers every request itself; a bare vlugin may end with a fault.
pub(super) fn of_fault(fault: &Fault) -> Response {
    if fault.status >= 500 {
        log::error!(target: "valor::server", "a request failed: {fault}");
        return Response::problem(fault.status, "the request failed");
    }
    Response::problem(fault.status, &fault.message)
}

/// The answer if a vlugin's own response cannot be sent.
pub(super) fn of_broken(head: &ResponseHead) -> Response {
    let mut response = Response::problem(500, "the vlugin's response cannot be sent");
    for name in [CORRELATION_ID, PLUGIN] {
        if let Some(value) = head.header(name) {
            let _ = response.head.push(name, value);
        }
    }
    if codec::check(&response.head).is_err() {
        return Response::problem(500, "the vlugin's response cannot be sent");
    }
    response
}

/// The vlugin's name, which the runtime puts into its responses.
pub(super) fn name_of(head: &ResponseHead) -> &str {
    head.header_str(PLUGIN).unwrap_or("a vlugin")
}
