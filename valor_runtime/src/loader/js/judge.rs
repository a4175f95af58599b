//! [`Judge`]: a server's verdict on a script before it runs, for hosts that run scripts elsewhere.
//!
//! `valor_cli web` asks before a script goes into a page, so that a file is a vlugin in both places or in neither. The
//! verdict comes from `graph`, with the same Deno and the same permissions.

use super::{
    deno,
    graph::{Ask, Finding},
    told::Rejected,
    unloadable,
};
use crate::loader::{Imports, ScriptError, npm};
use futures_lite::future;
use std::path::{Path, PathBuf};

/// A Deno that checks scripts.
#[derive(Debug, Clone)]
pub struct Judge {
    program: PathBuf,
}

/// Its verdict on a script.
#[derive(Debug)]
#[non_exhaustive]
pub struct Judged {
    /// The files that the script consists of, its own first, including missing ones; none from a `node_modules`.
    pub files: Vec<PathBuf>,
    /// Whether it imports anything.
    pub imports: bool,
    /// What its file names for sure beside modules of Node's: nothing of it is loaded if the script is checked.
    pub others: Vec<String>,
    /// What it imports as it runs, and cannot. It is loaded all the same.
    pub rejected: Vec<Rejected>,
    /// Why a server would not load it.
    pub refusal: Option<ScriptError>,
}

impl Judge {
    /// Whether one Deno is named for all scripts, also by `VALOR_DENO`.
    pub fn is_named(named: Option<&Path>) -> bool {
        deno::named(named).is_some()
    }

    /// Uses the Deno that a server would run this script in: the one that is named, or the first that is found. `None`
    /// if none is found, or if the one that is found cannot be run, which is logged.
    ///
    /// # Errors
    /// Why the one that is named cannot be run.
    pub async fn find(
        named: Option<&Path>,
        base: &Path,
        script: &Path,
    ) -> Result<Option<Self>, ScriptError> {
        match Self::required(named, base, script).await {
            Ok(judge) => Ok(Some(judge)),
            Err(error) if deno::named(named).is_some() => Err(error),
            Err(ScriptError::NoDeno { .. }) => Ok(None),
            Err(error) => {
                log::warn!(target: "valor::js", "scripts are judged without a Deno: {error}");
                Ok(None)
            }
        }
    }

    /// The same Deno, for those who want to know why there is none.
    ///
    /// # Errors
    /// If none is found, or the one that is found is too old, cannot be run, or could be somebody else's.
    pub async fn required(
        named: Option<&Path>,
        base: &Path,
        script: &Path,
    ) -> Result<Self, ScriptError> {
        let program = deno::ask(deno::find(named, base, script)?).await?;
        Ok(Self { program })
    }

    /// Its own file.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Checks a script that may import this. None of it runs.
    pub async fn judge(&self, may: &Imports) -> Judged {
        let file = may.file().to_owned();
        let packages = may.packages();
        let ask = Ask {
            program: self.program.clone(),
            file: file.clone(),
            may: may.clone(),
            packages: packages || npm::may_import(&file, None),
            reaches_packages: packages,
        };
        let (finding, contained) = future::zip(ask.finding(), ask.contained()).await;
        let judged = match finding {
            Ok(Finding {
                graph,
                imports,
                others,
                rejected,
                refusal,
            }) => Judged {
                files: graph.files().map(Path::to_owned).collect(),
                imports,
                others,
                rejected,
                refusal: refusal.map(|message| unloadable(message, &file)),
            },
            Err(unknown) => Judged {
                files: vec![file.clone()],
                imports: true,
                others: Vec::new(),
                rejected: Vec::new(),
                refusal: Some(unloadable(unknown, &file)),
            },
        };
        let stray = || contained.err().map(|message| unloadable(message, &file));
        Judged {
            refusal: judged.refusal.or_else(stray),
            ..judged
        }
    }
}
