//! JavaScript and TypeScript files as vlugins, run by Deno.
//!
//! The runtime calls [`JsLoader`]. `deno` finds the program. `group`, `command` and `process` are the processes,
//! `worker` is a script in one, and `roster` has the workers of a process and how it ends. `link` connects a process
//! with Valor, `supervisor` talks to it over the link, and `sealed` keeps others out. `script` is one file, running or
//! not, and `trouble` counts its failures. `graph` knows what it imports: `asked` runs the Deno that says so, `told`
//! reads the answer, `named` explains. `judge` asks the same for hosts that run scripts elsewhere. `requests` does what
//! a script asks for, in the encoding of `entry`. `output` logs what its process prints. `hints` replaces Deno's
//! remedies with Valor's. `loops` ends a process whose Workers loop, by the times of `nested`. `job` ends every Deno
//! with this process on Windows. `supervisor.js` and `worker.js` run in Deno's process; `asks.js`, `bodies.js`,
//! `heads.js`, `pinned.js`, `urls.js` and `workers.js` are parts of the latter. A script can end its own process, but
//! never this one. Everything that it can reach, it reaches through the host.

mod asked;
mod command;
mod deno;
mod entry;
mod gate;
mod graph;
mod group;
mod hints;
#[cfg(windows)]
mod job;
mod judge;
mod link;
#[cfg(target_os = "linux")]
mod loops;
mod named;
#[cfg(target_os = "linux")]
mod nested;
mod output;
mod process;
mod requests;
mod roster;
mod script;
mod sealed;
mod supervisor;
mod told;
mod trouble;
mod worker;

pub(crate) use deno::LEAST as LEAST_DENO;
pub use judge::{Judge, Judged};
pub use told::Rejected;

use super::{
    Imports, LoadError, Loaded, Loader, ScriptError, Settings, Wanted, code, first_bytes, npm,
    paths, search::Search,
};
use crate::hex::hex;
use crate::{
    BoxFuture, Definition, Limits, Vlugin,
    definition::Start,
    metrics::Metrics,
    package::{Package, SCRIPT_TARGET, is_package},
};
use command::Launch;
use group::Group;
use link::Transport;
use process::Unstarted;
use script::{Recipe, Script};
use serde_json::json;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};
use valor_abi_wire::{Host as _, lock::locked};

/// Loads JavaScript vlugins.
pub struct JsLoader {
    search: Search,
    deno: Option<PathBuf>,
    programs: deno::Asked,
    groups: Mutex<HashMap<String, Weak<Group>>>,
    scripts: Mutex<Vec<Weak<Script>>>,
    create_timeout: Duration,
    idle: Duration,
    transport: Transport,
    metrics: Arc<Metrics>,
}

impl Loader for JsLoader {
    fn locate(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<Option<PathBuf>, LoadError> {
        self.locate(definition, restricted).map(Some)
    }

    /// The runtime's default for `memory` is meant for instances of modules, which need less than a script.
    fn limits(&self, said: &Limits, defaults: &Limits) -> Limits {
        Limits {
            memory: said.memory,
            ..said.clone().or(defaults)
        }
    }

    fn load<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Loaded, LoadError>> {
        Box::pin(self.load(wanted))
    }

    fn imports(&self, vlugin: &Arc<dyn Vlugin>) -> Vec<PathBuf> {
        let script = self.script(vlugin);
        script.map_or_else(Vec::new, |script| script.imports())
    }

    fn has_changed<'a>(&'a self, vlugin: &'a Arc<dyn Vlugin>) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match self.script(vlugin) {
                Some(script) => smol::unblock(move || script.has_changed()).await,
                None => false,
            }
        })
    }

    fn troubled(&self) -> Vec<(String, String)> {
        let scripts = locked(&self.scripts);
        let scripts = scripts.iter().filter_map(Weak::upgrade);
        scripts.filter_map(|script| script.troubled()).collect()
    }
}

