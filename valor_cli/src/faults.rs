//! What is reported of a vlugin that cannot be loaded: the key of its definition, and one line. `load` gathers them.
//!
//! The folders that were searched in vain are listed once, behind all faults, and not with each library.

use crate::remedies;
use std::{collections::BTreeSet, path::PathBuf};
use valor_runtime::{
    Definition, RuntimeError,
    loader::{FilesError, LoadError, ScriptError},
};

/// The key of the definition that a failed load points to, and the line.
pub fn told(definition: &Definition, built: bool, error: &RuntimeError) -> (String, String) {
    let file = match (&definition.path, &definition.source) {
        _ if built => "source",
        (Some(_), None) => "path",
        (None, None) => "name",
        // The path may come from the source.
        (_, Some(_)) => "source",
    };
    let key = match error {
        RuntimeError::Allow { .. } => "allow",
        RuntimeError::Registry(_) => "prefix",
        RuntimeError::Load(error) => match error {
            LoadError::Sha256Invalid { .. } | LoadError::Sha256 { .. } => "sha256",
            LoadError::CreateFailed { .. }
            | LoadError::CreatePanicked { .. }
            | LoadError::CreateTimedOut { .. }
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
    // A line of the log, whatever is in the message.
    (
        key.to_owned(),
        line.lines().map(str::trim).collect::<Vec<_>>().join(" "),
    )
}

/// The key of its configuration that a vlugin says does not fit: "`config.port` does not fit: …".
fn misfit(message: &str) -> Option<&str> {
    let (key, rest) = message.strip_prefix('`')?.split_once('`')?;
    (key.starts_with("config") && rest.starts_with(" does not fit")).then_some(key)
}

/// The folders that were searched in vain.
pub fn looked(error: &RuntimeError) -> &[PathBuf] {
    match error {
        RuntimeError::Load(
            LoadError::NotFound { looked, .. }
            | LoadError::Script(ScriptError::NotFound { looked, .. }),
        ) => looked,
        _ => &[],
    }
}

/// The line with all of them.
pub fn searched(folders: &BTreeSet<PathBuf>) -> Option<String> {
    let all: Vec<_> = folders
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    (!all.is_empty()).then(|| format!("looked in {}", all.join(", ")))
}
