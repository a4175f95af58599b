//! The command line of `doctor`.

use clap::{Args, ValueHint};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  valor_cli doctor
  valor_cli doctor -p plugins.json --json | jq '.tools[] | select(.needed and .version == null) | .get'

A tool is needed if a vlugin of plugins.json that is not `optional` is built or run by it. Without a
plugins.json, none is. Valor itself needs no tool.

Exit codes: 0 nothing that is needed is missing, 1 something is, or plugins.json cannot be read,
2 wrong command line.";

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The plugins.json that says what is needed; `-` is standard input [default: plugins.json, if it exists]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    /// The Deno that runs JavaScript vlugins [default: as in `run`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub deno: Option<PathBuf>,

    /// The esbuild that bundles scripts [default: as in `web`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub esbuild: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
