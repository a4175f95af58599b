//! From checked bytes to a root module: the one place of the host where foreign code is mapped.
//!
//! The host loads exactly the bytes that were checked. They are written to a new file that nobody else can reach, and
//! that file is opened. So it does not matter if the original is replaced or overwritten meanwhile, or that the
//! system's loader returns the old image for a path that it knows. The same bytes are mapped once, however often they
//! are mounted. Nothing is ever unmapped: destructors of thread-local values and wakers may point into an image for as
//! long as the process lives.

use super::mismatch;
use crate::hex::hex;
use crate::{
    loader::{LoadError, NativeError},
    private_dir::{PrivateDir, write_new},
};
use libloading::Library;
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use valor_abi_native::{AbiHeader, AbiHeaderRef, LoadedModule};
use valor_abi_wire::{lock::locked, metadata::Metadata, unwind::catch};

/// A library that passed every check on its bytes.
pub(super) struct Checked<'a> {
    /// The file that it comes from. Only errors name it, unless `uses_origin`.
    pub(super) file: &'a Path,
    pub(super) bytes: &'a [u8],
    pub(super) sha256: [u8; 32],
    pub(super) metadata: &'a Metadata,
    /// Whether it looks for its dependencies relative to its own folder.
    pub(super) uses_origin: bool,
}

/// What is known about bytes that were mapped.
#[derive(Clone)]
enum Image {
    Fits(LoadedModule),
    /// Its layout differs, as this says. It stays mapped and unused.
    Differs(String),
}

/// The mapped images, by the SHA-256 of their bytes and, if the library looks for dependencies there, its folder.
///
/// Each image has its own lock. So the same bytes are mapped once, and a library whose opening does not return holds
/// up only those who ask for the same library.
type Images = HashMap<([u8; 32], Option<PathBuf>), Arc<Mutex<Option<Image>>>>;

static IMAGES: Mutex<Option<Images>> = Mutex::new(None);
static MAPPED: AtomicU64 = AtomicU64::new(0);

/// How many images of libraries this process has mapped. The number only grows.
pub fn images_mapped() -> u64 {
    MAPPED.load(Ordering::Relaxed)
}

/// The root module of a library.
///
/// Opening runs the library's static constructors. No check covers what they do. So this comes last, and on a thread
/// that may be lost.
pub(super) fn open(library: &Checked<'_>) -> Result<LoadedModule, LoadError> {
    let beside = library.uses_origin.then(|| {
        let parent = library.file.parent().unwrap_or(Path::new(""));
        std::path::absolute(parent).unwrap_or_else(|_| parent.to_owned())
    });
    let key = (library.sha256, beside.clone());
    let slot = locked(&IMAGES)
        .get_or_insert_default()
        .entry(key)
        .or_default()
        .clone();
    let mut slot = locked(&slot);
    let image = match &*slot {
        Some(image) => image.clone(),
        None => slot.insert(map(library, beside.as_deref())?).clone(),
    };
    match image {
        Image::Fits(module) => Ok(module),
        Image::Differs(mismatch) => {
            let rustc = library.metadata.rustc.clone();
            Err(NativeError::Layout { mismatch, rustc }.of(library.file))
        }
    }
}

fn map(library: &Checked<'_>, beside: Option<&Path>) -> Result<Image, LoadError> {
    let copy = Copy::write(library, beside)?;
    let opened = dlopen(&copy.file);
    let dir = copy.dir().to_owned();
    copy.remove();
    let opened = opened.map_err(|error| refused(library, &dir, &error.to_string()))?;
    MAPPED.fetch_add(1, Ordering::Relaxed);

    let header = header(&opened, &library.metadata.symbol);
    // It is never unmapped, see above.
    std::mem::forget(opened);
    let Some(header) = header else {
        let symbol = library.metadata.symbol.clone();
        return Err(NativeError::NoSymbol { symbol }.of(library.file));
    };
    // SAFETY: `header` is the header that a library, built with `#[vlugin]` as its metadata says, exports for its root
    // module. The library was forgotten above, so it stays.
    let module = catch(|| unsafe { LoadedModule::check(header) });
    Ok(match module {
        Ok(Ok(module)) => Image::Fits(module),
        Ok(Err(error)) => Image::Differs(mismatch::first(&error)),
        Err(panicked) => {
            Image::Differs(format!("comparing layouts panicked: {}", panicked.message))
        }
    })
}

/// Opens a file that was written by [`Copy::write`].
fn dlopen(file: &Path) -> Result<Library, libloading::Error> {
    #[cfg(unix)]
    {
        use libloading::os::unix;
        // All symbols are looked up now and not in the middle of a request, and none of them serve other libraries.
        // SAFETY: this runs the library's constructors. The library was checked as far as bytes can be. By loading it,
        // its user vouches that it does only what a library may do.
        let opened = unsafe { unix::Library::open(Some(file), unix::RTLD_NOW | unix::RTLD_LOCAL) };
        opened.map(Library::from)
    }
    #[cfg(not(unix))]
    {
        // SAFETY: as above.
        unsafe { Library::new(file) }
    }
}

