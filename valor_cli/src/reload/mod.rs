//! Reads plugins.json again while the server runs: new vlugins are loaded, changed ones replaced, missing ones removed,
//! and everything else goes on. SIGHUP triggers it, and with `--watch` so does a change of the files.
//!
//! No fault ends the program. A file with faults changes nothing, and if a vlugin cannot be built or loaded, the old
//! one stays. The log says why. Neither a build (`building`) nor a load (`loads`) delays others: each vlugin is
//! replaced as soon as it is ready (`serving`). Only changes in plugins.json itself wait for all of theirs, because
//! vlugins may exchange prefixes there. What failed is tried again when something of it changes, or plugins.json.

mod loads;
mod serving;

use crate::{
    args::{BuildArgs, LogArgs},
    build_sources::Outcome,
    building::Builder,
    load::Vlugins,
    log_writer::LogWriter,
    plugins_file::PluginsFile,
    programs::Stop,
    watch::{Touched, Watch},
};
use futures_lite::future;
use loads::{Loads, Portion, Wanted};
use serving::{Committed, Serving};
use smol::channel::{Receiver, Sender, bounded};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};
use valor_runtime::{Definition, Runtime};

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
    /// Something has happened to files, at this time or a little later.
    Event(Instant),
    /// A file that a script imports has changed while the script was loaded.
    Late,
    /// The source of the vlugin with this name was built, or could not be.
    Built(String, Outcome),
    /// One more vlugin is loaded, or could not be.
    Loaded,
}

/// Why plugins.json is read.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    /// SIGHUP: everything is due.
    Asked,
    /// It has changed.
    File,
    /// Only files of vlugins have.
    Vlugins,
}

/// Applies plugins.json, again and again.
struct Again {
    serving: Serving,
    /// Whether sources are built.
    builds: bool,
    stop: Stop,
    watch: Option<Watch>,
    builder: Builder,
    /// The names of those that have changed and are handled with the next event.
    due: BTreeSet<String>,
    is_late: bool,
    loads: Loads,
    /// Those that could not be loaded, and are tried again when plugins.json changes.
    failed: BTreeSet<String>,
    /// Those that are loaded and not visible, because of a prefix that was taken. They are tried again together when
    /// others have changed.
    refused: BTreeSet<String>,
    /// Those that change together, once all of their builds are done.
    together: BTreeSet<String>,
    /// What was built last for each.
    built: BTreeMap<String, Outcome>,
    /// When the last change of each came that is not live yet.
    since: BTreeMap<String, Instant>,
}

