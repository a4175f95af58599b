//! The folder that `web` writes into. A list in it says what was written, with which SHA-256, so that a later run
//! replaces and removes only its own files. `sha256sum -c` can read that list as well.
//!
//! Before the first file is written, the list names the old and the new SHA-256 of each. So a run that was killed
//! halfway leaves a folder that the next run knows as its own.

use super::contents::{Content, Contents, sha256_of};
use crate::{
    exit::{FAULTS, Failure},
    whole_file::unwritten,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use valor_runtime::{
    definition::is_served,
    file::{self, ReadError, open_regular},
};

/// The list. Valor's own `files` vlugin serves no name that begins with a dot.
const LIST: &str = ".valor-web";

/// The SHA-256 of each path: two if a run was killed before it wrote the new file, or after.
type List = BTreeMap<String, BTreeSet<String>>;

/// The folder, and what an earlier run has written into it.
pub struct Folder {
    root: PathBuf,
    before: List,
}

impl Folder {
    /// # Errors
    /// If it is not a folder, or its list cannot be read.
    pub fn open(root: &Path) -> Result<Self, Failure> {
        let shown = root.display();
        if root.metadata().is_ok_and(|it| !it.is_dir()) {
            return Err(Failure::fault(format!(
                "{shown} is a file: -o names a folder, which is created if it does not exist"
            )));
        }
        if root.is_symlink() && !root.exists() {
            return Err(Failure::fault(format!(
                "{shown} is a link to what is not there: take it away, or name another folder with -o"
            )));
        }
        let list = root.join(LIST);
        let text = match file::read_text(&list, file::TEXT) {
            Ok(text) => text,
            Err(error) if error.is_absent() => String::new(),
            Err(error) => return Err(unreadable(&list, &error.into())),
        };
        let mut before = List::new();
        for line in text.lines() {
            match line.split_once("  ") {
                // A list that someone else wrote cannot make this program write or remove anything outside the folder.
                Some((sha256, path)) if path.split('/').all(is_name) => {
                    before
                        .entry(path.to_owned())
                        .or_default()
                        .insert(sha256.to_owned());
                }
                _ => {
                    return Err(Failure::fault(format!(
                        "{} is not the list of files that `web` writes: move it away, or name another folder with \
                         -o",
                        list.display()
                    )));
                }
            }
        }
        Ok(Self {
            root: root.to_owned(),
            before,
        })
    }

    /// Whether there is a file that is not as an earlier run left it.
    ///
    /// # Errors
    /// If that file cannot be read.
    pub fn has_foreign(&self, path: &str) -> Result<bool, Failure> {
        let found = self.found(path)?;
        Ok(found.is_some_and(|found| !self.has_written(path, &found)))
    }

    fn has_written(&self, path: &str, sha256: &str) -> bool {
        let known = self.before.get(path);
        known.is_some_and(|known| known.contains(sha256))
    }

    /// The SHA-256 of the file that exists.
    fn found(&self, path: &str) -> Result<Option<String>, Failure> {
        let file = self.root.join(path);
        let in_the_way = |what: &str| {
            Failure::fault(format!(
                "{} is {what}, but a file must be written there: move it away, or name another folder with -o",
                file.display()
            ))
        };
        match open_regular(&file) {
            Ok(opened) => match sha256_of(opened) {
                Ok(sha256) => Ok(Some(sha256)),
                Err(error) => Err(unreadable(&file, &error)),
            },
            Err(ReadError::Directory) => Err(in_the_way("a folder")),
            Err(ReadError::NotAFile) => Err(in_the_way("not a regular file")),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(unreadable(&file, &error.into())),
        }
    }

    /// Writes everything, removes what an earlier run has written and this one does not, and returns the number of
    /// files. A file that already has the same bytes keeps its time.
    ///
    /// # Errors
    /// If a file is in the way, before anything is written; and what the system refuses.
    pub fn write(&self, contents: Contents) -> Result<usize, Failure> {
        let mut after = List::new();
        let mut changed = Vec::new();
        let mut in_the_way = Vec::new();
        for (path, item) in &contents.items {
            let sha256 = item.content.sha256().map_err(|error| match &item.content {
                Content::Copy(file) => unreadable(file, &error),
                Content::Bytes(_) => Failure::fault(error),
            })?;
            let found = self.found(path)?;
            if found.as_ref() != Some(&sha256) {
                if found.is_some_and(|found| !self.has_written(path, &found)) {
                    in_the_way.push(format!(
                        "{} already exists, and is not as `web` wrote it: move it away, or name another folder with -o",
                        self.root.join(path).display()
                    ));
                }
                changed.push((path, &item.content));
            }
            after.insert(path.clone(), BTreeSet::from([sha256]));
        }
        if !in_the_way.is_empty() {
            return Err(Failure::new(FAULTS, in_the_way));
        }
        if self.before != after {
            let mut either = self.before.clone();
            for (path, sha256) in &after {
                either
                    .entry(path.clone())
                    .or_default()
                    .extend(sha256.iter().cloned());
            }
            self.put_list(&either)?;
        }
        for (path, content) in changed {
            self.put(path, content)?;
        }
        for path in self.before.keys().filter(|path| !after.contains_key(*path)) {
            if !self.has_foreign(path)? {
                self.remove(path);
            }
        }
        self.put_list(&after)?;
        Ok(after.len())
    }

    fn put_list(&self, list: &List) -> Result<(), Failure> {
        let mut text = String::new();
        for (path, known) in list {
            for sha256 in known {
                // Writing into a String cannot fail.
                let _ = writeln!(text, "{sha256}  {path}");
            }
        }
        self.put(LIST, &Content::Bytes(text.into_bytes().into()))
    }

    /// Writes a file next to its place first, so that nobody is served half of it.
    fn put(&self, path: &str, content: &Content) -> Result<(), Failure> {
        let file = self.root.join(path);
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let write = || {
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent)?;
            }
            match content {
                Content::Bytes(bytes) => fs::write(&part, bytes)?,
                // Without the permissions of the original, which may be read-only.
                Content::Copy(from) => {
                    io::copy(&mut open_regular(from)?, &mut File::create(&part)?)?;
                }
            }
            fs::rename(&part, &file)
        };
        write().map_err(|error| {
            let _ = fs::remove_file(&part);
            unwritten(&file, &error)
        })
    }

    /// Removes a file, and the folders that become empty.
    fn remove(&self, path: &str) {
        let mut at = self.root.join(path);
        let mut removed = fs::remove_file(&at).is_ok();
        while removed && at.pop() && at != self.root {
            removed = fs::remove_dir(&at).is_ok();
        }
    }
}

