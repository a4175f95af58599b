//! `/_health`: 200 once every vlugin has been created, 503 before. `/_health/live` is 200 as long as the process
//! answers at all.
//!
//! Everybody may ask. So it shows only a vlugin's name and one of the fixed words of [`Lack`]. The log and the
//! registry say what went wrong.

use super::{json, method_not_allowed};
use crate::{Vlugin, from_fn, registry::Lack};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether the runtime is ready to serve. The code that loads the vlugins sets it once.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Sets whether the runtime is ready.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// Whether the runtime is ready.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The status code and the word for a runtime that lacks these.
pub fn health_of(ready: bool, unavailable: &[(String, Lack)]) -> (u16, &'static str) {
    match ready {
        false => (503, "starting"),
        true if unavailable.iter().any(|(_, lack)| lack.is_fault()) => (200, "degraded"),
        true => (200, "ready"),
    }
}

/// The vlugin on `/_health`; `unavailable` names the vlugins that cannot be served. If one of them should be, the
/// status is `degraded`. That is still a 200, because the others are served.
pub fn health(
    readiness: Readiness,
    unavailable: impl Fn() -> Vec<(String, Lack)> + Send + Sync + 'static,
) -> Arc<dyn Vlugin> {
    let unavailable = Arc::new(unavailable);
    from_fn(move |request| {
        let ready = readiness.get();
        let unavailable = unavailable.clone();
        async move {
            if !matches!(request.head.method(), "GET" | "HEAD") {
                return Ok(method_not_allowed("GET, HEAD"));
            }
            match request.head.path() {
                "/live" => Ok(json(200, &json!({ "status": "live" }))),
                "/" | "/ready" => {
                    let unavailable = unavailable();
                    let (code, status) = health_of(ready, &unavailable);
                    let unavailable: serde_json::Map<_, _> = unavailable
                        .into_iter()
                        .map(|(name, lack)| (name, lack.as_str().into()))
                        .collect();
                    let body = json!({ "status": status, "unavailable": unavailable });
                    Ok(json(code, &body))
                }
                path => Ok(crate::Response::problem(
                    404,
                    &format!(
                        "there is no /_health{path}: /_health, /_health/live and /_health/ready"
                    ),
                )),
            }
        }
    })
}
