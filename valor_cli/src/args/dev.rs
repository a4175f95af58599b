//! The command line of `dev`, and what that wants of `run`.

use super::{FindArgs, LogArgs, RunArgs};
use clap::{Args, Parser, ValueHint};
use std::path::PathBuf;
use valor_runtime::server::Listen;

pub const EXAMPLES: &str = "\
Examples:
  In the folder that `valor_cli new` has written:
      valor_cli dev
  In another folder, or with another file:
      valor_cli dev greet
      valor_cli dev -p examples/plugins.json
  On an address of your choice, and on any free port:
      valor_cli dev --addr 127.0.0.1:9000
      valor_cli dev --addr 127.0.0.1:0

Exit codes: 0 a signal stopped it and it drained, 1 there is no plugins.json or it cannot be watched,
2 wrong command line, 3 an address cannot be bound, 130 a second signal.";

#[derive(Debug, Args)]
pub struct DevArgs {
    /// The folder with the plugins.json to serve [default: the working directory]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "plugins")]
    pub dir: Option<PathBuf>,

    /// The plugins.json to serve [default: the one in DIR]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    /// An address to serve on, IP:PORT or unix:PATH; can be given several times [default: 127.0.0.1:8080,
    /// or the next port that is free]
    #[arg(long, value_name = "ADDR")]
    pub addr: Vec<Listen>,

    /// Build with optimisations (cargo's release profile instead of dev)
    #[arg(long)]
    pub release: bool,

    #[command(flatten)]
    pub find: FindArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// What only `dev` does.
#[derive(Debug)]
pub struct Dev {
    /// Whether to take the next port if the one of the address is taken.
    pub any_port: bool,
}

impl RunArgs {
    /// The options of `run`, each with its default.
    pub fn defaults() -> Self {
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            run: RunArgs,
        }
        Alone::parse_from(["run"]).run
    }
}
