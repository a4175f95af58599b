//! `web --serve --watch`: writes the folder again whenever plugins.json, or a file that it names, changes. `web` starts
//! it.
//!
//! If something is broken, the folder stays as it is, and the log says why. A page that is reloaded gets the new files.
//! cargo runs for crates that have changed, and nothing else waits for it: until a module is built, the old one stays
//! in the folder.

use super::{
    made::{read, write},
    scripts::Imported,
    serve::Policy,
};
use crate::{
    args::WebArgs,
    build_sources::Outcome,
    building::Builder,
    exit::{Failure, USAGE},
    log_writer::LogWriter,
    plugins_file::{NOT_AGAIN, PluginsFile},
    programs::Stop,
    run::not_watched,
    watch::{Wanted, Watch},
};
use futures_lite::future;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};
use valor_runtime::{Definition, Runtime, loader::InPage};

/// What is needed to write it again.
pub struct Again {
    args: WebArgs,
    file: PluginsFile,
    log: LogWriter,
    watch: Watch,
    /// It knows where files with bare names are; nothing is loaded into it.
    runtime: Arc<Runtime>,
    /// The last plugins.json without faults.
    read: Vec<Definition>,
    /// The names of those that have changed since the folder was written.
    due: BTreeSet<String>,
    /// An import of a script has changed while the script was read.
    is_late: bool,
    /// What was built, by the names of the definitions; or why nothing was, if there has never been a module.
    built: BTreeMap<String, Outcome>,
    imports: Imported,
    since: SystemTime,
}

impl Again {
    /// Watches from now on, before anything is read for the folder.
    ///
    /// # Errors
    /// If plugins.json is standard input, or the system does not report changes.
    pub fn start(
        args: &WebArgs,
        file: &PluginsFile,
        log: &LogWriter,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let Some(path) = file.again() else {
            return Err(Failure::new(USAGE, [NOT_AGAIN.to_owned()]));
        };
        let wanted = Wanted {
            build: args.build.is_wanted(),
            signed: false,
            copies_into: std::path::absolute(&args.output).ok(),
            stop: stop.clone(),
        };
        let mut builder = Runtime::builder().base_dir(file.base());
        for dir in &args.plugin_dir {
            builder = builder.plugin_dir(dir);
        }
        let mut again = Self {
            since: SystemTime::now(),
            watch: Watch::start(path, &args.plugin_dir, wanted).map_err(not_watched)?,
            runtime: builder.build().map_err(Failure::fault)?,
            read: read(args, file).as_read(),
            args: args.clone(),
            file: file.clone(),
            log: log.clone(),
            due: BTreeSet::new(),
            is_late: false,
            built: BTreeMap::new(),
            imports: Imported::new(),
        };
        again.watch.look_at(&again.read, &again.runtime);
        Ok(again)
    }

