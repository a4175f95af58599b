//! What was judged before. Judging a file takes many times longer than finding its compiled code in the `cache`, so a
//! second start would spend its time on that.
//!
//! The loaders of modules and of components call [`once`]. A file that passes leaves a note beside the cache, under the
//! same walls: an empty file, whose name is a hash of the bytes, the limits and this program. So another build of Valor
//! judges again, and a file that was refused is always judged again. A note saves time and nothing else: the compiler
//! validates whatever it compiles.

use super::cache;
use crate::{hex::hex, private_dir::write_new};
use sha2::{Digest, Sha256};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::UNIX_EPOCH,
};

/// Notes in the folder when this program starts, above which it begins anew.
const NOTES: usize = 10_000;

/// Judges these bytes, unless they passed before with the same `limits.compile`.
///
/// # Errors
/// What `judge` says.
pub(in crate::loader) fn once<E>(
    bytes: &[u8],
    times: u32,
    judge: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    static NOTED: OnceLock<Option<Notes>> = OnceLock::new();
    let notes = NOTED.get_or_init(|| Notes::open(cache::folder("judged")?, &this_program().ok()?));
    match notes {
        Some(notes) => notes.once(bytes, times, judge),
        None => judge(),
    }
}

/// What differs between two builds of this program: its file's length and time.
fn this_program() -> io::Result<Vec<u8>> {
    let file = fs::metadata(env::current_exe()?)?;
    let time = file.modified()?.duration_since(UNIX_EPOCH);
    let time = time.map_err(io::Error::other)?.as_nanos();
    Ok([
        &file.len().to_le_bytes()[..],
        &time.to_le_bytes(),
        env!("CARGO_PKG_VERSION").as_bytes(),
    ]
    .concat())
}

/// The folder of notes, and how each hash begins.
struct Notes {
    folder: PathBuf,
    program: Sha256,
}

impl Notes {
    fn open(folder: PathBuf, program: &[u8]) -> Option<Self> {
        let notes = fs::read_dir(&folder).ok()?;
        let notes: Vec<_> = notes.flatten().collect();
        if notes.len() > NOTES {
            for note in notes {
                let _ = fs::remove_file(note.path());
            }
        }
        // The length, so that nothing of the bytes can be taken for it.
        let mut of_program = Sha256::new();
        of_program.update(program.len().to_le_bytes());
        of_program.update(program);
        Some(Self {
            folder,
            program: of_program,
        })
    }

    fn once<E>(
        &self,
        bytes: &[u8],
        times: u32,
        judge: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let mut hash = self.program.clone();
        hash.update(times.to_le_bytes());
        hash.update(bytes);
        let note = self.folder.join(hex(&hash.finalize()));
        if is_there(&note) {
            return Ok(());
        }
        judge()?;
        if let Err(error) = write_new(&note, &[])
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            log::debug!(target: "valor::wasm", "this file will be judged again: {error}");
        }
        Ok(())
    }
}

fn is_there(note: &Path) -> bool {
    fs::symlink_metadata(note).is_ok_and(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private_dir::PrivateDir;
    use std::cell::Cell;

    #[test]
    fn what_has_passed_is_not_judged_again_by_the_same_program() {
        let dir = PrivateDir::create("valor-test-").unwrap();
        let notes = |program: &[u8]| Notes::open(dir.path().to_owned(), program).unwrap();
        let judged = Cell::new(0);
        let counts = |notes: &Notes, bytes: &[u8], times, verdict: Result<(), ()>| {
            let before = judged.get();
            let said = notes.once(bytes, times, || {
                judged.set(judged.get() + 1);
                verdict
            });
            (judged.get() - before, said)
        };
        let ours = notes(b"one");
        assert_eq!(counts(&ours, b"bad", 1, Err(())), (1, Err(())));
        assert_eq!(counts(&ours, b"bad", 1, Err(())), (1, Err(())));
        assert_eq!(counts(&ours, b"good", 1, Ok(())), (1, Ok(())));
        assert_eq!(counts(&ours, b"good", 1, Err(())), (0, Ok(())));
        assert_eq!(counts(&ours, b"good", 2, Ok(())), (1, Ok(())));
        assert_eq!(counts(&ours, b"good2", 1, Ok(())), (1, Ok(())));
        assert_eq!(counts(&notes(b"one"), b"good", 1, Err(())), (0, Ok(())));
        assert_eq!(counts(&notes(b"two"), b"good", 1, Ok(())), (1, Ok(())));
    }

    #[test]
    fn too_many_notes_are_forgotten() {
        let dir = PrivateDir::create("valor-test-").unwrap();
        for number in 0..=NOTES {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        let left = || fs::read_dir(dir.path()).unwrap().count();
        Notes::open(dir.path().to_owned(), b"one").unwrap();
        assert_eq!(left(), 0);
        fs::write(dir.path().join("one"), "").unwrap();
        Notes::open(dir.path().to_owned(), b"one").unwrap();
        assert_eq!(left(), 1);
    }
}
