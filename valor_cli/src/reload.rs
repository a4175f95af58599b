//! Reads plugins.json again while the server runs: new vlugins are loaded, changed ones replaced, missing ones removed,
//! and everything else goes on. SIGHUP triggers it, and with `--watch` so does a change of the files.
//!
//! No fault ends the program. A file with faults changes nothing, and if a vlugin cannot be built or loaded, the old
//! one stays. The log says why. A build delays nobody: each vlugin is replaced as soon as it is ready (`building`).
//! Only changes in plugins.json itself wait for all of their builds, because vlugins may exchange prefixes there.

use crate::{
    args::{BuildArgs, LogArgs},
    build_sources::Outcome,
    building::Builder,
    load::Vlugins,
    log_writer::LogWriter,
    plugins_file::PluginsFile,
    programs::Stop,
    watch::Watch,
};
use futures_lite::future;
use smol::channel::{Receiver, Sender, bounded};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};
use valor_runtime::{Change, Definition, Runtime};

/// What is needed to read plugins.json again.
pub struct Reload {
    pub file: PluginsFile,
    pub build: BuildArgs,
    pub log: LogArgs,
    pub writer: LogWriter,
    pub runtime: Arc<Runtime>,
    /// plugins.json as it was last applied.
    pub vlugins: Vlugins,
    /// What of it is served.
    pub served: Vec<Definition>,
    /// The program is about to end: give up what has begun.
    pub stop: Stop,
}

/// Asks for a reload; one that is already running is followed by another.
#[derive(Clone)]
#[cfg_attr(not(unix), allow(dead_code))] // Windows has no SIGHUP.
pub struct Ask(Sender<()>);

impl Ask {
    #[cfg_attr(not(unix), allow(dead_code))] // As above.
    pub fn again(&self) {
        let _ = self.0.try_send(());
    }
}

/// Where reloads are requested, and where [`Reload::listen`] receives the requests.
pub fn channel() -> (Ask, Receiver<()>) {
    let (send, receive) = bounded(1);
    (Ask(send), receive)
}

/// What may need a reload.
enum News {
    /// SIGHUP.
    Asked,
    /// Something has happened to files.
    Event,
    /// A file that a script imports has changed while the script was loaded.
    Late,
    /// The source of the vlugin with this name was built, or could not be.
    Built(String, Outcome),
}

/// Applies plugins.json, again and again.
struct Again {
    reload: Reload,
    watch: Option<Watch>,
    builder: Builder,
    /// The names of those that have changed and are handled with the next event.
    due: BTreeSet<String>,
    is_late: bool,
    /// Those that could not be loaded, and are tried again whenever something changes.
    failed: BTreeSet<String>,
    /// Those that change together, once all of their builds are done.
    together: BTreeSet<String>,
    /// What was built for those that are not loaded yet.
    built: BTreeMap<String, Outcome>,
    /// When the last change of each came that is not live yet.
    since: BTreeMap<String, Instant>,
}

impl Reload {
    /// Waits for requests and for changes of the files, on a separate thread.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn listen(self, asked: Receiver<()>, watch: Option<Watch>) -> std::io::Result<()> {
        let base = self.vlugins.base().to_owned();
        let mut again = Again {
            builder: Builder::new(base, &self.build, &self.log, &self.writer, &self.stop),
            reload: self,
            watch,
            due: BTreeSet::new(),
            is_late: false,
            failed: BTreeSet::new(),
            together: BTreeSet::new(),
            built: BTreeMap::new(),
            since: BTreeMap::new(),
        };
        std::thread::Builder::new()
            .name("valor-reload".into())
            .spawn(move || {
                again.look_at_imports();
                while let Some(news) = smol::block_on(again.news(&asked)) {
                    if again.reload.stop.is_stopped() {
                        return;
                    }
                    again.take_notice(news);
                }
            })?;
        Ok(())
    }
}

impl Again {
    /// Waits for the next event; `None` when no more can come.
    async fn news(&mut self, asked: &Receiver<()>) -> Option<News> {
        if self.is_late {
            return Some(News::Late);
        }
        let (watch, builder) = (&self.watch, &mut self.builder);
        let signal = async { asked.recv().await.is_ok().then_some(News::Asked) };
        let event = async {
            match watch {
                Some(watch) => watch.event().await.then_some(News::Event),
                None => future::pending().await,
            }
        };
        let built = async {
            let (name, outcome) = builder.next().await;
            Some(News::Built(name, outcome))
        };
        future::or(signal, future::or(event, built)).await
    }

