//! `valor_cli check`: everything that `run` does except serving.

use crate::{
    args::CheckArgs,
    exit::{FAULTS, Failure},
    faults::no_folder,
    load::Vlugins,
    log_writer::LogWriter,
    plugins_file::{NAME_IT, PluginsFile},
    programs::Stop,
    rows::show,
    sign,
};
use valor_runtime::Runtime;

/// Loads all vlugins of a plugins.json and lists every fault.
///
/// # Errors
/// The faults.
pub fn check(args: &CheckArgs, log: &LogWriter) -> Result<(), Failure> {
    if let Some(line) = no_folder(&args.find.plugin_dir) {
        return Err(Failure::fault(line));
    }
    let mut vlugins = Vlugins::read(
        Some(PluginsFile::of(args.plugins.as_deref(), NAME_IT)?),
        args.build.is_wanted(),
    );
    vlugins.build(&args.build, &args.log, log, &Stop::default());
    let mut builder = args.find.tell(Runtime::builder().base_dir(vlugins.base()));
    if let Some(keys) = sign::trusted(&args.trust.trust)? {
        builder = builder.trust(keys);
    }
    let runtime = builder
        .build()
        .map_err(|error| Failure::new(FAULTS, [error.to_string()]))?;
    smol::block_on(vlugins.load(&runtime));
    vlugins.faults()?;
    show(&vlugins.rows(&runtime), &args.log, log);
    Ok(())
}
