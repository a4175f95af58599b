//! JavaScript and TypeScript files as vlugins, run by Deno.
//!
//! [`JsLoader`] is what the runtime calls. `deno` finds the program, `group`, `command` and `process` are the
//! processes, `worker` is a script in one, `link` is how Valor hears of them (`sealed`), `script` is one file, whether it runs
//! or not, `trouble` how often it has ended, `graph` what it imports. `outward` does what a script asks for in the
//! encoding of `entry`, `output` logs what its process prints, `hints` takes Deno's advice out of that, `nested`
//! knows of loops in Workers that it makes. `supervisor.js` and `worker.js`, of which `asks.js`, `heads.js`,
//! `pinned.js` and `urls.js` are parts, run in the process beside it. A script can end its own process and never this
//! one; what it may reach, it reaches through the host.

mod command;
mod deno;
mod entry;
mod gate;
mod graph;
mod group;
mod hints;
mod link;
#[cfg(target_os = "linux")]
mod nested;
mod output;
mod outward;
mod process;
mod script;
mod sealed;
mod trouble;
mod worker;

use super::{
    LoadError, ScriptError, npm, paths,
    search::{Search, hex},
};
use crate::{
    Definition, Vlugin,
    account::Account,
    definition::Start,
    metrics::Metrics,
    package::{Package, SCRIPT_TARGET, TrustedKeys, is_package},
};
use command::Launch;
use group::Group;
pub(crate) use link::Transport;
use process::Unstarted;
use script::{Recipe, Script};
use serde_json::json;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use valor::host::Host;

/// The ends of the names of files that can be scripts; the first is that of a bare name.
const EXTENSIONS: [&str; 4] = ["js", "mjs", "ts", "mts"];

/// Loads JavaScript vlugins.
pub struct JsLoader {
    search: Search,
    deno: Option<PathBuf>,
    /// The programs that were found and asked, each with its own file.
    programs: smol::lock::Mutex<HashMap<PathBuf, PathBuf>>,
    groups: Mutex<HashMap<String, Weak<Group>>>,
    scripts: Mutex<Vec<Weak<Script>>>,
    create_timeout: Duration,
    idle: Duration,
    transport: Transport,
    metrics: Arc<Metrics>,
}

/// A script that was loaded, and what is known of its file.
#[non_exhaustive]
pub struct LoadedScript {
    /// The vlugin.
    pub vlugin: Arc<dyn Vlugin>,
    /// The file that is run.
    pub file: PathBuf,
    /// The SHA-256 of the file, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl JsLoader {
    /// A loader for definitions whose paths are relative to `base`, the folder of plugins.json.
    pub(crate) fn new(base: impl Into<PathBuf>, metrics: Arc<Metrics>) -> Self {
        Self {
            search: Search::new(base),
            deno: None,
            programs: smol::lock::Mutex::default(),
            groups: Mutex::default(),
            scripts: Mutex::default(),
            create_timeout: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            transport: Transport::default(),
            metrics,
        }
    }

    /// The folders where bare names are looked for first, and where files have to be when a
    /// load is restricted.
    pub(crate) fn plugin_dirs<D: Into<PathBuf>>(
        mut self,
        dirs: impl IntoIterator<Item = D>,
    ) -> Self {
        self.search.plugin_dirs(dirs);
        self
    }

    /// The keys that every file has to be signed with.
    pub(crate) fn trust(mut self, keys: Option<TrustedKeys>) -> Self {
        if let Some(keys) = keys {
            self.search.trust(keys);
        }
        self
    }

    /// The Deno to run; where it is not said, it is looked for.
    pub(crate) fn deno(mut self, program: Option<PathBuf>) -> Self {
        self.deno = program;
        self
    }

    /// After which time without a request a script is stopped whose `start` is `lazy`.
    pub(crate) fn idle(mut self, idle: Option<Duration>) -> Self {
        self.idle = idle.unwrap_or(self.idle);
        self
    }

