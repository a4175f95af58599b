//! Lists what is mounted where once everything is loaded: as a table for people, or as records of the log.

use crate::{
    args::{LogArgs, LogFormat},
    log_writer::LogWriter,
    output::{note, print},
    table::{HEADS, Row, RowState, table},
};
use valor_runtime::Runtime;

/// The rows of the runtime's own vlugins.
pub fn own_rows(runtime: &Runtime) -> Vec<Row> {
    let mounted = runtime.mounted();
    let own = mounted.iter().filter(|mount| mount.name.starts_with('_'));
    own.map(|mount| Row {
        cells: vec![
            mount.name.to_string(),
            "built-in".into(),
            mount.prefix.to_string(),
            "-".into(),
        ],
        state: RowState::Good("ready".into()),
    })
    .collect()
}

/// Lists what is mounted where: a table on standard output, or records if the log is JSON.
pub fn show(rows: &[Row], args: &LogArgs, log: &LogWriter) {
    if args.log_format == LogFormat::Text {
        if !args.quiet {
            // The log is written elsewhere: print what is in it so far first.
            log.flush();
            print(&table(&HEADS, rows));
        }
        return;
    }
    for Row { cells, state } in rows {
        let (state, reason) = match state {
            RowState::Good(state) => (&**state, ""),
            RowState::Missing(reason) => ("unavailable", &**reason),
            RowState::Bad(reason) => ("failed", &**reason),
        };
        log::info!(
            target: "valor", name = cells[0].as_str(), kind = cells[1].as_str(),
            prefix = cells[2].as_str(), file = cells[3].as_str(), state = state, reason = reason;
            "mounted"
        );
    }
    note(log.written());
}
