//! plugins.json read again while the server runs: what is new is loaded, what has changed is replaced,
//! what is gone is taken out, and all else goes on. SIGHUP asks for it, and with `--watch` a change
//! of the files does.
//!
//! Nothing that is wrong ends the program: a file with faults changes nothing, and a vlugin that cannot
//! be built or loaded leaves the one before it in its place. The log says why. What is built keeps nobody
//! waiting: each vlugin is replaced when it is ready (`building`). Only what changes in plugins.json itself
//! waits for what is built of it, since vlugins may exchange their prefixes there.

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
    /// plugins.json as it was last taken.
    pub vlugins: Vlugins,
    /// What is served of it.
    pub served: Vec<Definition>,
    /// The program is to end: what is begun is given up.
    pub stop: Stop,
}

/// Asks for it; one that is under way already is followed by another.
#[derive(Clone)]
#[cfg_attr(not(unix), allow(dead_code))] // Windows has no SIGHUP.
pub struct Ask(Sender<()>);

impl Ask {
    #[cfg_attr(not(unix), allow(dead_code))] // As above.
    pub fn again(&self) {
        let _ = self.0.try_send(());
    }
}

/// Where it can be asked for, and where [`Reload::listen`] hears of it.
pub fn channel() -> (Ask, Receiver<()>) {
    let (send, receive) = bounded(1);
    (Ask(send), receive)
}

/// What there is to do something about.
enum News {
    /// SIGHUP.
    Asked,
    /// Something has happened to files.
    Event,
    /// What a script imports has changed while it was loaded.
    Late,
    /// The source of the vlugin with this name was built, or not.
    Built(String, Outcome),
}

/// Plugins.json, again and again.
struct Again {
    reload: Reload,
    watch: Option<Watch>,
    builder: Builder,
    /// The names of those that have changed and are to be seen to with the next news.
    due: BTreeSet<String>,
    is_late: bool,
    /// Those that could not be loaded, and are tried again whenever something changes.
    failed: BTreeSet<String>,
    /// Those that are changed in one step, when all that is built of them is.
    together: BTreeSet<String>,
    /// What was built of those that are not loaded yet.
    built: BTreeMap<String, Outcome>,
}

impl Reload {
    /// Waits for whoever asks and for changes of the files, on a separate thread.
    ///
    /// # Errors
    /// Where there can be no such thread.
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
    /// Waits for the next news; there is none when nobody can ask any more.
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
        match news {
            News::Asked => {
                if let Some(watch) = &mut self.watch {
                    watch.look_at_file();
                }
                self.see_to(true);
            }
            News::Event => {
                let read = self.reload.vlugins.as_read();
                let watch = self.watch.as_mut();
                let touched = watch.and_then(|it| it.touched(&read, &self.reload.runtime));
                if let Some(touched) = touched {
                    self.due.extend(touched);
                    self.see_to(false);
                }
            }
            News::Late => self.see_to(false),
            News::Built(name, outcome) => {
                self.built.insert(name.clone(), outcome);
                match self.together.contains(&name) {
                    true => self.take_together(),
                    false => self.take(&BTreeSet::from([name])),
                }
            }
        }
    }

    /// Reads plugins.json, and sees whether those that are due are as they are wanted; all, if that is asked for.
    fn see_to(&mut self, all: bool) {
        self.is_late = false;
        // With faults in plugins.json, what is due has its turn when they are mended.
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
        // What changes from here on is a further change.
        if let Some(watch) = &mut self.watch {
            due.extend(watch.look_at(&read, &self.reload.runtime));
        }
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

    /// Takes those that are changed in one step, if nothing of them is being built any more.
    fn take_together(&mut self) {
        if self.together.is_empty() || self.together.iter().any(|it| self.builder.is_building(it)) {
            return;
        }
        let names = std::mem::take(&mut self.together);
        self.take(&names);
    }

    /// Loads what is wanted of these. What could not be loaded is tried again; what could not be built is not, before
    /// something of it changes.
    fn take(&mut self, names: &BTreeSet<String>) {
        let built = names
            .iter()
            .filter_map(|it| self.built.remove_entry(it))
            .collect::<BTreeMap<_, _>>();
        let watch = self.watch.as_ref();
        let failed = self.reload.take(names, built.clone(), watch);
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

    /// Notes what scripts import, and which of them have changed while they were loaded. One that failed waits for a
    /// change.
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

    /// Loads what is wanted of these, with what was built. Gives the names of those that are not as they are wanted
    /// after that.
    fn take(
        &mut self,
        names: &BTreeSet<String>,
        built: BTreeMap<String, Outcome>,
        watch: Option<&Watch>,
    ) -> BTreeSet<String> {
        let start = Instant::now();
        let shown = self.file.shown().display();
        let mut vlugins = self.vlugins.clone();
        vlugins.only(names);
        vlugins.built(built);
        if let Err(faults) = vlugins.faults() {
            // Those that were not built keep what was served before them.
            faults.log();
        }
        let mut failed: BTreeSet<_> = vlugins.not_built().map(str::to_owned).collect();
        let wanted = vlugins.definitions(&self.served);
        let is_named = |it: &&Definition| names.contains(&it.name);
        let before: Vec<_> = self.served.iter().filter(is_named).cloned().collect();
        let applied = match smol::block_on(self.runtime.apply(&before, &wanted)) {
            Ok(applied) => applied,
            Err(error) => {
                log::error!(target: "valor", "{shown} cannot be served as it stands now, and nothing is changed: {error}");
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
                // Half of one version and half of another is no news: the newer one has its turn next.
                Change::Failed(_) if has_changed(&it.name) => {
                    log::info!(
                        target: "valor::watch", vlugin = name;
                        "the vlugin `{name}` has changed while it was loaded"
                    );
                    failed.insert(it.name);
                }
                Change::Failed(error) => {
                    log::error!(target: "valor", vlugin = name; "the vlugin `{name}` stays as it was: {error}");
                    failed.insert(it.name);
                }
                change => {
                    let what = format!("{change:?}").to_lowercase();
                    log::info!(target: "valor", vlugin = name; "the vlugin `{name}` is {what}");
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
            "{shown} is served as it stands now{but}: {changed} changed in {took:.2} s"
        );
        self.note(wanted, names, &failed);
        failed
    }

    /// What is served from here on: of those that failed, what was served before.
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

/// The names of those that plugins.json did not have before, has no more, or has otherwise.
fn said_otherwise(before: &[Definition], read: &[Definition]) -> BTreeSet<String> {
    let other = read.iter().filter(|it| !before.contains(it));
    let gone = before.iter().filter(|it| !read.contains(it));
    other.chain(gone).map(name).collect()
}
