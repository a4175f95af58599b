//! WebAssembly modules as vlugins. They are found, checked against the guest boundary, compiled, and run by wasmtime
//! within limits.
//!
//! [`WasmLoader`] is what the runtime calls. These files do the steps:
//!
//! - Before any code runs, `module` judges a file, with what `loader/engine` has for every guest.
//! - `pool` has the instances of a vlugin, `instance` runs one, and `driver` calls it. `imports` is what a guest can
//!   ask for, `exports` what the host calls, and `shared` is what an instance shares with those who wait for it.
//! - `snapshot` freezes an instance, so that others begin as it was then.
//! - `copies` takes things out of a guest's memory, and `text` bounds its texts. `pieces` are the bodies that a guest
//!   writes, `outgoing` the body of a fetch, and `timers` its timers.
//!
//! A guest that does something wrong ends its instance and the requests that this one worked for. The next request
//! finds a new one.

#![cfg(feature = "wasm")]

mod copies;
mod driver;
mod exports;
#[cfg(test)]
mod frozen;
#[cfg(any(test, feature = "fuzzing"))]
mod fuzzing;
mod imports;
mod instance;
mod module;
mod outgoing;
mod pieces;
mod pool;
mod shared;
mod snapshot;
mod text;
mod timers;

pub use super::GuestError;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use fuzzing::{BOUND, check};

use super::{
    Examined, Interfaces, LoadError, Loaded, Loader, Settings, Wanted,
    engine::{
        Precompiled, Stage,
        patience::{in_time, in_time_again},
    },
    search::{Search, of_crate},
    unpack,
};
use crate::{
    BoxFuture, Definition, Limits,
    account::Account,
    definition::Instance as InstanceOf,
    hex::hex,
    package::{TrustedKeys, WASM_TARGET},
    timer::Timer,
};
use driver::{Recipe, Start};
use futures_lite::future;
use instance::Instance;
use pool::Pool;
use snapshot::Original;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use valor_abi_wire::{Host, lock::locked};

/// What the bytes of a module reveal. It is judged by the limits that a vlugin has by default.
///
/// # Errors
/// The file is not a WebAssembly module. A component is none, and `wasi` looks at it.
pub(super) fn examine(file: &Path, bytes: &[u8]) -> Result<Examined, LoadError> {
    let failed = |error| LoadError::Guest {
        file: file.to_owned(),
        error,
    };
    module::check_start(file, bytes).map_err(failed)?;
    module::check_format(bytes).map_err(failed)?;
    Ok(Examined {
        format: "WebAssembly",
        architecture: "wasm32",
        metadata: module::metadata(bytes),
        target: None,
        interfaces: Interfaces::default(),
        verdict: module::check(bytes, None, &Limits::default(), &|_| {})
            .map(drop)
            .map_err(failed),
    })
}

/// A file that was found, and its module.
struct Found {
    file: PathBuf,
    sha256: String,
    module: module::Checked,
    /// If the vlugin is to be frozen once it is created.
    original: Option<Original>,
}

fn late(file: &Path, limit: Duration) -> LoadError {
    LoadError::Guest {
        file: file.to_owned(),
        error: GuestError::CompileTimedOut(limit),
    }
}

/// The recipe of instances that begin as the one of this recipe has become.
async fn freeze(
    definition: &Definition,
    file: &Path,
    recipe: Arc<Recipe>,
) -> Result<Arc<Recipe>, LoadError> {
    let (of, limits, path) = (recipe.clone(), definition.limits.clone(), file.to_owned());
    let compiling = in_time_again(
        definition,
        |limit| late(file, limit),
        move |stage| {
            let Start::Freeze(_, original, state) = &of.start else {
                unreachable!("the caller has looked")
            };
            // Its creation is over, which it is with its state.
            let state = locked(state).take();
            let state = state.ok_or_else(|| GuestError::Start("it has no state".into()));
            let frozen = state.and_then(|state| {
                let module = module::freeze(original, &state, &limits, stage)?;
                Ok((module, state.begun))
            });
            frozen.map_err(|error| LoadError::Guest { file: path, error })
        },
    );
    let (module, begun) = compiling.await?;
    Ok(Arc::new(Recipe {
        name: recipe.name.clone(),
        module,
        host: recipe.host.clone(),
        start: Start::Frozen(begun),
        memory: recipe.memory,
        cpu: recipe.cpu,
        account: recipe.account.clone(),
    }))
}

