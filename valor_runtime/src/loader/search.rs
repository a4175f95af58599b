//! Where the file of a definition is looked for, how it is read, and what it is held to before anything else is done
//! with it: its SHA-256 and its signature. Every loader has a [`Search`]; `inspect` calls [`read`].
//!
//! Nothing here looks into the bytes. What is promised is that one regular file is read once,
//! whole and with a bound, and in restricted mode from inside a plugin directory alone.

use super::{
    LoadError, Settings,
    first_bytes::FIRST,
    paths::{self, is_absent, reading},
};
use crate::{
    definition::Definition,
    file::{self, ReadError},
    hex,
    package::{TrustedKeys, is_package},
};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The largest file that is read.
pub(crate) const MAX_SIZE: u64 = 1 << 30;

/// Where files are looked for, and whose signatures they need.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// The folder of plugins.json, absolute.
    base: PathBuf,
    /// What `--plugin-dir` names.
    plugin_dirs: Vec<PathBuf>,
    /// The folders that bare names are looked for in last, also in restricted mode.
    granted: Vec<PathBuf>,
    /// The keys that every file has to be signed with; `None` where files need no signature.
    pub(super) trust: Option<TrustedKeys>,
}

impl Search {
    pub(super) fn new(base: impl Into<PathBuf>) -> Self {
        Self {
            base: paths::absolute(base.into()),
            plugin_dirs: Vec::new(),
            granted: Vec::new(),
            trust: None,
        }
    }

    /// As the runtime's settings have it.
    pub(super) fn of(settings: &Settings) -> Self {
        let mut search = Self::new(&settings.base_dir);
        search.plugin_dirs(&settings.plugin_dirs);
        search.trust.clone_from(&settings.trust);
        search
    }

    pub(super) fn plugin_dirs<D: Into<PathBuf>>(&mut self, dirs: impl IntoIterator<Item = D>) {
        let dirs = dirs.into_iter().map(Into::into);
        self.plugin_dirs = dirs.map(paths::absolute).collect();
    }

    pub(super) fn grant(&mut self, dirs: Vec<PathBuf>) {
        self.granted = dirs;
    }

    pub(super) fn trust(&mut self, keys: TrustedKeys) {
        self.trust = Some(keys);
    }

    /// What `--plugin-dir` names.
    pub(super) fn dirs(&self) -> &[PathBuf] {
        &self.plugin_dirs
    }

    /// The path with its symbolic links resolved, if it lies inside a plugin directory then.
    pub(super) fn inside(&self, file: PathBuf) -> Result<PathBuf, LoadError> {
        paths::inside(&self.plugin_dirs, file)
    }

    /// Whether files need signatures.
    pub(super) fn needs_signatures(&self) -> bool {
        self.trust.is_some()
    }

    /// The folder of plugins.json, absolute.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The file of a definition, `what` for an error line. A bare name is looked for under the file names that `names`
    /// gives for it, in the plugin directories, beside plugins.json, in what is granted, and then in what `last` gives.
    ///
    /// With `restricted` the file lies inside a plugin directory, or for a bare name inside a granted folder, and
    /// the path that is given back has no symbolic links in it.
    pub(super) fn locate(
        &self,
        definition: &Definition,
        restricted: bool,
        what: &'static str,
        names: fn(&str) -> Vec<String>,
        last: impl FnOnce() -> Vec<PathBuf>,
    ) -> Result<PathBuf, LoadError> {
        let bare = match &definition.path {
            Some(path) => bare_name(path),
            None => Some(&*definition.name),
        };
        let file = match (bare, &definition.path) {
            (None, Some(path)) => self.base.join(path),
            (bare, _) => {
                let name = bare.unwrap_or_default();
                let mut looked = self.plugin_dirs.clone();
                if restricted {
                    looked.extend(self.granted.iter().cloned());
                    let file = find(what, name, names(name), looked.clone(), true)?;
                    return paths::inside(&looked, file);
                }
                looked.push(self.base.clone());
                looked.extend(self.granted.iter().cloned());
                looked.extend(last());
                find(what, name, names(name), looked, false)?
            }
        };
        if restricted {
            return self.inside(file);
        }
        Ok(file)
    }

