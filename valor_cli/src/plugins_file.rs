//! The plugins.json that a command reads: which one it is, and from where. `run`, `check`, `build` and `web` make one
//! of their `-p`; `load` reads it, `reload` and `watch` once more while the program runs.
//!
//! Where it is is settled once, at the start: a vlugin of this process may change the working directory.

use crate::exit::{FAULTS, Failure};
use std::{
    io::{ErrorKind::NotFound, Read},
    path::{Path, PathBuf},
};
use valor_runtime::{
    definition::{DefinitionFaults, Definitions},
    file::TEXT,
};

/// What to do if there is no file to read.
pub const NAME_IT: &str = "name one with -p";

/// What is read without `-p`, from the working directory.
pub const DEFAULT: &str = "plugins.json";

/// A plugins.json.
#[derive(Debug, Clone)]
pub struct PluginsFile {
    /// What it is called in the log and in faults.
    shown: PathBuf,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// A file, by its absolute path.
    File(PathBuf),
    /// What standard input had, with the absolute path of the working directory.
    Input(Vec<u8>, PathBuf),
}

impl PluginsFile {
    /// The file that `-p` names: `-` is standard input, which is read now. Without `-p` it is [`DEFAULT`]; `otherwise`
    /// is what to do if there is none.
    ///
    /// # Errors
    /// That standard input cannot be read or has no end, or that there is no file and none is named.
    pub fn of(arg: Option<&Path>, otherwise: &str) -> Result<Self, Failure> {
        let is_absent = || std::fs::metadata(DEFAULT).is_err_and(|it| it.kind() == NotFound);
        if arg.is_none() && is_absent() {
            let line = format!("{DEFAULT}: there is no such file; {otherwise}");
            return Err(Failure::new(FAULTS, [line]));
        }
        let arg = arg.unwrap_or(Path::new(DEFAULT));
        if arg != Path::new("-") {
            return Ok(Self {
                source: Source::File(std::path::absolute(arg).unwrap_or_else(|_| arg.to_owned())),
                shown: arg.to_owned(),
            });
        }
        let shown = PathBuf::from("standard input");
        let failed = |line: String| Failure::new(FAULTS, [format!("{}: {line}", shown.display())]);
        let mut bytes = Vec::new();
        let input = std::io::stdin().lock();
        input
            .take(TEXT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > TEXT {
            return Err(failed(format!(
                "this has more than {TEXT} bytes, which no plugins.json needs"
            )));
        }
        let here = std::path::absolute(".").unwrap_or_else(|_| ".".into());
        Ok(Self {
            shown,
            source: Source::Input(bytes, here),
        })
    }

    /// What it is called.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The definitions in it that are sound, and what is wrong with the others.
    pub fn read(&self) -> (Definitions, Option<DefinitionFaults>) {
        let (definitions, faults) = match &self.source {
            Source::File(file) => Definitions::sound_from_file(file),
            Source::Input(bytes, _) => Definitions::sound_from_bytes(bytes.clone(), &self.shown),
        };
        let named = |faults| DefinitionFaults {
            file: Some(self.shown.clone()),
            ..faults
        };
        (definitions, faults.map(named))
    }

    /// The folder that relative paths in it start from, absolute.
    pub fn base(&self) -> &Path {
        match &self.source {
            Source::File(file) => file.parent().unwrap_or(file),
            Source::Input(_, folder) => folder,
        }
    }

    /// The file that can be read again; `None` for standard input.
    pub fn again(&self) -> Option<&Path> {
        match &self.source {
            Source::File(file) => Some(file),
            Source::Input(..) => None,
        }
    }
}
