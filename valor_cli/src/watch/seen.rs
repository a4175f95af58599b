//! Records the state of files at one moment, so that two moments can be compared, and the folders to watch for the next
//! change. `watch` compares.

use crate::build_sources::Inputs;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::SystemTime,
};
use walkdir::{DirEntry, WalkDir};

/// What distinguishes a file from its earlier state without reading it; `None` if there is no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(Option<(u64, Option<SystemTime>, Identity)>);

/// What distinguishes a file or a folder from another one that replaced it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    made: Option<SystemTime>,
    /// Its inode number, and when anything about it was changed; systems without them have `made`.
    #[cfg(unix)]
    node: u64,
}

/// A vlugin's files, and the folders that report changes to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    pub files: BTreeMap<PathBuf, Stamp>,
    /// Its known imports, which may change with each load.
    pub imports: BTreeMap<PathBuf, Stamp>,
    pub folders: BTreeSet<PathBuf>,
}

impl Stamp {
    /// Of the file, not of a link to it.
    pub fn of(file: &Path) -> Self {
        let stamp = |it: Metadata| (it.len(), it.modified().ok(), Identity::from(&it));
        Self(fs::metadata(file).ok().map(stamp))
    }

    /// Whether the file was written at this time or later.
    #[cfg(feature = "wasm")]
    pub fn is_since(&self, time: SystemTime) -> bool {
        let modified = self.0.as_ref().and_then(|(_, modified, _)| *modified);
        modified.is_some_and(|it| it >= time)
    }
}

impl Identity {
    /// If there is nothing, it is that of nothing.
    pub fn of(path: &Path) -> Self {
        fs::metadata(path).map_or_else(|_| Self::default(), |it| Self::from(&it))
    }
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            made: metadata.created().ok(),
            #[cfg(unix)]
            node: std::os::unix::fs::MetadataExt::ino(metadata),
        }
    }
}

impl Look {
    /// Looks at one file, which may be missing.
    pub fn at_file(&mut self, file: &Path) {
        self.files.insert(file.to_owned(), Stamp::of(file));
        self.folders.extend(file.parent().map(Path::to_owned));
        // If a part of the path is a link, it may be pointed elsewhere, and its target may be replaced.
        for part in file.ancestors() {
            if fs::symlink_metadata(part).is_ok_and(|it| it.is_symlink()) {
                self.folders.extend(part.parent().map(Path::to_owned));
            }
        }
        if let Ok(real) = file.canonicalize() {
            self.folders.extend(real.parent().map(Path::to_owned));
        }
    }

    /// Looks at whether a file or a folder exists, whatever it contains.
    pub fn at_presence(&mut self, path: &Path) {
        let stamp = (0, None, Identity::default());
        let is_there = fs::metadata(path).is_ok();
        let stamp = Stamp(is_there.then_some(stamp));
        self.files.insert(path.to_owned(), stamp);
        self.folders.extend(path.parent().map(Path::to_owned));
    }

    /// Looks at a file that is imported.
    pub fn at_import(&mut self, file: &Path) {
        self.imports.insert(file.to_owned(), Stamp::of(file));
        self.folders.extend(file.parent().map(Path::to_owned));
    }

    /// Takes over the imports of a later look. Files that were known keep their stamp, so that a change is still
    /// noticed. Returns the new ones, as they are now.
    pub fn take_imports(&mut self, now: Self) -> BTreeMap<PathBuf, Stamp> {
        let mut before = std::mem::take(&mut self.imports);
        let mut new = BTreeMap::new();
        for (file, stamp) in now.imports {
            let known = before.remove(&file);
            if known.is_none() {
                new.insert(file.clone(), stamp.clone());
            }
            self.imports.insert(file, known.unwrap_or(stamp));
        }
        self.folders = now.folders;
        new
    }

    /// Looks at everything that a crate is built from.
    pub fn at_crate(inputs: Option<&Inputs>) -> Self {
        let mut look = Self::default();
        let Some(inputs) = inputs else { return look };
        if let Some(manifest) = &inputs.manifest {
            look.at_file(manifest);
        }
        for folder in &inputs.folders {
            look.at_folder(folder, None);
        }
        look
    }

    /// Looks at every file in a folder that a user may have written, without entering the folders in it.
    pub fn at_folder(&mut self, folder: &Path, but: Option<&Path>) {
        self.folders.insert(folder.to_owned());
        let entries = WalkDir::new(folder).into_iter();
        let entries =
            entries.filter_entry(|it| it.depth() == 0 || is_source(it) && Some(it.path()) != but);
        // A file that cannot be read is not part of it, and a folder may vanish during the walk.
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type().is_dir() {
                true => _ = self.folders.insert(path.to_owned()),
                false => _ = self.files.insert(path.to_owned(), Stamp::of(path)),
            }
        }
    }

    /// The files that only one of both has, or that differ; and common imports that differ.
    pub fn differs_from(&self, other: &Self) -> BTreeSet<PathBuf> {
        let imports = self.imports.iter().filter(|(file, stamp)| {
            let of_other = other.imports.get(*file);
            of_other.is_some_and(|other| other != *stamp)
        });
        let imports: BTreeSet<_> = imports.map(|(file, _)| file.clone()).collect();
        let one_way = |a: &Self, b: &Self| -> BTreeSet<PathBuf> {
            let files = a.files.iter();
            let files = files.filter(|(file, stamp)| b.files.get(*file) != Some(*stamp));
            files.map(|(file, _)| file.clone()).collect()
        };
        &(&one_way(self, other) | &one_way(other, self)) | &imports
    }
}

