//! The questions of `new`, on a terminal only: what a pipe or a script has not given is never waited for. They are on
//! standard error, so that standard output is the same with and without them.

use crate::{args::word, exit::Failure, output::print_error};
use clap::ValueEnum;
use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

/// Whether somebody is there to answer.
pub fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for the name until it is accepted.
///
/// # Errors
/// If the input ends.
pub fn name(accept: impl Fn(&Path) -> Result<(), Failure>) -> Result<PathBuf, Failure> {
    loop {
        let folder = PathBuf::from(answer("What is its name? ")?);
        match accept(&folder) {
            Ok(()) => return Ok(folder),
            Err(failure) => _ = failure.tell(false),
        }
    }
}

/// Asks for one of several values until it is one. An empty line means the first choice.
///
/// # Errors
/// If the input ends.
pub fn choice<T: ValueEnum + Copy>(question: &str, first: T) -> Result<T, Failure> {
    let values = T::value_variants().iter();
    let values: Vec<_> = values
        .filter_map(|it| it.to_possible_value().map(|value| (*it, value)))
        .collect();
    let mut text = format!("{question}\n");
    for (_, value) in &values {
        let help = value.get_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        text.push_str(&format!("  {:<9} {help}\n", value.get_name()));
    }
    let preset = word(first);
    text.push_str(&format!("[{preset}] "));
    loop {
        let answer = answer(&text)?;
        if answer.is_empty() {
            return Ok(first);
        }
        if let Some((value, _)) = values.iter().find(|(_, it)| it.get_name() == answer) {
            return Ok(*value);
        }
        print_error(&format!("`{answer}` is none of these"));
    }
}

/// One line of the terminal, without the white space around it.
fn answer(question: &str) -> Result<String, Failure> {
    let mut err = anstream::stderr();
    // If it cannot be shown, it cannot be answered either, and the line below ends this.
    let _ = write!(err, "{question}").and_then(|()| err.flush());
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(1..) => Ok(line.trim().to_owned()),
        Ok(0) => Err(Failure::usage(
            "there is no answer: give it on the command line, as `valor_cli new --help` shows",
        )),
        Err(error) => Err(Failure::usage(format!(
            "the answer cannot be read: {error}; give it on the command line, as `valor_cli new --help` shows"
        ))),
    }
}
