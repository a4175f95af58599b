//! The program `valor_cli`: serves vlugins.
//!
//! # Layout
//!
//! - `args`: the command line and its help, which is the manual. `exit`: the exit codes.
//! - `new`: writes a new vlugin from a template.
//! - `dev`: `run` for whoever writes a vlugin.
//! - `doctor`: which tools are there.
//! - `run`, `build`, `check`, `compile`, `inspect`: one command each. `plugins_file`, `load`, `faults`: what they
//!   share.
//! - `package`: packages a vlugin's libraries in one file. `sign`: keys and signatures.
//! - `plugins`: the client of a running server's registry.
//! - `web`: writes a folder for a static server, with a page that runs the vlugins.
//! - `library_path`: the folders of `LD_LIBRARY_PATH` that the program's user has set.
//! - `build_sources`: `--build`. `wasm_tools`: the tools that modules need besides cargo. `programs`: starts such tools
//!   and ends them. `table`, `rows`: what is mounted where.
//! - `logging`, `log_writer`: records as lines on standard error. `output`: lines for people. `whole_file`: writes
//!   files completely or not at all.
//! - `version`: what `--version` prints.
//! - `signals`: how the program ends. `reload`: reads plugins.json again. `watch`: which files have changed.

#![forbid(unsafe_code)]

mod args;
mod build;
mod build_sources;
mod building;
mod bundle;
mod check;
#[cfg(feature = "wasm")]
mod compile;
mod dev;
mod doctor;
mod exit;
mod faults;
mod inspect;
mod library_path;
mod load;
mod log_writer;
mod logging;
mod new;
mod output;
mod package;
mod plugins;
mod plugins_file;
mod programs;
mod reload;
mod remedies;
mod rows;
mod run;
mod sign;
mod signals;
mod table;
mod version;
mod wasm_tools;
mod watch;
#[cfg(feature = "wasm")]
mod web;
mod whole_file;

use args::{Cli, Command, LogArgs, LogFormat};
use clap::{CommandFactory, Parser};
use exit::{FAULTS, Failure};
use log_writer::LogWriter;
use std::process::ExitCode;
use valor_runtime::private_dir;

fn main() -> ExitCode {
    if let Some(code) = valor_runtime::keeper::keep() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Requests for the help and the version are such errors too.
        Err(error) => {
            let command = std::env::args_os().nth(1);
            let error = args::hinted(error, command.as_ref().and_then(|it| it.to_str()));
            let printed = error.print();
            if !error.use_stderr() {
                output::note(printed);
            }
            let code = u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
            return written(ExitCode::from(code));
        }
    };
    if !matches!(cli.command, Command::Run(_) | Command::Dev(_)) {
        signals::clean_up();
    }
    let code = command(cli.command);
    programs::Stop::all_now();
    // Those of scripts that still run: a Deno that is stopped cannot do so.
    private_dir::remove_all();
    code
}

fn command(command: Command) -> ExitCode {
    match command {
        Command::New(args) => told(new::new(&args)),
        Command::Dev(args) => match dev::as_run(*args) {
            Ok(args) => logged(&args.log, |log| run::run(&args, log)),
            Err(failure) => failure.tell(false),
        },
        Command::Run(mut args) => {
            if args.watch {
                args.build.soonest();
            }
            logged(&args.log, |log| run::run(&args, log))
        }
        Command::Build(args) => logged(&args.log, |log| build::build(&args, log)),
        Command::Check(args) => logged(&args.log, |log| check::check(&args, log)),
        #[cfg(feature = "wasm")]
        Command::Compile(args) => logged(&args.log, |log| compile::compile(&args, log)),
        Command::Inspect(args) => {
            let shown = inspect::inspect(&args);
            let code = shown.unwrap_or_else(|failure| failure.tell(false));
            written(code)
        }
        Command::Doctor(args) => {
            let shown = doctor::doctor(&args);
            let code = shown.unwrap_or_else(|failure| failure.tell(false));
            written(code)
        }
        Command::Plugins(args) => told(plugins::plugins(&args)),
        Command::Package(args) => told(package::package(&args)),
        Command::Verify(args) => told(sign::verify(&args)),
        Command::Keygen(args) => told(sign::keygen(&args)),
        #[cfg(feature = "wasm")]
        Command::Web(mut args) => {
            if args.watch {
                args.build.soonest();
            }
            logged(&args.log, |log| web::web(&args, log))
        }
        Command::Completions { shell } => {
            let mut command = Cli::command();
            let name = command.get_name().to_owned();
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut command, name, &mut text);
            output::print(&String::from_utf8_lossy(&text));
            told(Ok(()))
        }
        Command::Schema => {
            output::print(&format!("{:#}\n", valor_runtime::json_schema()));
            told(Ok(()))
        }
    }
}

/// The code of a command. If its output could not be written, that is a failure too.
fn written(code: ExitCode) -> ExitCode {
    match output::unwritten() {
        None => code,
        Some(line) => Failure::new(FAULTS, [line]).tell(false),
    }
}

/// Ends a command that has no log.
fn told(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => written(ExitCode::SUCCESS),
        Err(failure) => failure.tell(false),
    }
}

/// Runs a command with a log, and loses no line of it at the end.
fn logged(args: &LogArgs, command: impl FnOnce(&LogWriter) -> Result<(), Failure>) -> ExitCode {
    let log = match logging::start(args) {
        Ok(log) => log,
        Err(error) => {
            return Failure::new(FAULTS, [format!("no log can be written: {error}")]).tell(false);
        }
    };
    let outcome = command(&log).and_then(|()| match output::unwritten() {
        None => Ok(()),
        Some(line) => Err(Failure::new(FAULTS, [line])),
    });
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Earlier log lines come first.
            log.flush();
            failure.tell(args.log_format == LogFormat::Json)
        }
    };
    log.flush();
    code
}
