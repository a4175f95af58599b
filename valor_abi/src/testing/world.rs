//! What the host of the vlugin under test and those of the vlugins next to it share, and the host of each.

use super::clock::Clock;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use valor_abi_wire::{BoxFuture, Fault, Host, LogRecord, Request, Response, lock::locked};

pub(super) type Answer =
    Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Response, Fault>> + Send + Sync + 'static>;

/// What the host of the vlugin under test and those of the vlugins next to it share.
pub(super) struct World {
    pub(super) clock: Arc<Clock>,
    log: Mutex<Vec<LogLine>>,
    random: Mutex<u64>,
    answers: Mutex<Answers>,
}

#[derive(Default)]
pub(super) struct Answers {
    pub(super) fetch: Option<Answer>,
    pub(super) calls: HashMap<String, Answer>,
}

/// A line that a vlugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The name of the vlugin.
    pub vlugin: String,
    /// Its level.
    pub level: log::Level,
    /// The module that it comes from.
    pub target: String,
    /// The line itself.
    pub message: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.level, self.vlugin, self.message)
    }
}

impl World {
    pub(super) fn new() -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
        Self {
            clock: Arc::new(Clock::new(start)),
            log: Mutex::default(),
            random: Mutex::new(0),
            answers: Mutex::default(),
        }
    }

    pub(super) fn answers(&self) -> MutexGuard<'_, Answers> {
        locked(&self.answers)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Vec<LogLine>> {
        locked(&self.log)
    }
}

/// The host of one vlugin.
pub(super) struct HostOf {
    name: String,
    world: Arc<World>,
}

impl HostOf {
    pub(super) fn new(name: String, world: Arc<World>) -> Self {
        Self { name, world }
    }
}

fn refuse(status: u16, message: String) -> BoxFuture<'static, Result<Response, Fault>> {
    Box::pin(async move { Err(Fault::refused(status, message)) })
}

impl Host for HostOf {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self, record: &LogRecord<'_>) {
        self.world.log().push(LogLine {
            vlugin: self.name.clone(),
            level: record.level,
            target: record.target.to_owned(),
            message: record.message.to_owned(),
        });
    }

    fn max_level(&self) -> log::LevelFilter {
        log::LevelFilter::Trace
    }

    fn fetch(&self, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let answer = self.world.answers().fetch.clone();
        match answer {
            Some(answer) => answer(request),
            None => refuse(
                403,
                format!(
                    "nobody answers {} in this test: say who does with `TestHost::on_fetch`",
                    request.head.target()
                ),
            ),
        }
    }

    fn call(
        &self,
        vlugin: &str,
        mut request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        // What the host offers learns whose request it is, and nobody else names the caller.
        request.head.remove("x-valor-caller");
        if vlugin.starts_with('_') {
            // A head that is too full for it goes without.
            let _ = request.head.push("x-valor-caller", self.name.as_bytes());
        }
        let answer = self.world.answers().calls.get(vlugin).cloned();
        match answer {
            Some(answer) => answer(request),
            None => refuse(
                404,
                format!(
                    "there is no vlugin `{vlugin}` in this test: \
                     add it with `TestHost::vlugin` or `TestHost::on_call`"
                ),
            ),
        }
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.world.clock.sleep(time))
    }

    fn now(&self) -> SystemTime {
        self.world.clock.now()
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    fn random(&self, buffer: &mut [u8]) {
        let mut state = locked(&self.world.random);
        for bytes in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut number = *state;
            number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            number ^= number >> 31;
            bytes.copy_from_slice(&number.to_le_bytes()[..bytes.len()]);
        }
    }
}
