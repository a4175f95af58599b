//! `valor_cli inspect`: what a library's file, or a package, says of itself.

use crate::{
    args::InspectArgs,
    exit::{FAULTS, Failure},
    output::print,
};
use serde::Serialize;
use std::{fmt::Display, process::ExitCode};
use valor_runtime::package::is_package;

/// Prints what is known of the file. The code tells whether it can be loaded here.
///
/// # Errors
/// Where the file cannot be read, or is no library and no package at all.
pub fn inspect(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let loads = if is_package(&args.file) {
        let inspection = valor_runtime::inspect_package(&args.file).map_err(failed)?;
        show(&inspection, args.json)?;
        inspection.verdict.is_ok()
    } else {
        let inspection = valor_runtime::inspect(&args.file).map_err(failed)?;
        show(&inspection, args.json)?;
        inspection.verdict.is_ok()
    };
    Ok(match loads {
        true => ExitCode::SUCCESS,
        false => FAULTS.into(),
    })
}

fn show(inspection: &(impl Display + Serialize), json: bool) -> Result<(), Failure> {
    match json {
        true => {
            let json = serde_json::to_string_pretty(inspection).map_err(failed)?;
            print(&format!("{json}\n"));
        }
        false => print(&format!("{inspection}\n")),
    }
    Ok(())
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(FAULTS, [error.to_string()])
}
