//! `files` vlugins: each serves a folder. The runtime calls [`FilesLoader`] and gets a vlugin like any other, which
//! `dispatch` calls.
//!
//! It serves nothing but regular files of the folder that are not hidden, whatever a path says and whatever is changed
//! in the folder meanwhile. A file is sent in pieces of a bounded size. No request blocks a thread that serves others.
//!
//! # Layout
//!
//! - `names`: from a request's path to the names of entries.
//! - `folder`: from there to an open file.
//! - `answer`: from a request to its response, with `conditions` (RFC 9110, section 13), `ranges` (section 14),
//!   `versions` (which bytes a file has, by `identity`) and `media` (its type).
//! - `pieces`: sending a file.

mod answer;
mod conditions;
mod folder;
mod identity;
mod media;
mod names;
mod pieces;
mod ranges;
mod versions;

use super::{FilesError, LoadError, Loaded, Loader, Settings, Wanted, paths};
use crate::{
    BoxFuture, Fault, Request, Response, Vlugin,
    definition::{Definition, FilesConfig},
};
use folder::{Folder, Found};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use versions::Versions;

/// The methods that a file allows.
const ALLOWED: &[u8] = b"GET, HEAD, OPTIONS";

/// Makes vlugins of folders.
#[derive(Debug, Clone)]
pub(crate) struct FilesLoader {
    base: PathBuf,
    plugin_dirs: Vec<PathBuf>,
}

/// The vlugin of a folder.
struct Files {
    folder: Folder,
    config: FilesConfig,
    versions: Versions,
}

impl FilesLoader {
    pub(super) fn of(settings: &Settings) -> Self {
        let plugin_dirs = settings.plugin_dirs.iter().cloned();
        Self {
            base: paths::absolute(settings.base_dir.clone()),
            plugin_dirs: plugin_dirs.map(paths::absolute).collect(),
        }
    }

    fn open(
        &self,
        path: &Path,
        config: FilesConfig,
        restricted: bool,
    ) -> Result<Loaded, LoadError> {
        let mut root = self.base.join(path);
        if restricted {
            root = paths::inside(&self.plugin_dirs, root)?;
        }
        let folder = Folder::new(root.clone());
        folder.check().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FilesError::NoFolder {
                folder: root.clone(),
            }
            .into(),
            io::ErrorKind::NotADirectory => FilesError::NotAFolder { file: root.clone() }.into(),
            _ => paths::reading(&root, error),
        })?;
        if let Some(fallback) = &config.fallback {
            let file = root.join(fallback);
            match folder.open(Path::new(fallback)) {
                Ok(Found::File(_)) => {}
                Ok(_) => return Err(FilesError::NoFallback { file }.into()),
                Err(error) => return Err(paths::reading(&file, error)),
            }
        }
        Ok(Loaded {
            vlugin: Arc::new(Files {
                folder,
                config,
                versions: Versions::default(),
            }),
            file: root,
            metadata: None,
            sha256: None,
            is_folder: true,
        })
    }
}

impl Loader for FilesLoader {
    /// There is no file to look for. The definition names the folder, and a file is read when it is requested.
    fn locate(&self, _: &Definition, _: bool) -> Result<Option<PathBuf>, LoadError> {
        Ok(None)
    }

    /// With `restricted`, the folder has to be one of the plugin directories or lie inside one, once symbolic links
    /// are resolved.
    fn load<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        let (this, restricted) = (self.clone(), wanted.restricted);
        let Definition { path, config, .. } = wanted.definition;
        let (path, config) = (path.clone(), config.clone());
        Box::pin(smol::unblock(move || {
            // The rules of definitions were checked, and neither of these can be missing.
            let config = FilesConfig::of(&config).unwrap_or_default();
            this.open(&path.unwrap_or_default(), config, restricted)
        }))
    }
}

impl Vlugin for Files {
    fn on_request(
        self: Arc<Self>,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, Fault>> {
        let head = request.head;
        let refusal = match head.method() {
            "GET" | "HEAD" => None,
            "OPTIONS" => Some(Response::new(204)),
            _ => Some(Response::problem(405, "files can only be read")),
        };
        if let Some(mut refusal) = refusal {
            let _ = refusal.head.push("allow", ALLOWED);
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        // Opening a file can take as long as its storage does.
        Box::pin(async move { Ok(smol::unblock(move || answer::answer(&self, &head)).await) })
    }
}
