//! [`TestHost`], the host that a test makes up, and [`TestVlugin`], a vlugin that was created
//! by it.

use super::{TestRequest, TestResponse, clock::Clock};
use crate::{
    IntoResponse, convert,
    fault::Fault,
    host::{self, Host, LogRecord},
    http,
    instance::{Entry, Instance},
    wire::{BoxFuture, Request, RequestHead, Response},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

type Answer =
    Arc<dyn Fn(Request) -> BoxFuture<'static, Result<Response, Fault>> + Send + Sync + 'static>;

/// A host that answers what a vlugin asks as a test wants it.
///
/// ```
/// use valor::{testing::TestHost, *};
///
/// #[vlugin]
/// pub async fn on_request(cx: &Context, _req: http::Request) -> http::Result<http::Response> {
///     let weather = http::Request::get("https://weather.example/today");
///     let mut weather = cx.fetch(weather).await?;
///     sleep(std::time::Duration::from_secs(60)).await;
///     let greeting = cx.call("greeter", http::Request::get("http://x/?who=Zoe")).await?;
///     log::info!("the greeter says {}", greeting.status());
///     Ok(format!("today: {}", weather.body_string().await?).into())
/// }
///
/// # fn main() {
/// let host = TestHost::new()
///     .on_fetch(|req| async move {
///         assert_eq!(req.url().as_str(), "https://weather.example/today");
///         "sunny"
///     })
///     .on_call("greeter", |req| async move { format!("you sent {}", req.url()) });
///
/// let vlugin = host.create(VLUGIN);
/// vlugin.get("/").assert_status(200).assert_body("today: sunny");
/// assert_eq!(vlugin.log()[0].message, "the greeter says 200");
/// # }
/// ```
#[must_use = "`create` makes a vlugin with it"]
pub struct TestHost {
    shared: Arc<Shared>,
    name: Option<String>,
    prefix: Option<String>,
    config: Value,
    others: Vec<(String, Entry, Value)>,
}

/// What the host of the vlugin under test and those of the vlugins beside it have in common.
struct Shared {
    clock: Arc<Clock>,
    log: Mutex<Vec<LogLine>>,
    random: Mutex<u64>,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    fetch: Option<Answer>,
    calls: HashMap<String, Answer>,
}

/// A line that a vlugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The name of the vlugin.
    pub vlugin: String,
    /// How grave it is.
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

impl Default for TestHost {
    fn default() -> Self {
        Self::new()
    }
}

impl TestHost {
    /// A host that refuses every `fetch` and knows no other vlugin. Its clock starts at
    /// 2000-01-01 00:00 UTC, and its random numbers are the same each time.
    pub fn new() -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
        Self {
            shared: Arc::new(Shared {
                clock: Arc::new(Clock::new(start)),
                log: Mutex::default(),
                random: Mutex::new(0),
                answers: Mutex::default(),
            }),
            name: None,
            prefix: None,
            config: Value::Null,
            others: Vec::new(),
        }
    }

    /// The vlugin's `name` in plugins.json; its crate's, where it is not said.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Where the vlugin is mounted, which `x-forwarded-prefix` tells it; by default at `/` and its name.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// The vlugin's `config` in plugins.json.
    ///
    /// # Panics
    /// Where it cannot be written as JSON.
    #[track_caller]
    pub fn config(mut self, config: impl Serialize) -> Self {
        self.config = to_json(config);
        self
    }

    /// The time of day at which the test begins.
    pub fn now(self, now: SystemTime) -> Self {
        self.shared.clock.set(now);
        self
    }

    /// Answers what is sent to other servers, with `cx.client()` and `cx.fetch(…)`: an `Err`
    /// stands for a server that cannot be reached, with the status that the host gives it.
    pub fn on_fetch<F, Fut>(self, answer: F) -> Self
    where
        F: Fn(http::Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoResponse> + Send + 'static,
    {
        self.shared.answers().fetch = Some(answer_of(answer));
        self
    }

    /// Answers what is sent to another vlugin of this name with `cx.call(…)`.
    pub fn on_call<F, Fut>(self, name: &str, answer: F) -> Self
    where
        F: Fn(http::Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoResponse> + Send + 'static,
    {
        let answer = answer_of(answer);
        self.shared.answers().calls.insert(name.to_owned(), answer);
        self
    }

    /// Puts another vlugin beside the one under test, for `cx.call(…)`. It has the same host.
    ///
    /// # Panics
    /// Where its config cannot be written as JSON.
    #[track_caller]
    pub fn vlugin(mut self, name: &str, vlugin: Entry, config: impl Serialize) -> Self {
        self.others.push((name.to_owned(), vlugin, to_json(config)));
        self
    }

    /// Creates the vlugin under test, and those beside it.
    ///
    /// # Panics
    /// Where one of them cannot be created.
    #[track_caller]
    pub fn create(self, vlugin: Entry) -> TestVlugin {
        match self.try_create(vlugin) {
            Ok(vlugin) => vlugin,
            Err(fault) => panic!("the vlugin cannot be created: {fault}"),
        }
    }

    /// Creates the vlugin under test, and those beside it.
    ///
    /// # Errors
    /// What a load of it would fail with: the error or panic of `on_create`, or a config that
    /// does not fit.
    #[track_caller]
    pub fn try_create(self, vlugin: Entry) -> Result<TestVlugin, Fault> {
        let shared = self.shared;
        for (name, entry, config) in self.others {
            let instance = create(&shared, name.clone(), entry, config)?;
            let answer = move |request| instance.clone().on_request(request);
            shared.answers().calls.insert(name, Arc::new(answer));
        }
        let name = self.name.unwrap_or_else(|| vlugin.name().to_owned());
        let prefix = self.prefix.unwrap_or_else(|| format!("/{name}"));
        let instance = create(&shared, name.clone(), vlugin, self.config)?;
        Ok(TestVlugin {
            instance,
            shared,
            name,
            prefix,
            requests: AtomicU64::new(0),
        })
    }
}

#[track_caller]
fn create(
    shared: &Arc<Shared>,
    name: String,
    entry: Entry,
    config: Value,
) -> Result<Arc<dyn Instance>, Fault> {
    let host: Arc<dyn Host> = Arc::new(HostOf {
        name,
        shared: shared.clone(),
    });
    host::adopt(&host);
    shared.clock.run(entry.create(host, config))
}

#[track_caller]
fn to_json(config: impl Serialize) -> Value {
    serde_json::to_value(config).expect("the config can be written as JSON")
}

fn answer_of<F, Fut>(answer: F) -> Answer
where
    F: Fn(http::Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoResponse> + Send + 'static,
{
    let answer = Arc::new(answer);
    Arc::new(move |request| {
        let answer = answer.clone();
        Box::pin(async move {
            let req = convert::request_from_wire(request)?;
            let res = answer(req).await.into_response()?;
            convert::response_into_wire(res).await
        })
    })
}

/// A vlugin that was created for a test.
pub struct TestVlugin {
    instance: Arc<dyn Instance>,
    shared: Arc<Shared>,
    name: String,
    prefix: String,
    /// How many requests were given an id.
    requests: AtomicU64,
}

impl TestVlugin {
    /// Sends a GET request; `target` is path and query, without the vlugin's prefix.
    #[track_caller]
    pub fn get(&self, target: &str) -> TestResponse {
        self.request("GET", target).send()
    }

    /// Sends a POST request with a body; its content type is that of the body.
    #[track_caller]
    pub fn post(&self, target: &str, body: impl Into<http::Body>) -> TestResponse {
        self.request("POST", target).body(body).send()
    }

    /// Begins a request of any method, to be sent with [`TestRequest::send`].
    ///
    /// # Panics
    /// For a method or a target that HTTP does not know.
    #[track_caller]
    pub fn request(&self, method: &str, target: &str) -> TestRequest<'_> {
        TestRequest::new(self, method, target)
    }

    /// What was logged since the vlugin was created, by it and by those beside it. The log
    /// keeps every level.
    pub fn log(&self) -> Vec<LogLine> {
        self.shared.log().clone()
    }

    /// The time of day by the host's clock.
    pub fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Sets what the host sets in a request, and gives the request's id.
    pub(super) fn complete(&self, head: &mut RequestHead) -> String {
        if head.peer().is_none() {
            head.set_peer("127.0.0.1:50000");
        }
        head.remove("x-forwarded-prefix");
        if self.prefix != "/" {
            let _ = head.push("x-forwarded-prefix", self.prefix.as_bytes());
        }
        let own = head.header_str("x-request-id").map(str::to_owned);
        let id = own.unwrap_or_else(|| {
            format!("{:032x}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
        });
        let _ = head.set("x-request-id", id.as_bytes());
        id
    }

    #[track_caller]
    pub(super) fn send(&self, request: Request) -> (Result<Response, Fault>, Arc<Clock>) {
        let clock = self.shared.clock.clone();
        let answer = clock.run(self.instance.clone().on_request(request));
        (answer, clock)
    }
}

impl Drop for TestVlugin {
    fn drop(&mut self) {
        // Those beside it hold the host, and the host holds them.
        *self.shared.answers() = Answers::default();
    }
}

impl Shared {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn log(&self) -> MutexGuard<'_, Vec<LogLine>> {
        self.log.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The host of one vlugin.
struct HostOf {
    name: String,
    shared: Arc<Shared>,
}

fn refuse(status: u16, message: String) -> BoxFuture<'static, Result<Response, Fault>> {
    Box::pin(async move { Err(Fault::refused(status, message)) })
}

impl Host for HostOf {
    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self, record: &LogRecord<'_>) {
        self.shared.log().push(LogLine {
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
        let answer = self.shared.answers().fetch.clone();
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

    fn call(&self, vlugin: &str, request: Request) -> BoxFuture<'static, Result<Response, Fault>> {
        let answer = self.shared.answers().calls.get(vlugin).cloned();
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
        Box::pin(self.shared.clock.sleep(time))
    }

    fn now(&self) -> SystemTime {
        self.shared.clock.now()
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
    fn random(&self, buffer: &mut [u8]) {
        let mut state = self.shared.random.lock().unwrap_or_else(|e| e.into_inner());
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