impl JsLoader {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            search: Search::of(settings),
            deno: settings.deno.clone(),
            programs: deno::Asked::default(),
            groups: Mutex::default(),
            scripts: Mutex::default(),
            create_timeout: settings.create_timeout,
            idle: settings.script_idle.unwrap_or(Duration::from_secs(60)),
            transport: match settings.scripts_over_tcp {
                true => Transport::Tcp,
                false => Transport::default(),
            },
            metrics: settings.metrics.clone(),
        }
    }

    /// The file of a definition, found but not yet opened. A bare name means a `.js`, `.mjs`, `.ts` or `.mts` file in a
    /// plugin directory or next to plugins.json.
    ///
    /// # Errors
    /// [`LoadError::NotFound`], and [`LoadError::Outside`] with `restricted`.
    fn locate(&self, definition: &Definition, restricted: bool) -> Result<PathBuf, LoadError> {
        let names = |name: &str| code::BARE.map(|end| format!("{name}.{end}")).into();
        self.search
            .locate(definition, restricted, "script", names, Vec::new)
    }

    /// Finds the file of a definition, and runs it in Deno, unless its `start` is `lazy`.
    async fn load(&self, wanted: Wanted<'_>) -> Result<Loaded, LoadError> {
        let Wanted {
            definition,
            restricted,
            host,
        } = wanted;
        let account = host.account().clone();
        let file = self.locate(definition, restricted)?;
        let check = self.check_of(definition, &file);
        let sha256 = {
            let check = check.clone();
            smol::unblock(move || check()).await?.sha256
        };
        let file = dunce::canonicalize(&file).map_err(|error| paths::reading(&file, error))?;
        if !is_package(&file)
            && let Some(error) = code::named(&file)
        {
            return Err(error.into());
        }
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
        let dirs = restricted.then(|| self.search.dirs());
        let may = Imports::inside(&file, definition, self.search.base(), dirs)?;
        // Scripts that join a group later may have packages as well.
        let packages = definition.group.is_some() || may.packages();
        let start = json!({
            "file": url(&file, false),
            "folder": url(&folder, true),
            "read": may.files().iter().map(|it| it.to_string_lossy()).collect::<Vec<_>>(),
            "rights": HashMap::from(hints::RIGHTS),
            "hints": hints::HINTS.as_slice(),
            "config": definition.config,
            "cpu": limits.cpu().as_millis() as u64,
            "level": host.max_level() as i64 - 1,
        });
        let launch = Launch {
            program: program.clone(),
            name: definition
                .group
                .clone()
                .unwrap_or_else(|| definition.name.clone()),
            folder: definition.group.is_none().then_some(folder),
            project: may.project().to_owned(),
            packages,
            heap: limits.memory_of(definition.kind),
            transport: self.transport,
        };
        let ask = graph::Ask {
            program,
            file: file.clone(),
            may,
            // Even if it may not import them, so that the refusal says that.
            packages: packages || npm::may_import(&file, None),
            reaches_packages: packages,
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
        let mut scripts = locked(&self.scripts);
        scripts.retain(|script| script.strong_count() > 0);
        scripts.push(Arc::downgrade(&script));
        Ok(Loaded {
            vlugin: script,
            file,
            metadata: None,
            sha256: Some(sha256),
            is_folder: false,
        })
    }

    fn script(&self, vlugin: &Arc<dyn Vlugin>) -> Option<Arc<Script>> {
        let scripts = locked(&self.scripts);
        let mut scripts = scripts.iter().filter_map(Weak::upgrade);
        scripts.find(|script| std::ptr::addr_eq(Arc::as_ptr(script), Arc::as_ptr(vlugin)))
    }

    /// Compares a file with its definition, each time before it runs.
    fn check_of(&self, definition: &Definition, file: &Path) -> Check {
        let (search, definition, file) = (self.search.clone(), definition.clone(), file.to_owned());
        let is_checked =
            definition.sha256.is_some() || search.needs_signatures() || is_package(&file);
        Arc::new(move || {
            let begins = |bytes: &[u8]| first_bytes::of(bytes).is_script(&file);
            let (bytes, sha256) = search.pick(&definition, &file, begins)?;
            let source = source_of(&file, bytes)?;
            Ok(Checked {
                sha256: hex(&sha256),
                source: is_checked.then_some(source),
            })
        })
    }

    /// The Deno for a script.
    async fn program(&self, script: &Path) -> Result<PathBuf, LoadError> {
        let found = deno::find(self.deno.as_deref(), self.search.base(), script)?;
        Ok(self.programs.program(found).await?)
    }

    fn group(&self, name: Option<&str>, launch: Launch) -> Arc<Group> {
        let Some(name) = name else {
            return Group::new(launch);
        };
        let mut groups = locked(&self.groups);
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
    /// What was checked, if more was required than that the file exists.
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
    let refusal = code::compiled(file, &bytes).or_else(|| code::encoded(file, &bytes));
    if let Some(error) = refusal {
        return Err(error.into());
    }
    // A byte order mark before it is not part of it.
    let source = String::from_utf8_lossy(&bytes);
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
    match unstarted {
        Unstarted::TimedOut => LoadError::CreateTooSlow { name, limit },
        Unstarted::Failed(message) => unloadable(message, &file).into(),
        Unstarted::Ended(end) => ScriptError::Failed {
            file,
            message: format!("it {end}"),
        }
        .into(),
        Unstarted::System(message) => ScriptError::NoProcess { name, message }.into(),
    }
}

/// The error for a script that cannot be loaded, with this reason.
fn unloadable(message: String, file: &Path) -> ScriptError {
    npm::missing(&message, file).unwrap_or_else(|| ScriptError::Failed {
        file: file.to_owned(),
        message,
    })
}
