//! plugins.json read again while the server runs: what is new is loaded, what has changed is replaced,
//! what is gone is taken out, and all else goes on. SIGHUP asks for it, and with `--watch` a change
//! of the files does.
//!
//! Nothing that is wrong ends the program: a file with faults changes nothing, and a vlugin that cannot
//! be built or loaded leaves the one before it in its place. The log says why.

use crate::{
    args::{BuildArgs, LogArgs},
    build_sources::Stop,
    load::Vlugins,
    log_writer::LogWriter,
    plugins_file::PluginsFile,
    watch::Watch,
};
use futures_lite::future;
use smol::channel::{Receiver, Sender, bounded};
use std::{collections::BTreeSet, sync::Arc, time::Instant};
use valor_runtime::{Change, Definition, Kind, Runtime};

/// What is needed to read plugins.json again.
pub struct Reload {
    pub file: PluginsFile,
    pub build: BuildArgs,
    pub log: LogArgs,
    pub writer: LogWriter,
    pub runtime: Arc<Runtime>,
    /// What plugins.json said when it was last taken.
    pub read: Vec<Definition>,
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

/// Of which vlugins to see whether they are as they are wanted.
#[derive(Clone, Copy)]
enum Which<'a> {
    All,
    /// These, and whatever is said otherwise in plugins.json.
    Named(&'a BTreeSet<String>),
}

impl Reload {
    /// Waits for whoever asks and for changes of the files, on a thread of its own: a build may
    /// take minutes.
    ///
    /// # Errors
    /// Where there can be no such thread.
    pub fn listen(mut self, asked: Receiver<()>, watch: Option<Watch>) -> std::io::Result<()> {
        std::thread::Builder::new()
            .name("valor-reload".into())
            .spawn(move || match watch {
                Some(watch) => self.watch(&asked, watch),
                None => {
                    while asked.recv_blocking().is_ok() {
                        if let Some(vlugins) = self.read() {
                            self.take(vlugins, Which::All);
                        }
                    }
                }
            })?;
        Ok(())
    }

    fn watch(&mut self, asked: &Receiver<()>, mut watch: Watch) {
        // Those that are to be seen to.
        let mut due = watch.look_at_imports(&self.read, &self.runtime);
        let mut is_late = !due.is_empty();
        loop {
            let is_asked = match is_late {
                true => Some(false),
                false => {
                    let signal = async { asked.recv().await.is_ok().then_some(true) };
                    let event = async { watch.event().await.then_some(false) };
                    smol::block_on(future::or(signal, event))
                }
            };
            let Some(is_asked) = is_asked else {
                return;
            };
            if is_asked {
                watch.look_at_file();
            } else if !is_late {
                let Some(touched) = watch.touched(&self.read, &self.runtime) else {
                    continue;
                };
                due.extend(touched);
            }
            is_late = false;
            if self.stop.is_stopped() {
                return;
            }
            // With faults in plugins.json, what is due has its turn when they are mended.
            let Some(vlugins) = self.read() else { continue };
            // What changes from here on is told of as a further change.
            due.extend(watch.look_at(&vlugins.as_read(), &self.runtime));
            let which = match is_asked {
                true => Which::All,
                false => Which::Named(&due),
            };
            due = self.take_in_turn(vlugins, which);
            // What has changed while a script was loaded that imports it. One that failed waits for a change.
            let changed = watch.look_at_imports(&self.read, &self.runtime);
            let changed: Vec<_> = changed.difference(&due).cloned().collect();
            is_late = !changed.is_empty();
            due.extend(changed);
        }
    }

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

    /// As [`Self::take`] does; but if files alone have changed, modules come last: cargo builds each target by itself,
    /// and nobody has to wait for a library until the module of the same crate is built.
    fn take_in_turn(&mut self, vlugins: Vlugins, which: Which<'_>) -> BTreeSet<String> {
        let read = vlugins.as_read();
        let Which::Named(names) = which else {
            return self.take(vlugins, which);
        };
        let is_module = |name: &String| {
            let found = read.iter().find(|it| it.name == *name);
            found.is_some_and(|it| it.kind == Kind::Wasm && it.source.is_some())
        };
        let (modules, others): (BTreeSet<_>, BTreeSet<_>) =
            names.iter().cloned().partition(is_module);
        let in_one = modules.is_empty() || others.is_empty() || !self.build.is_wanted();
        if in_one || !self.said_otherwise(&read).is_empty() {
            return self.take(vlugins, which);
        }
        let mut failed = self.take(vlugins, Which::Named(&others));
        failed.extend(match self.read() {
            Some(vlugins) if !self.stop.is_stopped() => self.take(vlugins, Which::Named(&modules)),
            _ => modules,
        });
        failed
    }

    /// Builds and loads what is wanted. Gives the names of those that are not as they are wanted
    /// after that.
    fn take(&mut self, mut vlugins: Vlugins, which: Which<'_>) -> BTreeSet<String> {
        let start = Instant::now();
        let shown = self.file.shown().display();
        let read = vlugins.as_read();
        let names = match which {
            Which::All => read.iter().chain(&self.read).map(name).collect(),
            Which::Named(names) => &self.said_otherwise(&read) | names,
        };
        vlugins.only(&names);
        vlugins.build(&self.build, &self.log, &self.writer, &self.stop);
        if self.stop.is_stopped() {
            return names;
        }
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
                return names;
            }
        };
        let mut changed = 0;
        for it in applied {
            let name = it.name.as_str();
            match it.change {
                Change::Kept => {}
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
        self.note(wanted, &names, &failed);
        self.read = read;
        failed
    }

    /// The names of those that plugins.json did not have before, has no more, or has otherwise.
    fn said_otherwise(&self, read: &[Definition]) -> BTreeSet<String> {
        let (old, new) = (&self.read, read);
        let other = new.iter().filter(|it| !old.contains(it));
        let gone = old.iter().filter(|it| !new.contains(it));
        other.chain(gone).map(name).collect()
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
