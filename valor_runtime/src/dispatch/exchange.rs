//! One request from its head to the end of its response: counted and logged when it ends,
//! whichever way it ends.

use crate::{metrics::Metrics, registry::Mount};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// What is known of a request that runs. Dropping it is its end: a response that was sent, or
/// a client that went away.
pub struct Exchange {
    metrics: Arc<Metrics>,
    start: Instant,
    id: String,
    /// Method and path, where the access log wants them.
    line: Option<(String, String)>,
    mount: Option<Arc<Mount>>,
    /// 0 as long as there is none.
    pub status: u16,
    /// Bytes of the response's body.
    pub bytes: u64,
    /// Whether the body was sent to its end.
    pub complete: bool,
}

/// The status in the access log and the metrics of a request whose client went away, as nginx
/// has it.
const CLIENT_GONE: u16 = 499;

impl Exchange {
    /// A request that begins now.
    pub fn begin(metrics: Arc<Metrics>, id: String, method: &str, path: &str) -> Self {
        let logged = log::log_enabled!(target: "valor::access", log::Level::Info);
        Self {
            metrics,
            start: Instant::now(),
            id,
            line: logged.then(|| (method.to_owned(), path.to_owned())),
            mount: None,
            status: 0,
            bytes: 0,
            // There is nothing to send to its end.
            complete: method == "HEAD",
        }
    }

    /// The request's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Counts the request among those of this vlugin, until it ends. Gives `false` where the
    /// vlugin runs as many as it may.
    pub fn enter(&mut self, mount: &Arc<Mount>) -> bool {
        let metrics = mount.metrics.get_or_init(|| self.metrics.of(&mount.name));
        metrics.in_flight.inc();
        self.mount = Some(mount.clone());
        mount.running.fetch_add(1, Ordering::AcqRel) < mount.concurrency
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        if self.status == 0 {
            self.status = CLIENT_GONE;
        }
        let vlugin = match &self.mount {
            Some(mount) => {
                mount.running.fetch_sub(1, Ordering::AcqRel);
                if let Some(metrics) = mount.metrics.get() {
                    metrics.in_flight.dec();
                    metrics.ended(self.status, duration);
                }
                &mount.name
            }
            None => {
                self.metrics.unrouted(self.status);
                ""
            }
        };
        if let Some((method, path)) = &self.line {
            log::info!(
                target: "valor::access",
                method = method.as_str(), path = path.as_str(), status = self.status,
                vlugin = vlugin, duration_us = duration.as_micros() as u64,
                id = self.id.as_str(), bytes = self.bytes, complete = self.complete;
                "request"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_head_has_no_body_to_cut_short() {
        let complete = |method| Exchange::begin(Arc::default(), "id".into(), method, "/").complete;
        assert!(complete("HEAD"));
        assert!(!complete("GET"));
    }
}
