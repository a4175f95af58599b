//! Responses in place of a vlugin's: if the vlugin failed, if its response cannot be sent, or if a request is about
//! the server itself. `exchange` asks for them.

use super::codec;
use crate::{
    id,
    in_band::{CORRELATION_ID, PLUGIN},
};
use valor_abi_wire::{Fault, RequestHead, Response, Signature};

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
pub(super) fn of_broken(signature: Option<Signature>) -> Response {
    let problem = || Response::problem(500, "the vlugin's response cannot be sent");
    let mut response = problem();
    if let Some(Signature { id, vlugin }) = &signature {
        let _ = response.head.push(CORRELATION_ID, id.as_bytes());
        if let Some(name) = vlugin {
            let _ = response.head.push(PLUGIN, name.as_bytes());
        }
    }
    if codec::check(&response.head).is_err() {
        response = problem();
    }
    response.signature = signature;
    response
}

/// The vlugin's name for the log, if a runtime has signed the response.
pub(super) fn name_of(signature: &Option<Signature>) -> &str {
    let vlugin = signature.as_ref().and_then(|it| it.vlugin.as_deref());
    vlugin.unwrap_or("a vlugin")
}
