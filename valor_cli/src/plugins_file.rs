//! The plugins.json that a command reads: which one, and from where. `run`, `check`, `build` and `web` create one from
//! their `-p`. `load` reads it; `reload` and `watch` read it again while the program runs.
//!
//! Its place is determined once, at the start: a vlugin of this process may change the working directory.

use crate::exit::{FAULTS, Failure};
use std::{
    io::ErrorKind::NotFound,
    path::{Path, PathBuf},
};
use valor_runtime::{
    definition::{DefinitionFaults, Definitions},
    file::{self, ReadError, TEXT},
};

/// What is wrong with `--watch` if plugins.json is standard input or a pipe.
pub const NOT_AGAIN: &str =
    "only a plugins.json that can be read again is watched: name its file with -p";

/// What to do if there is no file to read.
pub const NAME_IT: &str = "name one with -p";

/// The file without `-p`, in the working directory.
pub const DEFAULT: &str = "plugins.json";

/// A plugins.json.
#[derive(Debug, Clone)]
pub struct PluginsFile {
    /// Its name in the log and in faults.
    shown: PathBuf,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// A file, by its absolute path.
    File(PathBuf),
    /// The text of standard input or another pipe, with the absolute path of the working directory.
    Input(Vec<u8>, PathBuf),
}

impl PluginsFile {
    /// Whether there is no file of the name that counts without `-p`.
    pub fn is_absent() -> bool {
        std::fs::metadata(DEFAULT).is_err_and(|it| it.kind() == NotFound)
    }

    /// The file that `-p` names. `-` is standard input, which is read now, like any other pipe that a shell passes.
    /// Without `-p` it is [`DEFAULT`]; `otherwise` is what to do if there is none.
    ///
    /// # Errors
    /// If a pipe cannot be read or does not end, or if no file is named and there is none.
    pub fn of(arg: Option<&Path>, otherwise: &str) -> Result<Self, Failure> {
        if arg.is_none() && Self::is_absent() {
            let line = format!("{DEFAULT}: there is no such file; {otherwise}");
            return Err(Failure::new(FAULTS, [line]));
        }
        let arg = arg.unwrap_or(Path::new(DEFAULT));
        let is_input = arg == Path::new("-");
        if !is_input && !file::is_given(arg) {
            return Ok(Self {
                source: Source::File(std::path::absolute(arg).unwrap_or_else(|_| arg.to_owned())),
                shown: arg.to_owned(),
            });
        }
        let (shown, bytes) = match is_input {
            true => (Path::new("standard input"), file::read_input(TEXT)),
            false => (arg, file::read_given(arg, TEXT)),
        };
        let bytes = bytes.map_err(|error| {
            let shown = shown.display();
            let line = match error {
                ReadError::TooLarge(most) => {
                    format!("{shown}: this has more than {most} bytes, which no plugins.json needs")
                }
                error => format!("{shown}: cannot be read: {error}; {}", error.remedy()),
            };
            Failure::new(FAULTS, [line])
        })?;
        let here = std::path::absolute(".").unwrap_or_else(|_| ".".into());
        Ok(Self {
            shown: shown.to_owned(),
            source: Source::Input(bytes, here),
        })
    }

    /// Its name for messages.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The sound definitions in it, and the faults of the others.
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

    /// The folder that its relative paths start from, absolute.
    pub fn base(&self) -> &Path {
        match &self.source {
            Source::File(file) => file.parent().unwrap_or(file),
            Source::Input(_, folder) => folder,
        }
    }

    /// The file that can be read again; `None` for a pipe.
    pub fn again(&self) -> Option<&Path> {
        match &self.source {
            Source::File(file) => Some(file),
            Source::Input(..) => None,
        }
    }
}
