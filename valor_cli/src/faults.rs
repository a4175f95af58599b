//! How a vlugin that cannot be loaded is reported: the key of its definition, and one line. `load` gathers them.
//!
//! The folders that were searched are listed once, after all faults, and not with each library. So is what is wrong
//! with this machine, if it keeps several scripts from running.

use crate::remedies;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition, RuntimeError,
    definition::DefinitionFaults,
    escape::one_line,
    file::{ReadError, remedy},
    loader::{FilesError, LoadError, ScriptError},
};

/// The key of the definition that caused a failed load, and the line.
pub fn told(definition: &Definition, built: bool, error: &RuntimeError) -> (String, String) {
    let file = match (&definition.path, &definition.source) {
        _ if built => "source",
        (Some(_), None) => "path",
        (None, None) => "name",
        // The path may come from the source.
        (_, Some(_)) => "source",
    };
    let key = match error {
        RuntimeError::Allow { source, .. } => {
            &entry("allow", definition.allow.as_deref(), &source.pattern)
        }
        RuntimeError::Callees { source, .. } => {
            &entry("callees", definition.callees.as_deref(), &source.name)
        }
        RuntimeError::Registry(_) => "prefix",
        RuntimeError::Load(error) => match error {
            LoadError::Sha256Invalid { .. } | LoadError::Sha256 { .. } => "sha256",
            LoadError::CreateFailed { .. }
            | LoadError::CreatePanicked { .. }
            | LoadError::CreateTimedOut { .. }
            | LoadError::CreateTooSlow { .. }
            | LoadError::CreateBlocks { .. }
            | LoadError::Files(FilesError::NoFallback { .. }) => "config",
            LoadError::Script(ScriptError::NotInstalled { .. }) => file,
            LoadError::Script(ScriptError::NoFile { .. }) => "files",
            LoadError::Script(error) if error.is_of_this_machine() => "type",
            _ => file,
        },
        _ => "name",
    };
    let line = remedies::of_vlugin(definition, error);
    let key = match error {
        RuntimeError::Load(
            LoadError::CreateFailed { message, .. } | LoadError::CreatePanicked { message, .. },
        ) => misfit(message).unwrap_or(key),
        _ => key,
    };
    // It is one line of the log, whatever the message contains.
    (
        key.to_owned(),
        line.lines().map(str::trim).collect::<Vec<_>>().join(" "),
    )
}

/// The key of an entry of a list: `callees[1]`.
fn entry(list: &str, entries: Option<&[String]>, entry: &str) -> String {
    let at = entries.and_then(|entries| entries.iter().position(|it| it == entry));
    at.map_or(list.to_owned(), |at| format!("{list}[{at}]"))
}

/// The key of its configuration that a vlugin rejects: "`config.port` does not fit: …".
fn misfit(message: &str) -> Option<&str> {
    let (key, rest) = message.strip_prefix('`')?.split_once('`')?;
    (key.starts_with("config") && rest.starts_with(" does not fit")).then_some(key)
}

/// Why a file cannot be read or inspected, for a user who named it on the command line and not in plugins.json.
/// `wanted` is what the command takes: "a library, a module, a component or a package".
pub fn of_command_line(error: &LoadError, wanted: &str) -> String {
    let what = match error {
        LoadError::Missing { file } => format!("{} does not exist", file.display()),
        LoadError::Directory { file } => format!("{} is a directory", file.display()),
        LoadError::NotAFile { file } => format!("{} is not a regular file", file.display()),
        error => return remedies::of(error),
    };
    format!("{what}: give the file of {wanted}")
}

/// A file cannot be read, and what to do. `what` precedes its name: `the key `.
pub fn unread(what: &str, file: &Path, error: &ReadError) -> String {
    let (file, remedy) = (file.display(), error.remedy());
    format!("{what}{file} cannot be read: {error}; {remedy}")
}

/// The file of a registry's token cannot be read, and what to do.
pub fn no_token(file: &Path, error: &ReadError) -> String {
    let (file, remedy) = (file.display(), error.remedy());
    format!("{file}: the registry's token cannot be read: {error}; {remedy}")
}

/// A `--plugin-dir` that is not a folder. A missing one only gets a warning: it may come later.
pub fn no_folder(plugin_dirs: &[PathBuf]) -> Option<String> {
    plugin_dirs.iter().find_map(|dir| {
        let shown = dir.display();
        match dir.metadata() {
            Ok(it) if !it.is_dir() => {
                Some(format!("{shown} is not a folder: --plugin-dir names one"))
            }
            Ok(_) => None,
            Err(error) => {
                log::warn!(
                    target: "valor",
                    "nothing is found in {shown}, which --plugin-dir names: {error}; {}", remedy(&error)
                );
                None
            }
        }
    })
}

/// The folders that were searched without success.
pub fn looked(error: &RuntimeError) -> &[PathBuf] {
    match error {
        RuntimeError::Load(LoadError::NotFound { looked, .. }) => looked,
        _ => &[],
    }
}

/// What is wrong with this machine, if that is why a script does not run: the same line for each of them.
pub fn shared(error: &RuntimeError) -> Option<String> {
    let RuntimeError::Load(error @ LoadError::Script(script)) = error else {
        return None;
    };
    match script {
        ScriptError::NoProcess { message, .. } => Some(one_line(message)),
        ScriptError::NotInstalled { .. } => None,
        script => script.is_of_this_machine().then(|| remedies::of(error)),
    }
}

/// What is wrong with this machine and not with a vlugin, and the faults that say so, by their index.
#[derive(Clone, Default)]
pub struct Shared(BTreeMap<String, Vec<usize>>);

impl Shared {
    /// Notes what the last of these faults may have in common with others.
    pub fn note(&mut self, line: Option<String>, faults: &DefinitionFaults) {
        if let (Some(line), Some(last)) = (line, faults.faults.len().checked_sub(1)) {
            self.0.entry(line).or_default().push(last);
        }
    }

    /// Takes what several of the faults have in common out of each, and returns it: once, to follow all of them.
    pub fn take_out(&self, faults: &mut DefinitionFaults) -> Vec<String> {
        let shared = self.0.iter().filter(|(_, of)| of.len() > 1);
        let shared = shared.map(|(line, of)| {
            for &index in of {
                let message = &mut faults.faults[index].message;
                *message = without(message, line);
            }
            line.clone()
        });
        shared.collect()
    }
}

/// A fault's message without what it has in common with others: what that says before its first reason is left.
pub fn without(message: &str, shared: &str) -> String {
    let (what, _) = shared.split_once(": ").unwrap_or((shared, ""));
    match message.split_once(shared) {
        // The message says more than the shared line does.
        Some((before, _)) if before.ends_with("in: ") => before.trim_end_matches(": ").to_owned(),
        Some((before, _)) => format!("{before}{what}"),
        None => message.to_owned(),
    }
}

/// The line that lists all of them.
pub fn searched(folders: &BTreeSet<PathBuf>) -> Option<String> {
    let all: Vec<_> = folders
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    (!all.is_empty()).then(|| format!("looked in {}", all.join(", ")))
}
