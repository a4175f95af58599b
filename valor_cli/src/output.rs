//! What people read on standard output and standard error. `logging` has the log.
//!
//! Text from a file, a vlugin or a server goes through [`escaped`] first: here as a line, or as a cell of a
//! [table](crate::table). Colours are removed if there is no terminal. A failed write does not end a command early:
//! `main` asks [`unwritten`] at the end, and a server once it serves. A reader that has gone away (`| head`) is not a
//! failure.

use anstyle::AnsiColor;
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
    sync::Mutex,
};
use valor_runtime::{
    escape::{escaped, escaped_json},
    lock::locked,
};

/// Why printed text was not written.
static UNWRITTEN: Mutex<Option<String>> = Mutex::new(None);

/// One line, if text that was printed since the last call was not written.
pub fn unwritten() -> Option<String> {
    locked(&UNWRITTEN).take()
}

/// Notes the result of writing to standard output, or to wherever else results go.
pub fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        locked(&UNWRITTEN)
            .get_or_insert_with(|| format!("the output cannot be written, and is lost: {error}"));
    }
}

/// The program's own text for standard output, or text that is already escaped.
pub fn print(text: &str) {
    let mut out = anstream::stdout();
    note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// A line for standard output, whatever it contains.
pub fn print_line(line: impl Display) {
    print(&format!("{}\n", escaped(&line.to_string())));
}

/// A value for standard output, as JSON on several lines.
pub fn print_json(value: &impl Serialize) -> serde_json::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    print(&format!("{}\n", escaped_json(&json)));
    Ok(())
}

/// A line for standard error, with `error:` before it.
pub fn print_error(line: &str) {
    let red = AnsiColor::Red.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{red}error{red:#}: {}", escaped(line));
}

/// A line for standard error, with `warning:` before it, of a command that has no log.
pub fn print_warning(line: &str) {
    let yellow = AnsiColor::Yellow.on_default().bold();
    let _ = writeln!(
        anstream::stderr(),
        "{yellow}warning{yellow:#}: {}",
        escaped(line)
    );
}

/// A line for standard error that belongs to the lines before it.
pub fn print_note(line: &str) {
    let blue = AnsiColor::Blue.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{blue}note{blue:#}: {}", escaped(line));
}