/// Loads WebAssembly vlugins.
#[derive(Debug, Clone)]
pub struct WasmLoader {
    search: Search,
    create_timeout: Duration,
}

impl Loader for WasmLoader {
    fn locate(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<Option<PathBuf>, LoadError> {
        self.locate(definition, restricted).map(Some)
    }

    fn load<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        Box::pin(async move {
            let account = wanted.host.account().clone();
            let Wanted {
                definition,
                restricted,
                host,
            } = wanted;
            self.load(definition, restricted, host, &account).await
        })
    }

    fn compile<'a>(&'a self, definition: &'a Definition) -> BoxFuture<'a, Result<bool, LoadError>> {
        Box::pin(async move {
            self.found(definition, false).await?;
            Ok(true)
        })
    }
}

impl WasmLoader {
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

    /// The folders where bare names are looked for first. With `restricted`, files have to be in one of them.
    #[must_use]
    pub fn plugin_dirs<D: Into<PathBuf>>(mut self, dirs: impl IntoIterator<Item = D>) -> Self {
        self.search.plugin_dirs(dirs);
        self
    }

    /// The keys that every file has to be signed with. If this is not called, files need no signature.
    #[must_use]
    pub fn trust(mut self, keys: TrustedKeys) -> Self {
        self.search.trust(keys);
        self
    }

    /// How long the creation of a vlugin may take; 30 seconds if this is not called.
    #[must_use]
    pub fn create_timeout(mut self, limit: Duration) -> Self {
        self.create_timeout = limit;
        self
    }

    /// The file of a definition, found but not yet opened. A bare name is that of a `.wasm` file in a plugin directory
    /// or beside plugins.json.
    ///
    /// # Errors
    /// [`LoadError::NotFound`], and [`LoadError::Outside`] with `restricted`.
    pub fn locate(&self, definition: &Definition, restricted: bool) -> Result<PathBuf, LoadError> {
        let names = |name: &str| of_crate(name, |name| format!("{name}.wasm"));
        self.search
            .locate(definition, restricted, "library", names, Vec::new)
    }

    /// Finds the module of a definition and gives its bytes and their SHA-256, for another host to run. They are
    /// checked against `sha256` and seen to be a sound module, but neither compiled nor created.
    ///
    /// # Errors
    /// Any [`LoadError`] of a file.
    pub fn read(&self, definition: &Definition) -> Result<(Vec<u8>, String), LoadError> {
        let (file, bytes, sha256) = self.pick(definition, false)?;
        let chosen = unpack::choose(&file, &bytes, WASM_TARGET)?;
        if let Err(error) = module::validate(&file, chosen.bytes) {
            return Err(LoadError::Guest { file, error });
        }
        chosen.agrees(&file, module::metadata(chosen.bytes).as_ref())?;
        match chosen.sha256() {
            // The other host gets only the module of a package.
            Some(sha256) => Ok((chosen.bytes.to_vec(), hex(&sha256))),
            None => Ok((bytes, sha256)),
        }
    }

