//! `valor_cli dev`: `run`, with the options that suit somebody who writes a vlugin. It looks for the plugins.json and
//! chooses the options; the server is `run`'s. It promises to serve in whatever state the vlugins are.

use crate::{
    args::{Dev, DevArgs, LogArgs, RunArgs},
    exit::{Failure, USAGE},
    plugins_file::{DEFAULT, NOT_AGAIN},
};
use std::{io::ErrorKind, path::Path, time::Duration};

/// How long running requests may take to finish.
const DRAIN: Duration = Duration::from_secs(2);

/// `run --build --watch --keep-going --welcome --drain 2`, with what only `dev` does.
///
/// # Errors
/// If there is no plugins.json: one line, with the command that writes one.
pub fn as_run(args: DevArgs) -> Result<RunArgs, Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new(""));
    let file = args.plugins.unwrap_or_else(|| dir.join(DEFAULT));
    if file == Path::new("-") {
        return Err(Failure::new(USAGE, [NOT_AGAIN.to_owned()]));
    }
    exists(&file)?;
    let mut run = RunArgs::defaults();
    run.plugins = Some(file);
    run.build.build = true;
    run.build.release = Some(args.release);
    run.watch = true;
    run.keep_going = true;
    run.welcome = true;
    run.dev = Some(Dev {
        any_port: args.addr.is_empty(),
    });
    // Somebody waits for the prompt, and what is still open is hardly ever worth waiting for.
    run.server.drain = DRAIN;
    if !args.addr.is_empty() {
        run.addr = args.addr;
    }
    run.find = args.find;
    run.log = LogArgs {
        failures: true,
        ..args.log
    };
    Ok(run)
}

fn exists(file: &Path) -> Result<(), Failure> {
    let shown = file.display();
    match file.metadata() {
        Ok(it) if it.is_dir() => Err(Failure::fault(format!(
            "{shown} is a folder: `valor_cli dev {shown}` serves the {DEFAULT} in it"
        ))),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(Failure::fault(match file.parent() {
                // `dev FILE`, of which the folder is taken.
                Some(given) if given.is_file() => not_a_folder(given),
                _ => format!(
                    "{shown}: there is no such file; `valor_cli new NAME` writes one into a new folder, with a vlugin"
                ),
            }))
        }
        // Reading it says what else is wrong.
        _ => Ok(()),
    }
}

/// What to do if a file is given where `dev` takes a folder.
fn not_a_folder(given: &Path) -> String {
    let shown = given.display();
    match given.extension() {
        Some(it) if it == "json" => {
            format!("{shown} is a file, and `dev` takes a folder: give the file with -p")
        }
        _ => format!(
            "{shown} is a file, and `dev` serves a {DEFAULT}: name the file in one, as that of \
             `valor_cli new NAME` does, and give its folder"
        ),
    }
}
