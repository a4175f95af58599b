//! WebAssembly components as vlugins: programs in any language that export `wasi:http`, in WASI 0.2 or 0.3. They are
//! found, checked, compiled, and run by wasmtime within limits.
//!
//! [`WasiLoader`] is what the runtime calls. These files do the steps:
//!
//! - Before any of a component is compiled, `world` judges it: which handler it exports, and whether this host has what
//!   it imports. `outline` reads its parts within limits, `stray` says what a core module is instead, `interfaces`
//!   knows what this host has, and `shape` compares the types of functions.
//! - `component` compiles it, and `imports` links it with what a component may import: wasmtime's
//!   implementation of WASI, with Valor's `clocks`, `files`, `names`, `outgoing_v2`, `output` and `sockets`.
//! - `pool` has the instances of a vlugin, `instance` is one and those who wait for it, and `driver` what it does.
//!   `inbox` is what both share, `driven` how an instance gets a thread, `guest` what the host keeps for it, `recipe`
//!   what all instances of a vlugin get, and `folders` those of the file system.
//! - `messages` converts requests and responses, and `outgoing` sends what a component sends.
//!
//! A component that traps ends its instance and the requests that this one worked for. The next request finds another.

#![cfg(feature = "wasi")]

#[cfg(test)]
mod broken_tests;
mod clocks;
mod component;
mod driven;
mod driver;
mod files;
mod folders;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod guest;
mod imports;
mod inbox;
mod instance;
mod interfaces;
#[cfg(test)]
mod large_tests;
mod messages;
mod names;
mod outgoing;
mod outgoing_v2;
mod outline;
mod output;
mod pool;
mod recipe;
#[cfg(test)]
mod sample;
mod shape;
mod sockets;
mod stray;
mod types;
mod world;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use fuzzing::check;

use super::{
    ComponentError, Examined, LoadError, Loaded, Loader, Settings, Wanted,
    engine::{Precompiled, patience::in_time},
    search::{Search, of_crate},
    unpack,
};
use crate::{
    BoxFuture, Definition, Limits, account::Account, definition::Instance, hex::hex,
    package::WASI_TARGET, timer::Timer,
};
use futures_lite::future;
use pool::Pool;
use recipe::Recipe;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use valor_abi_wire::Host;
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi_config::WasiConfigVariables;

/// How many instances there may be unless a definition says otherwise, if each answers one request.
const INSTANCES: usize = 64;

/// The key of `wasi:config/store` that has all of a definition's `config`, as JSON.
const CONFIG: &str = "config";

/// The variable that has a vlugin's name.
const NAME: &str = "VALOR_NAME";

/// What the bytes of a component reveal. It is judged by the limits that a vlugin has by default.
///
/// # Errors
/// The file is not a component.
pub(super) fn examine(file: &Path, bytes: &[u8]) -> Result<Examined, LoadError> {
    let failed = |error| failed(file, error);
    component::check_start(file, bytes).map_err(failed)?;
    Ok(Examined {
        format: "WebAssembly component",
        architecture: "wasm32",
        metadata: None,
        target: Some(WASI_TARGET),
        interfaces: world::interfaces(bytes).unwrap_or_default(),
        verdict: world::read(bytes, &Limits::default())
            .map(drop)
            .map_err(failed),
    })
}

/// What is wrong with a component's file.
fn failed(file: &Path, error: ComponentError) -> LoadError {
    LoadError::Component {
        file: file.to_owned(),
        error: Box::new(error),
    }
}

/// Loads components.
#[derive(Debug, Clone)]
pub struct WasiLoader {
    search: Search,
    create_timeout: Duration,
}

impl Loader for WasiLoader {
    fn locate(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<Option<PathBuf>, LoadError> {
        self.locate(definition, restricted).map(Some)
    }

    /// The runtime's default for `instances` is meant for modules, whose instances answer several requests.
    fn limits(&self, said: &Limits, defaults: &Limits) -> Limits {
        Limits {
            instances: said.instances,
            ..said.clone().or(defaults)
        }
    }

    fn load<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        Box::pin(self.load(wanted))
    }

    fn compile<'a>(&'a self, definition: &'a Definition) -> BoxFuture<'a, Result<bool, LoadError>> {
        Box::pin(async move {
            self.found(definition, false).await?;
            Ok(true)
        })
    }
}

