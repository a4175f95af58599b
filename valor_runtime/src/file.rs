//! Files that are read as a whole: plugins.json, libraries, modules, scripts, packages, keys, certificates, tokens.
//!
//! Loaders, `definition`, `package`, `server` and the command line call [`read`]. Reading always ends. Only regular
//! files are opened, never pipes or devices, which could keep the reader waiting or go on for ever. No more is read
//! than the caller has room for.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    path::Path,
};

/// The most bytes of a file that says what to load or who may do so: plugins.json, certificates, schemas.
pub const TEXT: u64 = 16 << 20;
/// The most bytes of a token, a key or a signature; usually they have a few hundred.
pub const SECRET: u64 = 8 << 10;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is a directory.
    #[error("it is a directory")]
    Directory,
    /// It is a pipe, a device or a socket.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is larger than allowed.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
    /// It is not text.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ReadError {
    /// Whether there is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            error => Self::other(error),
        }
    }
}

/// The bytes of a regular file of at most this size.
///
/// # Errors
/// A [`ReadError`].
///
/// ```
/// use valor_runtime::file::{ReadError, read};
///
/// assert!(read("Cargo.toml", 1 << 20)?.starts_with(b"[package]"));
/// assert!(matches!(read("Cargo.toml", 8), Err(ReadError::TooLarge(8))));
/// assert!(matches!(read("src", 8), Err(ReadError::Directory)));
/// # Ok::<(), ReadError>(())
/// ```
pub fn read(file: impl AsRef<Path>, most: u64) -> Result<Vec<u8>, ReadError> {
    let file = file.as_ref();
    // Merely opening a device can affect it.
    check_kind(&fs::metadata(file)?)?;
    let opened = open(file)?;
    let metadata = opened.metadata()?;
    check_kind(&metadata)?;
    if metadata.len() > most {
        return Err(ReadError::TooLarge(most));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    // The file may grow meanwhile, and files that the kernel generates have no length.
    opened
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(ReadError::TooLarge(most)),
        false => Ok(bytes),
    }
}

/// The text of a regular file of at most this many bytes.
///
/// # Errors
/// A [`ReadError`].
pub fn read_text(file: impl AsRef<Path>, most: u64) -> Result<String, ReadError> {
    String::from_utf8(read(file, most)?).map_err(|_| ReadError::NotUtf8)
}

fn check_kind(metadata: &fs::Metadata) -> Result<(), ReadError> {
    match metadata.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(ReadError::Directory),
        _ => Err(ReadError::NotAFile),
    }
}

/// Opens a file without waiting, even if a pipe has taken its place meanwhile.
fn open(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
    }
    options.open(file)
}

/// Who may read a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Only its owner.
    Owner,
    /// Its owner and its group, as is usual for TLS keys.
    Group,
}

/// Logs a warning if more users than these can read a secret, in the words of [`strange_readers`].
pub fn warn_of_readers(file: &Path, what: &str, wanted: Readers) {
    if let Some(line) = strange_readers(file, what, wanted) {
        log::warn!(target: "valor", "{line}");
    }
}

/// A line that says that more users than these can read a secret; only on Unix. `what` names the secret, as in `the
/// registry's token`.
pub fn strange_readers(file: &Path, what: &str, wanted: Readers) -> Option<String> {
    let (who, change) = change_of_mode(file, wanted)?;
    let file = file.display();
    Some(format!(
        "{file}: {who} may read {what}; `chmod {change} FILE` ends that"
    ))
}

#[cfg(unix)]
fn change_of_mode(file: &Path, wanted: Readers) -> Option<(&'static str, &'static str)> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file).ok()?.permissions().mode();
    match wanted {
        _ if mode & 0o006 != 0 => Some(("every user of this machine", "o=")),
        Readers::Owner if mode & 0o060 != 0 => Some(("every user of its group", "g=")),
        _ => None,
    }
}

/// Access rights work differently there, and are not checked.
#[cfg(not(unix))]
fn change_of_mode(_file: &Path, _wanted: Readers) -> Option<(&'static str, &'static str)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "12345678").unwrap();
        assert_eq!(read(&file, 8).unwrap(), b"12345678");
        assert!(matches!(read(&file, 7), Err(ReadError::TooLarge(7))));
        // Three gigabytes of nothing, refused because of its length.
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(3 << 30)
            .unwrap();
        assert!(matches!(read(&file, TEXT), Err(ReadError::TooLarge(TEXT))));
        fs::write(&file, b"\xff").unwrap();
        assert!(matches!(read_text(&file, 8), Err(ReadError::NotUtf8)));
        assert!(matches!(read(dir.path(), 8), Err(ReadError::Directory)));
        assert!(read(dir.path().join("none"), 8).unwrap_err().is_absent());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_a_device_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(matches!(read(&pipe, 8), Err(ReadError::NotAFile)));
        assert!(matches!(read("/dev/zero", 8), Err(ReadError::NotAFile)));
        // Nobody writes to it, and still opening it returns.
        assert!(open(&pipe).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, "").unwrap();
        for (mode, of_owner, of_group) in [
            (0o600, None, None),
            (0o400, None, None),
            (0o640, Some("g="), None),
            (0o604, Some("o="), Some("o=")),
            (0o644, Some("o="), Some("o=")),
        ] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let change = |wanted| change_of_mode(&file, wanted).map(|(_, change)| change);
            assert_eq!(change(Readers::Owner), of_owner, "{mode:o}");
            assert_eq!(change(Readers::Group), of_group, "{mode:o}");
        }
    }
}