    /// How its processes are spoken with.
    pub(crate) fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// The file of a definition, found but not yet opened. A bare name is that of a `.js`, `.mjs`, `.ts` or
    /// `.mts` file in a plugin directory or beside plugins.json.
    ///
    /// # Errors
    /// [`LoadError::NotFound`], and [`LoadError::Outside`] with `restricted`.
    pub fn locate(&self, definition: &Definition, restricted: bool) -> Result<PathBuf, LoadError> {
        let names = |name: &str| EXTENSIONS.map(|end| format!("{name}.{end}")).into();
        let located = self.search.locate(definition, restricted, names, Vec::new);
        located.map_err(|error| match error {
            LoadError::NotFound {
                name,
                files,
                looked,
            } => ScriptError::NotFound {
                name,
                files,
                looked,
            }
            .into(),
            error => error,
        })
    }

    /// Finds the file of a definition, and has Deno run it, unless its `start` is `lazy`.
    ///
    /// With `restricted` the file has to lie inside one of the plugin directories once symbolic
    /// links are resolved; so it is where the definition comes from over the network. What the host holds for the
    /// script counts in `account`.
    ///
    /// # Errors
    /// Any [`LoadError`].
    pub async fn load(
        &self,
        definition: &Definition,
        restricted: bool,
        host: Arc<dyn Host>,
        account: Account,
    ) -> Result<LoadedScript, LoadError> {
        let file = self.locate(definition, restricted)?;
        let check = self.check_of(definition, &file);
        let sha256 = {
            let check = check.clone();
            smol::unblock(move || check()).await?.sha256
        };
        let file = dunce::canonicalize(&file).map_err(|error| paths::reading(&file, error))?;
        let program = self.program(&file).await?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let url = |path: &Path, is_folder: bool| {
            let url = match is_folder {
                true => url::Url::from_directory_path(path),
                false => url::Url::from_file_path(path),
            };
            url.map_or_else(|()| String::new(), String::from)
        };
        let limits = &definition.limits;
        // Those who join a group later may have packages as well.
        let packages = definition.group.is_some() || npm::may_import(&file);
        let files = self.readable(definition, &folder, restricted)?;
        let start = json!({
            "file": url(&file, false),
            "folder": url(&folder, true),
            "read": files.iter().map(|it| it.to_string_lossy()).collect::<Vec<_>>(),
            "config": definition.config,
            "cpu": limits.cpu().as_millis() as u64,
            "level": host.max_level() as i64 - 1,
        });
        let ask = graph::Ask {
            program: program.clone(),
            file: file.clone(),
            files,
            packages,
        };
        let launch = Launch {
            program,
            name: definition
                .group
                .clone()
                .unwrap_or_else(|| definition.name.clone()),
            read: definition.group.is_none().then_some(folder),
            packages,
            heap: limits.heap(),
            transport: self.transport,
        };
        let recipe = Recipe {
            name: definition.name.clone(),
            file: file.clone(),
            start,
            host,
            account,
            cpu: limits.cpu(),
            create_timeout: self.create_timeout,
            idle: (definition.start == Start::Lazy).then_some(self.idle),
            check: Arc::new(move || {
                let checked = check().map_err(|error| error.to_string())?;
                Ok(checked.source)
            }),
            ask,
            metrics: self.metrics.script(&definition.name),
        };
        let script = Script::new(recipe, self.group(definition.group.as_deref(), launch));
        if definition.start == Start::Eager {
            let started = script.start().await;
            started.map_err(|unstarted| unloaded(&script, unstarted))?;
        }
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        scripts.retain(|script| script.strong_count() > 0);
        scripts.push(Arc::downgrade(&script));
        Ok(LoadedScript {
            vlugin: script,
            file,
            sha256,
        })
    }

    /// The scripts that have ended too often to be started again at once, and why.
    pub fn troubled(&self) -> Vec<(String, String)> {
        let scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let scripts = scripts.iter().filter_map(Weak::upgrade);
        scripts.filter_map(|script| script.troubled()).collect()
    }

    /// What a definition lets its script read, which is inside of the script's folder wherever links lead, and inside
    /// one of the plugin directories with `restricted`. What is not there yet is no link.
    fn readable(
        &self,
        definition: &Definition,
        folder: &Path,
        restricted: bool,
    ) -> Result<Vec<PathBuf>, LoadError> {
        let files = definition.files.iter().map(|file| match &**file {
            "." => folder.to_owned(),
            file => folder.join(file),
        });
        files
            .map(|file| match restricted {
                true => self.search.inside(file.clone()).map(|_| file),
                false => Ok(file),
            })
            .map(|file| {
                let file = file?;
                match dunce::canonicalize(&file) {
                    Ok(real) if !real.starts_with(folder) => Err(ScriptError::Failed {
                        message: format!(
                            "`files` names a link that leads out of the script's folder {}; name a file or a folder that is in it",
                            folder.display()
                        ),
                        file,
                    }
                    .into()),
                    _ => Ok(file),
                }
            })
            .collect()
    }