impl WasiLoader {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            search: Search::of(settings),
            create_timeout: settings.create_timeout,
        }
    }

    /// A loader for definitions whose paths are relative to `base`, the folder of plugins.json.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            search: Search::new(base),
            create_timeout: Duration::from_secs(30),
        }
    }

    /// The folders where bare names are looked for first.
    #[must_use]
    pub fn plugin_dirs<D: Into<PathBuf>>(mut self, dirs: impl IntoIterator<Item = D>) -> Self {
        self.search.plugin_dirs(dirs);
        self
    }

    /// Finds the component of a definition and gives its bytes and their SHA-256, for another host to run. They are
    /// checked against `sha256` and seen to be a component that this host would run if it were not too much to compile.
    ///
    /// # Errors
    /// Any [`LoadError`] of a file.
    pub fn read(&self, definition: &Definition) -> Result<(Vec<u8>, String), LoadError> {
        let (file, bytes, sha256) = self.pick(definition, false)?;
        let chosen = unpack::choose(&file, &bytes, WASI_TARGET)?;
        component::check_start(&file, chosen.bytes)
            .and_then(|()| world::read_elsewhere(chosen.bytes))
            .map_err(|error| failed(&file, error))?;
        match chosen.sha256() {
            // The other host gets only the component of a package.
            Some(sha256) => Ok((chosen.bytes.to_vec(), hex(&sha256))),
            None => Ok((bytes, hex(&sha256))),
        }
    }

    fn locate(&self, definition: &Definition, restricted: bool) -> Result<PathBuf, LoadError> {
        let names = |name: &str| of_crate(name, |name| format!("{name}.wasm"));
        self.search
            .locate(definition, restricted, "component", names, Vec::new)
    }

    async fn load(&self, wanted: Wanted<'_>) -> Result<Loaded, LoadError> {
        let Wanted {
            definition,
            restricted,
            host,
        } = wanted;
        let (file, sha256, component) = self.found(definition, restricted).await?;
        let account = host.account().clone();
        let bounds = folders::Bounds {
            file: &file,
            base: self.search.base(),
            dirs: self.search.dirs(),
            is_restricted: restricted,
        };
        let files = folders::granted(definition, &bounds).map_err(|error| failed(&file, error))?;
        let is_single = match definition.instance {
            Some(instance) => instance == Instance::Request,
            None => !component.pre.is_concurrent(),
        };
        let recipe = recipe(definition, host, account, is_single, files);
        let most = match (definition.limits.instances, is_single) {
            (Some(most), _) => most as usize,
            (None, true) => INSTANCES,
            // They share their state.
            (None, false) => 1,
        };
        let pool = Pool::new(recipe, component, most);
        self.begin(&definition.name, &pool).await?;
        let mut loaded = Loaded::new(Arc::new(pool), file);
        loaded.sha256 = Some(sha256);
        Ok(loaded)
    }

    /// Finds the component of a definition, and compiles it within the time that this may take.
    async fn found(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<(PathBuf, String, component::Checked), LoadError> {
        let (loader, of) = (self.clone(), definition.clone());
        let compiling = in_time(
            definition,
            |limit| match self.locate(definition, restricted) {
                Ok(file) => failed(&file, ComponentError::CompileTimedOut(limit)),
                Err(error) => error,
            },
            move |stage| loader.compiled(&of, restricted, stage),
        );
        compiling.await
    }

    fn compiled(
        &self,
        definition: &Definition,
        restricted: bool,
        stage: &(dyn Fn(super::engine::Stage) + Sync),
    ) -> Result<(PathBuf, String, component::Checked), LoadError> {
        let (file, bytes, sha256) = self.pick(definition, restricted)?;
        let chosen = unpack::choose(&file, &bytes, WASI_TARGET)?;
        let checked = component::check_start(&file, chosen.bytes)
            .and_then(|()| {
                let code = Precompiled::of(&file, &chosen, self.search.trust.as_ref());
                component::check(chosen.bytes, code, &definition.limits, stage)
            })
            .map_err(|error| failed(&file, error))?;
        Ok((file, hex(&sha256), checked))
    }

    /// The file of a definition, its bytes and their SHA-256.
    fn pick(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<(PathBuf, Vec<u8>, [u8; 32]), LoadError> {
        let file = self.locate(definition, restricted)?;
        let (bytes, sha256) = self.search.pick(definition, &file, |first| {
            component::check_first(&file, first).map_err(|error| failed(&file, error))
        })?;
        Ok((file, bytes, sha256))
    }

    async fn begin(&self, name: &str, pool: &Pool) -> Result<(), LoadError> {
        let (name, limit) = (name.to_owned(), self.create_timeout);
        let begun = future::or(async { Some(pool.begin().await) }, async {
            Timer::after(limit).await;
            None
        });
        match begun.await {
            Some(Ok(())) => Ok(()),
            None => Err(LoadError::CreateTimedOut { name, limit }),
            Some(Err(fault)) => Err(LoadError::not_created(name, fault)),
        }
    }
}

/// What every instance of a definition's vlugin gets.
fn recipe(
    definition: &Definition,
    host: Arc<dyn Host>,
    account: Account,
    is_single: bool,
    files: Option<WasiFilesystemCtx>,
) -> Recipe {
    let variables = variables(&definition.config);
    let mut environment = vec![(NAME.to_owned(), definition.name.clone())];
    environment.extend(variables.iter().cloned());
    let mut config: WasiConfigVariables = variables.into_iter().collect();
    config.insert(CONFIG, definition.config.to_string());
    let limits = &definition.limits;
    Recipe {
        name: definition.name.clone(),
        host,
        environment,
        config: Arc::new(config),
        memory: usize::try_from(limits.memory()).unwrap_or(usize::MAX),
        cpu: limits.cpu(),
        timeout: limits.timeout(),
        is_single,
        files,
        bodies: Arc::default(),
        account,
    }
}

/// The keys of a `config` that is an object, with their values as text.
fn variables(config: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let keys = config.as_object().into_iter().flatten();
    keys.map(|(key, value)| (key.clone(), text(value)))
        .collect()
}
