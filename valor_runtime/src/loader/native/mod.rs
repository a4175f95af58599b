//! Native vlugins: from a shared library to a vlugin, step by step.
//!
//! The loaders' `search` finds and reads the file. If it is a package, their `unpack` takes the library out. `library`
//! checks its bytes, with `platform` and `extents`; `image` maps them. [`NativeLoader`] puts the steps together and
//! creates the vlugin. Each step fails with its own [`LoadError`].
//!
//! All of it runs on a separate thread: the code of a library may block its thread for good, and neither the caller
//! nor other loads may wait for that.

mod extents;
#[allow(unsafe_code)] // A boundary: each block states the invariant it leans on.
mod image;
mod library;
mod mismatch;
pub(crate) mod platform;

pub use image::images_mapped;

use crate::{
    BoxFuture,
    definition::Definition,
    hex::hex,
    host::NativeHost,
    loader::{
        Examined, LoadError, Loaded, Loader, Settings, Wanted,
        paths::absolute,
        search::{Search, of_crate},
        unpack,
    },
    package::TrustedKeys,
    timer::Timer,
};
use futures_lite::future;
use sha2::{Digest, Sha256};
use smol::channel;
use std::{
    env,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use valor_abi_native::LoadedModule;
use valor_abi_wire::{Fault, Host, metadata::Metadata, unwind::Caught};

/// How long reading, checking and opening a file may take. Reading and checking take as long as the storage does.
/// Opening runs code of the library.
const OPEN_LIMIT: Duration = Duration::from_secs(60);

/// Loads native vlugins.
///
/// ```
/// use valor_runtime::loader::NativeLoader;
/// use std::time::Duration;
///
/// let loader = NativeLoader::new("examples")
///     .plugin_dirs(["/usr/lib/vlugins"])
///     .create_timeout(Duration::from_secs(5));
/// # let _ = loader;
/// ```
#[derive(Debug, Clone)]
pub struct NativeLoader {
    search: Search,
    /// The system's library path, absolute: a vlugin may change the working directory.
    library_path: Vec<PathBuf>,
    create_timeout: Duration,
}

/// What the bytes of a library reveal, on whatever platform it runs.
///
/// # Errors
/// The file is not code of any platform.
pub(super) fn examine(file: &Path, bytes: &[u8]) -> Result<Examined, LoadError> {
    let examined = library::examine(file, bytes);
    let Some(platform) = examined.platform else {
        return Err(examined.verdict.err().unwrap_or(LoadError::NoMetadata {
            file: file.to_owned(),
        }));
    };
    Ok(Examined {
        format: platform.format.as_str(),
        architecture: platform.architecture,
        metadata: examined.metadata,
        target: None,
        interfaces: super::Interfaces::default(),
        verdict: examined.verdict,
    })
}

impl Loader for NativeLoader {
    fn locate(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<Option<PathBuf>, LoadError> {
        self.locate(definition, restricted).map(Some)
    }

    fn load<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        let host = NativeHost::new(wanted.host);
        Box::pin(self.load(wanted.definition, wanted.restricted, host))
    }
}

impl NativeLoader {
    pub(super) fn of(settings: &Settings) -> Self {
        let loader = Self {
            search: Search::of(settings),
            ..Self::new(&settings.base_dir)
        };
        loader
            .granted_dirs(&settings.library_dirs)
            .create_timeout(settings.create_timeout)
    }

    /// A loader for definitions whose paths are relative to `base`, the folder of plugins.json.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            search: Search::new(base),
            library_path: library_path_of_environment(),
            create_timeout: Duration::from_secs(30),
        }
    }

    /// The folders where bare names are looked for first. With `restricted`, files have to be in one of them.
    #[must_use]
    pub fn plugin_dirs<D: Into<PathBuf>>(mut self, dirs: impl IntoIterator<Item = D>) -> Self {
        self.search.plugin_dirs(dirs);
        self
    }

    /// The folders where bare names are looked for last. They replace those in `LD_LIBRARY_PATH` (on macOS
    /// `DYLD_LIBRARY_PATH`, on Windows `PATH`).
    #[must_use]
    pub fn library_path<D: Into<PathBuf>>(mut self, dirs: impl IntoIterator<Item = D>) -> Self {
        self.library_path = dirs.into_iter().map(|dir| absolute(dir.into())).collect();
        self
    }

    /// Folders where bare names are looked for after the plugin directories and beside plugins.json. That is so even
    /// with `restricted`, but then a path may not lead into them.
    #[must_use]
    pub fn granted_dirs<D: Into<PathBuf>>(mut self, dirs: impl IntoIterator<Item = D>) -> Self {
        let dirs = dirs.into_iter().map(|dir| absolute(dir.into())).collect();
        self.search.grant(dirs);
        self
    }

    /// The keys that every file, a library or a package, has to be signed with. If this is not called, files need no
    /// signature.
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

    /// The file of a definition, found but not yet opened.
    ///
    /// # Errors
    /// See [`load`](Self::load).
    pub fn locate(&self, definition: &Definition, restricted: bool) -> Result<PathBuf, LoadError> {
        locate(&self.search, &self.library_path, definition, restricted)
    }

    /// Finds the library of a definition, checks it, opens it, and creates the vlugin.
    ///
    /// With `restricted`, the file has to lie inside one of the plugin directories once symbolic links are resolved; a
    /// bare name may also lie inside one of the granted ones. Definitions that come over the network are loaded this
    /// way.
    ///
    /// The library's code runs on a separate thread. If that does not return within the time limit, this function
    /// returns anyway, and the thread is lost until the code returns. Dropping the future gives up in the same way.
    ///
    /// # Errors
    /// Any [`LoadError`]. Nothing of the library runs before all checks on its bytes are done.
    pub async fn load(
        &self,
        definition: &Definition,
        restricted: bool,
        host: Arc<dyn Host>,
    ) -> Result<Loaded, LoadError> {
        let name = definition.name.clone();
        let polling = Arc::new(AtomicBool::new(false));
        // While `_wanted` lives, somebody waits for the vlugin.
        let (_wanted, unwanted) = channel::bounded::<()>(1);
        let (opened, is_open) = channel::bounded(1);
        let (created, is_created) = channel::bounded(1);
        let work = Work {
            search: self.search.clone(),
            library_path: self.library_path.clone(),
            definition: definition.clone(),
            restricted,
            host,
            polling: polling.clone(),
            unwanted,
        };
        std::thread::Builder::new()
            .name("valor-load".into())
            .spawn(move || {
                // If nobody waits any more, sending fails, and the vlugin is dropped here.
                let _ = match work.open() {
                    Err(error) => opened.send_blocking(Err(error)).is_ok(),
                    Ok(library) => {
                        opened.send_blocking(Ok(())).is_ok()
                            && created.send_blocking(work.create(library)).is_ok()
                    }
                };
            })
            .map_err(|error| LoadError::NoThread {
                name: name.clone(),
                error: Arc::new(error),
            })?;

        let lost = || LoadError::CreateFailed {
            name: name.clone(),
            message: "the thread that loaded it ended before its time".into(),
        };
        match within(OPEN_LIMIT, is_open.recv()).await {
            Some(opened) => opened.map_err(|_| lost())??,
            None => {
                return Err(LoadError::OpenTimedOut {
                    file: definition.path.clone().unwrap_or_else(|| name.into()),
                    limit: OPEN_LIMIT,
                });
            }
        }
        let limit = self.create_timeout;
        match within(limit, is_created.recv()).await {
            Some(created) => created.map_err(|_| lost())?,
            None if polling.load(Ordering::Acquire) => Err(LoadError::CreateBlocks { name, limit }),
            None => Err(LoadError::CreateTimedOut { name, limit }),
        }
    }
}

