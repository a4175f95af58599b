//! [`Graph`]: the files that a script imports, from Deno itself (`deno info`), before any of it runs.
//!
//! `script` asks each time it is started, `judge` for `valor_cli web`. Deno needs no permission to read files that a
//! script's text imports by name, so each of them is checked against [`Imports`] here. It also notes the state of the
//! files, so that a later change is noticed. That includes a change while Deno reads them, because Deno is then asked
//! again.

use super::{
    asked::{MOST_MEMORY, Unanswered, answer},
    named,
    told::{Module, Rejected, Told},
};
use crate::{
    escape::one_line,
    file,
    loader::{
        Imports, code,
        npm::{is_installed, versions},
        search::MAX_SIZE,
    },
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};
use url::Url;

/// A file of this size that Deno could not read was too large for its memory.
const LARGE: u64 = MOST_MEMORY / 8;
/// How many times Deno is asked while files that it has read keep changing.
const ASKS: usize = 5;
/// Some systems record the time of a change some milliseconds late.
const LATE: Duration = Duration::from_millis(20);

/// The question about a script.
pub(super) struct Ask {
    pub(super) program: PathBuf,
    pub(super) file: PathBuf,
    /// What it may import. What Deno lets its process read does not matter: that may be more, as it is for a group.
    pub(super) may: Imports,
    /// Whether Deno looks for packages here.
    pub(super) packages: bool,
    /// Whether its process lets it import packages.
    pub(super) reaches_packages: bool,
}

/// The files that a script consists of, as they were when Deno was asked.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Its own first, and none of an installed package.
    files: Vec<Known>,
    /// What says which versions are installed of the packages that it imports.
    installed: Vec<Known>,
}

/// A file, and the hash of its bytes if it could be read.
type Known = (PathBuf, Option<[u8; 32]>);

/// The answer.
pub(super) struct Finding {
    pub(super) graph: Graph,
    /// Whether the script imports anything.
    pub(super) imports: bool,
    /// What its file names beside modules of Node's.
    pub(super) others: Vec<String>,
    /// What it imports as it runs, and cannot.
    pub(super) rejected: Vec<Rejected>,
    /// The import that is not allowed, or why the script cannot be loaded.
    pub(super) refusal: Option<String>,
}

impl Ask {
    /// Checks that no link leads out of the packages that it can import.
    ///
    /// # Errors
    /// Names the link that does.
    pub(super) async fn contained(&self) -> Result<(), String> {
        if !self.reaches_packages {
            return Ok(());
        }
        let may = self.may.clone();
        let stray = smol::unblock(move || may.stray()).await;
        stray.map_or(Ok(()), Err)
    }

    /// Asks Deno, and checks the answer.
    ///
    /// # Errors
    /// Why the script's imports are not known.
    pub(super) async fn finding(&self) -> Result<Finding, String> {
        let mut asks = 1;
        let told = loop {
            let since = SystemTime::now() - LATE;
            let told = self.told().await?;
            let files: Vec<_> = told.code().into_iter().filter_map(Module::file).collect();
            let is_new = move || files.iter().any(|it| has_changed(it, since));
            // The files that Deno has read may be gone, and new ones may import something else.
            if asks == ASKS || !smol::unblock(is_new).await {
                break told;
            }
            asks += 1;
        };
        let forbidden = self.forbidden(&told);
        let files = told.code().into_iter().filter_map(Module::file);
        let files = files.filter(|it| *it != self.file);
        let (packages, mut files): (Vec<_>, Vec<_>) = files.partition(|it| is_installed(it));
        files.insert(0, self.file.clone());
        let own = self.file.clone();
        let reading = smol::unblock(move || {
            let (mut graph, misencoded) = Graph::of(files, &own);
            let versions: BTreeSet<_> = packages.iter().flat_map(|it| versions(it)).collect();
            graph.installed = versions.into_iter().map(known).collect();
            (graph, misencoded)
        });
        let (graph, misencoded) = reading.await;
        let folder = self.file.parent();
        Ok(Finding {
            graph,
            imports: told.imports(),
            others: told.others(),
            rejected: folder.map_or_else(Vec::new, |it| told.rejected(it)),
            // Deno reads other encodings, and says of the rest what helps nobody.
            refusal: forbidden.or(misencoded).or_else(|| told.fault(folder?)),
        })
    }

