//! [`Runtime`]: everything below `server`, put together.
//!
//! It is a [`Vlugin`] itself: a request in, a response out. A program embeds it, the CLI puts a server in front of it,
//! and a test calls it without a socket.

mod administer;
mod apply;
mod builder;
mod mounts;
mod unavailable;

pub use apply::{Applied, Change, Prepared};
pub use builder::Builder;

use crate::{
    BoxFuture, Definition, Fault, Kinds, Limits, Request, Response, Vlugin,
    account::Account,
    admin::Readiness,
    definition::{DefinitionFaults, KindError},
    dispatch::{self, Dispatch},
    host::{
        NativeHost, RuntimeHost,
        allow::{Allow, AllowError},
        callees::{Callees, CalleesError},
        fetch::{FetchError, Fetcher},
    },
    loader::{LoadError, Loader, Loaders, Wanted},
    place::Place,
    registry::{Mount, Origin, RegistryError},
    timer::Timer,
};
use futures_lite::{FutureExt, future};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use valor::Entry;

/// Each load takes a thread and the bytes of its file, and some wait for a network.
const LOADS_AT_ONCE: usize = 16;

/// How long a vlugin may load before the log says so.
const LATE: Duration = Duration::from_secs(4);

/// Vlugins under one HTTP API.
///
/// ```
/// use valor_runtime::{Runtime, from_http, http};
///
/// let runtime = Runtime::builder().build()?;
/// runtime.add("greet", from_http(|req: http::Request| async move {
///     format!("hello, {}", req.url().path())
/// }))?;
///
/// let req = http::Request::new(http::Method::Get, "http://localhost/greet/Zoe");
/// let mut res = futures_lite::future::block_on(runtime.handle(req));
/// assert_eq!(res["x-valor-plugin"], "greet");
/// assert_eq!(futures_lite::future::block_on(res.body_string())?, "hello, /Zoe");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Add a vlugin in a file by its definition, with [`Runtime::load`]. Add a type that implements [`valor::Vlugin`], or
/// a crate that is linked in, with [`Runtime::add_entry`].
pub struct Runtime {
    dispatch: Arc<Dispatch>,
    callees: Callees,
    fetcher: Arc<Fetcher>,
    loaders: Loaders,
    kinds: Kinds,
    limits: Limits,
    readiness: Readiness,
    /// What is wrong with the plugins.json as a whole.
    fault: Mutex<Option<String>>,
}