/// The work for the thread of one load.
struct Work {
    search: Search,
    library_path: Vec<PathBuf>,
    definition: Definition,
    restricted: bool,
    host: Arc<dyn Host>,
    polling: Arc<AtomicBool>,
    unwanted: channel::Receiver<()>,
}

/// A library that was opened.
struct Opened {
    module: LoadedModule,
    file: PathBuf,
    metadata: Metadata,
    sha256: String,
}

impl Work {
    /// Everything except the creation.
    fn open(&self) -> Result<Opened, LoadError> {
        let definition = &self.definition;
        let file = locate(
            &self.search,
            &self.library_path,
            definition,
            self.restricted,
        )?;
        let begins = |bytes: &[u8]| platform::begins(&file, bytes);
        let (bytes, sha256) = self.search.pick(definition, &file, begins)?;
        let chosen = unpack::choose(&file, &bytes, Metadata::this_target())?;
        let examined = library::examine(&file, chosen.bytes);
        examined.verdict?;
        let Some(metadata) = examined.metadata else {
            return Err(LoadError::NoMetadata { file });
        };
        chosen.agrees(&file, Some(&metadata))?;
        let module = image::open(&image::Checked {
            file: &file,
            bytes: chosen.bytes,
            sha256: chosen.sha256().unwrap_or(sha256),
            metadata: &metadata,
            uses_origin: examined.uses_origin,
        })?;
        Ok(Opened {
            module,
            file,
            metadata,
            sha256: hex(&sha256),
        })
    }

