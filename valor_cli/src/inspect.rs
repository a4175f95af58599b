//! `valor_cli inspect`: what a library's file says of itself.

use crate::{
    args::InspectArgs,
    exit::{FAULTS, Failure},
    output::print,
};
use std::process::ExitCode;

/// Prints what is known of the file. The code tells whether it can be loaded here.
///
/// # Errors
/// Where the file cannot be read or is no library at all.
pub fn inspect(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let inspection = valor_runtime::inspect(&args.file)
        .map_err(|error| Failure::new(FAULTS, [error.to_string()]))?;
    match args.json {
        true => {
            let json = serde_json::to_string_pretty(&inspection)
                .map_err(|error| Failure::new(FAULTS, [error.to_string()]))?;
            print(&format!("{json}\n"));
        }
        false => print(&format!("{inspection}\n")),
    }
    Ok(match inspection.verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => FAULTS.into(),
    })
}
