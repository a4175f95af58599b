//! Lines for people, on standard output and standard error.
//!
//! Colours are taken out where there is no terminal, and a reader that has gone away (`| head`)
//! is no reason to fail.

use anstyle::AnsiColor;
use std::io::Write;

/// Text for standard output.
pub fn print(text: &str) {
    let mut out = anstream::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A line for standard error, with `error:` before it.
pub fn print_error(line: &str) {
    let red = AnsiColor::Red.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{red}error{red:#}: {line}");
}
