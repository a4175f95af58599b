//! [`Told`]: the files of a script according to `deno info --json`, and why they cannot be loaded.
//!
//! `graph` reads it. Deno also lists what is imported only for types. That is never loaded, so it is not checked here:
//! neither what `import type` names, nor what a comment does.

use super::hints::plain;
use crate::escape::one_line;
use crate::loader::{
    code,
    npm::is_installed,
    specifier::{maybe, misnamed},
};
use serde::Deserialize;
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};
use url::Url;

/// The modules of Node that have names without `node:` there, as listed by `node:module`.
const NODES: [&str; 42] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "wasi",
    "worker_threads",
    "zlib",
];
/// Deno's answer.
#[derive(Deserialize)]
pub(super) struct Told {
    roots: Vec<String>,
    modules: Vec<Module>,
}

/// A module, or something that was not found.
#[derive(Deserialize)]
pub(super) struct Module {
    specifier: String,
    /// Why it cannot be read.
    pub(super) error: Option<String>,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

/// An `import()` that is certain to be rejected when the script runs it.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The file that it is in.
    pub importer: PathBuf,
    /// What it imports, as it is written.
    pub specifier: String,
    /// Why, and where it is.
    pub message: String,
}

impl Rejected {
    /// The line of a log that says so before the script runs.
    pub fn foretold(&self, vlugin: &str) -> String {
        format!(
            "an `import()` of the script of `{vlugin}` is rejected when it runs: {}; correct it, or have the script \
             catch that",
            one_line(&self.message)
        )
    }
}

/// Something that a module imports.
#[derive(Deserialize)]
struct Dependency {
    specifier: String,
    /// Where that leads; `None` if it is only for types.
    code: Option<Resolved>,
    /// Whether only expressions import it, so that the script may work without it.
    #[serde(default, rename = "isDynamic")]
    is_dynamic: bool,
    #[serde(rename = "assertionType")]
    with_type: Option<String>,
}

#[derive(Deserialize)]
struct Resolved {
    specifier: Option<String>,
    error: Option<String>,
    span: Option<Span>,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
}

/// Counted from 0.
#[derive(Deserialize)]
struct Position {
    line: u32,
    character: u32,
}

impl Told {
    /// The modules that are loaded, or may be when the script runs; the script's comes first.
    pub(super) fn code(&self) -> Vec<&Module> {
        self.reached(|_| true)
    }

    /// Whether the script imports anything.
    pub(super) fn imports(&self) -> bool {
        let root = self.roots.first().and_then(|it| self.module(it));
        root.is_some_and(|it| it.edges().next().is_some())
    }

    /// Why the script cannot be loaded, with the place, if that is certain before it runs. `folder` is the script's.
    pub(super) fn fault(&self, folder: &Path) -> Option<String> {
        let shown = Shown(Url::from_directory_path(folder).ok());
        if let Some(error) = self.code().first().and_then(|it| it.error.as_deref()) {
            return Some(shown.text(error));
        }
        let encoded = self.code().into_iter().find_map(|it| it.encoded(&shown));
        encoded.or_else(|| {
            let loaded = self.reached(|it| !it.is_dynamic);
            loaded.into_iter().find_map(|it| self.broken(it, &shown))
        })
    }

    /// What the script's own files import as it runs, and cannot. In CommonJS that may be a `require`, which is none
    /// of these.
    pub(super) fn rejected(&self, folder: &Path) -> Vec<Rejected> {
        let shown = Shown(Url::from_directory_path(folder).ok());
        let is_own = |it: &Path| !is_installed(it) && !code::is_commonjs(it);
        let modules = self.code().into_iter();
        let own = modules.filter_map(|it| Some((it, it.file().filter(|it| is_own(it))?)));
        let edges = own.flat_map(|(module, file)| {
            let edges = module.edges().filter(|(it, _)| it.is_dynamic);
            edges.map(move |edge| (module, file.clone(), edge))
        });
        let rejected = edges.filter_map(|(module, importer, (dependency, code))| {
            let within = || {
                let target = code.specifier.iter().map(String::as_str);
                let loaded = self.reached_from(target, |it| !it.is_dynamic);
                loaded.into_iter().find_map(|it| self.broken(it, &shown))
            };
            let message = self.unloaded(module, dependency, code, &shown);
            Some(Rejected {
                importer,
                specifier: dependency.specifier.clone(),
                message: message.or_else(within)?,
            })
        });
        rejected.collect()
    }

    /// What the script's file itself imports for sure, unless that is a module of Node's or one that it has made.
    pub(super) fn others(&self) -> Vec<String> {
        let root = self.roots.first().and_then(|it| self.module(it));
        let edges = root.into_iter().flat_map(Module::edges);
        let named = edges.filter(|(it, _)| !it.is_dynamic);
        let named = named.map(|(it, _)| it.specifier.clone());
        let is_file = |it: &String| !["node:", "data:"].iter().any(|start| it.starts_with(start));
        named.filter(is_file).collect()
    }

