//! The runtime's own vlugins: `/_health`, `/_metrics` and, if requested, `/_plugins` and `/_welcome`. They are mounted
//! like any other. They get what they need from the runtime as closures or through [`Administer`].

mod access;
mod health;
mod metrics;
mod plugins;
mod welcome;

pub use access::{RegistryAccess, Token};
pub use health::{Readiness, health, health_of};
pub use metrics::metrics;
pub use plugins::{Administer, RegistryRefusal, plugins};
pub use welcome::{Welcome, is_for_page, shown, welcome};

use crate::{Body, Response};

/// A JSON response.
fn json(status: u16, value: &serde_json::Value) -> Response {
    let mut response = Response::new(status);
    let _ = response.head.push("content-type", b"application/json");
    response.body = Body::from(value.to_string());
    response
}

/// The answer to a method that does not exist here; `allow` lists those that do.
fn method_not_allowed(allow: &str) -> Response {
    let mut response = Response::problem(405, &format!("the methods here are {allow}"));
    let _ = response.head.push("allow", allow.as_bytes());
    response
}