    /// The bytes of a definition's file and their SHA-256, held to what the definition says of it and to the
    /// signature that it needs. `begins` judges the first bytes, before the others are read. It does not see a
    /// package's.
    pub(super) fn pick(
        &self,
        definition: &Definition,
        file: &Path,
        begins: impl FnOnce(&[u8]) -> Result<(), LoadError>,
    ) -> Result<(Vec<u8>, [u8; 32]), LoadError> {
        let expected = definition.sha256.as_deref().map(|given| {
            hex::bytes(given).ok_or_else(|| LoadError::Sha256Invalid {
                name: definition.name.clone(),
                given: given.to_owned(),
            })
        });
        let expected: Option<[u8; 32]> = expected.transpose()?;
        if !is_package(file) {
            begins(&file::first(file, MAX_SIZE, FIRST).map_err(|error| unread(file, error))?)?;
        }
        let bytes = read(file)?;
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        if let Some(expected) = expected.filter(|expected| *expected != sha256) {
            return Err(LoadError::Sha256 {
                file: file.to_owned(),
                expected: hex::hex(&expected),
                actual: hex::hex(&sha256),
            });
        }
        if let Some(keys) = &self.trust {
            keys.verify(file, &bytes)?;
        }
        Ok((bytes, sha256))
    }
}

/// The first of these files. With `restricted`, a link is found wherever it leads: what is outside is not looked at.
fn find(
    what: &'static str,
    name: &str,
    files: Vec<String>,
    mut looked: Vec<PathBuf>,
    restricted: bool,
) -> Result<PathBuf, LoadError> {
    let look: fn(&Path) -> std::io::Result<fs::Metadata> = match restricted {
        true => |file| fs::symlink_metadata(file),
        false => |file| fs::metadata(file),
    };
    let mut seen = Vec::new();
    looked.retain(|dir| {
        let new = !seen.contains(dir);
        seen.push(dir.clone());
        new
    });
    for dir in &looked {
        for file in &files {
            let file = dir.join(file);
            // What is there but cannot be looked at is found as well: reading it says why.
            match look(&file) {
                Err(error) if is_absent(&error) => {}
                _ => return Ok(file),
            }
        }
    }
    Err(LoadError::NotFound {
        what,
        name: name.to_owned(),
        files,
        looked,
    })
}

/// The names that a file of the crate `name` may have, as `written` writes one. Cargo writes `_` for the `-`
/// in the name of a crate.
pub(super) fn of_crate(name: &str, written: impl Fn(&str) -> String) -> Vec<String> {
    let mut names = vec![written(name)];
    if name.contains('-') {
        names.push(written(&name.replace('-', "_")));
    }
    names
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

/// The bytes of a vlugin's file: of a regular file of at most 1 GiB, read once.
///
/// # Errors
/// A [`LoadError`] if it does not exist, or is not a regular file, too large, or not readable.
pub fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    file::read(path, MAX_SIZE).map_err(|error| unread(path, error))
}

fn unread(path: &Path, error: ReadError) -> LoadError {
    let file = path.to_owned();
    match error {
        ReadError::Directory => LoadError::Directory { file },
        ReadError::NotAFile => LoadError::NotAFile { file },
        ReadError::TooLarge(limit) => LoadError::TooLarge { file, limit },
        error => reading(path, error.into()),
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
        let names = |name| of_crate(name, |name| format!("{name}.wasm"));
        assert_eq!(names("a-b"), ["a-b.wasm", "a_b.wasm"]);
        assert_eq!(names("ab"), ["ab.wasm"]);
    }
}
