//! From a definition to the bytes of a library: where the file is looked for, and how it is
//! read. The loader calls [`Search::locate`], and the loader and `inspect` call [`read`].
//!
//! Nothing here looks into the bytes. What is promised is that one regular file is read once,
//! whole and with a bound, and in restricted mode from inside a plugin directory alone.

use crate::{
    definition::Definition,
    loader::{
        LoadError,
        paths::{self, is_absent, reading},
    },
};
use std::{
    env,
    fs::{self, File},
    io::Read,
    path::{Component, Path, PathBuf},
};

/// The largest file that is read.
pub(crate) const MAX_SIZE: u64 = 1 << 30;

/// Where libraries are looked for.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// The folder of plugins.json, absolute.
    pub(super) base: PathBuf,
    /// What `--plugin-dir` names.
    pub(super) plugin_dirs: Vec<PathBuf>,
    /// The system's library path; `None` for that of the environment.
    pub(super) library_path: Option<Vec<PathBuf>>,
}

impl Search {
    /// The file of a definition. With `restricted` it lies inside a plugin directory, and the
    /// path that is given back has no symbolic links in it.
    pub(super) fn locate(
        &self,
        definition: &Definition,
        restricted: bool,
    ) -> Result<PathBuf, LoadError> {
        let file = match &definition.path {
            Some(path) => match bare_name(path) {
                Some(name) => self.find(name, restricted)?,
                None => self.base.join(path),
            },
            None => self.find(&definition.name, restricted)?,
        };
        if restricted {
            return paths::inside(&self.plugin_dirs, file);
        }
        Ok(file)
    }

    fn find(&self, name: &str, restricted: bool) -> Result<PathBuf, LoadError> {
        let mut looked = self.plugin_dirs.clone();
        if !restricted {
            looked.push(self.base.clone());
            match &self.library_path {
                Some(dirs) => looked.extend(dirs.iter().cloned()),
                None => looked.extend(library_path_of_environment()),
            }
        }
        let mut seen = Vec::new();
        looked.retain(|dir| {
            let new = !seen.contains(dir);
            seen.push(dir.clone());
            new
        });
        let files = file_names(name);
        for dir in &looked {
            for file in &files {
                let file = dir.join(file);
                // What is there but cannot be looked at is found as well: reading it says why.
                match fs::metadata(&file) {
                    Err(error) if is_absent(&error) => {}
                    _ => return Ok(file),
                }
            }
        }
        Err(LoadError::NotFound {
            name: name.to_owned(),
            files,
            looked,
        })
    }
}

/// The name that a path is, if it is nothing else: no separator, no extension.
fn bare_name(path: &Path) -> Option<&str> {
    let mut components = path.components();
    let (Some(Component::Normal(_)), None) = (components.next(), components.next()) else {
        return None;
    };
    let name = path.to_str()?;
    let is_bare = path.extension().is_none() && !name.contains(std::path::is_separator);
    is_bare.then_some(name)
}

/// The file names that a library of this name may have. Cargo writes `_` for the `-` in the
/// name of a crate.
fn file_names(name: &str) -> Vec<String> {
    let file_name = |name: &str| {
        format!(
            "{}{name}{}",
            env::consts::DLL_PREFIX,
            env::consts::DLL_SUFFIX
        )
    };
    let mut names = vec![file_name(name)];
    if name.contains('-') {
        names.push(file_name(&name.replace('-', "_")));
    }
    names
}

fn library_path_of_environment() -> Vec<PathBuf> {
    let variable = if cfg!(windows) {
        "PATH"
    } else if cfg!(target_vendor = "apple") {
        "DYLD_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    };
    let value = env::var_os(variable).unwrap_or_default();
    // An empty entry would be the current folder: nobody means that.
    env::split_paths(&value)
        .filter(|dir| !dir.as_os_str().is_empty())
        .collect()
}

/// The bytes of a library or a package: of a regular file of at most 1 GiB, read once.
///
/// # Errors
/// A [`LoadError`] where it is not there, not a regular file, too large, or not readable.
pub fn read(file: &Path) -> Result<Vec<u8>, LoadError> {
    // Before it is opened: opening a pipe would wait for its other end.
    check_kind(file, &fs::metadata(file).map_err(|e| reading(file, e))?)?;
    let opened = File::open(file).map_err(|e| reading(file, e))?;
    let metadata = opened.metadata().map_err(|e| reading(file, e))?;
    check_kind(file, &metadata)?;
    let too_large = || LoadError::TooLarge {
        file: file.to_owned(),
        limit: MAX_SIZE,
    };
    if metadata.len() > MAX_SIZE {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    opened
        .take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| reading(file, e))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(too_large());
    }
    Ok(bytes)
}

fn check_kind(file: &Path, metadata: &fs::Metadata) -> Result<(), LoadError> {
    let file = file.to_owned();
    match metadata.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(LoadError::Directory { file }),
        _ => Err(LoadError::NotAFile { file }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_has_neither_separator_nor_extension() {
        for (path, name) in [
            ("hello", Some("hello")),
            ("hello-plugin_2", Some("hello-plugin_2")),
            ("hello.so", None),
            ("./hello", None),
            ("hello/", None),
            ("dir/hello", None),
            ("/hello", None),
            ("..", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(bare_name(Path::new(path)), name, "{path}");
        }
    }

    #[test]
    fn cargo_writes_underscores() {
        let names = file_names("a-b");
        assert!(names[0].contains("a-b") && names[1].contains("a_b"));
        assert_eq!(file_names("ab").len(), 1);
    }
}