    /// Finds the module of a definition, checks and compiles it, and creates the vlugin.
    ///
    /// With `restricted`, the file has to lie inside one of the plugin directories once symbolic links are resolved.
    /// Definitions that come over the network are loaded this way. What the host holds for the vlugin's instances
    /// counts in `account`.
    ///
    /// # Errors
    /// Any [`LoadError`]. Nothing of the module runs before all checks on it are done.
    pub async fn load(
        &self,
        definition: &Definition,
        restricted: bool,
        host: Arc<dyn Host>,
        account: &Account,
    ) -> Result<Loaded, LoadError> {
        let Found {
            file,
            sha256,
            module,
            original,
        } = self.found(definition, restricted).await?;
        let metadata = module.metadata.clone();
        let init = serde_json::json!({
            "name": definition.name,
            "config": definition.config,
            "level": host.max_level() as u8,
        });
        let init = init.to_string().into_bytes();
        let limits = &definition.limits;
        let recipe = Arc::new(Recipe {
            name: definition.name.clone(),
            module,
            host,
            start: match original {
                None => Start::Create(init),
                Some(original) => Start::Freeze(init, original, Mutex::default()),
            },
            memory: usize::try_from(limits.memory()).unwrap_or(usize::MAX),
            cpu: limits.cpu(),
            account: account.clone(),
        });
        let first = Instance::new(&recipe);
        self.create(&definition.name, &first).await?;
        let (recipe, instances) = match recipe.start {
            Start::Freeze(..) => {
                drop(first);
                (freeze(definition, &file, recipe).await?, None)
            }
            _ => (recipe, Some(Mutex::new(vec![first]))),
        };
        Ok(Loaded {
            vlugin: Arc::new(Pool {
                recipe,
                most: limits.instances() as usize,
                instances,
            }),
            file,
            metadata,
            sha256: Some(sha256),
            is_folder: false,
        })
    }

    /// Finds the module of a definition, and compiles it within the time that this may take.
    async fn found(&self, definition: &Definition, restricted: bool) -> Result<Found, LoadError> {
        let (loader, of) = (self.clone(), definition.clone());
        let compiling = in_time(
            definition,
            |limit| match self.locate(definition, restricted) {
                Ok(file) => late(&file, limit),
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
        stage: &(dyn Fn(Stage) + Sync),
    ) -> Result<Found, LoadError> {
        let (file, bytes, sha256) = self.pick(definition, restricted)?;
        let chosen = unpack::choose(&file, &bytes, WASM_TARGET)?;
        let limits = &definition.limits;
        let checked = module::check_start(&file, chosen.bytes).and_then(|()| {
            Ok(match definition.instance {
                Some(InstanceOf::Request) => {
                    let checked = module::check_to_freeze(chosen.bytes, limits, stage)?;
                    (checked.0, Some(checked.1))
                }
                Some(InstanceOf::Shared) | None => {
                    let code = Precompiled::of(&file, &chosen, self.search.trust.as_ref());
                    (module::check(chosen.bytes, code, limits, stage)?, None)
                }
            })
        });
        match checked {
            Ok((module, original)) => {
                chosen.agrees(&file, module.metadata.as_ref())?;
                Ok(Found {
                    file,
                    sha256,
                    module,
                    original,
                })
            }
            Err(error) => Err(LoadError::Guest { file, error }),
        }
    }

    /// The file of a definition, its bytes and their SHA-256, checked against the definition.
    fn pick(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<(PathBuf, Vec<u8>, String), LoadError> {
        let file = self.locate(definition, restricted)?;
        let (bytes, sha256) = self.search.pick(definition, &file, |bytes| {
            module::check_start(&file, bytes).map_err(|error| LoadError::Guest {
                file: file.clone(),
                error,
            })
        })?;
        Ok((file, bytes, hex(&sha256)))
    }

    async fn create(&self, name: &str, instance: &Arc<Instance>) -> Result<(), LoadError> {
        let (name, limit) = (name.to_owned(), self.create_timeout);
        let created = future::or(async { Some(instance.created().await) }, async {
            Timer::after(limit).await;
            None
        });
        match created.await {
            Some(Ok(())) => Ok(()),
            None if instance.is_running() => Err(LoadError::CreateTooSlow { name, limit }),
            None => Err(LoadError::CreateTimedOut { name, limit }),
            Some(Err(fault)) => Err(LoadError::not_created(name, fault)),
        }
    }
}
