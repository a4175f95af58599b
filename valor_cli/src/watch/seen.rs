//! Records the state of files at one moment, so that two moments can be compared, and the folders to watch for the next
//! change. `watch` compares.

use crate::build_sources::{
    Inputs,
    dep_info::{self, Builds},
};
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
#[derive(Debug, Clone, Default)]
pub struct Look {
    pub files: BTreeMap<PathBuf, Stamp>,
    /// Its known imports, which may change with each load.
    pub imports: BTreeMap<PathBuf, Stamp>,
    pub folders: BTreeSet<PathBuf>,
    /// Files in a crate's folder that no build reads, as far as is known.
    others: BTreeMap<PathBuf, Stamp>,
    /// Whether a build of the crate runs: then it is known at its end which of the others it reads.
    is_building: bool,
}

/// Of what counts.
impl PartialEq for Look {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, &self.imports, &self.folders)
            == (&other.files, &other.imports, &other.folders)
    }
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
            look.at_file(&manifest.with_file_name(".cargo/config.toml"));
        }
        let package = inputs
            .folders
            .first()
            .and_then(|it| inputs.packages.get(it));
        let builds = package.map(dep_info::of).unwrap_or_default();
        look.is_building = builds.is_running;
        let mut beyond = builds.read.clone().unwrap_or_default().files;
        for folder in &inputs.folders {
            let package = inputs.packages.get(folder);
            let is_vague = package.is_some_and(dep_info::is_vague);
            let real = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            for (file, stamp) in look.walk(folder, None) {
                let real = match file.strip_prefix(folder) {
                    Ok(path) => real.join(path),
                    Err(_) => file.clone(),
                };
                beyond.remove(&real);
                let files = match is_input(&real, &builds, is_vague) {
                    true => &mut look.files,
                    false => &mut look.others,
                };
                files.insert(file, stamp);
            }
        }
        // Those in other folders, and hidden ones.
        beyond.iter().for_each(|file| look.at_import(file));
        look
    }

    /// Looks at every file in a folder that a user may have written, without entering the folders in it.
    pub fn at_folder(&mut self, folder: &Path, but: Option<&Path>) {
        let files = self.walk(folder, but);
        self.files.extend(files);
    }

    /// The files in a folder that a user may have written. The folders in it report their changes.
    fn walk(&mut self, folder: &Path, but: Option<&Path>) -> BTreeMap<PathBuf, Stamp> {
        self.folders.insert(folder.to_owned());
        let mut files = BTreeMap::new();
        let entries = WalkDir::new(folder).into_iter();
        let entries =
            entries.filter_entry(|it| it.depth() == 0 || is_source(it) && Some(it.path()) != but);
        // A file that cannot be read is not part of it, and a folder may vanish during the walk.
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type().is_dir() {
                true => _ = self.folders.insert(path.to_owned()),
                false if is_own_output(path) => {}
                false => _ = files.insert(path.to_owned(), Stamp::of(path)),
            }
        }
        files
    }

    /// Takes the place of an earlier look. What has changed and may be read by a build that runs still has to differ
    /// when that ends; returns whether there is any.
    pub fn defer(&mut self, before: &Self) -> bool {
        if !self.is_building {
            return false;
        }
        let mut any = false;
        self.others.retain(|file, stamp| {
            let known = before.others.get(file).or_else(|| before.files.get(file));
            any |= known != Some(stamp);
            if let Some(known) = known {
                *stamp = known.clone();
            }
            known.is_some()
        });
        any
    }

    /// The files that count here and were not there, or that differ; those that counted before and are gone; and common
    /// imports that differ.
    pub fn differs_from(&self, before: &Self) -> BTreeSet<PathBuf> {
        let imports = self.imports.iter().filter(|(file, stamp)| {
            let of_before = before.imports.get(*file);
            of_before.is_some_and(|before| before != *stamp)
        });
        let new = self.files.iter().filter(|(file, stamp)| {
            let known = before.files.get(*file);
            known.or_else(|| before.others.get(*file)) != Some(*stamp)
        });
        let gone = before.files.iter().filter(|(file, _)| {
            !self.files.contains_key(*file) && !self.others.contains_key(*file)
        });
        let all = imports.chain(new).chain(gone);
        all.map(|(file, _)| file.clone()).collect()
    }
}

/// Whether a change of this file, by its real path, starts a build and ends one that runs. What is no Rust and in no
/// dep-info ends none: it is known when the build has ended whether that has read it.
fn is_input(file: &Path, builds: &Builds, is_vague: bool) -> bool {
    let name = file.file_name().and_then(OsStr::to_str);
    let is_rust = file.extension().is_some_and(|it| it == "rs")
        || matches!(
            name,
            Some("Cargo.toml" | "rust-toolchain.toml" | "rust-toolchain")
        );
    let may_be = || {
        !builds.is_running
            && builds.read.as_ref().is_none_or(|it| {
                is_vague || it.folders.iter().any(|folder| file.starts_with(folder))
            })
    };
    let read = builds.read.as_ref();
    is_rust || read.is_some_and(|it| it.files.contains(file)) || may_be()
}

/// Whether this program writes its output or its log there.
#[cfg(unix)]
fn is_own_output(file: &Path) -> bool {
    use std::{fs::File, io, os::fd::AsFd, os::unix::fs::MetadataExt, sync::LazyLock};
    type Node = (u64, u64);
    static OUTPUT: LazyLock<[Option<Node>; 2]> = LazyLock::new(|| {
        let node = |fd: std::os::fd::BorrowedFd<'_>| {
            let metadata = File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
            metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
        };
        [node(io::stdout().as_fd()), node(io::stderr().as_fd())]
    });
    OUTPUT
        .iter()
        .flatten()
        .any(|node| fs::metadata(file).is_ok_and(|it| (it.dev(), it.ino()) == *node))
}

/// Windows lets nobody else write to such a file, but has no number of it here.
#[cfg(not(unix))]
fn is_own_output(_: &Path) -> bool {
    false
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
            packages: BTreeMap::new(),
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
