//! `valor_cli check`: everything that `run` does except serving. `compile` begins as it does.

use crate::{
    args::CheckArgs,
    exit::{FAULTS, Failure},
    faults::no_folder,
    load::Vlugins,
    log_writer::LogWriter,
    plugins_file::{NAME_IT, PluginsFile},
    programs::Stop,
    rows::show,
    sign::trusted,
};
use std::sync::Arc;
use valor_runtime::Runtime;

/// Loads all vlugins of a plugins.json and lists every fault.
///
/// # Errors
/// The faults.
pub fn check(args: &CheckArgs, log: &LogWriter) -> Result<(), Failure> {
    let (mut vlugins, runtime) = built(args, log)?;
    smol::block_on(vlugins.load(&runtime));
    vlugins.faults()?;
    show(&vlugins.rows(&runtime), &args.log, log);
    Ok(())
}

/// The vlugins of a plugins.json, built if that is wanted, and a runtime for them.
///
/// # Errors
/// What keeps any of them from being loaded.
pub fn built(args: &CheckArgs, log: &LogWriter) -> Result<(Vlugins, Arc<Runtime>), Failure> {
    if let Some(line) = no_folder(&args.find.plugin_dir) {
        return Err(Failure::fault(line));
    }
    let mut vlugins = Vlugins::read(
        Some(PluginsFile::of(args.plugins.as_deref(), NAME_IT)?),
        args.build.is_wanted(),
    );
    vlugins.build(&args.build, &args.log, log, &Stop::default());
    let mut builder = args.find.tell(Runtime::builder().base_dir(vlugins.base()));
    if let Some(keys) = trusted(&args.trust)? {
        builder = builder.trust(keys);
    }
    let runtime = builder
        .build()
        .map_err(|error| Failure::new(FAULTS, [error.to_string()]))?;
    Ok((vlugins, runtime))
}
