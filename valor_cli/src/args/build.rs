//! The command line of `build`, and the options of other commands that build first.

use super::LogArgs;
use crate::{
    exit::{FAULTS, Failure},
    wasm_tools::WasmOpt,
};
use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  valor_cli build -p plugins.json
  valor_cli build -p plugins.json --release
  valor_cli build -p plugins.json --release greet board
  valor_cli build -p plugins.json --release --wasm-opt always

A `native` vlugin becomes a library for this machine, a `wasm` one a module for
wasm32-unknown-unknown, a `wasi` one a component for wasm32-wasip2. If a target is missing, rustup
installs it. Crates of one workspace are built together. For a `wasi` vlugin, a crate with
[package.metadata.component] is built by `cargo component`. cargo's own output goes to standard error,
the list of what was built to standard output.

Environment: CARGO names the cargo to run, RUSTC the compiler, WASM_OPT the wasm-opt.

Exit codes: 0 everything was built, 1 faults (each one line), 2 wrong command line.";

/// What other commands build before they go on.
#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// Build the crates that the definitions name as `source` with cargo, and use the result
    #[arg(long)]
    pub build: bool,

    /// Build them with optimisations (cargo's release profile), which implies --build; with `=false`, --build
    /// builds them without (its dev profile)
    ///
    /// Otherwise they are built as valor_cli itself was: every program that is published has optimisations. With
    /// --watch, which builds after each edit, they have none.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub release: Option<bool>,
}

impl BuildArgs {
    /// Whether to build at all.
    pub fn is_wanted(&self) -> bool {
        self.build || self.release == Some(true)
    }

    /// Whether to build with optimisations.
    pub fn is_release(&self) -> bool {
        self.release.unwrap_or(cfg!(not(debug_assertions)))
    }

    /// Chooses the build that is ready soonest, unless somebody has chosen.
    pub fn soonest(&mut self) {
        self.release.get_or_insert(false);
    }
}

#[derive(Debug, Args)]
pub struct BuildCommandArgs {
    /// The plugins.json whose sources to build; `-` is standard input [default: plugins.json]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    /// The names of the vlugins to build [default: all that have a `source`]
    #[arg(value_name = "NAME", value_parser = super::values::name)]
    pub names: Vec<String>,

    /// Build them with optimisations (cargo's release profile instead of dev)
    #[arg(long)]
    pub release: bool,

    /// Whether to shrink WebAssembly modules in place with binaryen's wasm-opt
    ///
    /// It takes a few seconds per module and saves about a tenth of its size. It reads no components.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = WhenOpt::Auto)]
    pub wasm_opt: WhenOpt,

    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhenOpt {
    /// With --release, if wasm-opt is installed; if it is not, a line says so
    Auto,
    /// Always; a missing wasm-opt is a fault
    Always,
    /// Never
    Never,
}

impl WhenOpt {
    /// The wasm-opt that `Always` needs.
    ///
    /// # Errors
    /// If it is not installed.
    pub fn found(self) -> Result<Option<WasmOpt>, Failure> {
        match self {
            Self::Always => WasmOpt::find()
                .map(Some)
                .map_err(|line| Failure::new(FAULTS, [line])),
            Self::Auto | Self::Never => Ok(None),
        }
    }
}
