//! `valor_cli compile`: compiles what is WebAssembly in a plugins.json ahead of a start, for the cache.

use crate::{
    args::{CheckArgs, LogArgs, LogFormat},
    check,
    exit::{FAULTS, Failure},
    log_writer::LogWriter,
    output::{note, print},
    table::{Row, RowState, table},
};
use valor_runtime::loader::keeps_code;

/// The heads of its table.
const HEADS: [&str; 3] = ["name", "type", "state"];

/// Compiles the modules and components of a plugins.json, and lists every fault.
///
/// # Errors
/// The faults, or that nothing that is compiled can be kept.
pub fn compile(args: &CheckArgs, log: &LogWriter) -> Result<(), Failure> {
    let (mut vlugins, runtime) = check::built(args, log)?;
    let well = vlugins.well();
    let definitions: Vec<_> = well.iter().map(|(_, it)| it.clone()).collect();
    let outcomes = smol::block_on(runtime.compile_all(&definitions));
    let mut rows = Vec::new();
    let mut is_any = false;
    for ((index, definition), outcome) in well.into_iter().zip(outcomes) {
        let state = match outcome {
            Ok(true) => {
                is_any = true;
                "compiled"
            }
            Ok(false) => "nothing to compile",
            Err(error) => {
                vlugins.failed(index, &error);
                continue;
            }
        };
        rows.push(Row {
            cells: vec![definition.name, definition.kind.to_string()],
            state: RowState::Good(state.into()),
        });
    }
    vlugins.faults()?;
    if is_any && !keeps_code() {
        let line = "the compiled code is not kept: there is no private folder for it (`--log debug` says why); set \
                    XDG_CACHE_HOME to a folder of your own";
        return Err(Failure::new(FAULTS, [line.to_owned()]));
    }
    show(&rows, &args.log, log);
    Ok(())
}

/// Lists what is compiled: a table on standard output, or records if the log is JSON.
fn show(rows: &[Row], args: &LogArgs, log: &LogWriter) {
    if args.log_format == LogFormat::Text {
        if !args.quiet {
            log.flush();
            print(&table(&HEADS, rows));
        }
        return;
    }
    for Row { cells, state } in rows {
        let RowState::Good(state) = state else {
            continue;
        };
        log::info!(
            target: "valor", name = cells[0].as_str(), kind = cells[1].as_str(), state = state.as_str();
            "compiled ahead"
        );
    }
    note(log.written());
}
