//! What to write, by its path in the folder. `web` fills it, `folder` writes it. It promises that no path stands for
//! two different things.

use crate::exit::{FAULTS, Failure};
use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    io,
    path::PathBuf,
};

use sha2::{Digest, Sha256};
use valor_runtime::{file::open_regular, hex::hex};

/// The folder of the modules.
pub const MODULES: &str = "vlugins";

/// Where a file's bytes are.
pub enum Content {
    Bytes(Cow<'static, [u8]>),
    /// In another file, which may be large.
    Copy(PathBuf),
}

/// A file that is to be written.
pub struct Item {
    pub content: Content,
    /// Whose file it is, for people.
    of: String,
}

/// All files to write. Paths have `/` between their parts, on every system.
#[derive(Default)]
pub struct Contents {
    pub items: BTreeMap<String, Item>,
    /// Paths of modules, by their SHA-256.
    modules: BTreeMap<String, String>,
    clashes: Vec<String>,
}

impl Contents {
    pub fn bytes(&mut self, path: &str, bytes: impl Into<Cow<'static, [u8]>>, of: &str) {
        self.put(path, Content::Bytes(bytes.into()), of);
    }

    pub fn copy(&mut self, path: &str, from: PathBuf, of: &str) {
        self.put(path, Content::Copy(from), of);
    }

    pub fn module(&mut self, path: &str, bytes: Vec<u8>, sha256: &str) {
        self.modules.insert(sha256.to_owned(), path.to_owned());
        self.bytes(path, bytes, "a vlugin's module");
    }

    /// The path of the module with this SHA-256.
    pub fn named(&self, sha256: &str) -> Option<String> {
        self.modules.get(sha256).cloned()
    }

    pub fn has(&self, path: &str) -> bool {
        self.items.contains_key(path)
    }

    fn put(&mut self, path: &str, content: Content, of: &str) {
        let of = of.to_owned();
        match self.items.entry(path.to_owned()) {
            Entry::Vacant(place) => {
                place.insert(Item { content, of });
            }
            Entry::Occupied(taken) => {
                let same = matches!(
                    (taken.get().content.sha256(), content.sha256()),
                    (Ok(one), Ok(other)) if one == other
                );
                if !same {
                    self.clashes.push(format!(
                        "{path} is {} and {of} at the same time: give one of the two another name or prefix",
                        taken.get().of
                    ));
                }
            }
        }
    }

    /// # Errors
    /// The paths that two different things need, one line each.
    pub fn faults(&self) -> Result<(), Failure> {
        match self.clashes.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(FAULTS, self.clashes.clone())),
        }
    }
}

impl Content {
    /// # Errors
    /// If a file to copy cannot be read.
    pub fn sha256(&self) -> io::Result<String> {
        match self {
            Self::Bytes(bytes) => Ok(sha256(bytes)),
            Self::Copy(file) => sha256_of(open_regular(file)?),
        }
    }
}

/// The SHA-256 of everything that can be read, without holding it in memory at once.
pub fn sha256_of(mut file: File) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut file, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// The same for bytes.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
