//! One request from its head to the end of its response. It is counted and logged when it ends, however it ends.

use crate::{
    RequestHead, Response, Signature,
    in_band::{CORRELATION_ID, PLUGIN},
    metrics::Metrics,
    registry::Mount,
    vlugin::Instead,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

/// A running request. Dropping it ends it: a response was sent, the client went away, or the server sent [something
/// else](Instead).
pub struct InFlight {
    metrics: Arc<Metrics>,
    start: Instant,
    id: Arc<str>,
    /// What the access log needs to know about the request, if there is one.
    asked: Option<Box<LoggedRequest>>,
    mount: Option<Arc<Mount>>,
    /// Whether the request is HEAD, whose response has no body.
    head_only: bool,
    /// Whether a vlugin asked, and not a client of the server.
    pub is_call: bool,
    /// 0 as long as there is no status.
    pub status: u16,
    /// Why it failed, for the access log.
    pub reason: Option<String>,
    /// Bytes of the response's body, if it is sent.
    pub bytes: u64,
    /// Whether the body was sent to its end.
    pub complete: bool,
}

/// A request as the access log shows it.
struct LoggedRequest {
    method: String,
    /// Path and query, as the client sent them.
    target: String,
    /// 10 for HTTP/1.0, 11 for HTTP/1.1.
    version: u8,
    peer: Option<String>,
    host: Option<String>,
    user_agent: Option<String>,
    referer: Option<String>,
}

impl LoggedRequest {
    fn of(head: &RequestHead) -> Box<Self> {
        let header = |name| {
            head.header(name)
                .map(|it| String::from_utf8_lossy(it).into_owned())
        };
        Box::new(Self {
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            version: head.version(),
            peer: head.peer().map(str::to_owned),
            host: header("host"),
            user_agent: header("user-agent"),
            referer: header("referer"),
        })
    }
}

/// The status of a request whose client went away, for the access log and the metrics. nginx uses the same number.
const CLIENT_GONE: u16 = 499;

impl InFlight {
    /// A request that begins now.
    pub fn begin(metrics: Arc<Metrics>, id: Arc<str>, head: &RequestHead) -> Self {
        let head_only = head.method() == "HEAD";
        let logged = log::log_enabled!(target: "valor::access", log::Level::Info);
        Self {
            metrics,
            start: Instant::now(),
            id,
            asked: logged.then(|| LoggedRequest::of(head)),
            mount: None,
            is_call: false,
            status: 0,
            reason: None,
            bytes: 0,
            head_only,
            // The response to a HEAD has no body, so it is complete at once.
            complete: head_only,
        }
    }

    /// When it began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The request's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Names in a response the request that it answers and the vlugin that had it, if one did: for the client in
    /// headers, for whoever sends it as a value. Notes its status.
    pub fn sign(&mut self, response: &mut Response) {
        let vlugin = self.mount.as_ref().map(|mount| mount.name.clone());
        let head = &mut response.head;
        self.status = head.status();
        // An id is visible ASCII.
        let _ = head.set_parsed(CORRELATION_ID, self.id.as_bytes());
        if let Some(name) = &vlugin {
            let _ = head.set(PLUGIN, name.as_bytes());
        }
        response.signature = Some(Signature {
            id: self.id.clone(),
            vlugin,
        });
    }

    /// Counts the request as one of this vlugin's until it ends. Returns `false` if the vlugin already runs as many as
    /// it may.
    pub fn enter(&mut self, mount: &Arc<Mount>) -> bool {
        let metrics = mount.metrics.get_or_init(|| self.metrics.of(&mount.name));
        metrics.in_flight.inc();
        self.mount = Some(mount.clone());
        if let Some(unavailable) = &mount.origin.unavailable {
            let lack = unavailable.lack.as_str();
            self.reason = Some(format!("it is {lack}: {}", unavailable.reason));
        }
        mount.running.fetch_add(1, Ordering::AcqRel) < mount.concurrency
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let duration = self.start.elapsed();
        match Instead::now().filter(|_| !self.is_call) {
            Some(Instead::Response { status, bytes }) => {
                (self.status, self.bytes, self.complete) = (status, bytes, true);
            }
            Some(Instead::Nothing) => {
                (self.status, self.bytes, self.complete) = (CLIENT_GONE, 0, false);
            }
            None if self.status == 0 => self.status = CLIENT_GONE,
            None => {}
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
        if let Some(asked) = &self.asked {
            let bytes = if self.head_only { 0 } else { self.bytes };
            let (path, query) = match asked.target.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (&*asked.target, None),
            };
            log::info!(
                target: "valor::access",
                method = asked.method.as_str(), path = path, query = query, http = asked.version,
                host = asked.host.as_deref(), peer = asked.peer.as_deref(),
                user_agent = asked.user_agent.as_deref(), referer = asked.referer.as_deref(),
                status = self.status, bytes = bytes, complete = self.complete,
                vlugin = vlugin, reason = self.reason.as_deref(),
                duration_us = duration.as_micros() as u64, id = &*self.id;
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
        let complete = |method| {
            let head = RequestHead::new(method, "/").unwrap();
            InFlight::begin(Arc::default(), "id".into(), &head).complete
        };
        assert!(complete("HEAD"));
        assert!(!complete("GET"));
    }
}
