//! [`ScriptError`]: every reason why a script is not loaded that other vlugins' files do not have, in one line each.
//!
//! `js` makes them; whoever loads a vlugin sees them as a
//! [`LoadError`](super::LoadError).

use crate::escape::one_line;
use crate::ownership::Untrusted;
use std::{fmt, io, path::PathBuf};

/// Why a script is not loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// There is no Deno to run scripts.
    #[error(
        "there is no Deno to run `js` vlugins with: {}; `npm install deno` beside plugins.json, or see \
         https://deno.com; if it is elsewhere, name it in VALOR_DENO",
        one_line(reason)
    )]
    NoDeno {
        /// Where it was not found, or what is wrong with the one that was.
        reason: String,
    },

    /// There is a Deno, and it does not run.
    #[error(
        "the Deno that `js` vlugins run in, {}, does not run: {}; {}",
        file.display(), one_line(reason), ToRun(*lacks)
    )]
    DenoFails {
        /// The Deno that was found.
        file: PathBuf,
        /// How it ended, and what it said.
        reason: String,
        /// What this process has too little of, if that is known.
        lacks: Option<Lack>,
    },

    /// There is no folder for what Deno writes.
    #[error(
        "`js` vlugins need a temporary folder, and none can be made in {}: {}; {}",
        dir.display(), one_line(reason), ToWrite(*lacks)
    )]
    NoTemporary {
        /// Where it would be.
        dir: PathBuf,
        /// What the system says.
        reason: String,
        /// What this process has too little of, if that is known.
        lacks: Option<Lack>,
    },

    /// Somebody else could have put the Deno there that was found beside the project.
    #[error(
        "the Deno that was found for `js` vlugins is not run: {reason}, or name a Deno in VALOR_DENO"
    )]
    UntrustedDeno {
        /// What is not to be trusted, and why.
        reason: Untrusted,
    },

    /// The Deno is too old.
    #[error(
        "a `js` vlugin needs Deno {least} or newer, and {} is {}: `deno upgrade`, or `npm install deno` beside \
         plugins.json",
        file.display(), one_line(found)
    )]
    OldDeno {
        /// The Deno that was found.
        file: PathBuf,
        /// Its version.
        found: String,
        /// The least version.
        least: String,
    },

    /// The script cannot be run, or threw as it was loaded.
    #[error("{} is not loaded: {}", file.display(), one_line(message))]
    Failed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and where.
        message: String,
    },

    /// `files` of the definition names something that does not exist.
    #[error(
        "`files` names `{}`, which is not in the script's folder {}: create it, or correct `files`",
        one_line(named), folder.display()
    )]
    NoFile {
        /// The file or the folder, as the definition names it.
        named: String,
        /// The folder that the script is in.
        folder: PathBuf,
    },

    /// A package that the script imports is not installed.
    #[error(
        "`{}` is not installed, which {} imports: {} in {}",
        one_line(package), importer.display(), Install { package, is_named: *is_named }, folder.display()
    )]
    NotInstalled {
        /// The package.
        package: String,
        /// Whether a package.json names it.
        is_named: bool,
        /// Where it would be installed: the folder of that package.json, or if there is none, of the nearest, or
        /// of the script.
        folder: PathBuf,
        /// The file that imports it.
        importer: PathBuf,
    },

    /// A package that the script imports is a link to a folder of which it may not import this, or not as CommonJS.
    #[error(
        "`{}` is a link to {}, as in an npm workspace, and from there a script can only import ES modules of its own \
         project: bundle {} and what it imports into one file (`esbuild {} --bundle --format=esm --outfile=FILE`), or \
         install the package as a copy",
        one_line(package), folder.display(), script.display(), script.display()
    )]
    Linked {
        /// The package.
        package: String,
        /// Where it leads.
        folder: PathBuf,
        /// The vlugin's file.
        script: PathBuf,
    },

    /// The process for a script does not start.
    #[error("vlugin `{name}` has no process to run in: {}", one_line(message))]
    NoProcess {
        /// The vlugin.
        name: String,
        /// What the system, or Deno, says.
        message: String,
    },
}

impl ScriptError {
    /// Whether what is missing is on this machine, and nothing is wrong with the script.
    pub fn is_of_this_machine(&self) -> bool {
        matches!(
            self,
            Self::NoDeno { .. }
                | Self::DenoFails { .. }
                | Self::NoTemporary { .. }
                | Self::UntrustedDeno { .. }
                | Self::OldDeno { .. }
                | Self::NotInstalled { .. }
        )
    }

    /// The file that changes when what is missing is installed.
    pub fn mended_by(&self) -> Option<PathBuf> {
        match self {
            Self::NotInstalled { folder, .. } => {
                std::path::absolute(folder.join("package.json")).ok()
            }
            _ => None,
        }
    }
}

/// What a process has too little of to start another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// Its address space is limited, and V8 reserves much of it.
    Addresses,
    /// As many files are open as may be.
    Files,
    /// As many processes or threads run as may run.
    Processes,
    /// The system has no more memory for it.
    Memory,
}

impl Lack {
    /// What this error of the system says, if it says that something is used up.
    pub fn of(error: &io::Error) -> Option<Self> {
        #[cfg(unix)]
        {
            use rustix::io::Errno;
            match Errno::from_io_error(error)? {
                Errno::MFILE | Errno::NFILE => Some(Self::Files),
                Errno::AGAIN => Some(Self::Processes),
                Errno::NOMEM => Some(Self::Memory),
                _ => None,
            }
        }
        #[cfg(not(unix))]
        (error.kind() == io::ErrorKind::OutOfMemory).then_some(Self::Memory)
    }

    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Addresses => {
                "V8 reserves more addresses than the limit of this process leaves it (`ulimit -v`): lift that limit, \
                 and limit memory by `limits.memory`"
            }
            Self::Files => "let this process open more files (`ulimit -n`, `LimitNOFILE`)",
            Self::Processes => "let more processes run (`ulimit -u`, `TasksMax`)",
            Self::Memory => "leave it more memory",
        }
    }
}

/// What to do about a Deno that does not run.
struct ToRun(Option<Lack>);

impl fmt::Display for ToRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = "see that `deno eval 1` works here, or name another one in VALOR_DENO";
        f.write_str(self.0.map_or(other, Lack::remedy))
    }
}

/// What to do if there is no temporary folder.
struct ToWrite(Option<Lack>);

impl fmt::Display for ToWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let other = "set TMPDIR to a folder that exists and may be written to";
        f.write_str(self.0.map_or(other, Lack::remedy))
    }
}

/// The command that installs a package.
struct Install<'a> {
    package: &'a str,
    is_named: bool,
}

impl fmt::Display for Install<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_named {
            true => f.write_str("run `npm install`"),
            false => {
                let package = one_line(self.package);
                write!(f, "no package.json names it; run `npm install {package}`")
            }
        }
    }
}
