//! What a vlugin may ask for, as the runtime does it: fetch, call, log, sleep, clock, random.
//!
//! Loaders give each vlugin its own [`RuntimeHost`]. So the log has the vlugin's name, each vlugin has its own `allow`
//! and `callees`, and what runs for it is counted: a fetch or a call beyond `limits.fetches` or `limits.calls` fails at
//! once. Everything else is shared.

pub mod allow;
pub mod callees;
mod counted;
pub mod fetch;
pub(crate) mod lines;
mod native;

pub use native::NativeHost;

use crate::{
    BoxFuture, Fault, Request, Response,
    account::Account,
    escape::{LONGEST, more, written},
    timer::Timer,
};
use allow::Allow;
use callees::Callees;
use counted::counted;
use fetch::Fetcher;
use lines::Lines;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use valor_abi_wire::{Host, LogRecord};

/// The host of one vlugin.
pub struct RuntimeHost {
    name: String,
    allow: Arc<Allow>,
    fetcher: Arc<Fetcher>,
    callees: Callees,
    account: Account,
    lines: Arc<Lines>,
}

impl RuntimeHost {
    /// A host for the vlugin of this name. `account` counts what runs for the vlugin.
    pub fn new(
        name: &str,
        allow: Allow,
        fetcher: Arc<Fetcher>,
        callees: Callees,
        account: Account,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            allow: Arc::new(allow),
            fetcher,
            callees,
            account,
            lines: Lines::new(name),
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

    /// Over the rate, a line is only counted.
    fn log(&self, record: &LogRecord<'_>) {
        if record.level > self.max_level() {
            return;
        }
        let (message, rest) = shortened(record.message);
        let texts = [message, record.target, record.file];
        if !self.lines.admit(|| texts.into_iter().map(written).sum()) {
            return;
        }
        let keys = [("vlugin", self.name.as_str()), ("module", record.target)];
        // What a program prints comes from no module.
        let keys = &keys[..if record.target.is_empty() { 1 } else { 2 }];
        log::logger().log(
            &log::Record::builder()
                .level(record.level)
                .target(&format!("vlugin::{}", self.name))
                .file((!record.file.is_empty()).then_some(record.file))
                .line((record.line > 0).then_some(record.line))
                .key_values(&keys)
                .args(format_args!("{message}{rest}"))
                .build(),
        );
    }

    fn max_level(&self) -> log::LevelFilter {
        log::max_level()
    }

    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let charge = match self.account.fetch() {
            Ok(charge) => Arc::new(charge),
            Err(over) => return Box::pin(async move { Err(over.into()) }),
        };
        let (fetcher, allow) = (self.fetcher.clone(), self.allow.clone());
        Box::pin(async move {
            let fetching = fetcher.fetch_holding(request, &allow, Some(&charge));
            Ok(counted(fetching.await?, vec![charge]))
        })
    }

    fn call(&self, vlugin: &str, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let charge = match self.account.call() {
            Ok(charge) => Arc::new(charge),
            Err(over) => return Box::pin(async move { Err(over.into()) }),
        };
        let calling = self.callees.call(&self.name, vlugin, request);
        Box::pin(async move { Ok(counted(calling.await?, vec![charge])) })
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            Timer::after(time).await;
        })
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random(&self, buffer: &mut [u8]) {
        // Without a source of randomness no key is safe: a panic here fails only one request.
        getrandom::fill(buffer).expect("the system has a source of randomness");
    }
}

/// The part of a text that is logged, and a note about the rest.
fn shortened(text: &str) -> (&str, String) {
    if text.len() <= LONGEST {
        return (text, String::new());
    }
    let (start, rest) = text.split_at(text.floor_char_boundary(LONGEST));
    (start, more(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_the_log_has_an_end() {
        assert_eq!(shortened("short"), ("short", String::new()));
        let text = format!("a{}", "é".repeat(LONGEST));
        let (start, rest) = shortened(&text);
        assert_eq!(start.len(), LONGEST - 1);
        assert_eq!(rest, more(text.len() - start.len()));
    }

    /// Escapes make a line of control characters six times as long.
    #[test]
    fn what_is_logged_is_counted_as_it_is_written() {
        log::set_max_level(log::LevelFilter::Info);
        let fetcher = Arc::new(Fetcher::new(fetch::FetchConfig::default()).unwrap());
        let is_flooded = |texts: [&str; 3]| {
            let nobody = crate::from_fn(|_| async { Ok(Response::new(404)) });
            let account = Account::new(&crate::Limits::default());
            let callees = Callees::new(nobody, []);
            let host = RuntimeHost::new("a", Allow::none(), fetcher.clone(), callees, account);
            let [message, target, file] = texts;
            for _ in 0..20 {
                host.log(&LogRecord {
                    level: log::Level::Error,
                    message,
                    target,
                    file,
                    line: 0,
                });
            }
            host.lines.is_flooded()
        };
        let (plain, escapes) = ("x".repeat(LONGEST), "\u{1b}".repeat(LONGEST));
        assert!(!is_flooded([&plain, "", ""]));
        assert!(is_flooded([&escapes, "", ""]));
        assert!(is_flooded(["", &escapes, ""]));
        assert!(is_flooded(["", "", &escapes]));
    }
}
