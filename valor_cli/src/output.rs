//! What people read on standard output and standard error. The log has `logging`.
//!
//! Whatever comes from a file, a vlugin or a server goes through [`escaped`] on its way: here as a line, or as the
//! cell of a [table](crate::table). Colours are taken out if there is no terminal. What cannot be written ends no
//! command early: `main` asks [`unwritten`] at the end, and a server once it serves. A reader that has gone away (`|
//! head`) is no reason to fail.

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

/// Why something that was printed did not get out.
static UNWRITTEN: Mutex<Option<String>> = Mutex::new(None);

/// That something that was printed since the last call did not get out, in one line.
pub fn unwritten() -> Option<String> {
    locked(&UNWRITTEN).take()
}

/// Notes how writing to standard output went, or to whatever has results in its place.
pub fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        locked(&UNWRITTEN).get_or_insert_with(|| {
            format!("what was to be printed cannot be written, and is lost: {error}")
        });
    }
}

/// Text for standard output that is this program's own, or has been escaped already.
pub fn print(text: &str) {
    let mut out = anstream::stdout();
    note(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// A line for standard output, whatever is in it.
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

/// A line for standard error that belongs to those before it.
pub fn print_note(line: &str) {
    let blue = AnsiColor::Blue.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{blue}note{blue:#}: {}", escaped(line));
}
