//! The counters of `/_metrics`, in the text format of Prometheus (crate `prometheus`).
//!
//! One [`Metrics`] belongs to a runtime. Each mount keeps [`VluginMetrics`], the counters with its name filled in, so
//! that a request costs a few atomic additions and no look-up. A name's counters exist as long as anybody holds them.
//! A replacement goes on counting. When the last request of a removed vlugin has ended, its lines disappear.

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};
use valor_abi_wire::lock::locked;

/// The counters of a runtime.
pub struct Metrics {
    registry: Registry,
    images: IntGauge,
    vlugins: IntGauge,
    by_name: Arc<ByName>,
}

/// The counters per vlugin name.
struct ByName {
    requests: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    panics: IntCounterVec,
    timeouts: IntCounterVec,
    blocked: IntCounterVec,
    restarts: IntCounterVec,
    scripts: IntGaugeVec,
    /// The names that somebody counts under.
    held: Mutex<HashMap<String, Weak<Held>>>,
}

/// A name that somebody counts under. When the last one is dropped, its counts are forgotten.
struct Held {
    name: String,
    by_name: Arc<ByName>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let (name, by_name) = (self.name.as_str(), &self.by_name);
        let mut held = by_name.held();
        // In the meantime, somebody may have begun to count under the same name.
        if held.get(name).is_none_or(|it| it.strong_count() != 0) {
            return;
        }
        held.remove(name);
        let label = &[name];
        for counters in [
            &by_name.panics,
            &by_name.timeouts,
            &by_name.blocked,
            &by_name.restarts,
        ] {
            let _ = counters.remove_label_values(label);
        }
        for gauges in [&by_name.in_flight, &by_name.scripts] {
            let _ = gauges.remove_label_values(label);
        }
        let _ = by_name.duration.remove_label_values(label);
        for status in 100..=999 {
            let status = status.to_string();
            let _ = by_name
                .requests
                .remove_label_values(&[name, status.as_str()]);
        }
    }
}

impl ByName {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Weak<Held>>> {
        locked(&self.held)
    }
}

/// The counters of one vlugin.
#[derive(Clone)]
pub struct VluginMetrics {
    held: Arc<Held>,
    ok: IntCounter,
    duration: Histogram,
    /// Requests that are running.
    pub in_flight: IntGauge,
    /// Requests that panicked.
    pub panics: IntCounter,
    /// Requests that exceeded their time limit.
    pub timeouts: IntCounter,
    /// How often it blocked its thread for longer than a second.
    pub blocked: IntCounter,
}

/// The additional counters of a script.
pub struct ScriptMetrics {
    /// How often it was started again because it had ended.
    pub restarts: IntCounter,
    /// 1 while it runs.
    pub running: IntGauge,
    _held: Arc<Held>,
}

