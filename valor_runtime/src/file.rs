//! Files that are read as a whole: plugins.json, libraries, modules, scripts, packages, keys, certificates, tokens.
//!
//! Loaders, `definition`, `package`, `server` and the command line call [`read`]. Reading always ends. Only regular
//! files are opened, never pipes or devices, which could keep the reader waiting or go on for ever. No more is read
//! than the caller has room for. [`read_given`] is for what a command line names and is read once: a shell gives pipes
//! there, such as bash's `<(COMMAND)`.

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
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Directory | Self::NotAFile | Self::TooLarge(_) => "name the right file",
            Self::NotUtf8 => "save it as UTF-8",
            Self::Io(error) => remedy(error),
        }
    }

    /// Whether there is no such file.
    pub fn is_absent(&self) -> bool {
        let is = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            )
        };
        matches!(self, Self::Io(error) if is(error))
    }
}

/// What to do about a file that cannot be read.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "see that its path is right",
        io::ErrorKind::InvalidFilename => "give it a shorter name",
        // As made of a `ReadError`.
        io::ErrorKind::Other => "name the right file",
        _ if is_circle(error) => "point its symbolic links at a file",
        _ => "make sure that the user of this process may read it",
    }
}

/// Whether symbolic links lead back to themselves.
#[cfg(unix)]
fn is_circle(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(not(unix))]
fn is_circle(_error: &io::Error) -> bool {
    false
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
    let opened = open_regular(file.as_ref())?;
    let len = opened.metadata()?.len();
    if len > most {
        return Err(ReadError::TooLarge(most));
    }
    // The file may grow meanwhile, and files that the kernel generates have no length.
    let mut bytes = Vec::with_capacity(len as usize + 1);
    read_on(opened, most, &mut bytes)?;
    Ok(bytes)
}

/// The first bytes, at most `len`, of a regular file of at most `most` bytes.
///
/// # Errors
/// A [`ReadError`].
pub(crate) fn first(file: &Path, most: u64, len: u64) -> Result<Vec<u8>, ReadError> {
    let opened = open_regular(file)?;
    if opened.metadata()?.len() > most {
        return Err(ReadError::TooLarge(most));
    }
    let mut bytes = Vec::new();
    opened.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file, without waiting for anybody.
///
/// # Errors
/// A [`ReadError`].
pub fn open_regular(file: &Path) -> Result<File, ReadError> {
    // Merely opening a device can affect it.
    check_kind(&fs::metadata(file)?)?;
    let opened = open(file)?;
    check_kind(&opened.metadata()?)?;
    Ok(opened)
}

fn read_on(from: impl Read, most: u64, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    from.take(most.saturating_add(1)).read_to_end(bytes)?;
    match bytes.len() as u64 > most {
        true => Err(ReadError::TooLarge(most)),
        false => Ok(()),
    }
}

/// Whether a path names something that this process was started with, `/dev/stdin` or `/dev/fd/63`: a pipe as often as
/// a file.
pub fn is_given(file: &Path) -> bool {
    let is_number = |it: &std::ffi::OsStr| {
        let it = it.as_encoded_bytes();
        !it.is_empty() && it.iter().all(u8::is_ascii_digit)
    };
    let is_in = |dir: &str| file.parent() == Some(Path::new(dir));
    let is_descriptor = is_in("/dev/fd") || is_in("/proc/self/fd");
    let is_descriptor = is_descriptor && file.file_name().is_some_and(is_number);
    cfg!(unix) && (is_descriptor || file == Path::new("/dev/stdin"))
}

/// The same of a file that a command line names, which may be a pipe too if this process [was started with
/// it](is_given): that is read to its end, as standard input is.
///
/// # Errors
/// A [`ReadError`].
pub fn read_given(file: impl AsRef<Path>, most: u64) -> Result<Vec<u8>, ReadError> {
    let file = file.as_ref();
    let kind = fs::metadata(file).map(|it| it.file_type());
    if !is_given(file) || kind.is_ok_and(|it| it.is_file() || it.is_dir()) {
        return read(file, most);
    }
    // A socket cannot be opened again.
    if file == Path::new("/dev/stdin") || file.ends_with("0") {
        return read_input(most);
    }
    let mut bytes = Vec::new();
    read_on(File::open(file)?, most, &mut bytes)?;
    Ok(bytes)
}

/// The bytes of standard input up to its end, at most so many.
///
/// # Errors
/// A [`ReadError`].
pub fn read_input(most: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    read_on(io::stdin().lock(), most, &mut bytes)?;
    Ok(bytes)
}

/// The text of such a file.
///
/// # Errors
/// A [`ReadError`].
pub fn read_given_text(file: impl AsRef<Path>, most: u64) -> Result<String, ReadError> {
    as_text(read_given(file, most)?)
}

/// The text of a regular file of at most this many bytes.
///
/// # Errors
/// A [`ReadError`].
pub fn read_text(file: impl AsRef<Path>, most: u64) -> Result<String, ReadError> {
    as_text(read(file, most)?)
}

/// The bytes of a file, as text.
///
/// # Errors
/// [`ReadError::NotUtf8`].
pub fn as_text(bytes: Vec<u8>) -> Result<String, ReadError> {
    String::from_utf8(bytes).map_err(|_| ReadError::NotUtf8)
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
        let error = read(dir.path().join("none"), 8).unwrap_err();
        assert!(error.is_absent());
        assert_eq!(error.remedy(), "see that its path is right");
        let error = read(dir.path().join("x".repeat(300)), 8).unwrap_err();
        assert_eq!(error.remedy(), "give it a shorter name");
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_are_called_that() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        let error = read(&link, 8).unwrap_err();
        assert_eq!(error.remedy(), "point its symbolic links at a file");
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
        // A command line that names it is no reason to wait either.
        assert!(matches!(read_given(&pipe, 8), Err(ReadError::NotAFile)));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_that_this_process_was_started_with_is_read_to_its_end() {
        use std::{io::Write, os::fd::AsRawFd};
        let piped = |text: &str, most| {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            drop(writer);
            read_given(format!("/dev/fd/{}", reader.as_raw_fd()), most)
        };
        assert_eq!(piped("12345678", 8).unwrap(), b"12345678");
        assert!(matches!(piped("12345678", 7), Err(ReadError::TooLarge(7))));
        for (path, given) in [
            ("/dev/stdin", true),
            ("/dev/fd/63", true),
            ("/proc/self/fd/0", true),
            ("/dev/fd", false),
            ("/dev/fd/", false),
            ("/dev/fd/6x", false),
            ("/dev/fd/../zero", false),
            ("/dev/zero", false),
            ("63", false),
        ] {
            assert_eq!(is_given(Path::new(path)), given, "{path}");
        }
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