    fn create(self, library: Opened) -> Result<Loaded, LoadError> {
        let name = self.definition.name;
        self.polling.store(true, Ordering::Release);
        let creating = library.module.create(self.host, &self.definition.config);
        let creating = Watched {
            future: Caught::new(creating),
            polling: self.polling,
        };
        let unwanted = async {
            // Nothing is ever sent. This ends when the other side is gone.
            let _ = self.unwanted.recv().await;
            Ok(Err(Fault::error(500, "nobody waits for it any more")))
        };
        let created = smol::block_on(future::or(creating, unwanted));
        let fault = match created.map_err(Fault::from) {
            Ok(Ok(vlugin)) => {
                return Ok(Loaded {
                    vlugin,
                    file: library.file,
                    metadata: Some(library.metadata),
                    sha256: Some(library.sha256),
                    is_folder: false,
                });
            }
            Ok(Err(fault)) | Err(fault) => fault,
        };
        Err(LoadError::not_created(name, fault))
    }
}

/// A future that tells whether it is being polled at the moment.
struct Watched<F> {
    future: F,
    polling: Arc<AtomicBool>,
}

impl<F: Future + Unpin> Future for Watched<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polling.store(true, Ordering::Release);
        let polled = Pin::new(&mut self.future).poll(cx);
        self.polling.store(false, Ordering::Release);
        polled
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    future::or(async { Some(work.await) }, async {
        Timer::after(limit).await;
        None
    })
    .await
}

/// The file of a definition. A bare name is that of a library, looked for last on the system's library path.
fn locate(
    search: &Search,
    library_path: &[PathBuf],
    definition: &Definition,
    restricted: bool,
) -> Result<PathBuf, LoadError> {
    let last = || library_path.to_vec();
    search.locate(definition, restricted, "library", file_names, last)
}

/// The possible file names of a library with this name.
fn file_names(name: &str) -> Vec<String> {
    of_crate(name, |name| {
        let (prefix, suffix) = (env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        format!("{prefix}{name}{suffix}")
    })
}

fn library_path_of_environment() -> Vec<PathBuf> {
    let variable = if cfg!(windows) {
        "PATH"
    } else if cfg!(target_vendor = "apple") {
        "DYLD_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    };
    let value = env::var_os(variable).unwrap_or_default();
    // An empty entry would be the current folder, and nobody means that.
    env::split_paths(&value)
        .filter(|dir| !dir.as_os_str().is_empty())
        .map(absolute)
        .collect()
}

/// The SHA-256 of these bytes, as [`Loaded::sha256`] has it.
pub(crate) fn sha256_of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
