//! The command lines of what is done with packages.

use clap::{Args, ValueHint};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  valor_cli package --source . target/release/libgreet.so
  valor_cli package --source . -o dist/greet.vlugin \\
      target/x86_64-unknown-linux-gnu/release/libgreet.so target/x86_64-pc-windows-gnu/release/greet.dll

Exit codes: 0 the package was written, 1 faults, 2 wrong command line.";

#[derive(Debug, Args)]
pub struct PackageArgs {
    /// The libraries of one vlugin, each for another target
    #[arg(value_name = "LIBRARY", required = true, value_hint = ValueHint::FilePath)]
    pub libraries: Vec<PathBuf>,

    /// The package to write; the vlugin's name with `.vlugin` behind it unless given
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// The folder of the vlugin's crate, whose Cargo.toml says more of it
    ///
    /// The licence is its `license`, and the schema of the config the file that `config-schema` names
    /// in [package.metadata.valor]. The libraries have to be of its name and version.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub source: Option<PathBuf>,

    /// The licence, as an SPDX expression such as `MIT OR Apache-2.0`
    #[arg(long, value_name = "SPDX")]
    pub license: Option<String>,

    /// A file with the JSON Schema of what `config` in plugins.json may be
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_schema: Option<PathBuf>,
}