    /// The fault of the first import of a module that cannot be loaded.
    fn broken(&self, module: &Module, shown: &Shown) -> Option<String> {
        let mut edges = module.edges().filter(|(it, _)| !it.is_dynamic);
        edges.find_map(|(dependency, code)| self.unloaded(module, dependency, code, shown))
    }

    /// Why an import of a module cannot be loaded.
    fn unloaded(
        &self,
        module: &Module,
        dependency: &Dependency,
        code: &Resolved,
        shown: &Shown,
    ) -> Option<String> {
        let at = |text: String| Some(format!("{text}{}", shown.place(module, code)));
        if let Some(error) = &code.error {
            return at(shown.text(error) + &of_node(&dependency.specifier));
        }
        let target = self.module(code.specifier.as_deref()?)?;
        let file = target.file();
        let mistyped = code::mistyped(
            &dependency.specifier,
            dependency.with_type.as_deref(),
            file.as_deref().filter(|it| it.is_file()),
        );
        // What CommonJS requires has no type.
        let is_module = !module.file().is_some_and(|it| code::is_commonjs(&it));
        if let Some(mistyped) = mistyped.filter(|_| is_module) {
            return at(mistyped);
        }
        let error = target.error.as_deref()?;
        let text = shown.text(error);
        if error.contains("\n    at ") {
            // It has its own place.
            return Some(text);
        }
        let missing = file.filter(|it| !it.is_file());
        let maybe = missing.map_or_else(Default::default, |it| maybe(&it));
        at(match &*maybe {
            "" => text,
            maybe => format!("{text}.{maybe}"),
        })
    }

    fn reached(&self, goes_on: impl Fn(&Dependency) -> bool) -> Vec<&Module> {
        self.reached_from(self.roots.iter().map(String::as_str), goes_on)
    }

    fn reached_from<'a>(
        &'a self,
        roots: impl Iterator<Item = &'a str>,
        goes_on: impl Fn(&Dependency) -> bool,
    ) -> Vec<&'a Module> {
        let modules: HashMap<_, _> = self.modules.iter().map(|it| (&*it.specifier, it)).collect();
        let mut seen = HashSet::new();
        let mut found: Vec<&Module> = Vec::new();
        let mut next: Vec<_> = roots.filter(|it| seen.insert(*it)).collect();
        while !next.is_empty() {
            let level: Vec<_> = next.iter().filter_map(|it| modules.get(it)).collect();
            found.extend(level.iter().copied());
            let edges = level.iter().flat_map(|it| it.edges());
            let edges = edges.filter(|(dependency, _)| goes_on(dependency));
            let targets = edges.filter_map(|(_, code)| code.specifier.as_deref());
            next = targets.filter(|it| seen.insert(*it)).collect();
        }
        found
    }

    fn module(&self, specifier: &str) -> Option<&Module> {
        self.modules.iter().find(|it| it.specifier == specifier)
    }
}

impl Module {
    /// Its file.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let url = Url::parse(&self.specifier).ok()?;
        (url.scheme() == "file").then(|| url.to_file_path().ok())?
    }

    fn edges(&self) -> impl Iterator<Item = (&Dependency, &Resolved)> {
        let dependencies = self.dependencies.iter();
        dependencies.filter_map(|it| Some((it, it.code.as_ref()?)))
    }

    /// An import by a name that is not spelled like the file's: a bundler for a page does not decode it.
    fn encoded(&self, shown: &Shown) -> Option<String> {
        self.edges().find_map(|(dependency, code)| {
            let line = misnamed(&dependency.specifier)?;
            Some(line + &shown.place(self, code))
        })
    }
}

/// What Deno appends to the error, when it runs a script, about a name that is that of a module of Node.
fn of_node(specifier: &str) -> String {
    let module = specifier.split('/').next().unwrap_or_default();
    match NODES.contains(&module) {
        true => format!(
            "\n  hint: If you want to use a built-in Node module, add a \"node:\" prefix (ex. \"node:{specifier}\")."
        ),
        false => String::new(),
    }
}

/// How people see files: from the script's folder.
struct Shown(Option<Url>);

impl Shown {
    /// Deno's message about a module, in Valor's words.
    fn text(&self, error: &str) -> String {
        let (error, _) = error.split_once("\n  Specifier: ").unwrap_or((error, ""));
        self.short(&plain(error)).trim_end_matches('.').to_owned()
    }

    fn place(&self, module: &Module, code: &Resolved) -> String {
        let Some(Span { start }) = &code.span else {
            return String::new();
        };
        let file = self.short(&module.specifier);
        let file = percent_encoding::percent_decode_str(&file).decode_utf8_lossy();
        format!(" at {file}:{}:{}", start.line + 1, start.character + 1)
    }

    fn short(&self, text: &str) -> String {
        match &self.0 {
            Some(folder) => text.replace(folder.as_str(), ""),
            None => text.to_owned(),
        }
    }
}
