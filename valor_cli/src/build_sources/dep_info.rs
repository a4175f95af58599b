//! What the compiler has read for each crate, as cargo's dep-info says after a build. `build_sources` notes it, and
//! `watch` asks for it: a change of a file that no build reads starts none, and ends none that runs.
//!
//! Nothing is known before the first build that succeeds, and after one that has failed: what it was about to read is
//! in no dep-info.

use super::recipe::Product;
use cargo_metadata::{BuildScript, PackageId};
use smol::channel::Sender;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};
use valor_runtime::{file, lock::locked};

/// The largest dep-info that is read, in bytes. That of a crate with a thousand files takes a tenth.
const LARGEST: u64 = 1 << 20;

static KNOWN: Mutex<Known> = Mutex::new(Known {
    crates: BTreeMap::new(),
    vague: BTreeSet::new(),
    watches: Vec::new(),
    is_awaited: false,
});

struct Known {
    /// One crate may be built to several products.
    crates: BTreeMap<(PackageId, Product), State>,
    /// The packages whose build script does not say what it reads.
    vague: BTreeSet<PackageId>,
    /// Whom to wake.
    watches: Vec<Sender<Instant>>,
    /// Whether a change waits for the end of a build.
    is_awaited: bool,
}

#[derive(Default)]
struct State {
    /// How many builds run: one that was ended may still be ending when the next one begins.
    running: usize,
    read: Option<Read>,
}

/// Files by their real paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    pub files: BTreeSet<PathBuf>,
    /// Folders of which everything is read, because a build script says so.
    pub folders: BTreeSet<PathBuf>,
}

/// What is known about a crate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Builds {
    /// Whether one runs, which may read more.
    pub is_running: bool,
    /// What all of its products were built from, if that is known of each.
    pub read: Option<Read>,
}

/// A build of a crate that runs until this is dropped.
pub(super) struct Build {
    package: PackageId,
    product: Product,
}

/// Notes that a build begins.
pub(super) fn begin(package: &PackageId, product: Product) -> Build {
    let mut known = locked(&KNOWN);
    let key = (package.clone(), product);
    known.crates.entry(key).or_default().running += 1;
    Build {
        package: package.clone(),
        product,
    }
}

impl Build {
    /// Notes what it has read: what cargo says beside the file that it has made. `None` if it has failed.
    pub fn end(self, made: Option<&Path>) {
        let read = made.and_then(Read::beside);
        let mut known = locked(&KNOWN);
        let key = (self.package.clone(), self.product);
        let state = known.crates.entry(key).or_default();
        let has_changed = state.read != read;
        state.read = read;
        known.is_awaited |= has_changed;
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        let mut known = locked(&KNOWN);
        let key = (self.package.clone(), self.product);
        if let Some(state) = known.crates.get_mut(&key) {
            state.running -= 1;
        }
        known.wake();
    }
}

impl Known {
    /// Wakes the watches, if there is something to see and nothing runs.
    fn wake(&mut self) {
        if self.crates.values().any(|it| it.running > 0) || !self.is_awaited {
            return;
        }
        self.is_awaited = false;
        self.watches.retain(|it| !it.is_closed());
        for watch in &self.watches {
            let _ = watch.try_send(Instant::now());
        }
    }
}

/// Notes what a build script says about the files that it reads. Without a word, cargo runs it again after a change of
/// any file of its package.
pub(super) fn note_script(script: &BuildScript) {
    let output = script.out_dir.with_file_name("output");
    let said = file::read_text(output.as_std_path(), file::TEXT);
    let is_vague = said.is_ok_and(|it| {
        let mut lines = it.lines();
        !lines.any(|it| it.starts_with("cargo:rerun-if-") || it.starts_with("cargo::rerun-if-"))
    });
    let mut known = locked(&KNOWN);
    match is_vague {
        true => _ = known.vague.insert(script.package_id.clone()),
        false => _ = known.vague.remove(&script.package_id),
    }
}

/// What is known about this crate.
pub fn of(package: &PackageId) -> Builds {
    let known = locked(&KNOWN);
    let states = known.crates.iter().filter(|((id, _), _)| id == package);
    let mut builds = Builds::default();
    let mut all = Some(Read::default());
    let mut any = false;
    for (_, state) in states {
        any = true;
        builds.is_running |= state.running > 0;
        match (&mut all, &state.read) {
            (Some(all), Some(read)) => {
                all.files.extend(read.files.iter().cloned());
                all.folders.extend(read.folders.iter().cloned());
            }
            _ => all = None,
        }
    }
    builds.read = all.filter(|_| any);
    builds
}

