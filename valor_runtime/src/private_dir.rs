//! [`PrivateDir`]: a temporary folder that no other user can look into, and the files and sockets in it.
//!
//! Everything that this program writes only for itself is made here: copies of libraries, files for Deno, the sockets
//! to it. On Unix, a folder has mode 0700 and a file or a socket 0600, from the moment it exists. The umask can only
//! take further rights away. On Windows they have the rights of the user's temporary folder.

#[cfg(unix)]
use crate::ownership::Untrusted;
use crate::{lock::locked, ownership};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};
use tempfile::TempDir;

/// The folders of this process that are still there.
static LEFT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// A folder that is removed with its content when this is dropped, or by [`remove_all`].
#[derive(Debug)]
pub struct PrivateDir(
    TempDir,
    #[expect(dead_code, reason = "its end counts")] Left,
);

/// A folder among those that are left, until this is dropped.
#[derive(Debug)]
struct Left(PathBuf);

impl Left {
    fn of(dir: &TempDir) -> Self {
        let path = dir.path().to_owned();
        locked(&LEFT).insert(path.clone());
        Self(path)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        locked(&LEFT).remove(&self.0);
    }
}

/// Removes each folder that is left. A program calls this last of all: what is dropped nowhere, because a thread or a
/// task has it that ends with the program, is removed by nobody else.
pub fn remove_all() {
    let left = std::mem::take(&mut *locked(&LEFT));
    for folder in left {
        let _ = fs::remove_dir_all(folder);
    }
}

impl PrivateDir {
    /// Makes one in the system's folder for temporary files (`TMPDIR`), with a name that begins like this.
    ///
    /// # Errors
    /// The system's error.
    ///
    /// ```
    /// use valor_runtime::private_dir::PrivateDir;
    ///
    /// let dir = PrivateDir::create("doc-")?;
    /// let file = dir.write("words", b"of nobody else")?;
    /// assert_eq!(std::fs::read(file)?, b"of nobody else");
    /// assert!(dir.write("words", b"again").is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn create(prefix: &str) -> io::Result<Self> {
        Self::create_in(&std::env::temp_dir(), prefix)
    }

    /// Makes one in this folder.
    ///
    /// # Errors
    /// The system's error. Also if another user owns the folder or one above it, or may write to it and it has no
    /// sticky bit: somebody could replace the new folder with another.
    pub fn create_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        ownership::check(parent).map_err(|reason| {
            io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{reason}, or name another folder with TMPDIR"),
            )
        })?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o700));
        }
        let dir = builder.tempdir_in(parent)?;
        let left = Left::of(&dir);
        Ok(Self(dir, left))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a new file.
    ///
    /// # Errors
    /// The system's error, also if the file exists already.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let file = self.path().join(name);
        write_new(&file, bytes)?;
        Ok(file)
    }

    /// Makes a folder in it.
    ///
    /// # Errors
    /// The system's error, also if the folder exists already.
    pub fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.path().join(name);
        #[cfg_attr(not(unix), expect(unused_mut, reason = "it has no mode"))]
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder).map(|()| folder)
    }

    /// Removes it now.
    ///
    /// # Errors
    /// The system's error, also if it is already gone.
    pub fn close(self) -> io::Result<()> {
        self.0.close()
    }

    /// Keeps it from being removed.
    pub fn keep(self) -> PathBuf {
        self.0.keep()
    }
}

/// Writes a new file that nobody else may open, in any folder.
///
/// # Errors
/// The system's error; no half-written file is left behind.
pub fn write_new(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let written = options.open(file)?.write_all(bytes);
    if written.is_err() {
        let _ = fs::remove_file(file);
    }
    written
}

/// Why a permanent folder cannot be private to this user.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) enum NotPrivate {
    System(io::Error),
    Untrusted(Untrusted),
}

#[cfg(unix)]
impl From<Untrusted> for NotPrivate {
    fn from(reason: Untrusted) -> Self {
        Self::Untrusted(reason)
    }
}

#[cfg(unix)]
impl From<io::Error> for NotPrivate {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Makes a permanent folder, with any missing folders above it, or takes an existing one. Afterwards nobody else may
/// look into it, or write to it or to a folder above it, and nothing in it belongs to another user.
///
/// # Errors
/// The system's error, or something that others own or may write to.
#[cfg(unix)]
#[allow(
    dead_code,
    reason = "only kinds that keep a cache call it, and those are features"
)]
pub(crate) fn make_private(folder: &Path) -> Result<(), NotPrivate> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    ownership::check(folder)?;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made?;
    // Somebody may have been faster.
    ownership::check(folder)?;
    let folder = folder.canonicalize()?;
    ownership::check_own(&folder)?;
    let is_open = fs::metadata(&folder)?.permissions().mode() & 0o077 != 0;
    ownership::check_within(&folder, is_open)??;
    if is_open {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Listens on a socket that nobody else may connect to.
///
/// # Errors
/// The system's error.
#[cfg(unix)]
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    use rustix::{
        fs::{Mode, fchmod},
        net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with},
    };
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::empty(),
        None,
    )?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    // Linux gives the file the mode of the socket that is bound to it. Other systems have no such mode; there the
    // folder keeps everybody out until the mode is set.
    let has_mode = fchmod(&socket, Mode::RUSR | Mode::WUSR).is_ok();
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    if !has_mode || !cfg!(target_os = "linux") {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    listen(&socket, 128)?;
    Ok(UnixListener::from(socket))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_folder_that_others_may_write_to_is_none_to_make_one_in() {
        use fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let outer = PrivateDir::create("valor-test-").unwrap();
        let (parent, below) = (outer.path().join("tmp"), outer.path().join("tmp/below"));
        fs::create_dir_all(&below).unwrap();
        let chmod = |mode| fs::set_permissions(&parent, Permissions::from_mode(mode)).unwrap();
        chmod(0o777);
        for folder in [&parent, &below] {
            let said = PrivateDir::create_in(folder, "x-").unwrap_err().to_string();
            let names = format!("{} may be written to by everybody", parent.display());
            assert!(said.starts_with(&names), "{said}");
            assert!(
                said.contains("chmod go-w") && said.ends_with("TMPDIR"),
                "{said}"
            );
        }
        // In /tmp everybody may make folders, and nobody can remove another's.
        for mode in [0o1777, 0o755] {
            chmod(mode);
            for folder in [&parent, &below] {
                PrivateDir::create_in(folder, "x-").unwrap();
            }
        }
    }

    #[test]
    fn what_is_made_here_is_nobody_elses() {
        // The umask belongs to the whole process. Other tests here create files too, but only this one looks at
        // modes.
        let before = rustix::process::umask(rustix::fs::Mode::empty());
        let dir = PrivateDir::create("valor-test-").unwrap();
        let file = dir.write("file", b"x").unwrap();
        let folder = dir.folder("folder").unwrap();
        let socket = dir.path().join("socket");
        let listener = listen(&socket).unwrap();
        rustix::process::umask(before);
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(&socket), 0o600);
        std::os::unix::net::UnixStream::connect(&socket).unwrap();
        listener.accept().unwrap();
        let path = dir.path().to_owned();
        drop(dir);
        assert!(!path.exists());
    }
}