    /// The files that the script behind a vlugin imports, itself among them, as they were when it was last started.
    pub(crate) fn imports(&self, vlugin: &Arc<dyn Vlugin>) -> Vec<PathBuf> {
        let script = self.script(vlugin);
        script.map_or_else(Vec::new, |script| script.imports())
    }

    /// Whether one of them has changed since.
    pub(crate) async fn has_changed(&self, vlugin: &Arc<dyn Vlugin>) -> bool {
        match self.script(vlugin) {
            Some(script) => smol::unblock(move || script.has_changed()).await,
            None => false,
        }
    }

    fn script(&self, vlugin: &Arc<dyn Vlugin>) -> Option<Arc<Script>> {
        let scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scripts = scripts.iter().filter_map(Weak::upgrade);
        scripts.find(|script| std::ptr::addr_eq(Arc::as_ptr(script), Arc::as_ptr(vlugin)))
    }

    /// What holds a file to its definition, each time before it is run.
    fn check_of(&self, definition: &Definition, file: &Path) -> Check {
        let (search, definition, file) = (self.search.clone(), definition.clone(), file.to_owned());
        let is_checked =
            definition.sha256.is_some() || search.needs_signatures() || is_package(&file);
        Arc::new(move || {
            let (bytes, sha256) = search.pick(&definition, &file)?;
            let source = is_checked.then(|| source_of(&file, bytes)).transpose()?;
            Ok(Checked {
                sha256: hex(&sha256),
                source,
            })
        })
    }

    /// The Deno for a script.
    async fn program(&self, script: &Path) -> Result<PathBuf, LoadError> {
        let found = deno::find(self.deno.as_deref(), self.search.base(), script)?;
        let mut programs = self.programs.lock().await;
        if let Some(program) = programs.get(&found) {
            return Ok(program.clone());
        }
        let program = deno::ask(found.clone()).await?;
        programs.insert(found, program.clone());
        Ok(program)
    }

    fn group(&self, name: Option<&str>, launch: Launch) -> Arc<Group> {
        let Some(name) = name else {
            return Group::new(launch);
        };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.retain(|_, group| group.strong_count() > 0);
        if let Some(group) = groups.get(name).and_then(Weak::upgrade) {
            return group;
        }
        let group = Group::new(launch);
        groups.insert(name.to_owned(), Arc::downgrade(&group));
        group
    }
}

/// A file that may be run.
struct Checked {
    sha256: String,
    /// What was checked, if anything but that it is there had to be.
    source: Option<String>,
}

type Check = Arc<dyn Fn() -> Result<Checked, LoadError> + Send + Sync>;

fn source_of(file: &Path, bytes: Vec<u8>) -> Result<String, LoadError> {
    let bytes = match is_package(file) {
        true => Package::read(file, &bytes)?
            .library(file, SCRIPT_TARGET)?
            .1
            .to_vec(),
        false => bytes,
    };
    let source = String::from_utf8(bytes).map_err(|_| ScriptError::not_utf8(file))?;
    // A mark in front of it is no part of it.
    Ok(source.trim_start_matches('\u{feff}').to_owned())
}

fn unloaded(script: &Script, unstarted: Unstarted) -> LoadError {
    let Recipe {
        name,
        file,
        create_timeout,
        ..
    } = &script.recipe;
    let (name, file) = (name.clone(), file.clone());
    let limit = *create_timeout;
    let failed = |file, message| ScriptError::Failed { file, message }.into();
    match unstarted {
        Unstarted::TimedOut => LoadError::CreateTimedOut { name, limit },
        Unstarted::Failed(message) => match npm::missing(&message, &file) {
            Some(missing) => missing.into(),
            None => failed(file, message),
        },
        Unstarted::Ended(end) => failed(file, format!("it {end}")),
        Unstarted::System(message) => ScriptError::NoProcess { name, message }.into(),
    }
}
