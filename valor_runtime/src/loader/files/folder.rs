//! The folder that is served, and how a file in it is opened.
//!
//! `cap-std` does the opening. It hands each path to the kernel together with the folder that it may not leave
//! (`openat2` on Linux), or walks it link by link if the system cannot do that. So it does not matter if a link
//! changes while its path is being followed. The open file is then judged by itself and not by its name.

use super::identity::Identity;
use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions},
};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A folder. It is opened again for each request, so that a folder that a deployment replaced as a whole is seen.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

/// What is at a path.
pub(super) enum Found {
    File(Opened),
    Folder,
    /// Nothing, or something that is not served.
    Nothing,
}

/// A regular file.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) identity: Option<Identity>,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Checks that the folder exists, and is one whose files this process can reach.
    pub(super) fn check(&self) -> io::Result<()> {
        let dir = self.dir()?;
        match dir.dir_metadata()?.is_dir() {
            true => dir.metadata(".").map(drop),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn dir(&self) -> io::Result<Dir> {
        Dir::open_ambient_dir(&self.root, ambient_authority())
    }

    /// Opens the file or folder at a relative path, as long as the path stays inside this folder.
    ///
    /// # Errors
    /// Errors that have nothing to do with the path: no file descriptor is left, the storage fails.
    pub(super) fn open(&self, path: &Path) -> io::Result<Found> {
        let dir = match self.dir() {
            Ok(dir) => dir,
            Err(error) => return self.absent(&self.root, error),
        };
        let opened = match open_in(&dir, path) {
            Err(error) if leads_out(&error) => match self.resolved(path) {
                Some(path) => open_in(&dir, &path),
                None => return Ok(Found::Nothing),
            },
            opened => opened,
        };
        match opened {
            Ok(file) => found(file),
            // Windows does not open folders as it does files.
            Err(_) if cfg!(windows) && dir.metadata(path).is_ok_and(|it| it.is_dir()) => {
                Ok(Found::Folder)
            }
            Err(error) => self.absent(path, error),
        }
    }

    /// The path with its links resolved, if they lead back into the folder. `cap-std` knows only the folder itself, so
    /// it takes a link with an absolute target for one that leads out.
    fn resolved(&self, path: &Path) -> Option<PathBuf> {
        let root = fs::canonicalize(&self.root).ok()?;
        let resolved = fs::canonicalize(root.join(path)).ok()?;
        let inner = resolved.strip_prefix(&root).ok()?;
        (!inner.as_os_str().is_empty()).then(|| inner.to_owned())
    }

    fn absent(&self, path: &Path, error: io::Error) -> io::Result<Found> {
        if error.kind() == io::ErrorKind::PermissionDenied && !leads_out(&error) {
            let file = self.root.join(path);
            log::warn!(target: "valor::files", "{} cannot be opened: {error}", file.display());
        }
        match is_of_path(&error) {
            true => Ok(Found::Nothing),
            false => Err(error),
        }
    }
}

fn found(file: File) -> io::Result<Found> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Found::Folder);
    }
    if !metadata.is_file() {
        return Ok(Found::Nothing);
    }
    Ok(Found::File(Opened {
        file,
        len: metadata.len(),
        modified: metadata.modified().ok(),
        identity: Identity::of(&metadata),
    }))
}

#[cfg(unix)]
fn open_in(dir: &Dir, path: &Path) -> io::Result<File> {
    use cap_std::fs::OpenOptionsExt;
    use rustix::fs::OFlags;
    let mut options = OpenOptions::new();
    // Without this flag, opening would wait for a pipe's writer. Once it is open, the pipe is recognised and refused.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.read(true).custom_flags(flags.bits() as i32);
    Ok(dir.open_with(path, &options)?.into_std())
}

#[cfg(not(unix))]
fn open_in(dir: &Dir, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    Ok(dir.open_with(path, &options)?.into_std())
}

/// How cap-std reports a path that leaves the folder: with no error number from the system.
fn leads_out(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// Whether the path is to blame: there is nothing there, it may not be read, it is a socket, it is too long, or its
/// links go round in a circle.
fn is_of_path(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    matches!(
        error.kind(),
        NotFound | NotADirectory | PermissionDenied | InvalidFilename | InvalidInput
    ) || is_of_path_here(error)
}

#[cfg(unix)]
fn is_of_path_here(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP | Errno::NAMETOOLONG)
    )
}

#[cfg(not(unix))]
fn is_of_path_here(_error: &io::Error) -> bool {
    false
}