/// Why a runtime cannot do what it was asked to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The definition was put together in code, and breaks the rules of plugins.json.
    #[error("the definition of `{name}`: {}", faults.on_one_line())]
    Definition {
        /// The vlugin.
        name: String,
        /// The rules that it breaks.
        faults: DefinitionFaults,
    },
    /// The name or the prefix is not available.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The vlugin cannot be loaded or created.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A pattern in `allow` is wrong.
    #[error("the vlugin `{name}`: {source}")]
    Allow {
        /// The vlugin.
        name: String,
        /// The error in the pattern.
        source: AllowError,
    },
    /// A name in `callees` belongs to nothing that the host offers.
    #[error("the vlugin `{name}`: {source}")]
    Callees {
        /// The vlugin.
        name: String,
        /// What is wrong.
        source: CalleesError,
    },
    /// What the host is to offer cannot have this name.
    #[error("what a host offers cannot be named `{name}`: {reason}")]
    Offer {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A linked-in vlugin could not be created.
    #[error("the vlugin `{name}` could not be created: {fault}")]
    Create {
        /// The vlugin.
        name: String,
        /// What it failed with.
        fault: Fault,
    },
    /// A kind that the program brings does not fit beside the others.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl Runtime {
    /// A builder with the default settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Loads a vlugin and mounts it.
    ///
    /// # Errors
    /// [`RuntimeError`]; nothing is mounted then.
    pub async fn load(&self, definition: &Definition) -> Result<(), RuntimeError> {
        self.check_unused(definition)?;
        let mount = self.prepare(definition, false).await?;
        Ok(self.dispatch.registry.insert(vec![mount])?)
    }

    /// Loads several vlugins at once and mounts those that load, in one step. The result has an entry for each
    /// definition, in the same order.
    pub async fn load_all(&self, definitions: &[Definition]) -> Vec<Result<(), RuntimeError>> {
        let loading = definitions
            .iter()
            .map(|definition| self.prepare(definition, false));
        let mut mounts = Vec::new();
        let mut outcomes: Vec<_> = stream::iter(loading)
            .buffered(LOADS_AT_ONCE)
            .map(|outcome| outcome.map(|mount| mounts.push(mount)))
            .collect()
            .await;
        match self.dispatch.registry.insert(mounts) {
            Ok(()) => outcomes,
            Err(error) => {
                // Two of them conflict. The first one fails, with an error that names both.
                if let Some(outcome) = outcomes.iter_mut().find(|outcome| outcome.is_ok()) {
                    *outcome = Err(error.into());
                }
                outcomes
            }
        }
    }

    /// Compiles vlugins ahead of a start, several at once, and runs nothing of them. Their code is found in the cache
    /// when they are loaded ([`loader::keeps_code`](crate::loader::keeps_code)). The result has an entry for each
    /// definition, in the same order: `false` if vlugins of its kind are not compiled.
    pub async fn compile_all(&self, definitions: &[Definition]) -> Vec<Result<bool, RuntimeError>> {
        let compiling = definitions.iter().map(async |definition| {
            let (loader, limited) = self.limited(definition)?;
            Ok(loader.compile(&limited).await?)
        });
        stream::iter(compiling)
            .buffered(LOADS_AT_ONCE)
            .collect()
            .await
    }

    /// Loads a vlugin and replaces the one of the same name. Running requests finish on the old one.
    ///
    /// # Errors
    /// [`RuntimeError`]. The old vlugin goes on then.
    pub async fn replace(&self, definition: &Definition) -> Result<(), RuntimeError> {
        let mount = self.prepare(definition, false).await?;
        dispatch::retire(self.dispatch.registry.replace(mount)?);
        Ok(())
    }

    /// Removes a vlugin. Running requests finish.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`].
    pub fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        dispatch::retire(self.dispatch.registry.remove(name)?);
        Ok(())
    }

    /// Mounts a vlugin that this program made. A name alone mounts it at `/` and the name.
    ///
    /// # Errors
    /// [`RuntimeError::Registry`].
    pub fn add(
        &self,
        place: impl Into<Place>,
        vlugin: Arc<dyn Vlugin>,
    ) -> Result<(), RuntimeError> {
        self.add_all([(place.into(), vlugin)])
    }

    /// Mounts several vlugins that this program made, in one step: all of them or none.
    ///
    /// # Errors
    /// [`RuntimeError::Registry`].
    pub fn add_all(
        &self,
        vlugins: impl IntoIterator<Item = (Place, Arc<dyn Vlugin>)>,
    ) -> Result<(), RuntimeError> {
        let mounts = vlugins
            .into_iter()
            .map(|(place, vlugin)| place.mount(vlugin, Origin::default(), &self.limits))
            .collect();
        Ok(self.dispatch.registry.insert(mounts)?)
    }

    /// Creates a vlugin that is linked into this program and mounts it. It is the `VLUGIN` of its crate, or an
    /// [`Entry::of`] a type.
    ///
    /// ```
    /// use valor::{Context, Entry, Vlugin, http};
    /// use valor_runtime::Runtime;
    ///
    /// struct Greeter(String);
    ///
    /// impl Vlugin for Greeter {
    ///     type Config = String;
    ///     async fn on_create(who: String, _: &mut Context) -> http::Result<Self> {
    ///         Ok(Greeter(who))
    ///     }
    ///     async fn on_request(&self, _: &Context, _: http::Request) -> http::Result<http::Response> {
    ///         Ok(format!("{} says hello", self.0).into())
    ///     }
    /// }
    ///
    /// # futures_lite::future::block_on(async {
    /// let runtime = Runtime::builder().build()?;
    /// let entry = Entry::of::<Greeter>("greeter", "1.0.0");
    /// runtime.add_entry("alice", entry, "Alice").await?;
    ///
    /// let req = http::Request::new(http::Method::Get, "http://localhost/alice");
    /// assert_eq!(runtime.handle(req).await.body_string().await.unwrap(), "Alice says hello");
    /// # Ok::<(), valor_runtime::RuntimeError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`RuntimeError::Create`] and [`RuntimeError::Registry`].
    pub async fn add_entry(
        &self,
        place: impl Into<Place>,
        entry: Entry,
        config: impl Serialize,
    ) -> Result<(), RuntimeError> {
        let place = place.into();
        let config = serde_json::to_value(config).map_err(|error| RuntimeError::Create {
            name: place.name.clone(),
            fault: Fault::error(
                500,
                format!("its config cannot be written as JSON: {error}"),
            ),
        })?;
        let account = Account::new(&place.limits.clone().or(&self.limits));
        // Code in this process could open any connection itself.
        let allow = match &place.allow {
            Some(patterns) => allowed(&place.name, patterns)?,
            None => Allow::all(),
        };
        let callees = self.callees_of(&place.name, place.callees.as_deref())?;
        let host = RuntimeHost::new(&place.name, allow, self.fetcher.clone(), callees, account);
        let host = NativeHost::new(host);
        let vlugin = entry
            .create(host, config)
            .await
            .map_err(|fault| RuntimeError::Create {
                name: place.name.clone(),
                fault,
            })?;
        let origin = Origin {
            version: Some(entry.version().to_owned()),
            ..Origin::default()
        };
        let mount = place.mount(vlugin, origin, &self.limits);
        Ok(self.dispatch.registry.insert(vec![mount])?)
    }

    /// Answers a request without a socket. A server such as async-h1, which takes `http_types`' own types, gets them by
    /// `into()`.
    pub async fn handle(&self, req: impl Into<crate::http::Request>) -> crate::http::Response {
        let answer = async {
            let req = req.into();
            let host = match req.url().port() {
                Some(port) => format!("{}:{port}", req.url().host_str().unwrap_or("localhost")),
                None => req.url().host_str().unwrap_or("localhost").to_owned(),
            };
            let mut request = valor_abi_http::request_into_wire(req).await?;
            if request.head.header("host").is_none() {
                let _ = request.head.push("host", host.as_bytes());
            }
            let response = self.dispatch.answer(request).await;
            valor_abi_http::response_from_wire(response)
        };
        answer.await.unwrap_or_else(|fault| {
            let mut res = crate::http::Response::new(fault.status);
            res.set_body(fault.message);
            res
        })
    }

    /// The kinds of vlugin that it loads: Valor's own, and those that the program brought.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The mounted vlugins, by name. The names of the runtime's own begin with an underscore.
    pub fn mounted(&self) -> Vec<Arc<Mount>> {
        self.dispatch.registry.list()
    }

    /// Sets whether `/_health` reports that all vlugins have been created.
    pub fn set_ready(&self, ready: bool) {
        self.readiness.set(ready);
    }

    /// Fails early if a name or a prefix is taken, before a library is loaded for it.
    fn check_unused(&self, definition: &Definition) -> Result<(), RegistryError> {
        let place = Place::from(definition);
        match self.dispatch.registry.get(&place.name) {
            Some(other) => Err(RegistryError::NameTaken {
                name: place.name,
                prefix: other.prefix.to_string(),
            }),
            None => Ok(()),
        }
    }

    /// Loads a vlugin, ready to be mounted. If `restricted`, it is loaded only from the plugin folders.
    async fn prepare(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<Mount, RuntimeError> {
        let (loader, limited) = self.limited(definition)?;
        let account = Account::new(&limited.limits);
        let allow = match (&definition.allow, definition.kind.reaches_every_host()) {
            (Some(patterns), _) => allowed(&definition.name, patterns)?,
            (None, true) => Allow::all(),
            (None, false) => Allow::none(),
        };
        let name = &definition.name;
        let callees = self.callees_of(name, definition.callees.as_deref())?;
        let wanted = Wanted {
            definition: &limited,
            restricted,
            host: RuntimeHost::new(name, allow, self.fetcher.clone(), callees, account),
        };
        let loaded = loader.load(wanted).or(told_late(name)).await?;
        let origin = Origin {
            kind: Some(definition.kind),
            definition: Some(Arc::new(definition.clone())),
            file: Some(loaded.file),
            sha256: loaded.sha256,
            version: loaded.metadata.map(|metadata| metadata.version),
            is_folder: loaded.is_folder,
            unavailable: None,
        };
        Ok(Place::from(definition).mount(loaded.vlugin, origin, &self.limits))
    }

    /// The loader of a definition that keeps all rules, and the definition with its limits.
    fn limited(&self, definition: &Definition) -> Result<(&dyn Loader, Definition), RuntimeError> {
        let checked = self.kinds.check(definition);
        checked.map_err(|faults| RuntimeError::Definition {
            name: definition.name.clone(),
            faults,
        })?;
        let loader = self.loaders.of(definition.kind);
        let loader = loader.expect("there is a loader of each kind that a definition may name");
        let limited = Definition {
            limits: loader.limits(&definition.limits, &self.limits),
            ..definition.clone()
        };
        Ok((loader, limited))
    }

    /// What the vlugin of this name may call.
    fn callees_of(&self, name: &str, callees: Option<&[String]>) -> Result<Callees, RuntimeError> {
        let granted = self.callees.granting(callees);
        granted.map_err(|source| RuntimeError::Callees {
            name: name.to_owned(),
            source,
        })
    }

    /// The vlugins that have ended too often to be started again at once, and why.
    fn troubled(&self) -> Vec<(String, String)> {
        self.loaders.iter().flat_map(Loader::troubled).collect()
    }
}

/// Says once that a vlugin is still being loaded: whoever waits for it then knows why. It never ends.
async fn told_late<T>(name: &str) -> T {
    Timer::after(LATE).await;
    log::info!(
        target: "valor",
        "the vlugin `{name}` is not loaded yet after {} s; others that come with it wait",
        LATE.as_secs()
    );
    future::pending().await
}

/// The hosts that these patterns allow.
fn allowed(name: &str, patterns: &[String]) -> Result<Allow, RuntimeError> {
    Allow::parse(patterns).map_err(|source| RuntimeError::Allow {
        name: name.to_owned(),
        source,
    })
}

impl Vlugin for Runtime {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        async move { Ok(self.dispatch.answer(request).await) }.boxed()
    }
}
