//! The command line of `web`.

use super::{BuildArgs, LogArgs, WhenOpt};
use clap::{Args, ValueHint};
use std::path::PathBuf;
use valor_runtime::server::Listen;

pub const EXAMPLES: &str = "\
Examples:
  valor_cli web -p plugins.json --release -o dist
  valor_cli web -p plugins.json -o dist --serve 127.0.0.1:8080
  valor_cli web -p plugins.json -o dist --build --serve --watch

Exit codes: 0 the folder is written (and was served until a signal), 1 faults, 2 wrong command line,
3 the address cannot be bound.";

#[derive(Clone, Debug, Args)]
pub struct WebArgs {
    /// The plugins.json to use; `-` is standard input [default: plugins.json]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    /// The folder to write; files in it that are not from `web` are left alone
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,

    /// Serve the folder, on 127.0.0.1:8080 unless an address is given
    ///
    /// It is served as by a static server, with the Content-Security-Policy that the command prints.
    /// Browsers only run service workers on localhost and over HTTPS.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8080")]
    pub serve: Option<Listen>,

    /// While serving, write the folder again whenever plugins.json, or a file that it names, changes
    ///
    /// With --build, crates whose sources have changed are built first. If something is broken, the
    /// folder stays as it is, and the log says why.
    #[arg(long, requires = "serve")]
    pub watch: bool,

    #[command(flatten)]
    pub build: BuildArgs,

    /// Whether to shrink the built modules in place with binaryen's wasm-opt
    ///
    /// It takes a few seconds per module and saves about a tenth of its size.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = WhenOpt::Auto)]
    pub wasm_opt: WhenOpt,

    /// A folder with vlugins' files; can be given several times
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub plugin_dir: Vec<PathBuf>,

    /// The esbuild that bundles TypeScript and scripts that import other files [default: VALOR_ESBUILD, then the
    /// one in node_modules of the project of plugins.json or of the script, then the one on the PATH]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub esbuild: Option<PathBuf>,

    /// The Deno that checks scripts as a server does before it runs them [default: VALOR_DENO, then the one in
    /// node_modules of the project of plugins.json or of the script, then the one on the PATH; without one, esbuild
    /// checks them]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub deno: Option<PathBuf>,

    #[command(flatten)]
    pub log: LogArgs,
}
