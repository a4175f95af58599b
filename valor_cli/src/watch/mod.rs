//! `--watch`: reports whose files have changed, once they are at rest. `reload` asks for `run`, and `web` for itself;
//! each of them acts on it.
//!
//! An event of the system in a folder only makes this look. What has changed follows from comparing the files with how
//! they were before. So it does not matter how an editor, a compiler or a deployment replaces a file, and other files
//! in the same folder are ignored. It watches folders, each without those below it: a replaced file is a different
//! file, and some parts of a crate's folder are excluded.

mod seen;

use crate::{
    build_sources::{Inputs, Workspaces, dep_info},
    programs::Stop,
};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use seen::{Identity, Look, Stamp};
use smol::channel::{Receiver, bounded};
#[cfg(feature = "wasm")]
use std::time::SystemTime;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use valor_runtime::{Definition, LoadError, Runtime, loader::InPage, package::signature_of};

/// The interval between two looks. Files that are the same in both are at rest.
const REST: Duration = Duration::from_millis(100);
/// The number of looks after which files that never rest are taken as they are.
const LOOKS: usize = 50;

/// What to watch besides plugins.json and the files that it names.
#[derive(Clone, Default)]
pub struct Wanted {
    /// The sources, instead of what is built from them.
    pub build: bool,
    /// The files' signatures.
    pub signed: bool,
    /// Everything that is copied into this folder, that is, the contents of the folders of `files` vlugins, but not
    /// this folder.
    pub copies_into: Option<PathBuf>,
    /// Ends the programs that it asks.
    pub stop: Stop,
}

/// What has changed.
pub struct Touched {
    /// The definitions whose files have changed.
    pub names: BTreeSet<String>,
    /// Whether plugins.json has changed.
    pub file: bool,
}

/// What is watched, and how it was at the last look.
pub struct Watch {
    watcher: RecommendedWatcher,
    /// At most one event: when something happened, of all that nobody has looked at yet the first.
    events: Receiver<Instant>,
    file: PathBuf,
    /// The folders where files with bare names may appear.
    places: Vec<PathBuf>,
    wanted: Wanted,
    /// What the sources of the definitions are built from.
    inputs: BTreeMap<PathBuf, Inputs>,
    /// The imports of scripts that the runtime does not know, by the scripts' names.
    imports: BTreeMap<String, Vec<PathBuf>>,
    folders: BTreeMap<PathBuf, Identity>,
    of_file: Stamp,
    seen: BTreeMap<String, Look>,
}

