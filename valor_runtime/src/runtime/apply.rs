//! From one set of definitions to another while the runtime serves: what SIGHUP does with a plugins.json
//! that has changed.

use super::{Runtime, RuntimeError};
use crate::{
    Definition, dispatch,
    loader::{LoadError, native::sha256_of},
    registry::{Mount, RegistryError},
};
use futures_util::stream::{self, StreamExt};
use std::{path::PathBuf, sync::Arc};

/// What became of one vlugin.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change {
    /// It was not there before.
    Added,
    /// Its definition, its file or a file that it imports is another one: running requests finish on the old one.
    Replaced,
    /// It is as it was, and goes on with its state.
    Kept,
    /// It is in the definitions no more: running requests finish.
    Removed,
    /// It could not be had. Where there was one of its name, that one goes on.
    Failed(RuntimeError),
}

/// A vlugin by its name, and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Applied {
    /// The vlugin's name.
    pub name: String,
    /// What became of it.
    pub change: Change,
}

impl Runtime {
    /// Goes from one set of definitions to another: loads what is new or has changed, its file
    /// included, and takes out what is gone. All of it becomes visible in one step, so that
    /// vlugins may exchange their prefixes. What is in neither set is not touched: vlugins that were
    /// registered over HTTP stay.
    ///
    /// A vlugin that cannot be loaded keeps none of the others back.
    ///
    /// # Errors
    /// [`RegistryError::PrefixTaken`] where a prefix is held by a vlugin that stays; nothing is changed
    /// then.
    ///
    /// ```
    /// use valor_runtime::{Change, Definition, Kind, Runtime};
    ///
    /// # futures_lite::future::block_on(async {
    /// let runtime = Runtime::builder().base_dir(env!("CARGO_MANIFEST_DIR")).build()?;
    /// let mut site = Definition::new(Kind::Files, "site");
    /// site.path = Some("src".into());
    /// let before = [site.clone()];
    /// runtime.apply(&[], &before).await?;
    ///
    /// site.prefix = Some("/elsewhere".into());
    /// let applied = runtime.apply(&before, &[site]).await?;
    /// assert!(matches!(applied[0].change, Change::Replaced));
    /// # Ok::<(), valor_runtime::RuntimeError>(())
    /// # }).unwrap();
    /// ```
    pub async fn apply(
        &self,
        before: &[Definition],
        after: &[Definition],
    ) -> Result<Vec<Applied>, RuntimeError> {
        let judged = after
            .iter()
            .map(|definition| self.judge(before, definition));
        let judged: Vec<_> = stream::iter(judged)
            .buffered(super::LOADS_AT_ONCE)
            .collect()
            .await;
        let mut mounts = Vec::new();
        let mut applied: Vec<_> = after
            .iter()
            .zip(judged)
            .map(|(definition, (change, mount))| {
                mounts.extend(mount);
                Applied {
                    name: definition.name.clone(),
                    change,
                }
            })
            .collect();
        let gone = before
            .iter()
            .filter(|old| after.iter().all(|new| new.name != old.name))
            // Removed over HTTP meanwhile.
            .filter(|old| self.dispatch.registry.get(&old.name).is_some())
            .map(|old| old.name.clone());
        let gone: Vec<_> = gone.collect();
        let taken = self.dispatch.registry.exchange(&gone, mounts)?;
        taken.into_iter().for_each(dispatch::retire);
        applied.extend(gone.into_iter().map(|name| Applied {
            name,
            change: Change::Removed,
        }));
        Ok(applied)
    }

    async fn judge(&self, before: &[Definition], new: &Definition) -> (Change, Option<Mount>) {
        let mounted = self.dispatch.registry.get(&new.name);
        let old = before.iter().find(|old| old.name == new.name);
        let change = match (&mounted, old) {
            (Some(other), None) => {
                let error = RegistryError::NameTaken {
                    name: new.name.clone(),
                    prefix: other.prefix.to_string(),
                };
                return (Change::Failed(error.into()), None);
            }
            (Some(mount), Some(old)) => {
                if old == new && mount.origin.unavailable.is_none() {
                    let sha256 = mount.origin.sha256.clone();
                    let is_same = sha256.is_none() || sha256 == self.hash_of(new).await;
                    if is_same && !self.has_imports_changed(&new.name).await {
                        return (Change::Kept, None);
                    }
                }
                Change::Replaced
            }
            (None, _) => Change::Added,
        };
        match self.prepare(new, false).await {
            Ok(mount) => (change, Some(mount)),
            Err(error) => (Change::Failed(error), None),
        }
    }

    /// The file that a definition would be loaded from, as things are now; `None` for one that is not
    /// loaded from a file.
    ///
    /// # Errors
    /// [`LoadError::NotFound`] for a bare name that no file has.
    pub fn locate(&self, definition: &Definition) -> Result<Option<PathBuf>, LoadError> {
        match self.loaders.of(definition.kind) {
            Some(loader) => loader.locate(definition, false),
            None => Ok(None),
        }
    }

    /// The files that a script is made of, its own and those that it imports, as they were when it was last started;
    /// none for what is no script, or was not started yet.
    pub fn imports(&self, name: &str) -> Vec<PathBuf> {
        let mount = self.dispatch.registry.get(name);
        let of =
            |mount: Arc<Mount>| Some(self.loaders.of(mount.origin.kind?)?.imports(&mount.vlugin));
        mount.and_then(of).unwrap_or_default()
    }

    /// Whether one of the files that a script is made of has changed since it was last started.
    pub async fn has_imports_changed(&self, name: &str) -> bool {
        let Some(mount) = self.dispatch.registry.get(name) else {
            return false;
        };
        match mount.origin.kind.and_then(|kind| self.loaders.of(kind)) {
            Some(loader) => loader.has_changed(&mount.vlugin).await,
            None => false,
        }
    }

    /// The SHA-256 of a definition's file as it is now; `None` where it cannot be read.
    async fn hash_of(&self, definition: &Definition) -> Option<String> {
        let file = self.locate(definition).ok()??;
        smol::unblock(move || {
            let bytes = crate::loader::read(&file).ok()?;
            Some(sha256_of(&bytes))
        })
        .await
    }
}