impl Reload {
    /// Waits for requests and for changes of the files, on a separate thread.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn listen(self, asked: Receiver<()>, watch: Option<Watch>) -> std::io::Result<()> {
        let base = self.vlugins.base().to_owned();
        let mut again = Again {
            builder: Builder::new(base, &self.build, &self.log, &self.writer, &self.stop),
            builds: self.build.is_wanted(),
            serving: Serving {
                file: self.file,
                runtime: self.runtime,
                vlugins: self.vlugins,
                served: self.served,
            },
            stop: self.stop,
            watch,
            due: BTreeSet::new(),
            is_late: false,
            loads: Loads::start()?,
            failed: BTreeSet::new(),
            refused: BTreeSet::new(),
            together: BTreeSet::new(),
            built: BTreeMap::new(),
            since: BTreeMap::new(),
        };
        std::thread::Builder::new()
            .name("valor-reload".into())
            .spawn(move || {
                again.look_at_imports();
                while let Some(news) = smol::block_on(again.news(&asked)) {
                    if again.stop.is_stopped() {
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
        let (watch, builder, loads) = (&self.watch, &mut self.builder, &mut self.loads);
        let signal = async { asked.recv().await.is_ok().then_some(News::Asked) };
        let event = async {
            match watch {
                Some(watch) => watch.event().await.map(News::Event),
                None => future::pending().await,
            }
        };
        let built = async {
            let (name, outcome) = builder.next().await;
            Some(News::Built(name, outcome))
        };
        let loaded = async {
            loads.next().await;
            Some(News::Loaded)
        };
        future::or(signal, future::or(event, future::or(built, loaded))).await
    }

    fn take_notice(&mut self, news: News) {
        match news {
            News::Asked => {
                if let Some(watch) = &mut self.watch {
                    watch.look_at_file();
                }
                self.see_to(Cause::Asked, Instant::now());
            }
            News::Event(came) => {
                let read = self.serving.vlugins.as_read();
                let watch = self.watch.as_mut();
                let touched = watch.and_then(|it| it.touched(&read, &self.serving.runtime));
                if let Some(Touched { names, file }) = touched {
                    self.due.extend(names);
                    let cause = match file {
                        true => Cause::File,
                        false => Cause::Vlugins,
                    };
                    self.see_to(cause, came);
                }
            }
            News::Late => self.see_to(Cause::Vlugins, Instant::now()),
            News::Built(name, outcome) => {
                self.built.insert(name.clone(), outcome);
                match self.together.contains(&name) {
                    true => self.take_together(),
                    false => self.take(&BTreeSet::from([name]), BTreeSet::new()),
                }
            }
            News::Loaded => {}
        }
        self.settle();
    }

    /// Reads plugins.json, and brings those that are due up to date; all of them, if that is asked for. The change
    /// came at this time.
    fn see_to(&mut self, cause: Cause, came: Instant) {
        self.is_late = false;
        let builds = self.builds;
        // If plugins.json has faults, those that are due wait until the faults are fixed.
        let Some(vlugins) = self.serving.read(builds) else {
            return;
        };
        let (before, read) = (self.serving.vlugins.as_read(), vlugins.as_read());
        let mut changed = said_otherwise(&before, &read);
        changed.append(&mut self.serving.faulty());
        let mut due = std::mem::take(&mut self.due);
        due.extend(changed.iter().cloned());
        if cause == Cause::Asked {
            due.extend(before.iter().chain(&read).map(name));
        }
        // A change from here on is a new one.
        if let Some(watch) = &mut self.watch {
            due.extend(watch.look_at(&read, &self.serving.runtime));
        }
        self.since
            .extend(due.iter().map(|name| (name.clone(), came)));
        self.serving.vlugins = vlugins;
        let sources = read.into_iter().filter(|it| builds && it.source.is_some());
        let sources: BTreeMap<_, _> = sources.map(|it| (it.name.clone(), it)).collect();
        self.builder.retain(|it| sources.contains_key(it));
        let (to_build, rest): (BTreeSet<_>, BTreeSet<_>) =
            due.into_iter().partition(|it| sources.contains_key(it));
        // Those that failed may lack what plugins.json says now.
        let is_new = cause != Cause::Vlugins || !changed.is_empty();
        let (mut again, mut joint) = (BTreeSet::new(), changed);
        if is_new {
            again.append(&mut self.failed);
            let unavailable = self.serving.unavailable().into_iter();
            again.extend(unavailable.filter(|it| !sources.contains_key(it)));
            joint.append(&mut self.refused);
            again.retain(|it| !to_build.contains(it) && !self.loads.is_loading(it));
        }
        if joint.iter().any(|it| sources.contains_key(it)) {
            self.together.append(&mut joint);
        }
        let at_once = &(&(&rest | &again) | &joint) - &self.together;
        let nothing_to_build = to_build.is_empty();
        self.built
            .retain(|it, _| sources.contains_key(it) && !to_build.contains(it));
        let to_build = to_build.iter().filter_map(|it| sources.get(it).cloned());
        self.builder.build(to_build.collect());
        if nothing_to_build || !at_once.is_empty() {
            self.take(&at_once, joint);
        }
        self.take_together();
    }

    /// Takes those that change together, unless one of them is still being built.
    fn take_together(&mut self) {
        if self.together.is_empty() || self.together.iter().any(|it| self.builder.is_building(it)) {
            return;
        }
        let names = std::mem::take(&mut self.together);
        self.take(&names, names.clone());
    }

    /// Begins to load those of these that are wanted. Those that are joint become visible in one step. One that could
    /// not be built waits until something of it changes.
    fn take(&mut self, names: &BTreeSet<String>, joint: BTreeSet<String>) {
        let built = self.built.iter().filter(|(name, _)| names.contains(*name));
        let built = built.map(|(name, outcome)| (name.clone(), outcome.clone()));
        let mut vlugins = self.serving.vlugins.clone();
        vlugins.only(names);
        vlugins.built(built.collect());
        if let Err(faults) = vlugins.faults() {
            // Those that were not built keep what was served before.
            faults.log();
        }
        let faulty = self.serving.faulty();
        let wanted = names.iter().filter_map(|name| {
            let served = self.serving.as_served(name);
            let wanted = match vlugins.found(name) {
                None if served.is_none() && !faulty.contains(name) => return None,
                None => Wanted::Gone,
                Some((definition, Some(why))) => Wanted::NotBuilt(definition.clone(), why.into()),
                Some((definition, None)) => {
                    Wanted::Load(definition.clone(), served.cloned().map(Box::new))
                }
            };
            Some((name.clone(), wanted))
        });
        let wanted: BTreeMap<_, _> = wanted.collect();
        let joint = joint
            .into_iter()
            .filter(|it| wanted.contains_key(it))
            .collect();
        self.failed.retain(|it| !names.contains(it));
        self.loads.begin(wanted, joint, &self.serving.runtime);
    }

    /// Commits what is ready.
    fn settle(&mut self) {
        let mut is_news = false;
        loop {
            let mut again = false;
            while let Some(portion) = self.loads.ready() {
                is_news = true;
                again |= self.commit(portion);
            }
            let finished = self.loads.finished();
            is_news |= !finished.is_empty();
            finished.iter().for_each(|tally| self.serving.say(tally));
            let refused = std::mem::take(&mut self.refused);
            if !again || refused.is_empty() {
                self.refused = refused;
                break;
            }
            self.take(&refused, refused.clone());
        }
        if is_news {
            self.look_at_imports();
        }
    }

    /// Commits a portion. Returns whether those that were refused are tried again.
    fn commit(&mut self, mut portion: Portion) -> bool {
        let ready = std::mem::take(&mut portion.ready);
        let names: BTreeSet<_> = ready.iter().map(|(name, _)| name.clone()).collect();
        let watch = self.watch.as_ref();
        let committed = self.serving.commit(ready, watch, &self.since);
        let tally = self.loads.tally(&portion);
        let Some(committed) = committed else {
            tally.refused = true;
            // One that was tried alone may fit together with the others.
            let again = !portion.is_joint && self.refused.iter().any(|it| !names.contains(it));
            self.refused.extend(names);
            return again;
        };
        let Committed {
            changed,
            failed,
            not_built,
            has_moved,
        } = committed;
        tally.changed += changed;
        tally.failed.extend(failed.iter().cloned());
        self.since
            .retain(|name, _| !names.contains(name) || failed.contains(name));
        self.refused.retain(|name| !names.contains(name));
        self.failed.extend(&failed - &not_built);
        changed > 0 || has_moved
    }

    /// Notes what scripts import, and which of those files have changed during loading. A script that failed waits for
    /// a change, and one that is on its way is compared when it is there.
    fn look_at_imports(&mut self) {
        if let Some(watch) = &mut self.watch {
            let read = self.serving.vlugins.as_read();
            let mut changed = watch.look_at_imports(&read, &self.serving.runtime);
            changed.retain(|name| {
                let waits = [&self.failed, &self.refused, &self.together];
                !waits.iter().any(|it| it.contains(name)) && !self.loads.is_loading(name)
            });
            self.is_late |= !changed.is_empty();
            self.due.extend(changed);
        }
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
