//! The program's exit codes; `--help` lists them.

use crate::output::{print_error, print_note};
use std::process::ExitCode;

/// Faults in plugins.json, in a build, in loading, or while serving.
pub const FAULTS: u8 = 1;
/// The command line is wrong. clap reports most such faults.
pub const USAGE: u8 = 2;
/// An address cannot be bound.
pub const CANNOT_BIND: u8 = 3;
/// A second signal came during the drain that the first one began: 128 plus the number of SIGINT.
pub const SECOND_SIGNAL: u8 = 130;

/// What is wrong with a text that should be a registry's token; it follows the name of the file.
pub const NO_TOKEN: &str =
    "a token is one word of at least 16 visible ASCII characters; `openssl rand -hex 32` makes one";

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    lines: Vec<String>,
    notes: Vec<String>,
}

impl Failure {
    /// A failure with a code, reported in these lines.
    pub fn new(code: u8, lines: impl IntoIterator<Item = String>) -> Self {
        Self {
            code,
            lines: lines.into_iter().collect(),
            notes: Vec::new(),
        }
    }

    /// A fault in what the command works on.
    pub fn fault(line: impl ToString) -> Self {
        Self::new(FAULTS, [line.to_string()])
    }

    /// A fault of the command line that clap cannot see.
    pub fn usage(line: impl ToString) -> Self {
        Self::new(USAGE, [line.to_string()])
    }

    /// Adds lines after the others that are not faults themselves.
    pub fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Reports it: as lines on standard error, or as records if the log is JSON.
    pub fn tell(&self, json: bool) -> ExitCode {
        match json {
            true => self.log(),
            false => {
                self.lines.iter().for_each(|line| print_error(line));
                self.notes.iter().for_each(|line| print_note(line));
            }
        }
        self.code.into()
    }

    /// Reports it as records of the log, if the program goes on.
    pub fn log(&self) {
        for line in &self.lines {
            log::error!(target: "valor", "{line}");
        }
        for line in &self.notes {
            log::warn!(target: "valor", "{line}");
        }
    }
}
