//! Goes from one set of definitions to another while the runtime serves: each vlugin is loaded by itself, and those
//! that are ready become visible in one step. The command line uses it for a plugins.json and for files that have
//! changed.

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
    /// It is new.
    Added,
    /// Its definition, its file or a file that it imports has changed. Running requests finish on the old one.
    Replaced,
    /// It has not changed, and keeps its state.
    Kept,
    /// It is no longer in the definitions. Running requests finish.
    Removed,
    /// It could not be loaded. If there was one of its name, that one goes on.
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

/// A vlugin as its definition wants it: loaded, and not mounted yet. [`Runtime::prepare_change`] makes one,
/// [`Runtime::commit`] mounts it. If it is dropped, nothing has changed.
pub struct Prepared {
    name: String,
    change: Change,
    mount: Option<Mount>,
}

impl Prepared {
    /// The vlugin's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What becomes of it: [`Change::Added`], [`Change::Replaced`], [`Change::Kept`] or [`Change::Failed`].
    pub fn change(&self) -> &Change {
        &self.change
    }
}

impl Runtime {
    /// Goes from one set of definitions to another. It loads the vlugins that are new or have changed, including those
    /// whose file changed, and removes those that are gone. All of it becomes visible in one step, so vlugins may
    /// exchange their prefixes. A vlugin in neither set is not touched: those that were registered over HTTP stay.
    ///
    /// A vlugin that cannot be loaded does not hold up the others.
    ///
    /// # Errors
    /// [`RegistryError::PrefixTaken`] if a vlugin that stays holds a prefix. Nothing is changed then.
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
        let old = |name: &str| before.iter().find(|it| it.name == name);
        let prepared = after
            .iter()
            .map(|definition| self.prepare_change(old(&definition.name), definition));
        let prepared: Vec<_> = stream::iter(prepared)
            .buffered(super::LOADS_AT_ONCE)
            .collect()
            .await;
        let gone = before
            .iter()
            .filter(|old| after.iter().all(|new| new.name != old.name))
            .map(|old| old.name.clone());
        self.commit(&gone.collect::<Vec<_>>(), prepared, &[])
    }

    /// Loads a vlugin if it is new or has changed, including its file, and changes nothing yet. `before` is the
    /// definition that it was mounted with. One that is not available is loaded again in any case.
    ///
    /// ```
    /// use valor_runtime::{Change, Definition, Kind, Runtime};
    ///
    /// # futures_lite::future::block_on(async {
    /// let runtime = Runtime::builder().base_dir(env!("CARGO_MANIFEST_DIR")).build()?;
    /// let mut site = Definition::new(Kind::Files, "site");
    /// site.path = Some("src".into());
    /// let mut other = Definition::new(Kind::Files, "other");
    /// other.path = Some("no/such/folder".into());
    ///
    /// let ready = runtime.prepare_change(None, &site).await;
    /// let failed = runtime.prepare_change(None, &other).await;
    /// assert!(matches!(failed.change(), Change::Failed(_)));
    /// // The other one answers 503 until there is something to serve.
    /// runtime.commit(&[], vec![ready], &[(&other, "its folder is missing")])?;
    /// assert_eq!(runtime.mounted().iter().filter(|it| !it.name.starts_with('_')).count(), 2);
    /// # Ok::<(), valor_runtime::RuntimeError>(())
    /// # }).unwrap();
    /// ```
    pub async fn prepare_change(&self, before: Option<&Definition>, new: &Definition) -> Prepared {
        let (change, mount) = self.compare(before, new).await;
        Prepared {
            name: new.name.clone(),
            change,
            mount,
        }
    }

    /// Makes changes visible in one step: removes the vlugins with these names, mounts those that are prepared, and
    /// mounts the unavailable ones, each with the reason, as [`Runtime::add_unavailable`] does. Each takes the place of
    /// the vlugin of its name, so vlugins may exchange their prefixes.
    ///
    /// # Errors
    /// [`RegistryError::PrefixTaken`] if a vlugin that stays holds a prefix. Nothing is changed then.
    pub fn commit(
        &self,
        removed: &[String],
        prepared: Vec<Prepared>,
        unavailable: &[(&Definition, &str)],
    ) -> Result<Vec<Applied>, RuntimeError> {
        let mut mounts: Vec<_> = unavailable
            .iter()
            .map(|(definition, reason)| self.unavailable(definition, reason))
            .collect();
        let mut applied = Vec::new();
        for Prepared {
            name,
            change,
            mount,
        } in prepared
        {
            mounts.extend(mount);
            applied.push(Applied { name, change });
        }
        // It may have been removed over HTTP meanwhile.
        let is_mounted = |name: &&String| self.dispatch.registry.get(name).is_some();
        let gone: Vec<_> = removed.iter().filter(is_mounted).cloned().collect();
        let taken = self.dispatch.registry.exchange(&gone, mounts)?;
        taken.into_iter().for_each(dispatch::retire);
        applied.extend(gone.into_iter().map(|name| Applied {
            name,
            change: Change::Removed,
        }));
        Ok(applied)
    }

    async fn compare(&self, old: Option<&Definition>, new: &Definition) -> (Change, Option<Mount>) {
        let mounted = self.dispatch.registry.get(&new.name);
        let change = match (&mounted, old) {
            (Some(other), None) if other.origin.unavailable.is_none() => {
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
            (Some(_), None) => Change::Replaced,
            (None, _) => Change::Added,
        };
        match self.prepare(new, false).await {
            Ok(mount) => (change, Some(mount)),
            Err(error) => (Change::Failed(error), None),
        }
    }

    /// The file that a definition would be loaded from at this moment; `None` for a vlugin that is not loaded from a
    /// file.
    ///
    /// # Errors
    /// [`LoadError::NotFound`] if no file has a bare name.
    pub fn locate(&self, definition: &Definition) -> Result<Option<PathBuf>, LoadError> {
        match self.loaders.of(definition.kind) {
            Some(loader) => loader.locate(definition, false),
            None => Ok(None),
        }
    }

    /// The files that a script is made of, the script and its imports, as they were at its last start. Empty if the
    /// vlugin is no script or was not started yet.
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

    /// The SHA-256 of a definition's file as it is now; `None` if it cannot be read.
    async fn hash_of(&self, definition: &Definition) -> Option<String> {
        let file = self.locate(definition).ok()??;
        smol::unblock(move || {
            let bytes = crate::loader::read(&file).ok()?;
            Some(sha256_of(&bytes))
        })
        .await
    }
}
