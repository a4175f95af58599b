//! The response of a vlugin for which the host already holds nearly as much as it may.
//!
//! The pools of modules and of components give it in place of a guest's.

use crate::Response;

/// 503, to be tried again in a second. `target` is the log's.
pub(in crate::loader) fn full(target: &str, name: &str) -> Response {
    log::debug!(
        target: target, vlugin = name;
        "the vlugin `{name}` gets no request: the host holds more than three quarters of what it may for it \
         (`limits.host_memory`)"
    );
    let detail = format!("the vlugin `{name}` has too many answers that are not read yet");
    let mut response = Response::problem(503, &detail);
    let _ = response.head.push("retry-after", b"1");
    response
}