    /// Waits for changes, on a separate thread. The folder was written with what was `built`, and with scripts that
    /// import these files.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn listen(
        mut self,
        policy: Policy,
        built: BTreeMap<String, PathBuf>,
        imports: Imported,
        stop: Stop,
    ) -> Result<(), Failure> {
        log::info!(
            target: "valor::watch",
            "plugins.json and the files that it names are watched, and each change is applied"
        );
        let built = built.into_iter().map(|(name, module)| (name, Ok(module)));
        (self.built, self.imports) = (built.collect(), imports);
        let base = self.file.base().to_owned();
        let (build, log) = (&self.args.build, &self.args.log);
        let mut builder = Builder::new(base, build, log, &self.log, &stop);
        std::thread::Builder::new()
            .name("valor-web".into())
            .spawn(move || {
                self.note_imports();
                while let Some(built) = smol::block_on(self.news(&mut builder)) {
                    if stop.is_stopped() {
                        return;
                    }
                    match built {
                        Some((name, outcome)) => self.take(name, outcome, &policy),
                        None => self.see_to(&mut builder, &policy),
                    }
                }
            })
            .map_err(Failure::fault)?;
        Ok(())
    }

    /// Waits until something has changed or was built; ends if nothing more will.
    async fn news(&mut self, builder: &mut Builder) -> Option<Option<(String, Outcome)>> {
        loop {
            if std::mem::take(&mut self.is_late) {
                return Some(None);
            }
            let event = async { self.watch.event().await.map(|_| None) };
            let built = async { Some(Some(builder.next().await)) };
            if let Some(built) = future::or(event, built).await? {
                return Some(Some(built));
            }
            if let Some(touched) = self.watch.touched(&self.read, &self.runtime) {
                self.due.extend(touched.names);
                return Some(None);
            }
        }
    }

    /// Starts builds of what has changed, and writes the rest.
    fn see_to(&mut self, builder: &mut Builder, policy: &Policy) {
        let vlugins = read(&self.args, &self.file);
        if let Err(faults) = vlugins.faults() {
            return self.stays(&faults);
        }
        let before = std::mem::replace(&mut self.read, vlugins.as_read());
        let mut due = std::mem::take(&mut self.due);
        due.extend(self.watch.look_at(&self.read, &self.runtime));
        let sources: Vec<_> = self.sources().cloned().collect();
        self.built
            .retain(|name, _| sources.iter().any(|it| it.name == *name));
        builder.retain(|name| sources.iter().any(|it| it.name == name));
        let is_as_before = |it: &Definition| {
            let before = before.iter().find(|before| before.name == it.name);
            before.is_some_and(|before| (&before.source, before.kind) == (&it.source, it.kind))
        };
        let mut to_build = Vec::new();
        for it in sources {
            let is_known = self.built.contains_key(&it.name) || builder.is_building(&it.name);
            if !is_as_before(&it) {
                self.built.remove(&it.name);
            } else if is_known && !due.contains(&it.name) {
                continue;
            }
            to_build.push(it);
        }
        let is_all = !to_build.is_empty() && before == self.read;
        due.retain(|name| to_build.iter().all(|it| it.name != *name));
        builder.build(to_build);
        // If only sources have changed, there is nothing new to write yet.
        if !is_all || !due.is_empty() {
            self.write(BTreeMap::new(), policy);
        }
    }

    /// Takes the outcome for the source of the vlugin with this name.
    fn take(&mut self, name: String, outcome: Outcome, policy: &Policy) {
        let had_one = matches!(self.built.get(&name), Some(Ok(_)));
        if outcome.is_ok() || !had_one {
            self.built.insert(name.clone(), outcome.clone());
        }
        self.write(BTreeMap::from([(name, outcome)]), policy);
    }

    /// Writes the folder with the results of all builds, if there is one for each source.
    fn write(&mut self, fresh: BTreeMap<String, Outcome>, policy: &Policy) {
        if self.sources().any(|it| !self.built.contains_key(&it.name)) {
            return;
        }
        self.since = SystemTime::now();
        let mut vlugins = read(&self.args, &self.file);
        let mut modules = BTreeMap::new();
        let mut outcomes = fresh.clone();
        for (name, outcome) in &self.built {
            match outcome {
                _ if fresh.contains_key(name) => {}
                Ok(module) => _ = modules.insert(name.clone(), module.clone()),
                Err(_) => _ = outcomes.insert(name.clone(), outcome.clone()),
            }
        }
        vlugins.built_before(&modules);
        vlugins.built(outcomes);
        let made = self.args.wasm_opt.found().and_then(|wasm_opt| {
            let when = self.args.wasm_opt;
            vlugins.shrink_when(when, self.args.build.is_release(), wasm_opt.as_ref());
            write(&self.args, vlugins, &mut self.imports)
        });
        let folder = self.args.output.display();
        match made {
            Ok(made) => {
                policy.set(made.policy);
                log::info!(target: "valor", "{folder} is written again, {} files", made.files);
            }
            Err(failure) => self.stays(&failure),
        }
        self.note_imports();
    }

    /// Watches the imports of scripts. Those that have changed since they were read are due.
    fn note_imports(&mut self) {
        let imports = self.imports.clone();
        let (read, runtime) = (&self.read, &self.runtime);
        let changed = self.watch.take_imports(imports, read, runtime, self.since);
        self.is_late |= !changed.is_empty();
        self.due.extend(changed);
    }

    fn stays(&self, failure: &Failure) {
        failure.log();
        log::error!(target: "valor", "{} stays as it was", self.args.output.display());
    }

    /// Those that are built.
    fn sources(&self) -> impl Iterator<Item = &Definition> {
        let builds = self.args.build.is_wanted();
        let runs = |it: &&Definition| it.kind.in_page() != InPage::Never;
        let all = self.read.iter().filter(runs);
        all.filter(move |it| builds && it.source.is_some())
    }
}
