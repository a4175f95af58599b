//! `valor_cli dev`: `run`, with the options that suit somebody who writes a vlugin. It looks for the plugins.json and
//! chooses the options; the server is `run`'s. It promises to serve in whatever state the vlugins are.

use crate::{
    args::{Dev, DevArgs, LogArgs, RunArgs},
    exit::Failure,
    plugins_file::DEFAULT,
};
use std::{io::ErrorKind, path::Path};

/// `run --build --watch --keep-going --welcome`, with what only `dev` does.
///
/// # Errors
/// If there is no plugins.json: one line, with the command that writes one.
pub fn as_run(args: DevArgs) -> Result<RunArgs, Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new(""));
    let file = args.plugins.unwrap_or_else(|| dir.join(DEFAULT));
    exists(&file)?;
    let mut run = RunArgs::defaults();
    run.plugins = Some(file);
    run.build.build = true;
    run.build.release = args.release;
    run.watch = true;
    run.keep_going = true;
    run.welcome = true;
    run.dev = Some(Dev {
        any_port: args.addr.is_empty(),
    });
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
            Err(Failure::fault(format!(
                "{shown}: there is no such file; `valor_cli new NAME` writes one into a new folder, with a vlugin"
            )))
        }
        // Reading it says what else is wrong.
        _ => Ok(()),
    }
}
