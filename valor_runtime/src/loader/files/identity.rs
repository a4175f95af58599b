//! [`Identity`]: which file it is, and in which state, as far as the system reports it without reading the file.

use std::{
    fs::File,
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How coarse the clock of a file system may be: FAT counts in steps of two seconds. A file that was changed within
/// the last step may change once more and keep its time.
pub(super) const STEP: Duration = Duration::from_secs(2);

/// Which file it is, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(unix), allow(dead_code))] // Nobody makes one there.
pub(super) struct Identity {
    pub(super) file: (u64, u64),
    pub(super) len: u64,
    pub(super) modified: (i64, i64),
    /// When the system last saw it change. No program can set this time.
    pub(super) changed: (i64, i64),
}

impl Identity {
    /// `None` if the system does not report it.
    #[cfg(unix)]
    pub(super) fn of(metadata: &std::fs::Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// `None` if the system does not report it.
    #[cfg(not(unix))]
    pub(super) fn of(_: &std::fs::Metadata) -> Option<Self> {
        None
    }

    /// When the system last saw the file change.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        let (seconds, nanos) = self.changed;
        let since = Duration::new(seconds.try_into().ok()?, nanos.try_into().ok()?);
        UNIX_EPOCH.checked_add(since)
    }

    /// Whether the next change of the file is certain to have another time.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let since = self.changed().and_then(|at| now.duration_since(at).ok());
        since.is_some_and(|since| since >= STEP)
    }

    /// Whether an open file is still in this state.
    pub(super) fn is_still(&self, file: &File) -> io::Result<bool> {
        Ok(Self::of(&file.metadata()?).as_ref() == Some(self))
    }
}