    /// Deno's output.
    async fn told(&self) -> Result<Told, String> {
        let unknown = |why: &str| format!("what it imports is not known: {}", one_line(why));
        let mut command = Command::new(&self.program);
        command.args(["info", "--json", "--no-config", "--no-lock", "--no-remote"]);
        command.arg(super::command::packages(self.packages));
        command.arg(named_to_deno(&self.file));
        command.env_clear().env("NO_COLOR", "1");
        #[cfg(windows)]
        command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
        let output = match answer(command).await {
            Ok(output) => output,
            Err(why) => return Err(self.unanswered(why).await),
        };
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            match said.contains("memory allocation") {
                true => too_large(None),
                false if said.trim().is_empty() => unknown(&output.status.to_string()),
                false => unknown(&said),
            }
        })
    }

    /// Why the script may not import what Deno says, or Deno cannot read it.
    fn forbidden(&self, told: &Told) -> Option<String> {
        let files = told.code().into_iter().filter_map(Module::file);
        let imported: Vec<_> = files.filter(|it| *it != self.file).collect();
        if let Some(refusal) = imported.iter().find_map(|it| self.may.refusal(it)) {
            return Some(refusal);
        }
        if let Some(irregular) = imported.iter().find(|it| named::is_irregular(it)) {
            return Some(not_regular(irregular));
        }
        let unread = told.code().into_iter().filter(|it| it.error.is_some());
        let size = |it: &PathBuf| fs::metadata(it).map_or(0, |it| it.len());
        if let Some(large) = unread.filter_map(Module::file).find(|it| size(it) > LARGE) {
            return Some(too_large(Some(&large)));
        }
        None
    }

    /// Why its imports are not known.
    async fn unanswered(&self, why: Unanswered) -> String {
        let script = self.file.clone();
        let irregular = match &why {
            Unanswered::Fifo(Some(path)) => Some(path.clone()),
            Unanswered::Late | Unanswered::Fifo(None) => {
                smol::unblock(move || named::irregular(&script)).await
            }
            _ => None,
        };
        if let Some(irregular) = irregular {
            let refusal = self.may.refusal(&irregular);
            return refusal.unwrap_or_else(|| not_regular(&irregular));
        }
        let why = match why {
            Unanswered::System(error) => error.to_string(),
            Unanswered::Late => "Deno read its files for 20 s without finishing".into(),
            Unanswered::Long => "Deno lists more files than Valor reads; import fewer".into(),
            Unanswered::Fifo(_) => {
                "one of the files is a FIFO, which Deno would wait for; import regular files".into()
            }
        };
        format!("what it imports is not known: {}", one_line(&why))
    }
}

/// A file as an argument of Deno's: as a URL, because Deno reads a path as one, with its `#`, `?`, `\` and `%41`.
fn named_to_deno(file: &Path) -> OsString {
    match Url::from_file_path(file) {
        Ok(url) => String::from(url).into(),
        Err(()) => file.as_os_str().to_owned(),
    }
}

fn not_regular(file: &Path) -> String {
    format!(
        "it imports `{}`, which is not a regular file: import a file with code instead",
        file.display()
    )
}

fn too_large(file: Option<&Path>) -> String {
    let most = MOST_MEMORY >> 20;
    let file = file.map_or_else(
        || "import less, or smaller files".to_owned(),
        |it| format!("`{}` is too large to be imported", it.display()),
    );
    format!("what it imports is not known: to read it took more than {most} MiB of memory; {file}")
}

impl Graph {
    /// Reads these files, and says of the first imported one that is not saved as it has to be.
    fn of(files: Vec<PathBuf>, script: &Path) -> (Self, Option<String>) {
        let mut misencoded = None;
        let read = files.into_iter().map(|it| {
            let bytes = file::read(&it, MAX_SIZE).ok();
            if let Some(bytes) = bytes.as_ref().filter(|_| it != script) {
                misencoded = misencoded.take().or_else(|| code::misencoded(&it, bytes));
            }
            let hash = bytes.map(|it| Sha256::digest(it).into());
            (it, hash)
        });
        let graph = Self {
            files: read.collect(),
            installed: Vec::new(),
        };
        (graph, misencoded)
    }

    /// The files that it consists of.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(file, _)| file.as_path())
    }

    /// The first file that has changed, of its own or of what says which packages are installed.
    pub(super) fn changed(&self) -> Option<&Path> {
        let mut files = self.files.iter().chain(&self.installed);
        let found = files.find(|(file, before)| hash(file) != *before);
        found.map(|(file, _)| file.as_path())
    }
}

/// Whether a file has changed since, or has appeared.
fn has_changed(file: &Path, since: SystemTime) -> bool {
    fs::metadata(file).is_ok_and(|it| changed(&it).is_some_and(|it| it >= since))
}

/// When a file was last changed, or replaced by another one.
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let seconds = u64::try_from(metadata.ctime()).ok()?;
        let nanos = u32::try_from(metadata.ctime_nsec()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
    }
    #[cfg(not(unix))]
    metadata.modified().ok()
}

fn known(file: PathBuf) -> Known {
    let hash = hash(&file);
    (file, hash)
}

fn hash(file: &Path) -> Option<[u8; 32]> {
    let bytes = file::read(file, MAX_SIZE).ok()?;
    Some(Sha256::digest(bytes).into())
}
