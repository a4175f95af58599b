//! `valor_cli build`: what the definitions name as their `source`, as files to be loaded, without
//! loading them. `build_sources` runs cargo; here is what is chosen, made smaller and told of.

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

/// Builds the sources of a plugins.json, and shows what came out.
///
/// # Errors
/// The faults.
pub fn build(args: &BuildCommandArgs, log: &LogWriter) -> Result<(), Failure> {
    // Before the work: what was asked for and is not there is told of at once.
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
        // The log goes another way: what is in it so far comes first.
        log.flush();
        print(&table(&HEADS, rows));
    }
}
