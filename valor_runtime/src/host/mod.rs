//! What a vlugin may ask for, as the runtime does it: fetch, call, log, sleep, clock, random.
//!
//! Loaders give each vlugin a [`RuntimeHost`] of its own, so that the log has its name and
//! `allow` is its own. Everything else is shared.

pub mod allow;
pub mod fetch;

use crate::{BoxFuture, Fault, Request, Response, Vlugin, account::Account};
use allow::Allow;
use fetch::Fetcher;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use valor::host::{Host, LogRecord};

/// The host of one vlugin.
pub struct RuntimeHost {
    name: String,
    allow: Arc<Allow>,
    fetcher: Arc<Fetcher>,
    /// The vlugins by name: `/NAME/path`.
    callees: Arc<dyn Vlugin>,
    account: Account,
}

impl RuntimeHost {
    /// A host for the vlugin of this name. `callees` answers `call`s: a request to `/NAME/path`. What runs for the
    /// vlugin counts in `account`.
    pub fn new(
        name: &str,
        allow: Allow,
        fetcher: Arc<Fetcher>,
        callees: Arc<dyn Vlugin>,
        account: Account,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            allow: Arc::new(allow),
            fetcher,
            callees,
            account,
        })
    }

    /// The vlugin's account.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl Host for RuntimeHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self, record: &LogRecord<'_>) {
        log::logger().log(
            &log::Record::builder()
                .level(record.level)
                .target(&format!("vlugin::{}", self.name))
                .file((!record.file.is_empty()).then_some(record.file))
                .line((record.line > 0).then_some(record.line))
                .key_values(&[("vlugin", self.name.as_str()), ("module", record.target)])
                .args(format_args!("{}", record.message))
                .build(),
        );
    }

    fn max_level(&self) -> log::LevelFilter {
        log::max_level()
    }

    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let (fetcher, allow) = (self.fetcher.clone(), self.allow.clone());
        Box::pin(async move { fetcher.fetch(request, &allow).await })
    }

    fn call(
        &self,
        vlugin: &str,
        mut request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        let is_name = !vlugin.is_empty() && !vlugin.contains(['/', '?', '#']);
        let target = request.head.target();
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = format!("/{vlugin}{slash}{target}");
        if !is_name || request.head.set_target(&target).is_err() {
            // As for any other name that nobody has.
            let response = Response::problem(404, &format!("no vlugin is named `{vlugin}`"));
            return Box::pin(async { Ok(response) });
        }
        self.callees.clone().on_request(request)
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            smol::Timer::after(time).await;
        })
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self, buffer: &mut [u8]) {
        // Without a source of randomness no key is safe: a panic here is one failed request.
        getrandom::fill(buffer).expect("the system has a source of randomness");
    }
}