    fn take_notice(&mut self, news: News) {
        let came = Instant::now();
        match news {
            News::Asked => {
                if let Some(watch) = &mut self.watch {
                    watch.look_at_file();
                }
                self.see_to(true, came);
            }
            News::Event => {
                let read = self.reload.vlugins.as_read();
                let watch = self.watch.as_mut();
                let touched = watch.and_then(|it| it.touched(&read, &self.reload.runtime));
                if let Some(touched) = touched {
                    self.due.extend(touched);
                    self.see_to(false, came);
                }
            }
            News::Late => self.see_to(false, came),
            News::Built(name, outcome) => {
                self.built.insert(name.clone(), outcome);
                match self.together.contains(&name) {
                    true => self.take_together(),
                    false => self.take(&BTreeSet::from([name])),
                }
            }
        }
    }

    /// Reads plugins.json, and brings those that are due up to date; all of them, if that is asked for. The change
    /// came at this time.
    fn see_to(&mut self, all: bool, came: Instant) {
        self.is_late = false;
        // If plugins.json has faults, those that are due wait until the faults are fixed.
        let Some(vlugins) = self.reload.read() else {
            return;
        };
        let (before, read) = (self.reload.vlugins.as_read(), vlugins.as_read());
        let changed = said_otherwise(&before, &read);
        let mut due = std::mem::take(&mut self.due);
        due.extend(changed.iter().cloned());
        if all {
            due.extend(before.iter().chain(&read).map(name));
        }
        // A change from here on is a new one.
        if let Some(watch) = &mut self.watch {
            due.extend(watch.look_at(&read, &self.reload.runtime));
        }
        self.since
            .extend(due.iter().map(|name| (name.clone(), came)));
        self.reload.vlugins = vlugins;
        let builds = self.reload.build.is_wanted();
        let sources = read.into_iter().filter(|it| builds && it.source.is_some());
        let sources: BTreeMap<_, _> = sources.map(|it| (it.name.clone(), it)).collect();
        if changed.iter().any(|it| sources.contains_key(it)) {
            self.together.extend(changed);
        }
        self.builder.retain(|it| sources.contains_key(it));
        let (to_build, rest): (BTreeSet<_>, BTreeSet<_>) =
            due.into_iter().partition(|it| sources.contains_key(it));
        let again = &std::mem::take(&mut self.failed) - &to_build;
        let at_once = &(&rest | &again) - &self.together;
        let nothing_to_build = to_build.is_empty();
        self.built.retain(|it, _| !to_build.contains(it));
        let to_build = to_build.iter().filter_map(|it| sources.get(it).cloned());
        self.builder.build(to_build.collect());
        if nothing_to_build || !at_once.is_empty() {
            self.take(&at_once);
        }
        self.take_together();
    }

    /// Takes those that change together, unless one of them is still being built.
    fn take_together(&mut self) {
        if self.together.is_empty() || self.together.iter().any(|it| self.builder.is_building(it)) {
            return;
        }
        let names = std::mem::take(&mut self.together);
        self.take(&names);
    }

    /// Loads those of these that are wanted. One that could not be loaded is tried again. One that could not be built
    /// is not, until something of it changes.
    fn take(&mut self, names: &BTreeSet<String>) {
        let built = names
            .iter()
            .filter_map(|it| self.built.remove_entry(it))
            .collect::<BTreeMap<_, _>>();
        let watch = self.watch.as_ref();
        let failed = self.reload.take(names, built.clone(), watch, &self.since);
        self.since
            .retain(|name, _| !names.contains(name) || failed.contains(name));
        for name in failed {
            match built.get(&name) {
                Some(Err(_)) => {}
                Some(Ok(library)) => {
                    self.built.insert(name.clone(), Ok(library.clone()));
                    self.failed.insert(name);
                }
                None => _ = self.failed.insert(name),
            }
        }
        self.look_at_imports();
    }

    /// Notes what scripts import, and which of those files have changed during loading. A script that failed waits for
    /// a change.
    fn look_at_imports(&mut self) {
        if let Some(watch) = &mut self.watch {
            let read = self.reload.vlugins.as_read();
            let changed = watch.look_at_imports(&read, &self.reload.runtime);
            let changed: Vec<_> = changed.difference(&self.failed).cloned().collect();
            self.is_late |= !changed.is_empty();
            self.due.extend(changed);
        }
    }
}

impl Reload {
    /// Reads plugins.json, if it has no faults.
    fn read(&self) -> Option<Vlugins> {
        let vlugins = Vlugins::read(Some(self.file.clone()), self.build.is_wanted());
        let Err(faults) = vlugins.faults() else {
            return Some(vlugins);
        };
        faults.log();
        let shown = self.file.shown().display();
        log::error!(target: "valor", "{shown} has faults, and nothing is changed");
        None
    }

