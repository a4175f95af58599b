//! The paths of definitions, for every loader alike: made absolute, and held inside the plugin
//! directories where a definition came over the network.

use super::LoadError;
use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// The path, not depending on the current folder; the file need not exist.
pub(super) fn absolute(path: PathBuf) -> PathBuf {
    match path.as_os_str().is_empty() {
        true => std::path::absolute(".").unwrap_or(path),
        false => std::path::absolute(&path).unwrap_or(path),
    }
}

/// The path with its symbolic links resolved, if it is inside one of these directories then.
///
/// Nothing is given away about files outside, not even whether they exist: also not through a link in one of the
/// directories, and not through `..`, which takes the folder before it off the path whether there is one or not.
pub(super) fn inside(dirs: &[PathBuf], file: PathBuf) -> Result<PathBuf, LoadError> {
    let plain = without_parents(&file);
    let resolved = fs::canonicalize(&plain);
    let there = match &resolved {
        Ok(file) => Some(file.clone()),
        Err(_) => nearest(&plain),
    };
    let is_inside = there.is_some_and(|there| {
        let real = dirs.iter().filter_map(|dir| fs::canonicalize(dir).ok());
        real.into_iter().any(|dir| there.starts_with(dir))
    });
    if !is_inside {
        return Err(LoadError::Outside {
            file,
            dirs: dirs.to_owned(),
        });
    }
    resolved.map_err(|error| reading(&file, error))
}

/// The nearest thing above a path that is there, with its links resolved; none, if that is a link that leads nowhere.
fn nearest(file: &Path) -> Option<PathBuf> {
    let is_there = |path: &&Path| fs::symlink_metadata(path).is_ok();
    fs::canonicalize(file.ancestors().find(is_there)?).ok()
}

/// The path without `..`, by its text alone.
fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    plain
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Why a file cannot be read.
pub(super) fn reading(file: &Path, error: io::Error) -> LoadError {
    let file = file.to_owned();
    if is_absent(&error) {
        return LoadError::Missing { file };
    }
    LoadError::Unreadable {
        file,
        error: Arc::new(error),
    }
}
