//! Files that are written completely or not at all: packages, signatures and public keys.

use crate::exit::{FAULTS, Failure};
use std::{
    io::{self, Write},
    path::Path,
};

/// Writes a file, first next to its place under a name that nobody can guess. So nobody reads half of it, and a link
/// that waits there is not followed.
///
/// # Errors
/// If the folder does not exist or is not writable; nothing is left behind then.
pub fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let mut part = tempfile::Builder::new();
    // Like any other new file: the user's umask decides its permissions.
    #[cfg(unix)]
    part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let written = part
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .and_then(|mut part| {
            part.write_all(bytes)?;
            Ok(part.persist(file)?)
        });
    written.map(drop).map_err(|error| match error.get_ref() {
        // The error names the temporary file, which nobody knows.
        Some(_) => unwritten(file, &error.kind().into()),
        None => unwritten(file, &error),
    })
}

/// A file cannot be written, and what to do.
pub fn unwritten(file: &Path, error: &io::Error) -> Failure {
    let line = format!(
        "{} cannot be written: {error}; see that its folder is there and may be written to",
        file.display()
    );
    Failure::new(FAULTS, [line])
}
