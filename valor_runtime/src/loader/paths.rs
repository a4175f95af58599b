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
/// Of what lies outside, not even whether it exists is told.
pub(super) fn inside(dirs: &[PathBuf], file: PathBuf) -> Result<PathBuf, LoadError> {
    let resolved = fs::canonicalize(&file);
    let is_inside = dirs.iter().any(|dir| {
        let real = fs::canonicalize(dir);
        match (&resolved, &real) {
            (Ok(file), Ok(dir)) => file.starts_with(dir),
            (Err(_), _) => {
                !file.components().any(|part| part == Component::ParentDir)
                    && (file.starts_with(dir) || real.is_ok_and(|dir| file.starts_with(dir)))
            }
            (Ok(_), Err(_)) => false,
        }
    });
    if !is_inside {
        return Err(LoadError::Outside {
            file,
            dirs: dirs.to_owned(),
        });
    }
    resolved.map_err(|error| reading(&file, error))
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