/// Whether a file in a crate's folder may be part of its sources: not what cargo builds, not what editors leave behind,
/// not a log, not a hidden file, and not the lock file, which a build writes.
fn is_source(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    if name.starts_with('.') {
        return false;
    }
    if entry.file_type().is_dir() {
        let is_target = name == "target" && entry.path().with_file_name("Cargo.toml").exists();
        return !is_target && name != "node_modules" && !entry.path().join("CACHEDIR.TAG").exists();
    }
    let extension = entry.path().extension().and_then(OsStr::to_str);
    let is_left_over = name.ends_with('~')
        || name.starts_with('#')
        || matches!(
            extension,
            Some("swp" | "swo" | "swx" | "tmp" | "bak" | "log")
        );
    !is_left_over && name != "Cargo.lock"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_source_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        };
        for name in [
            "Cargo.toml",
            "Cargo.lock",
            "src/lib.rs",
            "src/page.html",
            "src/target/mod.rs",
            "src/lib.rs~",
            "src/#lib.rs#",
            "src/.lib.rs.swp",
            "src/lib.rs.swp",
            "valor.log",
            ".git/HEAD",
            "target/debug/libit.so",
            "elsewhere/CACHEDIR.TAG",
            "elsewhere/debug/libit.so",
            "web/node_modules/x/index.js",
        ] {
            write(name);
        }
        let look = Look::at_crate(Some(&Inputs {
            folders: vec![dir.path().to_owned()],
            manifest: None,
        }));
        let files: Vec<_> = look
            .files
            .keys()
            .map(|file| file.strip_prefix(dir.path()).unwrap().to_owned())
            .collect();
        let expected = [
            "Cargo.toml",
            "src/lib.rs",
            "src/page.html",
            "src/target/mod.rs",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        let folders: Vec<_> = look
            .folders
            .iter()
            .map(|folder| folder.strip_prefix(dir.path()).unwrap().to_owned())
            .collect();
        assert_eq!(folders, ["", "src", "src/target", "web"].map(PathBuf::from));
    }

    #[test]
    fn another_file_is_told_from_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let (file, other) = (dir.path().join("a.so"), dir.path().join("b.so"));
        let look = || {
            let mut look = Look::default();
            look.at_file(&file);
            look
        };
        let none = look();
        assert!(none.differs_from(&look()).is_empty());
        fs::write(&file, "one").unwrap();
        let one = look();
        assert_eq!(one.differs_from(&none), [file.clone()].into());
        assert_eq!(none.differs_from(&one), [file.clone()].into());

        // Another file of the same size and time, in its place.
        fs::write(&other, "two").unwrap();
        let modified = fs::metadata(&file).unwrap().modified().unwrap();
        let opened = fs::File::options().write(true).open(&other).unwrap();
        opened.set_modified(modified).unwrap();
        drop(opened);
        fs::rename(&other, &file).unwrap();
        assert_eq!(look().differs_from(&one), [file.clone()].into());
    }

    #[test]
    fn a_change_before_imports_are_noted_is_still_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (known, new) = (dir.path().join("known.js"), dir.path().join("new.js"));
        let look = |files: &[&PathBuf]| {
            let mut look = Look::default();
            files.iter().for_each(|file| look.at_import(file));
            look
        };
        fs::write(&known, "one").unwrap();
        let mut seen = look(&[&known]);
        // Changed while the script was loaded, before its imports are noted.
        fs::write(&known, "changed").unwrap();
        fs::write(&new, "new").unwrap();
        let noted = seen.take_imports(look(&[&known, &new]));
        assert_eq!(
            noted.into_keys().collect::<BTreeSet<_>>(),
            [new.clone()].into()
        );
        assert_eq!(
            look(&[&known, &new]).differs_from(&seen),
            [known.clone()].into()
        );
        // A file that is no longer imported is forgotten.
        seen.take_imports(look(&[&new]));
        assert!(look(&[&known, &new]).differs_from(&seen).is_empty());
    }

    #[test]
    fn of_what_is_read_it_counts_that_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        let look = || {
            let mut look = Look::default();
            look.at_presence(&folder);
            look
        };
        let none = look();
        fs::create_dir(&folder).unwrap();
        let there = look();
        assert_eq!(there.differs_from(&none), [folder.clone()].into());
        fs::write(folder.join("log"), "a line").unwrap();
        assert!(look().differs_from(&there).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_watched_where_it_is_and_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir_all(dir.join("releases/5")).unwrap();
        fs::write(dir.join("releases/5/a.so"), "").unwrap();
        std::os::unix::fs::symlink("releases/5", dir.join("current")).unwrap();
        let mut look = Look::default();
        look.at_file(&dir.join("current/a.so"));
        for folder in ["", "current", "releases/5"] {
            let folder = dir.join(folder);
            assert!(look.folders.iter().any(|it| *it == folder), "{folder:?}");
        }
    }
}
