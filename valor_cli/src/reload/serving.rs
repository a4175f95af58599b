//! [`Serving`]: what of a plugins.json is served. `reload` gives it what is loaded, and it makes that visible: the
//! vlugins of one step together, with a line in the log for each. One that could not be loaded goes on as it was; if it
//! was not available before either, the newest reason is shown.

use super::loads::{Ready, Tally};
use crate::{load::Vlugins, plugins_file::PluginsFile, watch::Watch};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};
use valor_runtime::{Applied, Change, Definition, Runtime};

/// A plugins.json, and what of it is served.
pub struct Serving {
    pub file: PluginsFile,
    pub runtime: Arc<Runtime>,
    /// plugins.json as it was last read without a fault.
    pub vlugins: Vlugins,
    /// The definitions that are mounted, whether they are available or not.
    pub served: Vec<Definition>,
}

/// What came of a commit.
#[derive(Default)]
pub struct Committed {
    pub changed: usize,
    /// Those that are not up to date.
    pub failed: BTreeSet<String>,
    /// Those of them that could not be built.
    pub not_built: BTreeSet<String>,
    /// Whether a prefix may be free now.
    pub has_moved: bool,
}

/// What goes on under a name while its vlugin cannot be loaded.
#[derive(PartialEq)]
enum Meanwhile {
    /// The vlugin as it was before.
    Before,
    /// Nothing but 503.
    Nothing,
    /// A vlugin that was registered over HTTP.
    Another,
}

impl Serving {
    /// Reads plugins.json, if it has no faults.
    pub fn read(&self, builds: bool) -> Option<Vlugins> {
        let vlugins = Vlugins::read(Some(self.file.clone()), builds);
        let Err(faults) = vlugins.faults() else {
            self.runtime.set_fault(None);
            return Some(vlugins);
        };
        faults.log();
        let shown = self.file.shown().display();
        log::error!(target: "valor", "{shown} has faults, and nothing is changed");
        None
    }

    /// Commits these. `None` if a prefix is taken, which is then in the log, and nothing has changed.
    pub fn commit(
        &mut self,
        ready: Vec<(String, Ready)>,
        watch: Option<&Watch>,
        since: &BTreeMap<String, Instant>,
    ) -> Option<Committed> {
        let mut committed = Committed::default();
        let (mut gone, mut prepared, mut live) = (Vec::new(), Vec::new(), Vec::new());
        let (mut unavailable, mut lines) = (Vec::new(), Vec::new());
        for (name, ready) in ready {
            match ready {
                Ready::Gone => gone.push(name),
                Ready::NotBuilt(definition, reason) => {
                    if self.meanwhile(&name) == Meanwhile::Nothing {
                        unavailable.push((definition, reason));
                    }
                    committed.not_built.insert(name.clone());
                    committed.failed.insert(name);
                }
                Ready::Loaded(definition, it) => {
                    let Change::Failed(error) = it.change() else {
                        live.push(definition);
                        prepared.push(*it);
                        continue;
                    };
                    committed.failed.insert(name.clone());
                    // A failure on a mix of two versions is no news: the newer version comes next.
                    if watch.is_some_and(|it| it.has_changed(&definition, &self.runtime)) {
                        log::info!(
                            target: "valor::watch", vlugin = name.as_str();
                            "the vlugin `{name}` has changed while it was loaded"
                        );
                        continue;
                    }
                    let meanwhile = self.meanwhile(&name);
                    let state = match meanwhile {
                        Meanwhile::Before => "stays as it was",
                        Meanwhile::Nothing | Meanwhile::Another => "is not available",
                    };
                    lines.push((
                        name.clone(),
                        format!("the vlugin `{name}` {state}: {error}"),
                    ));
                    if meanwhile == Meanwhile::Nothing {
                        let mut vlugins = self.vlugins.clone();
                        vlugins.failed_at(&name, error);
                        let reason = vlugins.found(&name).and_then(|(_, why)| why);
                        let reason = reason.map_or_else(|| error.to_string(), str::to_owned);
                        unavailable.push((definition, reason));
                    }
                }
            }
        }
        let with_reason: Vec<_> = unavailable.iter().map(|(it, why)| (it, &**why)).collect();
        let applied = self.runtime.commit(&gone, prepared, &with_reason);
        for (name, line) in &lines {
            log::error!(target: "valor", vlugin = name.as_str(); "{line}");
        }
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) => {
                let shown = self.file.shown().display();
                log::error!(
                    target: "valor",
                    "{shown} cannot be served as it is now, and nothing is changed: {error}"
                );
                return None;
            }
        };
        committed.has_moved = !unavailable.is_empty();
        for Applied { name, change, .. } in applied {
            if matches!(change, Change::Kept) {
                continue;
            }
            let what = format!("{change:?}").to_lowercase();
            let live = match (&change, since.get(&name)) {
                (Change::Added | Change::Replaced, Some(since)) => {
                    format!(", and live after {:.1} s", since.elapsed().as_secs_f64())
                }
                _ => String::new(),
            };
            log::info!(target: "valor", vlugin = name.as_str(); "the vlugin `{name}` is {what}{live}");
            committed.changed += 1;
        }
        let unavailable = unavailable.into_iter().map(|(definition, _)| definition);
        self.note(&gone, live.into_iter().chain(unavailable).collect());
        Some(committed)
    }

    fn meanwhile(&self, name: &str) -> Meanwhile {
        let mounted = self.runtime.mounted();
        let mount = mounted.iter().find(|it| *it.name == *name);
        let is_available = mount.is_some_and(|it| it.origin.unavailable.is_none());
        match (is_available, self.as_served(name)) {
            (true, Some(_)) => Meanwhile::Before,
            (true, None) => Meanwhile::Another,
            (false, _) => Meanwhile::Nothing,
        }
    }

    /// The definition that one is served with, or that is not available.
    pub fn as_served(&self, name: &str) -> Option<&Definition> {
        self.served.iter().find(|it| it.name == name)
    }

    /// Those that answer 503 because plugins.json had a fault in their definition at the start.
    pub fn faulty(&self) -> BTreeSet<String> {
        let mounted = self.runtime.mounted().into_iter();
        let lacking = mounted.filter(|it| it.origin.unavailable.is_some());
        let names = lacking.map(|it| it.name.to_string());
        names.filter(|it| self.as_served(it).is_none()).collect()
    }

    /// Those that are served and not available.
    pub fn unavailable(&self) -> BTreeSet<String> {
        let names = self.served.iter().map(|it| it.name.clone());
        names
            .filter(|name| self.meanwhile(name) == Meanwhile::Nothing)
            .collect()
    }

    /// Notes what is served from here on.
    fn note(&mut self, gone: &[String], now: Vec<Definition>) {
        let is_old = |it: &Definition| {
            gone.contains(&it.name) || now.iter().any(|other| other.name == it.name)
        };
        self.served.retain(|it| !is_old(it));
        self.served.extend(now);
    }

    /// Says that a step is done.
    pub fn say(&self, tally: &Tally) {
        if tally.refused {
            return;
        }
        let shown = self.file.shown().display();
        let (changed, took) = (tally.changed, tally.start.elapsed().as_secs_f64());
        let but = match tally.failed.is_empty() {
            true => String::new(),
            false => {
                let names: Vec<_> = tally.failed.iter().map(|it| format!("`{it}`")).collect();
                format!(" but for {}", names.join(", "))
            }
        };
        log::info!(
            target: "valor",
            "{shown} is served as it is now{but}: {changed} changed in {took:.2} s"
        );
    }
}