/// The header that a library exports under this name.
fn header(library: &Library, symbol: &str) -> Option<AbiHeaderRef> {
    // SAFETY: nothing is read through the pointer here.
    let address = unsafe { library.get::<*const AbiHeader>(symbol.as_bytes()) }.ok()?;
    if address.is_null() || !address.is_aligned() {
        return None;
    }
    // SAFETY: the symbol is data and `HEADER_SIZE` bytes from it lie in a segment of the
    // library (`library::exports`), the address is aligned and not null, and any bytes are an
    // `AbiHeader`. An `AbiHeaderRef` is a pointer to one that stays, as the library does.
    let header = unsafe { library.get::<AbiHeaderRef>(symbol.as_bytes()) }.ok()?;
    Some(*header)
}

/// The error of the system's loader for a copy in `dir`, rewritten for people: they know nothing of the copy.
fn refused(library: &Checked<'_>, dir: &Path, reason: &str) -> LoadError {
    if is_noexec(dir) {
        let dir = dir.to_owned();
        return NativeError::NoExec { dir }.of(library.file);
    }
    let is_of_copy = |word: &str| word.contains(&*dir.to_string_lossy());
    let mut words: Vec<_> = reason.split(": ").collect();
    words.retain(|word| !is_of_copy(word));
    let reason = words.join(": ");
    NativeError::Open { reason }.of(library.file)
}

/// Whether code may not run in a folder. The system's loader only says that it failed.
fn is_noexec(dir: &Path) -> bool {
    #[cfg(unix)]
    {
        use rustix::fs::{StatVfsMountFlags, statvfs};
        statvfs(dir).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        false
    }
}

/// The private file that is opened instead of the original.
struct Copy {
    file: PathBuf,
    /// The folder of the copy, if it was made for it. It is removed when this is dropped.
    own_dir: Option<PrivateDir>,
}

impl Copy {
    /// Writes the bytes to a new folder, or beside the original if the library looks for its dependencies there.
    fn write(library: &Checked<'_>, beside: Option<&Path>) -> Result<Self, LoadError> {
        let failed = |dir: PathBuf, remedy| {
            move |error: io::Error| {
                let error = Arc::new(error);
                NativeError::Copy { dir, error, remedy }.of(library.file)
            }
        };
        let name = unique_name(library);
        if let Some(dir) = beside {
            let remedy = "it finds its dependencies next to itself ($ORIGIN in its run path), \
                          so its copy must be there: make that folder writable";
            // The dot hides the file for the moment that it exists.
            let file = dir.join(format!(".{name}"));
            write_new(&file, library.bytes).map_err(failed(dir.to_owned(), remedy))?;
            return Ok(Self {
                file,
                own_dir: None,
            });
        }
        let remedy = if cfg!(windows) {
            "set TMP to a folder that can be written to and has room"
        } else {
            "set TMPDIR to a folder that can be written to and has room"
        };
        let temp = std::path::absolute(std::env::temp_dir()).unwrap_or_default();
        let own_dir = private_dir(&temp).map_err(failed(temp.clone(), remedy))?;
        let file = own_dir.path().join(name);
        write_new(&file, library.bytes).map_err(failed(temp, remedy))?;
        Ok(Self {
            file,
            own_dir: Some(own_dir),
        })
    }

    /// The folder to name in errors.
    fn dir(&self) -> &Path {
        let dir = self.file.parent().unwrap_or(&self.file);
        match self.own_dir {
            Some(_) => dir.parent().unwrap_or(dir),
            None => dir,
        }
    }

    /// Removes the file, if that is possible while it is mapped. Otherwise it stays until a later process removes it
    /// ([`sweep`]).
    fn remove(self) {
        if cfg!(unix) {
            let _ = fs::remove_file(&self.file);
            drop(self.own_dir);
        } else if let Some(dir) = self.own_dir {
            let _ = dir.keep();
        }
    }
}

/// The prefix of the names of copies' folders.
const PREFIX: &str = "valor-image-";

/// Removes the copies that earlier processes left behind, on systems where a mapped file cannot be removed. Copies
/// that are still mapped stay for the same reason. A copy that was only just written is left alone, because it may not
/// be mapped yet.
fn sweep(temp: &Path, untouched_for: Duration) {
    let Ok(entries) = fs::read_dir(temp) else {
        return;
    };
    for entry in entries.flatten() {
        let is_copy = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let untouched = modified.ok().and_then(|at| at.elapsed().ok());
        if is_copy && untouched.is_some_and(|untouched| untouched >= untouched_for) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder for one copy.
fn private_dir(temp: &Path) -> io::Result<PrivateDir> {
    static SWEPT: Once = Once::new();
    if !cfg!(unix) {
        SWEPT.call_once(|| sweep(temp, Duration::from_secs(3600)));
    }
    PrivateDir::create_in(temp, PREFIX)
}

/// A name that no file had before, because the system's loader knows libraries by their names.
fn unique_name(library: &Checked<'_>) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut stem: String = library.metadata.name.chars().take(64).collect();
    stem.retain(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let sha256 = hex(&library.sha256[..4]);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let suffix = std::env::consts::DLL_SUFFIX;
    format!("{stem}-{sha256}-{process}-{count}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_were_left_behind_are_swept_away() {
        let temp = tempfile::tempdir().unwrap();
        let mine = private_dir(temp.path()).unwrap();
        write_new(&mine.path().join("some.dll"), b"some").unwrap();
        let others = temp.path().join("others");
        fs::create_dir(&others).unwrap();

        sweep(temp.path(), Duration::from_secs(3600));
        assert!(mine.path().exists(), "it was only just written");
        sweep(temp.path(), Duration::ZERO);
        assert!(!mine.path().exists());
        assert!(others.exists(), "it is another's");
    }
}
