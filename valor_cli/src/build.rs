//! `valor_cli build`: builds what the definitions name as `source`, without loading the results. `build_sources` runs
//! cargo; this module chooses what to build, shrinks modules and prints the table.

use crate::{
    args::{BuildCommandArgs, LogFormat},
    build_sources::How,
    exit::Failure,
    load::Vlugins,
    log_writer::LogWriter,
    output::print,
    plugins_file::{NAME_IT, PluginsFile},
    programs::Stop,
    table::{Row, table},
};

/// The heads of the table of what was built.
const HEADS: [&str; 5] = ["name", "type", "file", "bytes", "state"];

/// Builds the sources of a plugins.json, and lists the results.
///
/// # Errors
/// The faults.
pub fn build(args: &BuildCommandArgs, log: &LogWriter) -> Result<(), Failure> {
    // Before the work: a missing wasm-opt that was asked for is reported at once.
    let always = args.wasm_opt.found()?;
    let mut vlugins = Vlugins::read(
        Some(PluginsFile::of(args.plugins.as_deref(), NAME_IT)?),
        true,
    );
    let how = How {
        log,
        release: args.release,
        json: args.log.log_format == LogFormat::Json,
        quiet: args.log.quiet,
        stop: &Stop::default(),
    };
    vlugins.build_these(&args.names, how)?;
    vlugins.shrink_when(args.wasm_opt, args.release, always.as_ref());
    vlugins.faults()?;
    show(&vlugins.built_rows(), args, log);
    Ok(())
}

fn show(rows: &[Row], args: &BuildCommandArgs, log: &LogWriter) {
    if args.log.log_format == LogFormat::Json {
        for Row { cells, .. } in rows {
            log::info!(
                target: "valor", name = cells[0].as_str(), kind = cells[1].as_str(),
                file = cells[2].as_str(), bytes = cells[3].as_str();
                "built"
            );
        }
    } else if !args.log.quiet {
        // The log is written elsewhere: print what is in it so far first.
        log.flush();
        print(&table(&HEADS, rows));
    }
}
