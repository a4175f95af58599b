//! The command line of `web`.

use super::{BuildArgs, LogArgs};
use clap::{Args, ValueHint};
use std::path::PathBuf;
use valor_runtime::server::Listen;

pub const EXAMPLES: &str = "\
Examples:
  valor_cli web -p plugins.json --build --release -o dist
  valor_cli web -p plugins.json -o dist --serve 127.0.0.1:8080

Exit codes: 0 the folder is written (and was served until a signal came), 1 faults, 2 wrong command line,
3 the address cannot be bound.";

#[derive(Debug, Args)]
pub struct WebArgs {
    /// The vlugins; `-` is standard input [default: plugins.json]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    /// The folder to write; what stands there already and is not from `web` is left as it is
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,

    /// Serve the folder, on 127.0.0.1:8080 unless an address is given
    ///
    /// It is served as a static server would, with the Content-Security-Policy that the command
    /// prints. Browsers run service workers on localhost and over HTTPS alone.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    pub serve: Option<Listen>,

    #[command(flatten)]
    pub build: BuildArgs,

    /// A folder with vlugins' files; can be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub plugin_dir: Vec<PathBuf>,

    /// The esbuild that bundles TypeScript and what imports other files [default: VALOR_ESBUILD, then that of
    /// node_modules in the project of plugins.json or of the script, then that of the PATH]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub esbuild: Option<PathBuf>,

    #[command(flatten)]
    pub log: LogArgs,
}
