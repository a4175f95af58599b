//! From plugins.json to loaded vlugins: the steps that `run` and `check` share.
//!
//! A fault stops nothing: each step goes on with the definitions that passed the one before, so that one run lists
//! everything to fix.

mod built;

use crate::{
    build_sources::{self, Product},
    exit::{FAULTS, Failure},
    faults::{self, Shared},
    plugins_file::PluginsFile,
    table::{Row, RowState},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition, Runtime, RuntimeError,
    definition::{DefinitionFault, DefinitionFaults, Definitions, Faulty},
    loader::LoadError,
};

/// The vlugins of a plugins.json while they are loaded.
#[derive(Clone)]
pub struct Vlugins {
    file: Option<PluginsFile>,
    definitions: Definitions,
    entries: Vec<Entry>,
    faults: DefinitionFaults,
    /// What is wrong with plugins.json beside the definitions whose name and prefix are known.
    whole: Option<String>,
    /// Folders that were searched for a file without success.
    searched: BTreeSet<PathBuf>,
    shared: Shared,
}

#[derive(Clone)]
struct Entry {
    /// As in plugins.json, but with the path of what was built.
    definition: Definition,
    built: bool,
    fate: Fate,
}

#[derive(Clone)]
enum Fate {
    /// No fault so far.
    Well,
    /// An optional one that is not available here, and why.
    Missing(Why),
    /// It has a fault, which is listed.
    Faulty(Why),
    /// It was not asked for this time.
    Aside,
}

/// Why one is not available.
#[derive(Clone)]
struct Why {
    line: String,
    /// The same for clients of `/_plugins`, who cannot change the command line.
    over_http: String,
}

impl Why {
    fn of(line: String) -> Self {
        Self {
            over_http: line.clone(),
            line,
        }
    }
}

impl Fate {
    fn state(&self) -> RowState {
        match self {
            Self::Well | Self::Aside => RowState::Good("ready".into()),
            Self::Missing(why) => RowState::Missing(why.line.clone()),
            Self::Faulty(why) => RowState::Bad(why.line.clone()),
        }
    }
}

impl Vlugins {
    /// Reads a plugins.json; without one there are no vlugins, and no faults. If nothing is to be built, a definition
    /// that has a source and no path gets the name that cargo gives the library.
    pub fn read(file: Option<PluginsFile>, builds: bool) -> Self {
        let (definitions, faults) = file.as_ref().map(PluginsFile::read).unwrap_or_default();
        let entry = |definition: &Definition| Entry {
            definition: definition.clone(),
            built: false,
            fate: Fate::Well,
        };
        let of = |it: &Faulty, key: &str| {
            let rest = key.strip_prefix(&*it.key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let whole = faults.as_ref().and_then(|all| {
            let is_known = |key: &str| definitions.faulty().iter().any(|it| of(it, key));
            let first = all.faults.iter().find(|fault| !is_known(&fault.key))?;
            Some(placed(file.as_ref()?.shown(), first))
        });
        let mut vlugins = Self {
            whole,
            entries: definitions.iter().map(entry).collect(),
            definitions,
            faults: faults.unwrap_or(DefinitionFaults {
                file: file.as_ref().map(|file| file.shown().to_owned()),
                faults: Vec::new(),
                further: 0,
            }),
            searched: BTreeSet::new(),
            shared: Shared::default(),
            file,
        };
        if !builds {
            let base = vlugins.base().to_owned();
            for Entry { definition, .. } in &mut vlugins.entries {
                if let (Some(source), None) = (&definition.source, &definition.path) {
                    let product = Product::of(definition);
                    let name = build_sources::library_name(&base.join(source), product);
                    definition.path = name.map(PathBuf::from);
                }
            }
        }
        vlugins
    }

    /// The definitions as plugins.json has them.
    pub fn as_read(&self) -> Vec<Definition> {
        self.all()
    }

    /// Drops the definitions that are not named here.
    pub fn only(&mut self, names: &BTreeSet<String>) {
        for entry in &mut self.entries {
            if !names.contains(&entry.definition.name) {
                entry.fate = Fate::Aside;
            }
        }
    }

    /// Whether no definition is sound enough to be loaded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The folder that relative paths in it start from.
    pub fn base(&self) -> &Path {
        self.file.as_ref().map_or(Path::new("."), PluginsFile::base)
    }

    /// Every definition with a mount, including those that are not available.
    pub fn all(&self) -> Vec<Definition> {
        let entries = self.entries.iter();
        entries.map(|entry| entry.definition.clone()).collect()
    }

    /// The definition of this name and, if it has a fault, why it is not available, for clients.
    pub fn found(&self, name: &str) -> Option<(&Definition, Option<&str>)> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|it| it.definition.name == name)?;
        let why = match &entry.fate {
            Fate::Well | Fate::Aside => None,
            Fate::Missing(why) | Fate::Faulty(why) => Some(&*why.over_http),
        };
        Some((&entry.definition, why))
    }

