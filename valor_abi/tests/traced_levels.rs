//! `tracing` below a host's level: what is not logged is not put together. Another mount of the same library may have
//! a host that logs more.

#![allow(missing_docs)] // It is written as authors write.

use futures_lite::future::block_on;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};
use valor::*;
use valor_abi_wire::{BoxFuture, Fault, Host, LogRecord, Request, RequestHead, Response, scope};

/// How often a field's value was asked for.
static ASKED: AtomicU32 = AtomicU32::new(0);

#[vlugin]
pub async fn on_request(_req: http::Request) -> &'static str {
    let count = || ASKED.fetch_add(1, Ordering::Relaxed) + 1;
    let span = tracing::debug_span!("span", asked = count());
    span.in_scope(|| {
        tracing::debug!(asked = count(), "in detail");
        tracing::info!("said");
    });
    ""
}

struct Logging {
    most: log::LevelFilter,
    lines: Mutex<Vec<String>>,
}

impl Host for Logging {
    fn name(&self) -> &str {
        "logging"
    }

    fn log(&self, record: &LogRecord<'_>) {
        assert!(record.file.ends_with("traced_levels.rs") && record.line > 20);
        self.lines.lock().unwrap().push(record.message.to_owned());
    }

    fn max_level(&self) -> log::LevelFilter {
        self.most
    }

    fn fetch(&self, _: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        unreachable!("nothing is fetched")
    }

    fn call(&self, _: &str, _: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        unreachable!("nothing is called")
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        unreachable!("nobody sleeps")
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self, _: &mut [u8]) {}
}

type Mount = (Arc<Logging>, Arc<dyn valor_abi_wire::Instance>);

fn mount(most: log::LevelFilter) -> Mount {
    let logging = Arc::new(Logging {
        most,
        lines: Mutex::default(),
    });
    let host: Arc<dyn Host> = logging.clone();
    // As the boundary does it.
    scope::adopt(&host);
    let instance = block_on(VLUGIN.create(host, serde_json::Value::Null));
    (
        logging,
        instance.map_err(|fault| fault.to_string()).unwrap(),
    )
}

/// What a request adds to the log.
fn lines((logging, instance): &Mount) -> Vec<String> {
    let request = Request {
        head: RequestHead::new("GET", "/").unwrap(),
        body: Default::default(),
    };
    let answered = block_on(instance.clone().on_request(request));
    assert!(answered.is_ok());
    std::mem::take(&mut logging.lines.lock().unwrap())
}

#[test]
fn what_the_host_does_not_log_costs_nothing() {
    let brief = mount(log::LevelFilter::Info);
    assert_eq!(lines(&brief), ["said"]);
    assert_eq!(ASKED.load(Ordering::Relaxed), 0);
    assert!(tracing::level_filters::LevelFilter::current() == tracing::Level::INFO);

    let detailed = mount(log::LevelFilter::Debug);
    let all = ["span{asked=1}: in detail asked=2", "span{asked=1}: said"];
    assert_eq!(lines(&detailed), all);
    // The first mount's host still logs as much as before.
    assert_eq!(lines(&brief), ["said"]);
    assert_eq!(ASKED.load(Ordering::Relaxed), 2);
}