impl Watch {
    /// Watches a plugins.json by its absolute path, from before it is read.
    ///
    /// # Errors
    /// If the system does not report changes.
    pub fn start(
        file: &Path,
        plugin_dirs: &[PathBuf],
        wanted: Wanted,
    ) -> Result<Self, notify::Error> {
        let (wake, events) = bounded(1);
        dep_info::wake(wake.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that events may have been missed.
            if event.is_ok_and(|event| !is_change(event.kind)) {
                return;
            }
            let _ = wake.try_send(Instant::now());
        })?;
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = file.to_owned();
        let beside = file.parent().map(Path::to_owned);
        let dirs = plugin_dirs.iter().map(|dir| absolute(dir));
        Ok(Self {
            watcher,
            events,
            of_file: Stamp::of(&file),
            places: beside.into_iter().chain(dirs).collect(),
            file,
            wanted,
            inputs: BTreeMap::new(),
            imports: BTreeMap::new(),
            folders: BTreeMap::new(),
            seen: BTreeMap::new(),
        })
    }

    /// Waits until something has happened, even if nobody watches it, and returns when that was. `None` if nothing
    /// more will.
    pub async fn event(&self) -> Option<Instant> {
        self.events.recv().await.ok()
    }

    /// Notes plugins.json as it is now: it is read next.
    pub fn look_at_file(&mut self) {
        self.of_file = Stamp::of(&self.file);
    }

    /// Looks at the files that these definitions are loaded or built from, because that happens next. Returns the
    /// definitions whose files have changed since the look before.
    pub fn look_at(&mut self, definitions: &[Definition], runtime: &Runtime) -> BTreeSet<String> {
        let mut known = Workspaces::new(&self.wanted.stop);
        let sources: BTreeSet<_> = definitions
            .iter()
            .filter_map(|it| self.source(it))
            .collect();
        let inputs = sources.into_iter().map(|source| {
            let inputs = known.inputs(&source);
            (source, inputs)
        });
        self.inputs = inputs.collect();
        let mut now = self.look(definitions, runtime);
        if self.follow(&now) {
            // Changes from before it was watched.
            now = self.look(definitions, runtime);
        }
        let touched = self.touched_by(&now);
        self.note(now);
        touched.into_keys().collect()
    }

    /// Whether something of this definition has changed since it was looked at, so that the next look reports it as
    /// touched.
    pub fn has_changed(&self, definition: &Definition, runtime: &Runtime) -> bool {
        let now = self.look(std::slice::from_ref(definition), runtime);
        !self.touched_by(&now).is_empty()
    }

    /// Notes what scripts import, which is known after loading them. Returns the scripts with an import that has
    /// changed since, which must be loaded again.
    pub fn look_at_imports(
        &mut self,
        definitions: &[Definition],
        runtime: &Runtime,
    ) -> BTreeSet<String> {
        let now = self.look(definitions, runtime);
        self.follow(&now);
        for (name, now) in now {
            if let Some(seen) = self.seen.get_mut(&name) {
                // A change during loading shows in the files that they were loaded from, or else at the next look.
                seen.take_imports(now);
            }
        }
        let changed = definitions
            .iter()
            .filter(|it| smol::block_on(runtime.has_imports_changed(&it.name)));
        changed.map(|it| it.name.clone()).collect()
    }

    /// Notes what scripts import, which `web` knows after it has read them; it began to read at this time. Returns the
    /// scripts with an import that has changed since.
    #[cfg(feature = "wasm")]
    pub fn take_imports(
        &mut self,
        imports: BTreeMap<String, Vec<PathBuf>>,
        definitions: &[Definition],
        runtime: &Runtime,
        since: SystemTime,
    ) -> BTreeSet<String> {
        // Some systems record the time of a write some milliseconds late.
        let since = since - Duration::from_millis(20);
        self.imports = imports;
        let now = self.look(definitions, runtime);
        self.follow(&now);
        let mut changed = BTreeSet::new();
        for (name, now) in now {
            let Some(seen) = self.seen.get_mut(&name) else {
                continue;
            };
            let new = seen.take_imports(now);
            if new.values().any(|stamp| stamp.is_since(since)) {
                changed.insert(name);
            }
        }
        changed
    }

    /// Waits until everything is at rest, and returns what has changed. `None` if nothing has.
    pub fn touched(&mut self, definitions: &[Definition], runtime: &Runtime) -> Option<Touched> {
        let mut before = None;
        for look in 0..LOOKS {
            // The first one is at once, because most files are complete by then.
            if look > 0 {
                std::thread::sleep(REST);
            }
            while self.events.try_recv().is_ok() {}
            let now = (Stamp::of(&self.file), self.look(definitions, runtime));
            if self.follow(&now.1) {
                before = None;
                continue;
            }
            let at_rest = before.as_ref() == Some(&now);
            let unchanged = now.0 == self.of_file && now.1 == self.seen;
            // After events of other files, it waits once too: they may come without a pause.
            let is_first = before.is_none();
            before = Some(now);
            if at_rest || unchanged && !is_first {
                break;
            }
        }
        let (of_file, now) = before?;
        let touched = self.touched_by(&now);
        let mut files: BTreeSet<_> = touched.values().flatten().cloned().collect();
        let file = of_file != self.of_file;
        if file {
            files.insert(self.file.clone());
        }
        self.of_file = of_file;
        self.note(now);
        let first = files.first()?.display();
        match files.len() - 1 {
            0 => log::info!(target: "valor::watch", "{first} has changed"),
            more => log::info!(target: "valor::watch", "{first} and {more} more have changed"),
        }
        Some(Touched {
            names: touched.into_keys().collect(),
            file,
        })
    }

    /// The definitions that have changed since the last look, each with its current files.
    fn touched_by(&self, now: &BTreeMap<String, Look>) -> BTreeMap<String, BTreeSet<PathBuf>> {
        let mut touched = BTreeMap::new();
        for (name, now) in now {
            let Some(before) = self.seen.get(name) else {
                continue;
            };
            let files = now.differs_from(before);
            if !files.is_empty() {
                touched.insert(name.clone(), files);
            }
        }
        touched
    }

    /// Takes this as the last look.
    fn note(&mut self, mut now: BTreeMap<String, Look>) {
        let mut awaits = false;
        for (name, now) in &mut now {
            awaits |= self.seen.get(name).is_some_and(|before| now.defer(before));
        }
        self.seen = now;
        if awaits {
            dep_info::wake_at_end();
        }
    }

    /// The crate that a definition is built from.
    fn source(&self, definition: &Definition) -> Option<PathBuf> {
        let source = definition.source.as_ref().filter(|_| self.wanted.build)?;
        Some(self.places.first()?.join(source))
    }

    fn look(&self, definitions: &[Definition], runtime: &Runtime) -> BTreeMap<String, Look> {
        // One crate may be mounted several times.
        let mut crates: BTreeMap<PathBuf, Look> = BTreeMap::new();
        let mut look = |definition: &Definition| {
            let mut look = Look::default();
            if let Some(source) = self.source(definition) {
                let of_crate = || Look::at_crate(self.inputs.get(&source));
                return crates
                    .entry(source.clone())
                    .or_insert_with(of_crate)
                    .clone();
            }
            if definition.kind.in_page() == InPage::Folder {
                // They are served as they are at each request, unless they are copied.
                if let (Some(output), Some(path)) = (&self.wanted.copies_into, &definition.path) {
                    look.at_folder(&self.places[0].join(path), Some(output));
                }
                return look;
            }
            match runtime.locate(definition) {
                Ok(Some(file)) => {
                    if self.wanted.signed {
                        look.at_file(&signature_of(&file));
                    }
                    // A script reads these files as they are at that time, but it is not loaded if one is missing.
                    let folder = file.parent().unwrap_or(Path::new("/"));
                    let named = definition.files.iter().map(|it| folder.join(it));
                    named.for_each(|it| look.at_presence(&it));
                    look.at_file(&file);
                    let imports = runtime.imports(&definition.name);
                    let others = self.imports.get(&definition.name);
                    let imports = imports.iter().chain(others.into_iter().flatten());
                    imports.for_each(|file| look.at_import(file));
                }
                Err(LoadError::NotFound { looked, .. }) => look.folders.extend(looked),
                Ok(None) | Err(_) => {}
            }
            look
        };
        let definitions = definitions.iter();
        definitions.map(|it| (it.name.clone(), look(it))).collect()
    }

    /// Watches the folders of these. Returns whether one of them was not watched before.
    fn follow(&mut self, looks: &BTreeMap<String, Look>) -> bool {
        let mut of_file = Look::default();
        of_file.at_file(&self.file);
        let looks = looks.values().chain([&of_file]);
        let wanted = looks.flat_map(|look| &look.folders).chain(&self.places);
        // A folder that does not exist yet appears in one that does.
        let wanted = wanted.filter_map(|folder| folder.ancestors().find(|it| it.is_dir()));
        let wanted: BTreeMap<_, _> = wanted
            .map(|folder| (folder.to_owned(), Identity::of(folder)))
            .collect();
        if wanted == self.folders {
            return false;
        }
        let mut watched = self.watcher.paths_mut();
        let other = |(path, identity): &(&PathBuf, &Identity), than: &BTreeMap<_, _>| {
            than.get(*path) != Some(*identity)
        };
        let old = self.folders.iter().filter(|it| other(it, &wanted));
        for (folder, _) in old {
            // It may be gone, and its watch with it.
            let _ = watched.remove(folder);
        }
        let mut refused = None;
        let new: Vec<_> = wanted
            .iter()
            .filter(|it| other(it, &self.folders))
            .collect();
        for (folder, _) in &new {
            if let Err(error) = watched.add(folder, RecursiveMode::NonRecursive) {
                refused.get_or_insert((folder.display(), error));
            }
        }
        if let Err(error) = watched.commit() {
            refused.get_or_insert((self.file.display(), error));
        }
        if let Some((folder, error)) = refused {
            log::error!(
                target: "valor::watch",
                "some changes will be missed, because {folder} cannot be watched: {error}; \
                 SIGHUP looks at the files, and so does a restart"
            );
        }
        let any = !new.is_empty();
        self.folders = wanted;
        any
    }
}

/// Whether a file may have changed. Opening or reading one is not a change.
fn is_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(_))
}