/// Whether the build script of this package does not say what it reads.
pub fn is_vague(package: &PackageId) -> bool {
    locked(&KNOWN).vague.contains(package)
}

/// Wakes this one from now on when a build has ended that has read other files than the one before.
pub fn wake(watch: Sender<Instant>) {
    locked(&KNOWN).watches.push(watch);
}

/// Wakes the watches when the running builds have ended: at once if none runs.
pub fn wake_at_end() {
    let mut known = locked(&KNOWN);
    known.is_awaited = true;
    known.wake();
}

impl Read {
    /// What cargo has written beside a file that it has made. `None` if it cannot be read.
    fn beside(made: &Path) -> Option<Self> {
        let text = file::read_text(made.with_extension("d"), LARGEST).ok()?;
        // What is generated there is no source.
        let target = made
            .ancestors()
            .find(|it| it.join("CACHEDIR.TAG").exists())?;
        let target = target.canonicalize().ok()?;
        let folder = made.parent()?;
        let mut read = Self::default();
        for path in text.lines().filter_map(files).flatten() {
            // They are absolute, unless cargo's configuration says otherwise.
            let path = folder.join(path);
            // One that is gone counts when it comes back.
            let path = fs::canonicalize(&path).unwrap_or(path);
            if path.starts_with(&target) {
                continue;
            }
            match path.is_dir() {
                true => read.folders.insert(path),
                false => read.files.insert(path),
            };
        }
        (!read.files.is_empty()).then_some(read)
    }
}

/// The files behind the colon of a line of dep-info. A backslash stands before a blank that belongs to a name.
fn files(line: &str) -> Option<Vec<PathBuf>> {
    // A drive of Windows has a colon without a blank.
    let (_, line) = line.split_once(": ")?;
    let mut files = vec![String::new()];
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek() == Some(&' ') => {
                rest.next();
                files.last_mut()?.push(' ');
            }
            ' ' => files.push(String::new()),
            c => files.last_mut()?.push(c),
        }
    }
    let files = files.into_iter().filter(|it| !it.is_empty());
    Some(files.map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dep_info_names_is_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let made = dir.join("target/debug/libit.so");
        let write = |name: &str, text: &str| {
            let file = dir.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            file
        };
        assert_eq!(Read::beside(&made), None);
        let (lib, page) = (write("src/lib.rs", ""), write("src/a page.html", ""));
        let (generated, migration) = (
            write("target/debug/build/it/out/x.rs", ""),
            write("migrations/1.sql", ""),
        );
        write("target/CACHEDIR.TAG", "");
        let all = [&lib, &page, &generated, migration.parent().unwrap()];
        let all = all.map(|it| it.display().to_string().replace(' ', "\\ "));
        write(
            "target/debug/libit.d",
            &format!("{}: {}\n", made.display(), all.join(" ")),
        );
        let read = Read::beside(&made).unwrap();
        assert_eq!(read.files, [page, lib].into());
        assert_eq!(read.folders, [dir.join("migrations")].into());
    }

    #[test]
    fn a_crate_is_known_once_each_product_is_built() {
        let package = PackageId {
            repr: "path+file:///nowhere#it@0.1.0".to_owned(),
        };
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().canonicalize().unwrap().join("libit.so");
        fs::write(dir.path().join("CACHEDIR.TAG"), "").unwrap();
        fs::write(made.with_extension("d"), "libit.so: /nowhere/src/lib.rs\n").unwrap();
        assert_eq!(of(&package), Builds::default());
        let (library, module) = (
            begin(&package, Product::Library),
            begin(&package, Product::Module),
        );
        library.end(Some(&made));
        assert!(of(&package).is_running && of(&package).read.is_none());
        module.end(Some(&made));
        assert!(!of(&package).is_running && of(&package).read.is_some());
        // What was ended early says nothing new.
        drop(begin(&package, Product::Module));
        assert!(of(&package).read.is_some());
        begin(&package, Product::Module).end(None);
        assert!(of(&package).read.is_none());
    }
}
