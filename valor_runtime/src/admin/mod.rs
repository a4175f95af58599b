//! The vlugins that the runtime brings itself: `/_health`, `/_metrics` and, where it is asked
//! for, `/_plugins`. They are mounted like any other; what they need of the runtime they are
//! handed as closures or through [`Administer`].

mod access;
mod health;
mod metrics;
mod plugins;

pub use access::{RegistryAccess, Token};
pub use health::{Readiness, health};
pub use metrics::metrics;
pub use plugins::{Administer, Refusal, plugins};

use crate::{Body, Response};

/// A response with JSON in it.
fn json(status: u16, value: &serde_json::Value) -> Response {
    let mut response = Response::new(status);
    let _ = response.head.push("content-type", b"application/json");
    response.body = Body::from(value.to_string());
    response
}

/// The answer to a method that there is not; `allow` lists those there are.
fn method_not_allowed(allow: &str) -> Response {
    let mut response = Response::problem(405, &format!("the methods here are {allow}"));
    let _ = response.head.push("allow", allow.as_bytes());
    response
}
