//! [`Graph`]: which files a script imports, from Deno itself (`deno info`), before any of it runs.
//!
//! `script` asks each time it is started. Deno needs no right to read what is imported by names in a script's text, so
//! each of these files is held to [`Imports`] here. It also notes how the files are, so that a change in one of them is
//! seen later.

use crate::{
    file,
    loader::{Imports, imports::is_installed, one_line, search::MAX_SIZE},
    private_dir::PrivateDir,
};
use futures_lite::future;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use smol::{Timer, process::Command};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

/// Deno takes some hundredths of a second.
const LONGEST: Duration = Duration::from_secs(20);

/// What is to be known of a script.
pub(super) struct Ask {
    pub(super) program: PathBuf,
    pub(super) file: PathBuf,
    /// What it may import. What Deno lets its process read says nothing: that may be more, as it is for a group.
    pub(super) may: Imports,
    /// Whether Deno looks for packages here.
    pub(super) packages: bool,
    /// Whether its process lets it import packages.
    pub(super) reaches_packages: bool,
}

/// The files that a script is made of, its own first, as they were when it was asked.
#[derive(Debug, Default)]
pub(super) struct Graph(Vec<(PathBuf, Option<[u8; 32]>)>);

#[derive(Deserialize)]
struct Told {
    modules: Vec<Module>,
}

#[derive(Deserialize)]
struct Module {
    specifier: String,
}

impl Ask {
    /// That no link leads out of the packages that it can import.
    ///
    /// # Errors
    /// Which link does.
    pub(super) async fn contained(&self) -> Result<(), String> {
        if !self.reaches_packages {
            return Ok(());
        }
        let may = self.may.clone();
        let stray = smol::unblock(move || may.stray()).await;
        stray.map_or(Ok(()), Err)
    }

    /// Asks Deno.
    ///
    /// # Errors
    /// What the script imports and may not, or why that is not known.
    pub(super) async fn graph(&self) -> Result<Graph, String> {
        let unknown = |why: &str| format!("what it imports is not known: {}", one_line(why));
        let scratch = PrivateDir::create("valor-deno-").map_err(|it| unknown(&it.to_string()))?;
        let mut command = Command::new(&self.program);
        command.args(["info", "--json", "--no-config", "--no-lock", "--no-remote"]);
        command.arg(super::command::packages(self.packages));
        command
            .arg(&self.file)
            .env_clear()
            .env("DENO_DIR", scratch.path())
            .env("DENO_NO_UPDATE_CHECK", "1")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        #[cfg(windows)]
        command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
        let late = async {
            Timer::after(LONGEST).await;
            Err(std::io::ErrorKind::TimedOut.into())
        };
        let output = future::or(command.output(), late).await;
        let output = output.map_err(|error| unknown(&error.to_string()))?;
        let told = serde_json::from_slice::<Told>(&output.stdout);
        let told = told.map_err(|_| unknown(&String::from_utf8_lossy(&output.stderr)))?;
        let files = told.modules.iter().filter_map(|it| it.file());
        let mut imported: Vec<_> = files.filter(|it| *it != self.file).collect();
        if let Some(refusal) = imported.iter().find_map(|it| self.may.refusal(it)) {
            return Err(refusal);
        }
        imported.retain(|it| !is_installed(it));
        imported.insert(0, self.file.clone());
        let hashed = imported.into_iter().map(|it| {
            let hash = hash(&it);
            (it, hash)
        });
        Ok(Graph(smol::unblock(|| hashed.collect()).await))
    }
}

impl Module {
    fn file(&self) -> Option<PathBuf> {
        let url = url::Url::parse(&self.specifier).ok()?;
        (url.scheme() == "file").then(|| url.to_file_path().ok())?
    }
}

impl Graph {
    /// The files that it is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(file, _)| file.as_path())
    }

    /// The first file that is not as it was.
    pub(super) fn changed(&self) -> Option<&Path> {
        let mut files = self.0.iter();
        let found = files.find(|(file, before)| hash(file) != *before);
        found.map(|(file, _)| file.as_path())
    }
}

fn hash(file: &Path) -> Option<[u8; 32]> {
    let bytes = file::read(file, MAX_SIZE).ok()?;
    Some(Sha256::digest(bytes).into())
}
