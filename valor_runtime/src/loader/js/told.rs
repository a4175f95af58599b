//! [`Told`]: the files of a script according to `deno info --json`, and why they cannot be loaded.
//!
//! `graph` reads it. Deno also lists what is imported only for types. That is never loaded, so it is not checked here:
//! neither what `import type` names, nor what a comment does.

use super::hints::plain;
use crate::loader::specifier::{maybe, misnamed};
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
/// The types that `with { type: … }` may name.
const TYPES: [&str; 2] = ["json", "text"];

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

    /// The fault of the first import of a module that cannot be loaded.
    fn broken(&self, module: &Module, shown: &Shown) -> Option<String> {
        module.edges().find_map(|(dependency, code)| {
            if dependency.is_dynamic {
                return None;
            }
            let at = |text: String| Some(format!("{text}{}", shown.place(module, code)));
            if let Some(error) = &code.error {
                return at(shown.text(error) + &of_node(&dependency.specifier));
            }
            let with_type = dependency.with_type.as_deref();
            if let Some(other) = with_type.filter(|it| !TYPES.contains(it)) {
                return at(format!(
                    "`{}` is imported with the type \"{other}\", which is not supported: read the file, which `files` \
                     in its definition grants",
                    dependency.specifier
                ));
            }
            let target = self.module(code.specifier.as_deref()?)?;
            let error = target.error.as_deref()?;
            let text = shown.text(error);
            match error.contains("\n    at ") {
                // It contains a place.
                true => Some(text),
                false => {
                    let file = target.file().filter(|it| !it.is_file());
                    let maybe = file.map_or_else(Default::default, |it| maybe(&it));
                    at(match &*maybe {
                        "" => text,
                        maybe => format!("{text}.{maybe}"),
                    })
                }
            }
        })
    }

    fn reached(&self, goes_on: impl Fn(&Dependency) -> bool) -> Vec<&Module> {
        let modules: HashMap<_, _> = self.modules.iter().map(|it| (&*it.specifier, it)).collect();
        let mut seen = HashSet::new();
        let mut found: Vec<&Module> = Vec::new();
        let roots = self.roots.iter().map(String::as_str);
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
