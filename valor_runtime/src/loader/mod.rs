//! From a definition to a vlugin: the one face that each kind of vlugin has, the trait `Loader`, and what comes of
//! loading, a [`Loaded`].
//!
//! Each kind has a folder here and a row in `table`. The runtime calls loaders when it starts and when a vlugin is
//! registered, and knows them by the trait alone; loaders do not know each other. A loader promises that bad input of
//! any sort ends as a [`LoadError`] and never as the end of the process, and that nothing of a file runs before all
//! that can be checked was checked.

pub mod code;
mod component_error;
mod engine;
mod error;
pub(crate) mod files;
mod files_error;
mod first_bytes;
mod guest_error;
mod imports;
mod interfaces;
pub(crate) mod js;
mod links;
mod lists;
pub mod native;
mod native_error;
mod npm;
mod over_http;
mod paths;
mod script_error;
mod search;
mod settings;
pub mod specifier;
mod table;
pub(crate) mod unpack;
#[cfg(not(feature = "fuzzing"))]
pub(crate) mod wasi;
#[cfg(feature = "fuzzing")]
pub mod wasi;
pub mod wasm;

pub use component_error::ComponentError;
pub use error::LoadError;
pub use files_error::FilesError;
pub use guest_error::GuestError;
pub use imports::Imports;
pub use interfaces::{Interfaces, Producer};
pub use js::{Judge, Judged, Rejected};
pub use native::{NativeLoader, images_mapped};
pub use native_error::NativeError;
pub use script_error::{Lack, ScriptError};
pub use search::read;
pub(crate) use settings::Settings;
pub use table::*;
pub(crate) use table::{Brought, Loaders, WASMTIME, examine};

use crate::{BoxFuture, Definition, Limits, Vlugin, host::RuntimeHost};
use futures_lite::future;
use std::{fmt, path::PathBuf, sync::Arc};
use valor_abi_wire::metadata::Metadata;

/// One kind of vlugin, as the runtime sees it.
///
/// A program that brings a kind hands one to [`Builder::kind`](crate::Builder::kind).
pub trait Loader: Send + Sync {
    /// The file that a definition would be loaded from, found but not opened; `None` if the kind has no such file.
    ///
    /// # Errors
    /// [`LoadError::NotFound`], and [`LoadError::Outside`] with `restricted`.
    fn locate(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<Option<PathBuf>, LoadError>;

    /// The limits of a vlugin: what its definition says, and otherwise those of the runtime.
    fn limits(&self, said: &Limits, defaults: &Limits) -> Limits {
        said.clone().or(defaults)
    }

    /// Finds what a definition names, holds it to all that can be checked, and creates the vlugin.
    ///
    /// # Errors
    /// Any [`LoadError`]; nothing of the vlugin runs on then.
    fn load<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Loaded, LoadError>>;

    /// Compiles what a definition names ahead of a start, for the cache. Nothing of it runs. `false` if vlugins of this
    /// kind are not compiled.
    ///
    /// # Errors
    /// Those of [`Loader::load`] up to that point.
    fn compile<'a>(
        &'a self,
        _definition: &'a Definition,
    ) -> BoxFuture<'a, Result<bool, LoadError>> {
        Box::pin(future::ready(Ok(false)))
    }

    /// The files that a vlugin of this kind imports, itself among them, as they were when it was last started.
    fn imports(&self, _vlugin: &Arc<dyn Vlugin>) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Whether one of its imports has changed since.
    fn has_changed<'a>(&'a self, _vlugin: &'a Arc<dyn Vlugin>) -> BoxFuture<'a, bool> {
        Box::pin(future::ready(false))
    }

    /// The vlugins that have ended too often to be started again at once, and why.
    fn troubled(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// What a loader is asked for.
#[non_exhaustive]
pub struct Wanted<'a> {
    /// The definition, which keeps all rules, with [`Loader::limits`] for its limits.
    pub definition: &'a Definition,
    /// Whether files have to lie inside one of the plugin directories once symbolic links are resolved; so it is when
    /// the definition comes over the network.
    pub restricted: bool,
    /// What the vlugin may ask for. What the host holds for it counts in its account.
    pub host: Arc<RuntimeHost>,
}

/// What the bytes of a file say of it, before any of its code runs.
pub(crate) struct Examined {
    /// `ELF`, `PE`, `Mach-O` or `WebAssembly`.
    pub(crate) format: &'static str,
    /// The processor that it is for.
    pub(crate) architecture: &'static str,
    /// What it says of itself.
    pub(crate) metadata: Option<Metadata>,
    /// What a package calls its target, if its format alone says that.
    pub(crate) target: Option<&'static str>,
    /// What it imports and exports by name, and what made it; empty if its format has no names for that.
    pub(crate) interfaces: Interfaces,
    /// Whether this host would open it.
    pub(crate) verdict: Result<(), LoadError>,
}

/// A vlugin that was loaded, and what is known of its file.
#[derive(Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The vlugin.
    pub vlugin: Arc<dyn Vlugin>,
    /// The file that was read, or the folder that is served.
    pub file: PathBuf,
    /// What the file says of itself; `None` if it was not made by `#[vlugin]`.
    pub metadata: Option<Metadata>,
    /// The SHA-256 of the file, 64 lower-case hexadecimal digits; `None` for a folder.
    pub sha256: Option<String>,
    /// Whether it serves a folder, so that its own path ends with a slash.
    pub is_folder: bool,
}

impl Loaded {
    /// A vlugin that was loaded from this file.
    pub fn new(vlugin: Arc<dyn Vlugin>, file: impl Into<PathBuf>) -> Self {
        Self {
            vlugin,
            file: file.into(),
            metadata: None,
            sha256: None,
            is_folder: false,
        }
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("file", &self.file)
            .field("metadata", &self.metadata)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}
