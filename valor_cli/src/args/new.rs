//! The command line of `new`.

use clap::{Args, ValueEnum, ValueHint};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  valor_cli new greet
  valor_cli new greet --kind wasm --form typed
  valor_cli new app --kind ts
  valor_cli new site --kind files

It writes the vlugin, a plugins.json and a README into a new folder, and names the next commands. If it
runs on a terminal, it asks for the name, the kind and the form that are not given. Otherwise a name is
needed, the kind is `native` and the form `function`.

Exit codes: 0 the vlugin is written, 1 it cannot be written, 2 wrong command line.";

#[derive(Debug, Args)]
pub struct NewArgs {
    /// The vlugin's name, which is also that of the folder to create; a path before it says where, and `.`
    /// alone is the working directory
    #[arg(value_name = "NAME", value_hint = ValueHint::AnyPath)]
    pub name: Option<PathBuf>,

    /// What to write [default: native]
    #[arg(long, value_enum, value_name = "KIND")]
    pub kind: Option<TemplateKind>,

    /// The form of a `native` or `wasm` vlugin [default: function]
    #[arg(long, value_enum, value_name = "FORM")]
    pub form: Option<Form>,

    /// What the vlugin does, in one line
    #[arg(long, value_name = "TEXT", default_value = "A vlugin for Valor")]
    #[arg(value_parser = super::values::quotable)]
    pub description: String,

    /// A `native` or `wasm` vlugin that calls another server
    #[arg(long)]
    pub client: bool,

    /// A `native` or `wasm` vlugin without the Unicode tables for host names beyond ASCII
    #[arg(long)]
    pub lean: bool,

    /// The valor_abi that a `native` or `wasm` vlugin is built with: a version, or the folder of a clone
    ///
    /// [default: the clone that this program was built from, if it is still there, otherwise the version
    /// that belongs to this program]
    #[arg(long, value_name = "VERSION|DIR", value_hint = ValueHint::DirPath)]
    #[arg(value_parser = super::values::quotable)]
    pub valor: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TemplateKind {
    /// A library for this machine, in Rust
    Native,
    /// A WebAssembly module, in Rust; it also runs in a page
    Wasm,
    /// A JavaScript file, which Deno runs
    Js,
    /// A TypeScript file, which Deno runs
    Ts,
    /// A WebAssembly component, in Rust, which other hosts run too
    Wasi,
    /// A folder, served as it is
    Files,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A function that answers requests
    Function,
    /// A function with state, which is created first
    State,
    /// A type that has its own config
    Typed,
}

/// A value as the command line has it, and the templates.
pub fn word(value: impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or(String::new(), |value| value.get_name().to_owned())
}
