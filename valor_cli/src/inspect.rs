//! `valor_cli inspect`: what the file of a library, a module, a component or a package says about itself.

use crate::{
    args::InspectArgs,
    exit::{FAULTS, Failure},
    faults::of_command_line,
    output::{print, print_json},
};
use serde::Serialize;
use serde_json::json;
use std::{fmt::Display, process::ExitCode};
use valor_runtime::{loader::code, package::is_package};

/// Prints what is known about the file. The exit code says whether it can be loaded here.
///
/// # Errors
/// If the file cannot be read, or is neither a library nor a package. With `--json`, that is an answer like any other.
pub fn inspect(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let inspected = match is_package(&args.file) {
        true => valor_runtime::inspect_package(&args.file).map(|inspection| {
            let loads = inspection.verdict.is_ok();
            show(&inspection, args.json).map(|()| loads)
        }),
        false => valor_runtime::inspect(&args.file).map(|inspection| {
            let loads = inspection.verdict.is_ok();
            show(&inspection, args.json).map(|()| loads)
        }),
    };
    let loads = match inspected {
        Ok(shown) => shown?,
        Err(error) => {
            let line = match code::is_script(&args.file) && args.file.is_file() {
                true => format!(
                    "{} is a script, which says nothing of itself: `valor_cli check` tells whether a plugins.json \
                     that names it can be served",
                    args.file.display()
                ),
                false => of_command_line(&error, "a library, a module, a component or a package"),
            };
            if !args.json {
                return Err(failed(line));
            }
            let file = args.file.display().to_string();
            let answer = json!({ "file": file, "loads": false, "reason": line });
            print_json(&answer).map_err(failed)?;
            false
        }
    };
    Ok(match loads {
        true => ExitCode::SUCCESS,
        false => FAULTS.into(),
    })
}

fn show(inspection: &(impl Display + Serialize), json: bool) -> Result<(), Failure> {
    match json {
        true => print_json(inspection).map_err(failed),
        false => {
            print(&format!("{inspection}\n"));
            Ok(())
        }
    }
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(FAULTS, [error.to_string()])
}
