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
    written.map(drop).map_err(|error| unwritten(file, &error))
}

/// A file cannot be written, and what to do.
pub fn unwritten(file: &Path, error: &io::Error) -> Failure {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let shown = folder.display();
    let reason = match no_folder(folder) {
        Some(reason) => reason,
        None if file.is_dir() => "it is a folder; give the name of a file".to_owned(),
        None if !folder.exists() => {
            format!("there is no folder {shown}; create it, or name another")
        }
        None => refused(folder, error),
    };
    let line = format!("{} cannot be written: {reason}", file.display());
    Failure::new(FAULTS, [line])
}

/// A folder cannot be made, and what to do.
pub fn unmade(folder: &Path, error: &io::Error) -> Failure {
    let above = folder.ancestors().skip(1);
    let mut above = above.filter(|it| !it.as_os_str().is_empty());
    let above = above.find(|it| it.exists()).unwrap_or(Path::new("."));
    let reason = no_folder(folder).unwrap_or_else(|| refused(above, error));
    let line = format!("the folder {} cannot be made: {reason}", folder.display());
    Failure::new(FAULTS, [line])
}

/// Whether something else is in the place of a folder or of one above it.
fn no_folder(folder: &Path) -> Option<String> {
    let mut above = folder.ancestors().filter(|it| !it.as_os_str().is_empty());
    let other = above.find(|it| it.metadata().is_ok_and(|it| !it.is_dir()))?;
    let other = other.display();
    Some(format!("{other} is not a folder; name one in its place"))
}

/// What the system says about something new in a folder.
fn refused(folder: &Path, error: &io::Error) -> String {
    // Of an error of the part, the kind alone: nobody knows its name.
    let said = match error.raw_os_error() {
        Some(_) => error.to_string(),
        None => error.kind().to_string(),
    };
    let shown = folder.display();
    format!("{said}; see that you may write to the folder {shown}, and that it has room")
}