/// Whether it is a single name: one that may be served, or the same after a dot.
pub fn is_name(name: &str) -> bool {
    is_served(name.trim_start_matches('.').as_bytes())
}

fn unreadable(file: &Path, error: &io::Error) -> Failure {
    Failure::fault(format!(
        "{} cannot be read: {error}; see that it may be read",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::{Contents, Folder};
    use std::fs;

    #[test]
    fn what_was_written_halfway_is_the_next_runs_own() {
        let root = tempfile::tempdir().unwrap();
        let write = |text: &str| {
            let mut contents = Contents::default();
            for path in ["a.js", "b.js"] {
                contents.bytes(path, format!("{text} {path}").into_bytes(), "a test");
            }
            Folder::open(root.path()).and_then(|it| it.write(contents))
        };
        assert!(write("first").is_ok());
        // So that the run ends after the first of its two files.
        fs::create_dir(root.path().join("b.js.part")).unwrap();
        assert!(write("second").is_err());
        fs::remove_dir(root.path().join("b.js.part")).unwrap();
        let read = |path| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(
            (&*read("a.js"), &*read("b.js")),
            ("second a.js", "first b.js")
        );

        assert_eq!(write("third").ok(), Some(2));
        assert_eq!(
            (&*read("a.js"), &*read("b.js")),
            ("third a.js", "third b.js")
        );

        fs::write(root.path().join("a.js"), "somebody's").unwrap();
        assert!(write("fourth").is_err());
        assert_eq!(read("a.js"), "somebody's");
    }
}
