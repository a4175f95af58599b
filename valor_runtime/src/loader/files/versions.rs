//! Which bytes a file has: the hash of a small file. `conditions` makes a strong `ETag` from it, and `answer` asks.
//!
//! A hash is kept under the file's [`Identity`], which changes whenever somebody writes to the file (a program that
//! writes through a memory map can do so a little later). It is kept only if the file has been left alone for a while,
//! so that a later change cannot have the same identity. The number of hashes is bounded.

use super::{
    identity::Identity,
    pieces::{self, PIECE},
};
use crate::Bytes;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, fs::File, io, mem, sync::Mutex, time::SystemTime};
use valor_abi_wire::lock::locked;

/// The largest file that is hashed. On an older processor, that takes about three milliseconds.
const LARGEST: u64 = 1024 * 1024;

/// At least this many hashes are kept, of the files that were requested last; at most twice as many.
const KEPT: usize = 2048;

/// The first half of a SHA-256.
pub(super) type Hash = [u8; 16];

/// What is known about a file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Nothing: it is too large, or may be changing.
    Unknown,
    /// They have this hash while the file has this identity.
    Kept(Hash, Identity),
    /// The bytes, and their hash.
    Read(Hash, Bytes),
}

/// The hashes of a folder's files.
#[derive(Debug, Default)]
pub(super) struct Versions(Mutex<Generations>);

/// Hashes that were used since the last change of generations, and those before.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Identity, Hash>,
    old: HashMap<Identity, Hash>,
}

impl Versions {
    /// The version of an open file.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of(
        &self,
        file: &File,
        len: u64,
        identity: Option<Identity>,
        now: SystemTime,
    ) -> io::Result<Version> {
        let settled = identity.filter(|it| it.is_settled(now));
        if let Some(identity) = settled
            && let Some(hash) = self.kept(&identity)
        {
            return Ok(Version::Kept(hash, identity));
        }
        // A file that is sent in pieces must still be the same when the last one is read.
        if len > LARGEST || (len > PIECE && settled.is_none()) {
            return Ok(Version::Unknown);
        }
        let bytes = pieces::read(file, 0, len)?;
        let mut hash = Hash::default();
        hash.copy_from_slice(&Sha256::digest(&bytes)[..16]);
        let unchanged = match settled {
            Some(identity) if identity.is_still(file)? => Some(identity),
            _ => None,
        };
        if let Some(identity) = unchanged {
            self.keep(identity, hash);
        }
        Ok(match unchanged {
            _ if len <= PIECE => Version::Read(hash, bytes),
            Some(identity) => Version::Kept(hash, identity),
            None => Version::Unknown,
        })
    }

    fn kept(&self, identity: &Identity) -> Option<Hash> {
        let mut generations = locked(&self.0);
        if let Some(hash) = generations.young.get(identity) {
            return Some(*hash);
        }
        let hash = generations.old.remove(identity)?;
        generations.put(*identity, hash);
        Some(hash)
    }

    fn keep(&self, identity: Identity, hash: Hash) {
        let mut generations = locked(&self.0);
        generations.put(identity, hash);
    }
}

impl Generations {
    fn put(&mut self, identity: Identity, hash: Hash) {
        if self.young.len() >= KEPT {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(identity, hash);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{super::identity::STEP, *};
    use std::{io::Write, os::unix::fs::FileExt};

    fn file(bytes: &[u8]) -> (File, Option<Identity>) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let identity = Identity::of(&file.metadata().unwrap());
        (file, identity)
    }

    /// A time at which everything written before this call has settled.
    fn later() -> SystemTime {
        SystemTime::now() + 2 * STEP
    }

    #[test]
    fn a_hash_is_of_the_bytes_and_of_nothing_else() {
        let versions = Versions::default();
        // The files stay, so that none reuses the number of another: `later` claims that a long time has passed.
        let mut files = Vec::new();
        let mut of = |bytes: &[u8], now| {
            let (file, identity) = file(bytes);
            let version = versions.of(&file, bytes.len() as u64, identity, now);
            files.push(file);
            version.unwrap()
        };
        let Version::Read(one, bytes) = of(b"one", later()) else {
            panic!("it is small");
        };
        assert_eq!(bytes, "one");
        assert!(matches!(of(b"one", SystemTime::now()), Version::Read(hash, _) if hash == one));
        assert!(matches!(of(b"two", later()), Version::Read(hash, _) if hash != one));

        let large = vec![7; PIECE as usize + 1];
        assert!(matches!(of(&large, later()), Version::Kept(..)));
        // Another program may be writing to it.
        assert_eq!(of(&large, SystemTime::now()), Version::Unknown);
        let huge = vec![7; LARGEST as usize + 1];
        assert_eq!(of(&huge, later()), Version::Unknown);
    }

    #[test]
    fn a_kept_hash_is_not_that_of_a_changed_file() {
        let versions = Versions::default();
        let (file, identity) = file(b"one");
        let Version::Read(one, _) = versions.of(&file, 3, identity, later()).unwrap() else {
            panic!("it was read for the first time");
        };
        let identity = identity.unwrap();
        let again = versions.of(&file, 3, Some(identity), later()).unwrap();
        assert_eq!(again, Version::Kept(one, identity));
        // Doubtful while it is new, whether kept or not.
        let new = versions.of(&file, 3, Some(identity), SystemTime::now());
        assert!(matches!(new.unwrap(), Version::Read(..)));

        // An equal modification time proves nothing: anybody can set it.
        let modified = file.metadata().unwrap().modified().unwrap();
        while identity.is_still(&file).unwrap() {
            file.write_all_at(b"two", 0).unwrap();
            file.set_modified(modified).unwrap();
        }
        let changed = Identity::of(&file.metadata().unwrap());
        assert_eq!(changed.unwrap().modified, identity.modified);
        let version = versions.of(&file, 3, changed, later()).unwrap();
        assert!(matches!(version, Version::Read(hash, bytes) if hash != one && bytes == "two"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_asked_for_stays() {
        let versions = Versions::default();
        let identity = |inode| Identity {
            file: (1, inode),
            len: 1,
            modified: (0, 0),
            changed: (0, 0),
        };
        for inode in 0..5 * KEPT as u64 {
            versions.keep(identity(inode), Hash::default());
            assert!(versions.kept(&identity(0)).is_some(), "{inode}");
        }
        let generations = versions.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * KEPT);
    }
}