/// Seconds. They begin at 100 µs, since a native vlugin answers within a few.
const BUCKETS: &[f64] = &[
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

impl Metrics {
    /// Counters that begin at zero.
    ///
    /// # Panics
    /// Never: the names below are valid and differ.
    pub fn new() -> Self {
        let registry = Registry::new();
        let by_name = |name: &str, help: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &["vlugin"]);
            registered(&registry, counter.expect("a valid name"))
        };
        let panics = by_name("valor_panics_total", "Requests that panicked.");
        let timeouts = by_name(
            "valor_timeouts_total",
            "Requests that were over their time limit.",
        );
        let blocked = by_name(
            "valor_blocked_total",
            "Times that a vlugin blocked its thread for longer than a second.",
        );
        let restarts = by_name(
            "valor_restarts_total",
            "Times that a script was started again because it had ended.",
        );
        let scripts = IntGaugeVec::new(
            Opts::new("valor_script_running", "1 while a script's process runs."),
            &["vlugin"],
        );
        let requests = IntCounterVec::new(
            Opts::new("valor_requests_total", "Requests by vlugin and status."),
            &["vlugin", "status"],
        );
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "valor_request_duration_seconds",
                "Time from the request's head to the response's end.",
            )
            .buckets(BUCKETS.to_vec()),
            &["vlugin"],
        );
        let in_flight = IntGaugeVec::new(
            Opts::new("valor_requests_in_flight", "Requests that run now."),
            &["vlugin"],
        );
        let gauge = |name: &str, help: &str| {
            registered(&registry, IntGauge::new(name, help).expect("a valid name"))
        };
        let images = gauge(
            "valor_images_mapped",
            "Native libraries that are mapped; they stay so until the process ends.",
        );
        let vlugins = gauge("valor_vlugins", "Vlugins that are mounted.");
        let start = registered(
            &registry,
            Gauge::new(
                "process_start_time_seconds",
                "When this runtime was built, in seconds since 1970.",
            )
            .expect("a valid name"),
        );
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        start.set(since.as_secs_f64());
        let by_name = ByName {
            requests: registered(&registry, requests.expect("a valid name")),
            duration: registered(&registry, duration.expect("a valid name")),
            in_flight: registered(&registry, in_flight.expect("a valid name")),
            panics,
            timeouts,
            blocked,
            restarts,
            scripts: registered(&registry, scripts.expect("a valid name")),
            held: Mutex::default(),
        };
        Self {
            by_name: Arc::new(by_name),
            images,
            vlugins,
            registry,
        }
    }

    fn hold(&self, name: &str) -> Arc<Held> {
        let mut held = self.by_name.held();
        if let Some(held) = held.get(name).and_then(Weak::upgrade) {
            return held;
        }
        let fresh = Arc::new(Held {
            name: name.to_owned(),
            by_name: self.by_name.clone(),
        });
        held.insert(name.to_owned(), Arc::downgrade(&fresh));
        fresh
    }

    /// The counters with this vlugin's name filled in.
    pub fn of(&self, vlugin: &str) -> VluginMetrics {
        let label = &[vlugin];
        let held = self.hold(vlugin);
        let by_name = &self.by_name;
        VluginMetrics {
            ok: by_name.requests.with_label_values(&[vlugin, "200"]),
            duration: by_name.duration.with_label_values(label),
            in_flight: by_name.in_flight.with_label_values(label),
            panics: by_name.panics.with_label_values(label),
            timeouts: by_name.timeouts.with_label_values(label),
            blocked: by_name.blocked.with_label_values(label),
            held,
        }
    }

    /// The counters of a script.
    pub fn script(&self, vlugin: &str) -> ScriptMetrics {
        let held = self.hold(vlugin);
        ScriptMetrics {
            restarts: self.by_name.restarts.with_label_values(&[vlugin]),
            running: self.by_name.scripts.with_label_values(&[vlugin]),
            _held: held,
        }
    }

    /// A request that no vlugin took.
    pub fn unrouted(&self, status: u16) {
        self.by_name
            .requests
            .with_label_values(&["", &status.to_string()])
            .inc();
    }

    /// For each vlugin that somebody counts for, its requests that have ended, and those of them that ended with 500 or
    /// more.
    pub fn totals(&self) -> BTreeMap<String, (u64, u64)> {
        let mut totals = BTreeMap::<_, (u64, u64)>::new();
        for family in self.by_name.requests.collect() {
            for metric in family.get_metric() {
                let label = |name: &str| {
                    let labels = metric.get_label().iter();
                    let mut found = labels.filter(|it| it.name() == name);
                    found.next().map_or("", |it| it.value())
                };
                // Counters are whole numbers.
                let count = metric.get_counter().get_value() as u64;
                let (requests, errors) = totals.entry(label("vlugin").to_owned()).or_default();
                *requests += count;
                if label("status").parse::<u16>().is_ok_and(|it| it >= 500) {
                    *errors += count;
                }
            }
        }
        totals
    }

    /// All counters in Prometheus' text format, version 0.0.4.
    pub fn text(&self, images: u64, vlugins: usize) -> String {
        self.images.set(images as i64);
        self.vlugins.set(vlugins as i64);
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            log::error!(target: "valor::metrics", "the metrics cannot be written: {error}");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl VluginMetrics {
    /// A request that has ended.
    pub fn ended(&self, status: u16, duration: Duration) {
        if status == 200 {
            self.ok.inc();
        } else {
            let Held { name, by_name } = &*self.held;
            by_name
                .requests
                .with_label_values(&[name.as_str(), &status.to_string()])
                .inc();
        }
        self.duration.observe(duration.as_secs_f64());
    }
}

fn registered<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> C {
    registry
        .register(Box::new(collector.clone()))
        .expect("each name is registered once");
    collector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_in_the_text() {
        let metrics = Metrics::new();
        let hello = metrics.of("hello");
        hello.ended(200, Duration::from_millis(2));
        hello.ended(503, Duration::from_millis(2));
        hello.panics.inc();
        metrics.unrouted(404);
        let totals = metrics.totals();
        assert_eq!((totals["hello"], totals[""]), ((2, 1), (1, 0)));
        let text = metrics.text(3, 1);
        for line in [
            "valor_requests_total{status=\"200\",vlugin=\"hello\"} 1",
            "valor_requests_total{status=\"503\",vlugin=\"hello\"} 1",
            "valor_requests_total{status=\"404\",vlugin=\"\"} 1",
            "valor_request_duration_seconds_bucket{vlugin=\"hello\",le=\"0.005\"} 2",
            "valor_request_duration_seconds_bucket{vlugin=\"hello\",le=\"0.001\"} 0",
            "valor_panics_total{vlugin=\"hello\"} 1",
            "valor_images_mapped 3",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
    #[test]
    fn a_name_is_forgotten_with_the_last_who_counts_under_it() {
        let metrics = Metrics::new();
        let counted = |name: &str| {
            let text = metrics.text(0, 0);
            let label = format!("vlugin=\"{name}\"");
            text.lines().filter(|line| line.contains(&label)).count()
        };
        let old = metrics.of("a");
        let (new, script, other) = (metrics.of("a"), metrics.script("a"), metrics.of("b"));
        old.ended(200, Duration::ZERO);
        old.ended(499, Duration::ZERO);
        drop(old);
        new.ended(200, Duration::ZERO);
        let text = metrics.text(0, 0);
        let line = "valor_requests_total{status=\"200\",vlugin=\"a\"} 2";
        assert!(text.contains(line), "{text}");
        drop(new);
        assert!(counted("a") > 0);
        drop(script);
        assert_eq!(counted("a"), 0);
        assert!(counted("b") > 0);
        drop(other);
        assert_eq!(counted("b"), 0);
        metrics.of("a").ended(200, Duration::ZERO);
    }
}
