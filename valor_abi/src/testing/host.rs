//! [`TestHost`], the simulated host of a test.

use super::{
    vlugin::TestVlugin,
    world::{Answer, HostOf, World},
};
use crate::{Entry, IntoResponse, http};
use serde::Serialize;
use serde_json::Value;
use std::{sync::Arc, time::SystemTime};
use valor_abi_http::{request_from_wire, response_into_wire, to_fault};
use valor_abi_wire::{Fault, Host, Instance, scope};

/// A host that answers a vlugin's requests as a test wants.
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
    world: Arc<World>,
    name: Option<String>,
    prefix: Option<String>,
    config: Value,
    others: Vec<(String, Entry, Value)>,
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
        Self {
            world: Arc::new(World::new()),
            name: None,
            prefix: None,
            config: Value::Null,
            others: Vec::new(),
        }
    }

    /// The vlugin's `name` in plugins.json; by default its crate's.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Where the vlugin is mounted, as `x-forwarded-prefix` says; by default at `/` and its name.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// The vlugin's `config` in plugins.json.
    ///
    /// # Panics
    /// If it cannot be written as JSON.
    #[track_caller]
    pub fn config(mut self, config: impl Serialize) -> Self {
        self.config = to_json(config);
        self
    }

    /// The time of day when the test begins.
    pub fn now(self, now: SystemTime) -> Self {
        self.world.clock.set(now);
        self
    }

    /// Answers requests to other servers, from `cx.client()` and `cx.fetch(…)`. An `Err` stands for a server that
    /// cannot be reached, with the status that the host gives it.
    pub fn on_fetch<F, Fut>(self, answer: F) -> Self
    where
        F: Fn(http::Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoResponse> + Send + 'static,
    {
        self.world.answers().fetch = Some(answer_of(answer));
        self
    }

    /// Answers requests to another vlugin of this name, from `cx.call(…)`.
    pub fn on_call<F, Fut>(self, name: &str, answer: F) -> Self
    where
        F: Fn(http::Request) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoResponse> + Send + 'static,
    {
        let answer = answer_of(answer);
        self.world.answers().calls.insert(name.to_owned(), answer);
        self
    }

    /// Adds another vlugin next to the one under test, for `cx.call(…)`. It has the same host.
    ///
    /// # Panics
    /// If its config cannot be written as JSON.
    #[track_caller]
    pub fn vlugin(mut self, name: &str, vlugin: Entry, config: impl Serialize) -> Self {
        self.others.push((name.to_owned(), vlugin, to_json(config)));
        self
    }

    /// Creates the vlugin under test, and those next to it.
    ///
    /// # Panics
    /// If one of them cannot be created.
    #[track_caller]
    pub fn create(self, vlugin: Entry) -> TestVlugin {
        match self.try_create(vlugin) {
            Ok(vlugin) => vlugin,
            Err(fault) => panic!("the vlugin cannot be created: {fault}"),
        }
    }

    /// Creates the vlugin under test, and those next to it.
    ///
    /// # Errors
    /// What loading it would fail with: the error or panic of `on_create`, or a config that does not fit.
    #[track_caller]
    pub fn try_create(self, vlugin: Entry) -> Result<TestVlugin, Fault> {
        let world = self.world;
        for (name, entry, config) in self.others {
            let instance = create(&world, name.clone(), entry, config)?;
            let answer = move |request| instance.clone().on_request(request);
            world.answers().calls.insert(name, Arc::new(answer));
        }
        let name = self.name.unwrap_or_else(|| vlugin.name().to_owned());
        let prefix = self.prefix.unwrap_or_else(|| format!("/{name}"));
        let instance = create(&world, name.clone(), vlugin, self.config)?;
        Ok(TestVlugin::new(instance, world, name, prefix))
    }
}

#[track_caller]
fn create(
    world: &Arc<World>,
    name: String,
    entry: Entry,
    config: Value,
) -> Result<Arc<dyn Instance>, Fault> {
    let host: Arc<dyn Host> = Arc::new(HostOf::new(name, world.clone()));
    scope::adopt(&host);
    world.clock.run(entry.create(host, config))
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
            let req = request_from_wire(request)?;
            let res = answer(req).await.into_response().map_err(to_fault)?;
            response_into_wire(res).await
        })
    })
}
