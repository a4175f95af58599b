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
    let real: Vec<_> = dirs
        .iter()
        .map(|dir| (dir, fs::canonicalize(dir)))
        .collect();
    let is_inside = there.is_some_and(|there| {
        let mut real = real.iter().filter_map(|(_, real)| real.as_ref().ok());
        real.any(|dir| there.starts_with(dir))
    });
    if is_inside {
        return resolved.map_err(|error| reading(&file, error));
    }
    // By the text of the paths alone.
    let is_below = |(dir, real): &&(&PathBuf, io::Result<PathBuf>)| {
        plain.starts_with(dir) || real.as_ref().is_ok_and(|real| plain.starts_with(real))
    };
    let below = real.iter().find(is_below);
    if let Some((_, Err(error))) = below
        && is_absent(error)
    {
        // Nor is the directory.
        return Err(LoadError::Missing { file });
    }
    let is_link = below.is_some();
    let meant = plain.file_name().filter(|_| !is_link).and_then(|name| {
        let mut files = dirs.iter().map(|dir| dir.join(name));
        files.find(|file| fs::symlink_metadata(file).is_ok())
    });
    Err(LoadError::Outside {
        file,
        dirs: dirs.to_owned(),
        is_link,
        meant,
    })
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
