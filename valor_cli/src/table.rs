//! A table for people: columns as wide as their widest cell, a bold head, states in colour.
//!
//! `run` and `check` print what is mounted where. Colours are always written, and `anstream` removes them if standard
//! output is not a terminal. Cells are escaped, so that their content cannot leave them.

use anstyle::{AnsiColor, Style};
use std::{borrow::Cow, fmt::Write};
use valor_runtime::escape::escaped;

/// The heads of the table of vlugins.
pub const HEADS: [&str; 5] = ["name", "type", "prefix", "file", "state"];

/// A row's last cell: the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowState {
    /// It is served; the word for that.
    Good(String),
    /// It is not served, which is allowed; why.
    Missing(String),
    /// It is not served; why.
    Bad(String),
}

/// A row: the cells of all columns except the last, and the state.
#[derive(Debug, Clone)]
pub struct Row {
    pub cells: Vec<String>,
    pub state: RowState,
}

/// The table, with every line terminated; the last head is that of the states.
pub fn table(heads: &[&str], rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().map(plain).collect();
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
    for Plain {
        cells,
        state,
        style,
    } in &rows
    {
        line(
            &mut text,
            Style::new(),
            &mut cells.iter().map(|cell| &**cell),
        );
        let _ = writeln!(text, "{style}{state}{style:#}");
    }
    text
}

/// The same rows for other programs: tabs between the cells, no head.
pub fn lines(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let Plain { cells, state, .. } = plain(row);
        format!("{}\t{state}\n", cells.join("\t"))
    };
    rows.iter().map(line).collect()
}

/// A row as it is printed.
struct Plain<'r> {
    cells: Vec<Cow<'r, str>>,
    state: String,
    style: Style,
}

fn plain(row: &Row) -> Plain<'_> {
    let (colour, state) = match &row.state {
        RowState::Good(state) => (AnsiColor::Green, escaped(state).into_owned()),
        RowState::Missing(reason) => (
            AnsiColor::Yellow,
            format!("unavailable: {}", escaped(reason)),
        ),
        RowState::Bad(reason) => (AnsiColor::Red, format!("failed: {}", escaped(reason))),
    };
    Plain {
        cells: row.cells.iter().map(|cell| escaped(cell)).collect(),
        state,
        style: colour.on_default(),
    }
}

/// Its width in columns of a terminal. Names, prefixes and files mostly have letters of one column.
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
                row("hello_alice", "/", RowState::Good("ready".into())),
                row("é", "/long/prefix", RowState::Bad("no such file".into())),
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

    #[test]
    fn nothing_leaves_its_cell() {
        let rows = [Row {
            cells: vec!["a\nb\tc".into(), "\u{9b}31m\u{202e}".into()],
            state: RowState::Missing("\u{1b}[2J\r\nready".into()),
        }];
        let shown = r"a\nb\tc  \u{9b}31m\u{202e}  unavailable: \u{1b}[2J\r\nready";
        let table = table(&["name", "prefix", "state"], &rows);
        let plain = anstream::adapter::strip_str(&table).to_string();
        assert_eq!(plain.lines().nth(1), Some(shown));
        assert_eq!(lines(&rows).trim_end(), shown.replace("  ", "\t"));
    }
}
