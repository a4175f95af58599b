//! Files that are there as a whole or not at all: packages, signatures and public keys.

use crate::exit::{FAULTS, Failure};
use std::{
    io::{self, Write},
    path::Path,
};

/// Writes a file: under a name that nobody knows beside its place first, so that nobody meets half of it and no link
/// that waits there is followed.
///
/// # Errors
/// The folder is not there, or may not be written to; nothing is left behind then.
pub fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let mut part = tempfile::Builder::new();
    // As any other new file: what may be done with it is the user's mask to say.
    #[cfg(unix)]
    part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let written = part
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .and_then(|mut part| {
            part.write_all(bytes)?;
            Ok(part.persist(file)?)
        });
    written.map(drop).map_err(|error| match error.get_ref() {
        // It names the part, which nobody knows.
        Some(_) => unwritten(file, &error.kind().into()),
        None => unwritten(file, &error),
    })
}

/// That a file cannot be written, and what to do.
pub fn unwritten(file: &Path, error: &io::Error) -> Failure {
    let line = format!(
        "{} cannot be written: {error}; see that its folder is there and may be written to",
        file.display()
    );
    Failure::new(FAULTS, [line])
}
