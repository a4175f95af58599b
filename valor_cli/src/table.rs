//! A table for people: columns as wide as their widest cell, a bold head, states in colour.
//!
//! `run` and `check` print what is mounted where. Colours are written always and taken out by
//! `anstream` where standard output is no terminal.

use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// The heads of the table of vlugins.
pub const HEADS: [&str; 5] = ["name", "type", "prefix", "file", "state"];

/// A row's last cell, by how good it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is served; what to call that.
    Good(String),
    /// It is not, but that is allowed; why.
    Missing(String),
    /// It is not; why.
    Bad(String),
}

/// A row: cells for all columns but the last, and the state.
#[derive(Debug, Clone)]
pub struct Row {
    pub cells: Vec<String>,
    pub state: State,
}

/// The table, each line ended; the last head is the states'.
pub fn table(heads: &[&str], rows: &[Row]) -> String {
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().filter_map(|row| row.cells.get(column));
            cells
                .map(|cell| width(cell))
                .chain([width(head)])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let bold = Style::new().bold();
    let mut text = String::new();
    // Writing into a String cannot fail.
    let line = |text: &mut String, style: Style, cells: &mut dyn Iterator<Item = &str>| {
        for (cell, wide) in cells.zip(&widths) {
            let gap = " ".repeat(wide.saturating_sub(width(cell)) + 2);
            let _ = write!(text, "{style}{cell}{style:#}{gap}");
        }
    };
    if let Some((last, first)) = heads.split_last() {
        line(&mut text, bold, &mut first.iter().copied());
        let _ = writeln!(text, "{bold}{last}{bold:#}");
    }
    for row in rows {
        line(
            &mut text,
            Style::new(),
            &mut row.cells.iter().map(|cell| &**cell),
        );
        let (style, state) = match &row.state {
            State::Good(state) => (AnsiColor::Green.on_default(), state.clone()),
            State::Missing(reason) => {
                let style = AnsiColor::Yellow.on_default();
                (style, format!("unavailable: {reason}"))
            }
            State::Bad(reason) => (AnsiColor::Red.on_default(), format!("failed: {reason}")),
        };
        let _ = writeln!(text, "{style}{state}{style:#}");
    }
    text
}

/// Columns on a terminal; names, prefixes and files are letters of one column mostly.
fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let row = |name: &str, prefix: &str, state| Row {
            cells: vec![name.into(), prefix.into()],
            state,
        };
        let table = table(
            &["name", "prefix", "state"],
            &[
                row("hello_alice", "/", State::Good("ready".into())),
                row("é", "/long/prefix", State::Bad("no such file".into())),
            ],
        );
        let plain = anstream::adapter::strip_str(&table).to_string();
        assert_eq!(
            plain,
            "name         prefix        state\n\
             hello_alice  /             ready\n\
             é            /long/prefix  failed: no such file\n"
        );
        assert!(table.contains("\u{1b}[32mready\u{1b}[0m"));
    }
}