    /// Loads those of these that are wanted, with what was built. Returns the names of those that are still not up to
    /// date.
    fn take(
        &mut self,
        names: &BTreeSet<String>,
        built: BTreeMap<String, Outcome>,
        watch: Option<&Watch>,
        since: &BTreeMap<String, Instant>,
    ) -> BTreeSet<String> {
        let start = Instant::now();
        let shown = self.file.shown().display();
        let mut vlugins = self.vlugins.clone();
        vlugins.only(names);
        vlugins.built(built);
        if let Err(faults) = vlugins.faults() {
            // Those that were not built keep what was served before.
            faults.log();
        }
        let mut failed: BTreeSet<_> = vlugins.not_built().map(str::to_owned).collect();
        let is_served = |name: &str| self.served.iter().any(|it| it.name == name);
        let wanted = vlugins.definitions(&self.served);
        let is_named = |it: &&Definition| names.contains(&it.name);
        let before: Vec<_> = self.served.iter().filter(is_named).cloned().collect();
        let applied = match smol::block_on(self.runtime.apply(&before, &wanted)) {
            Ok(applied) => applied,
            Err(error) => {
                log::error!(
                    target: "valor",
                    "{shown} cannot be served as it is now, and nothing is changed: {error}"
                );
                return names.clone();
            }
        };
        let has_changed = |name: &str| {
            let definition = wanted.iter().find(|it| it.name == name);
            let found = watch.zip(definition);
            found.is_some_and(|(watch, it)| watch.has_changed(it, &self.runtime))
        };
        let mut changed = 0;
        for it in applied {
            let name = it.name.as_str();
            match it.change {
                Change::Kept => {}
                // A failure on a mix of two versions is no news: the newer version comes next.
                Change::Failed(_) if has_changed(&it.name) => {
                    log::info!(
                        target: "valor::watch", vlugin = name;
                        "the vlugin `{name}` has changed while it was loaded"
                    );
                    failed.insert(it.name);
                }
                Change::Failed(error) => {
                    let state = match is_served(name) {
                        true => "stays as it was",
                        false => "is not available",
                    };
                    log::error!(target: "valor", vlugin = name; "the vlugin `{name}` {state}: {error}");
                    vlugins.failed_at(name, &error);
                    failed.insert(it.name);
                }
                change => {
                    let what = format!("{change:?}").to_lowercase();
                    let live = match (&change, since.get(name)) {
                        (Change::Added | Change::Replaced, Some(since)) => {
                            format!(", and live after {:.1} s", since.elapsed().as_secs_f64())
                        }
                        _ => String::new(),
                    };
                    log::info!(target: "valor", vlugin = name; "the vlugin `{name}` is {what}{live}");
                    changed += 1;
                }
            }
        }
        let took = start.elapsed().as_secs_f64();
        let but = match failed.is_empty() {
            true => String::new(),
            false => {
                let names: Vec<_> = failed.iter().map(|name| format!("`{name}`")).collect();
                format!(" but for {}", names.join(", "))
            }
        };
        log::info!(
            target: "valor",
            "{shown} is served as it is now{but}: {changed} changed in {took:.2} s"
        );
        let new: BTreeSet<_> = failed.iter().filter(|it| !is_served(it)).cloned().collect();
        self.note(wanted, names, &failed);
        // They answer 503, as they would if the server had begun with them.
        for definition in vlugins.mount_unavailable(&new, &self.runtime) {
            self.served.push(definition);
        }
        failed
    }

    /// What is served from here on; for those that failed, what was served before.
    fn note(
        &mut self,
        wanted: Vec<Definition>,
        names: &BTreeSet<String>,
        failed: &BTreeSet<String>,
    ) {
        let before = std::mem::take(&mut self.served);
        let stays = |it: &Definition| failed.contains(&it.name) || !names.contains(&it.name);
        let now = wanted.into_iter().filter(|it| !stays(it));
        self.served = now.chain(before.into_iter().filter(stays)).collect();
    }
}

fn name(definition: &Definition) -> String {
    definition.name.clone()
}

/// The names of those that are new in plugins.json, missing from it, or different.
fn said_otherwise(before: &[Definition], read: &[Definition]) -> BTreeSet<String> {
    let other = read.iter().filter(|it| !before.contains(it));
    let gone = before.iter().filter(|it| !read.contains(it));
    other.chain(gone).map(name).collect()
}