    /// Loads and mounts those without a fault so far.
    pub async fn load(&mut self, runtime: &Runtime) {
        let well: Vec<_> = (0..self.entries.len())
            .filter(|index| matches!(self.entries[*index].fate, Fate::Well))
            .collect();
        let definitions: Vec<_> = well
            .iter()
            .map(|index| self.entries[*index].definition.clone())
            .collect();
        let outcomes = runtime.load_all(&definitions).await;
        for (index, outcome) in well.into_iter().zip(outcomes) {
            if let Err(error) = outcome {
                self.failed(index, &error);
            }
        }
    }

    /// Those without a fault so far, with their index.
    #[cfg(feature = "wasm")]
    pub fn well(&self) -> Vec<(usize, Definition)> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter(|(_, entry)| matches!(entry.fate, Fate::Well))
            .map(|(index, entry)| (index, entry.definition.clone()))
            .collect()
    }

    /// All definitions and their states, in the order of the file.
    #[cfg(feature = "wasm")]
    pub fn states(&self) -> impl Iterator<Item = (&Definition, RowState)> {
        self.entries
            .iter()
            .map(|entry| (&entry.definition, entry.fate.state()))
    }

    /// Notes that one cannot be loaded.
    pub fn failed(&mut self, index: usize, error: &RuntimeError) {
        let no_tool = matches!(
            error,
            RuntimeError::Load(LoadError::Script(error)) if error.is_of_this_machine()
        );
        let entry = &self.entries[index];
        let not_built = entry.definition.optional
            && entry.definition.source.is_some()
            && matches!(
                error,
                RuntimeError::Load(LoadError::NotFound { .. } | LoadError::Missing { .. })
            );
        let (key, line) = faults::told(&entry.definition, entry.built, error);
        self.searched.extend(faults::looked(error).iter().cloned());
        let shared = faults::shared(error);
        match no_tool || not_built {
            true => self.missing(index, &key, line, shared),
            false => {
                self.fault(index, &key, line);
                self.shared.note(shared, &self.faults);
            }
        }
        if let RuntimeError::Load(error) = error {
            self.say_over_http(index, error.over_http());
        }
    }

    /// Sets what clients of `/_plugins` read about one that is not available.
    fn say_over_http(&mut self, index: usize, line: String) {
        if let Fate::Missing(why) | Fate::Faulty(why) = &mut self.entries[index].fate {
            why.over_http = line;
        }
    }

    /// Notes that something one needs is missing here. That is a fault, unless it is optional. `shared` is the part of
    /// the line that others may have in common, if not all of it.
    pub fn missing(&mut self, index: usize, key: &str, line: String, shared: Option<String>) {
        let entry = &mut self.entries[index];
        match entry.definition.optional {
            true => entry.fate = Fate::Missing(Why::of(line)),
            false => {
                let shared = shared.or_else(|| Some(line.clone()));
                self.fault(index, key, line);
                self.shared.note(shared, &self.faults);
            }
        }
    }

    /// Notes that the one of this name cannot be loaded.
    pub fn failed_at(&mut self, name: &str, error: &RuntimeError) {
        let named = |entry: &Entry| entry.definition.name == name;
        if let Some(index) = self.entries.iter().position(named) {
            self.failed(index, error);
        }
    }

    /// Mounts optional vlugins that are not available, and faulty ones if the rest is served anyway: they answer 503.
    ///
    /// # Errors
    /// If a prefix is taken.
    pub fn mount_missing(&self, runtime: &Runtime) -> Result<(), RuntimeError> {
        let missing = self.entries.iter().filter_map(|entry| match &entry.fate {
            Fate::Well | Fate::Aside => None,
            Fate::Missing(why) | Fate::Faulty(why) => Some((&entry.definition, &*why.over_http)),
        });
        runtime.add_all_unavailable(missing)
    }

    /// Mounts the definitions that were read with a fault, as far as their name and prefix are known: they answer 503.
    /// Any other fault of plugins.json degrades `/_health`.
    pub fn mount_faulty(&self, runtime: &Runtime) {
        runtime.set_fault(self.whole.clone());
        for faulty in self.definitions.faulty() {
            let mut faults = self.faults.faults.iter();
            let first = faults.find(|it| it.key.starts_with(&format!("{}.", faulty.key)));
            let reason = first.map_or_else(
                || "its definition has a fault".to_owned(),
                |fault| placed(self.faults.file.as_deref().unwrap_or(Path::new("")), fault),
            );
            if let Err(error) = runtime.add_faulty(faulty, &reason) {
                log::error!(target: "valor", "{error}");
            }
        }
    }

    /// Every fault, one line each, in the order of the file.
    ///
    /// # Errors
    /// The faults, if there are any.
    pub fn faults(&self) -> Result<(), Failure> {
        if self.faults.faults.is_empty() && self.faults.further == 0 {
            return Ok(());
        }
        let mut faults = self.faults.clone();
        let mut notes = self.shared.take_out(&mut faults);
        notes.extend(faults::searched(&self.searched));
        faults.faults.sort_by_key(|fault| fault.position);
        let lines: Vec<_> = faults.to_string().lines().map(str::to_owned).collect();
        Err(Failure::new(FAULTS, lines).with_notes(notes))
    }

    /// What is mounted where, in the order of the file.
    pub fn rows(&self, runtime: &Runtime) -> Vec<Row> {
        let mounted = runtime.mounted();
        let mut said = BTreeSet::new();
        let mut row = |entry: &Entry| {
            let definition = &entry.definition;
            let mount = mounted.iter().find(|mount| *mount.name == definition.name);
            let file = mount.and_then(|mount| mount.origin.file.as_deref());
            Row {
                cells: vec![
                    definition.name.clone(),
                    definition.kind.to_string(),
                    definition.prefix(),
                    file.map_or_else(|| "-".to_owned(), shown),
                ],
                state: match entry.fate.state() {
                    // The reason and the remedy are in the first row that has them.
                    RowState::Missing(line) if !said.insert(line.clone()) => {
                        RowState::Missing(faults::without(&line, &line))
                    }
                    state => state,
                },
            }
        };
        self.entries.iter().map(&mut row).collect()
    }

    /// Notes a fault of one, at a key of its definition.
    pub fn fault(&mut self, index: usize, key: &str, line: String) {
        let name = &self.entries[index].definition.name;
        // The loader's lines about a file do not know which definition it belongs to.
        let named = match line.contains(&format!("`{name}`")) {
            true => line.clone(),
            false => format!("vlugin `{name}`: {line}"),
        };
        let fault = self.definitions.fault(index, key, named);
        self.faults.faults.push(fault);
        self.entries[index].fate = Fate::Faulty(Why::of(line));
    }
}

/// A fault with its file.
fn placed(file: &Path, fault: &DefinitionFault) -> String {
    let file = file.display();
    match fault.position {
        Some(_) => format!("{file}:{fault}"),
        None => format!("{file}: {fault}"),
    }
}

/// A path as short as it can be from here.
fn shown(file: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let short = file.strip_prefix(&here).unwrap_or(file);
    // The runtime returns paths below `./` that are relative to where it was started.
    let short = short.strip_prefix(".").unwrap_or(short);
    match short.as_os_str().is_empty() {
        // The folder itself.
        true => ".".to_owned(),
        false => short.display().to_string(),
    }
}
