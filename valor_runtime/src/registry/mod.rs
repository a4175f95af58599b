//! Which vlugin currently has which name and which prefix.
//!
//! Readers (every request) take a snapshot without a lock. Writers (a load, a replacement) make the next table and
//! swap it for the last one. A request holds its [`Mount`] as long as it runs, so that a replaced or removed vlugin
//! finishes what it has begun.

mod routes;

pub use routes::Routes;

use crate::{Definition, Kind, Limits, Vlugin, definition::holds, metrics::VluginMetrics};
use arc_swap::ArcSwap;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use valor_abi_wire::lock::locked;

/// A mounted vlugin.
pub struct Mount {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is mounted: `/`, or a path that begins with a slash and does not end with one.
    pub prefix: Arc<str>,
    /// Whether the vlugin sees paths without the prefix.
    pub strip: bool,
    /// Whether its prefix is added to the vlugin's own paths in its responses.
    pub rewrite: bool,
    /// Counts mounted vlugins; a replacement has a higher number.
    pub generation: u64,
    /// The vlugin itself.
    pub vlugin: Arc<dyn Vlugin>,
    /// Where it came from.
    pub origin: Origin,
    /// How much time a response has to begin.
    pub timeout: Duration,
    /// How long it may compute without a pause, if it is a module or a script.
    pub cpu: Option<Duration>,
    /// The most bytes in a request's body.
    pub body_limit: u64,
    /// The most requests at once.
    pub concurrency: u32,
    /// Requests that are running, streaming responses included.
    pub running: AtomicU32,
    /// Made at the first request.
    pub metrics: OnceLock<VluginMetrics>,
}

/// Where a vlugin came from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The kind of its definition; `None` for one that is part of the program.
    pub kind: Option<Kind>,
    /// The definition that it was loaded from, if there is one.
    pub definition: Option<Arc<Definition>>,
    /// The file it was loaded from.
    pub file: Option<PathBuf>,
    /// The SHA-256 of that file, in hexadecimal.
    pub sha256: Option<String>,
    /// The version of its crate.
    pub version: Option<String>,
    /// Whether it serves a folder, which is then its `file`.
    pub is_folder: bool,
    /// Why it cannot be served; it then answers 503.
    pub unavailable: Option<Unavailable>,
}

/// Why a vlugin cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The part of the reason that everybody may know.
    pub lack: Lack,
    /// The reason, for users of the registry: it may name files and quote the vlugin.
    pub reason: String,
}

/// What a vlugin that cannot be served lacks, in words that reveal nothing to strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It could not be built or loaded.
    NotLoaded,
    /// It is optional, and something it needs is missing on this machine.
    NotInstalled,
    /// It has ended too often to be started again at once.
    EndedTooOften,
}

impl Lack {
    /// The words: `not loaded`, `not installed`, `ended too often`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotLoaded => "not loaded",
            Self::NotInstalled => "not installed",
            Self::EndedTooOften => "ended too often",
        }
    }

    /// Whether this is a fault: an optional vlugin may be missing.
    pub const fn is_fault(self) -> bool {
        !matches!(self, Self::NotInstalled)
    }
}

impl Mount {
    /// A mount that is not in the registry yet.
    pub fn new(
        name: &str,
        prefix: &str,
        vlugin: Arc<dyn Vlugin>,
        origin: Origin,
        limits: &Limits,
    ) -> Self {
        let cpu = origin.kind.filter(|kind| holds(*kind, "cpu"));
        Self {
            name: name.into(),
            prefix: prefix.into(),
            strip: true,
            rewrite: false,
            generation: 0,
            vlugin,
            origin,
            timeout: limits.timeout(),
            cpu: cpu.map(|_| limits.cpu()),
            body_limit: limits.body(),
            concurrency: limits.concurrency(),
            running: AtomicU32::new(0),
            metrics: OnceLock::new(),
        }
    }

    /// The same mount without a vlugin, only with its name and its counters. It serves for what happens after the
    /// vlugin has gone.
    pub fn name_plate(&self) -> Self {
        let nobody = crate::from_fn(|_| async { Ok(crate::Response::new(404)) });
        let plate = Self::new(
            &self.name,
            &self.prefix,
            nobody,
            Origin::default(),
            &Limits::default(),
        );
        go_on_counting(self, &plate);
        plate
    }

