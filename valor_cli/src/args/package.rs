//! The command lines for packages: making, signing and trusting them.

use clap::{Args, ValueHint};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  valor_cli package --source . target/release/libgreet.so
  valor_cli package --sign alice.key app/main.js
  valor_cli package --source . -o dist/greet.vlugin \\
      target/x86_64-unknown-linux-gnu/release/libgreet.so target/x86_64-pc-windows-gnu/release/greet.dll \\
      target/wasm32-unknown-unknown/release/greet.wasm
  valor_cli package --source hello target/wasm32-wasip2/release/hello.wasm
  valor_cli package --precompile --sign alice.key target/wasm32-unknown-unknown/release/greet.wasm
  valor_cli package --precompile --sign alice.key -o both.vlugin greet.vlugin

Exit codes: 0 the package is written, 1 faults, 2 wrong command line.";

#[derive(Debug, Args)]
pub struct PackageArgs {
    /// The libraries of one vlugin, one per target, a WebAssembly module and a component among them; or a script,
    /// which is packaged with everything that it imports; or with --precompile, a package
    #[arg(value_name = "LIBRARY|SCRIPT", required = true, value_hint = ValueHint::FilePath)]
    pub libraries: Vec<PathBuf>,

    /// The package to write [default: the vlugin's name and `.vlugin`]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// The folder of the vlugin's crate; its Cargo.toml describes the vlugin
    ///
    /// The licence is its `license`. The schema of the config is the file that `config-schema` names in
    /// [package.metadata.valor]. The libraries must have the crate's name and version; a component alone
    /// gets them from it. For a script, it is the folder of its package.json, which gives name, version
    /// and licence. Without it, the name of a component alone or a script is that of the file.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub source: Option<PathBuf>,

    /// The licence, as an SPDX expression such as `MIT OR Apache-2.0`
    #[arg(long, value_name = "SPDX")]
    pub license: Option<String>,

    /// Compile the module and the component for hosts of these targets, by default of this machine's
    ///
    /// The package has the compiled code beside them. A host with the same wasmtime that was started with
    /// --trust, and finds the package signed, runs it without compiling anything. Every other host
    /// compiles the module, as without it. The code is for any processor of the target's architecture,
    /// which has to be this machine's: for another one, give the package that this made to the same
    /// command on a machine of that kind.
    #[cfg(feature = "wasm")]
    #[arg(long, value_name = "TARGET", num_args = 0.., require_equals = true, value_delimiter = ',')]
    pub precompile: Option<Vec<String>>,

    /// Sign the package with this secret key of minisign
    ///
    /// The signature is written next to the package, with `.minisig` after its name. If the key has a
    /// password, it is asked for on the terminal.
    #[arg(long, value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub sign: Option<PathBuf>,

    /// The esbuild that bundles a script [default: VALOR_ESBUILD, then the one in node_modules of the
    /// script's project, then the one on the PATH]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub esbuild: Option<PathBuf>,

    /// A file with the JSON Schema for `config` in plugins.json
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_schema: Option<PathBuf>,
}

pub const VERIFY_EXAMPLES: &str = "\
Example:
  valor_cli verify --trust alice.key.pub greet.vlugin

Exit codes: 0 it is signed with one of the keys, 1 it is not, 2 wrong command line.";

pub const KEYGEN_EXAMPLES: &str = "\
Examples:
  valor_cli keygen alice.key
  valor_cli package --sign alice.key target/release/libgreet.so";

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The package, library or component to verify; its signature is next to it, with `.minisig` after the name
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// A public key of minisign; can be given several times
    #[arg(long, value_name = "KEYFILE", required = true, value_hint = ValueHint::FilePath)]
    pub trust: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The file for the secret key; the public key's has `.pub` after its name
    #[arg(value_name = "KEY", value_hint = ValueHint::FilePath)]
    pub key: PathBuf,
}

#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Load only what is signed with this public key of minisign; can be given several times
    ///
    /// The signature of a package or a library is next to it, with `.minisig` after its name. A file
    /// that has none, or was altered, is refused, also when it is registered through /_plugins.
    ///
    /// Whoever has such a key can run code in this program: libraries, and the compiled code that a
    /// package may have beside a module or a component.
    #[arg(long, value_name = "KEYFILE", value_hint = ValueHint::FilePath, conflicts_with = "build")]
    pub trust: Vec<PathBuf>,

    /// Compile every module and component here, even if a signed package has code for this machine
    #[cfg(feature = "wasm")]
    #[arg(long, requires = "trust")]
    pub compile_all: bool,
}