    /// Whether it is a folder, whose own path ends with a slash.
    pub fn is_folder(&self) -> bool {
        self.origin.is_folder
    }
}

/// Why a vlugin cannot be put into the registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The name is in use.
    #[error("the name `{name}` is taken by the vlugin at {prefix}: give one of them another name")]
    NameTaken {
        /// The name.
        name: String,
        /// Where the vlugin of that name is mounted.
        prefix: String,
    },
    /// The prefix is in use.
    #[error("the prefix {prefix} is taken by the vlugin `{name}`: give one of them another prefix")]
    PrefixTaken {
        /// The prefix.
        prefix: String,
        /// The vlugin that is mounted there.
        name: String,
    },
    /// There is no vlugin of that name.
    #[error("no vlugin is named `{0}`")]
    NotFound(String),
}

#[derive(Clone, Default)]
struct Table {
    routes: Routes<Arc<Mount>>,
    names: BTreeMap<Arc<str>, Arc<Mount>>,
}

/// The mounts of a runtime.
#[derive(Default)]
pub struct Registry {
    table: ArcSwap<Table>,
    writing: Mutex<()>,
    generations: AtomicU64,
}

impl Registry {
    /// Mounts several vlugins at once, which is cheaper than one by one. Either all are mounted or none.
    ///
    /// # Errors
    /// [`RegistryError::NameTaken`] and [`RegistryError::PrefixTaken`].
    pub fn insert(&self, mounts: Vec<Mount>) -> Result<(), RegistryError> {
        self.write(|table| {
            for mut mount in mounts {
                if let Some(other) = table.names.get(&mount.name) {
                    return Err(RegistryError::NameTaken {
                        name: mount.name.to_string(),
                        prefix: other.prefix.to_string(),
                    });
                }
                mount.generation = self.next_generation();
                put(table, mount)?;
            }
            Ok(())
        })
    }

    /// Replaces the mount of the same name, which may have had another prefix. Returns the old one.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] and [`RegistryError::PrefixTaken`].
    pub fn replace(&self, mut mount: Mount) -> Result<Arc<Mount>, RegistryError> {
        self.write(|table| {
            let before = take(table, &mount.name)?;
            go_on_counting(&before, &mount);
            mount.generation = self.next_generation();
            put(table, mount)?;
            Ok(before)
        })
    }

    /// Removes vlugins and adds others, in one step: two may exchange their prefixes, and no request misses both. A
    /// mount whose name exists replaces that one. Returns the removed and replaced mounts.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`] and [`RegistryError::PrefixTaken`]; in that case nothing changes.
    pub fn exchange(
        &self,
        out: &[String],
        mounts: Vec<Mount>,
    ) -> Result<Vec<Arc<Mount>>, RegistryError> {
        self.write(|table| {
            let mut taken = Vec::new();
            for name in out {
                taken.push(take(table, name)?);
            }
            for mount in &mounts {
                if table.names.contains_key(&mount.name) {
                    let before = take(table, &mount.name)?;
                    go_on_counting(&before, mount);
                    taken.push(before);
                }
            }
            for mut mount in mounts {
                mount.generation = self.next_generation();
                put(table, mount)?;
            }
            Ok(taken)
        })
    }

    /// Removes a vlugin. Running requests go on.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`].
    pub fn remove(&self, name: &str) -> Result<Arc<Mount>, RegistryError> {
        self.write(|table| take(table, name))
    }

    /// The mount with the longest prefix of this path, and the length of that prefix in bytes.
    pub fn route(&self, path: &str) -> Option<(Arc<Mount>, usize)> {
        let table = self.table.load();
        let (mount, len) = table.routes.find(path)?;
        Some((mount.clone(), len))
    }

    /// The mount of this name.
    pub fn get(&self, name: &str) -> Option<Arc<Mount>> {
        self.table.load().names.get(name).cloned()
    }

    /// Every mount, by name.
    pub fn list(&self) -> Vec<Arc<Mount>> {
        self.table.load().names.values().cloned().collect()
    }

    fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Changes a copy of the table. If that fails, the copy is dropped.
    fn write<R>(
        &self,
        change: impl FnOnce(&mut Table) -> Result<R, RegistryError>,
    ) -> Result<R, RegistryError> {
        let _writing = locked(&self.writing);
        let mut table = Table::clone(&self.table.load());
        let changed = change(&mut table)?;
        self.table.store(Arc::new(table));
        Ok(changed)
    }
}

/// Hands a vlugin's counters on to its replacement, even before the replacement has its first request.
fn go_on_counting(before: &Mount, mount: &Mount) {
    if let Some(metrics) = before.metrics.get() {
        let _ = mount.metrics.set(metrics.clone());
    }
}

fn put(table: &mut Table, mount: Mount) -> Result<(), RegistryError> {
    if let Some(other) = table.routes.get(&mount.prefix) {
        return Err(RegistryError::PrefixTaken {
            prefix: mount.prefix.to_string(),
            name: other.name.to_string(),
        });
    }
    let mount = Arc::new(mount);
    table.routes.insert(&mount.prefix, mount.clone());
    table.names.insert(mount.name.clone(), mount);
    Ok(())
}

fn take(table: &mut Table, name: &str) -> Result<Arc<Mount>, RegistryError> {
    let mount = table
        .names
        .remove(name)
        .ok_or_else(|| RegistryError::NotFound(name.to_owned()))?;
    table.routes.remove(&mount.prefix);
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(name: &str, prefix: &str) -> Mount {
        let vlugin = crate::from_fn(|_| async { Ok(crate::Response::new(200)) });
        Mount::new(name, prefix, vlugin, Origin::default(), &Limits::default())
    }

    #[test]
    fn all_or_none() {
        let registry = Registry::default();
        registry.insert(vec![mount("a", "/a")]).unwrap();
        let taken = registry.insert(vec![mount("b", "/b"), mount("c", "/a")]);
        assert_eq!(
            taken.unwrap_err().to_string(),
            "the prefix /a is taken by the vlugin `a`: give one of them another prefix"
        );
        assert_eq!(registry.list().len(), 1);
        let taken = registry.insert(vec![mount("a", "/b")]).unwrap_err();
        assert!(matches!(taken, RegistryError::NameTaken { .. }));
    }

    #[test]
    fn prefixes_are_exchanged_in_one_step_or_not_at_all() {
        let registry = Registry::default();
        let all = vec![mount("a", "/a"), mount("b", "/b"), mount("c", "/c")];
        registry.insert(all).unwrap();
        let at = |path| {
            registry
                .route(path)
                .map(|(mount, _)| mount.name.to_string())
        };
        let exchanged = vec![mount("a", "/b"), mount("b", "/a"), mount("d", "/c")];
        registry.exchange(&["c".into()], exchanged).unwrap();
        assert_eq!(at("/a").as_deref(), Some("b"));
        assert_eq!(at("/b").as_deref(), Some("a"));
        assert_eq!(at("/c").as_deref(), Some("d"));

        assert!(registry.exchange(&["c".into()], vec![]).is_err());
        let taken = registry.exchange(&["a".into()], vec![mount("e", "/a")]);
        assert!(matches!(taken, Err(RegistryError::PrefixTaken { .. })));
        assert_eq!(at("/b").as_deref(), Some("a"));
    }

    #[test]
    fn a_replacement_may_move() {
        let registry = Registry::default();
        registry
            .insert(vec![mount("a", "/a"), mount("b", "/b")])
            .unwrap();
        assert!(registry.replace(mount("a", "/b")).is_err());
        assert_eq!(&*registry.route("/a").unwrap().0.name, "a");
        let before = registry.replace(mount("a", "/c")).unwrap();
        assert_eq!(&*before.prefix, "/a");
        assert!(registry.route("/a").is_none());
        assert!(registry.route("/c/x").unwrap().0.generation > before.generation);
        registry.remove("a").unwrap();
        assert!(registry.route("/c").is_none());
        assert!(registry.replace(mount("a", "/c")).is_err());
    }
}
