//! The command line: every option, its default and its help, which is the manual.
//!
//! This only parses. `main` passes each command's arguments to its module.

mod build;
mod dev;
mod doctor;
mod hints;
mod log;
mod new;
mod package;
mod plugins;
mod socket;
mod values;
#[cfg(feature = "wasm")]
mod web;

pub use build::{BuildArgs, BuildCommandArgs, WhenOpt};
pub use dev::{Dev, DevArgs};
pub use doctor::DoctorArgs;
pub use hints::hinted;
pub use log::{AccessLog, LogArgs, LogFormat};
pub use new::{Form, NewArgs, TemplateKind, word};
pub use package::{KeygenArgs, PackageArgs, TrustArgs, VerifyArgs};
pub use plugins::{DefinitionArgs, PluginsArgs, PluginsCommand, RegistryAddr};
pub use socket::SocketArgs;
#[cfg(feature = "wasm")]
pub use web::WebArgs;

use clap::{Args, Parser, Subcommand, ValueHint};
use std::{path::PathBuf, time::Duration};
use valor_runtime::{
    Builder, Limits,
    server::{Listen, TrustedProxy},
};
use values::{at_least_one, bytes, cores, seconds};

const MORE: &str = "`--help` says more, with examples.";

const AFTER_HELP: &str = "\
Exit codes:
  0    success; for a server: SIGINT or SIGTERM stopped it, and it drained
  1    faults in plugins.json, in a build or in loading, each one line on standard error
  2    the command line is wrong
  3    an address cannot be bound
  130  a second signal ended the drain

Environment:
  VALOR_TOKEN      the registry's token for `plugins`, if no --token-file is given
  VALOR_DENO       the Deno that runs JavaScript vlugins and checks them for `web`, if no --deno is given
  VALOR_ESBUILD    the esbuild that `web` and `package` bundle scripts with, if no --esbuild is given
  CARGO, RUSTC     the cargo that builds, and the rustc that lists its targets
                   (default: cargo and rustc, from the PATH)
  WASM_OPT         the wasm-opt that `build` and `web` run (default: wasm-opt, from the PATH)
  SSL_CERT_FILE, SSL_CERT_DIR
                   the authorities to trust instead of the system's, in the vlugins' fetches
                   and in `plugins` with https://
  XDG_CACHE_HOME   the folder for compiled WebAssembly modules (default: ~/.cache; not on Windows)
  TMPDIR           the folder for private copies of libraries and for the sockets of scripts
                   (TEMP on Windows)
  NO_COLOR         no colours, not even on a terminal
  LD_LIBRARY_PATH  the last place to look for the bare names of native vlugins (PATH on Windows,
                   DYLD_LIBRARY_PATH on macOS); with `run -w` also for those that come over /_plugins,
                   unless it is the PATH, or cargo set it";

const RUN_EXAMPLES: &str = "\
Examples:
  Build the vlugins of plugins.json and serve them on 127.0.0.1:8080:
      valor_cli run -p plugins.json --build
  Build and replace them whenever their sources change:
      valor_cli run -p plugins.json --build --watch
  Serve on two addresses and a socket, and log as JSON:
      valor_cli run -p plugins.json --addr 0.0.0.0:80 --addr '[::]:80' --addr unix:/run/valor.sock --log-format json
  Serve HTTPS, and load a renewed certificate without a pause:
      valor_cli run -p plugins.json --addr 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem
      kill -HUP PID
  Start empty, and register vlugins while it runs:
      valor_cli run -w --plugin-dir target/release

Exit codes: 0 a signal stopped it and it drained, 1 faults in plugins.json, a build or loading,
2 wrong command line, 3 an address cannot be bound, 130 a second signal.";

const CHECK_EXAMPLES: &str = "\
Examples:
  valor_cli check -p plugins.json
  valor_cli check -p plugins.json --build && systemctl reload valor

Exit codes: 0 no faults, 1 faults (each one line, FILE:LINE:COLUMN first), 2 wrong command line.";

#[cfg(feature = "wasm")]
const COMPILE_EXAMPLES: &str = "\
Examples:
  valor_cli compile -p plugins.json
  In a Containerfile, so that no start compiles anything:
      RUN XDG_CACHE_HOME=/var/cache valor_cli compile -p /etc/valor/plugins.json

Exit codes: 0 everything is compiled and kept, 1 faults, or no code can be kept, 2 wrong command line.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  valor_cli inspect target/release/libhello_plugin.so
  valor_cli inspect --json plugin.dll | jq .vlugin.abi
  valor_cli inspect greet.vlugin

Exit codes: 0 a vlugin that this program can load, 1 anything else, 2 wrong command line.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  valor_cli completions bash > /etc/bash_completion.d/valor_cli
  valor_cli completions zsh > ~/.zfunc/_valor_cli
  valor_cli completions powershell >> $PROFILE";

const SCHEMA_EXAMPLES: &str = "\
Example:
  valor_cli schema > plugins.schema.json
and in plugins.json:
  { \"$schema\": \"plugins.schema.json\", \"plugins\": [] }";

/// Serves vlugins: small HTTP message handlers, developed apart and combined under one API.
#[derive(Debug, Parser)]
#[command(version, long_version = crate::version::long(), after_help = AFTER_HELP)]
#[command(max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Writes a new vlugin into a new folder, ready to run
    ///
    /// The templates are in this program. A folder that is not empty is refused, and nothing in it changes.
    #[command(after_long_help = new::EXAMPLES, after_help = MORE)]
    New(NewArgs),

    /// Builds and serves the vlugins of a folder while you write them
    ///
    /// It is `run --build --watch --keep-going --welcome --drain 2`, and it starts whatever state the vlugins are
    /// in: one that cannot be built or loaded answers 503 until a change mends it. The compilers' errors and
    /// the requests that fail appear as they happen, with the reason.
    #[command(after_long_help = dev::EXAMPLES, after_help = MORE)]
    Dev(Box<DevArgs>),

    /// Loads the vlugins of plugins.json and serves them over HTTP
    ///
    /// It serves until it gets SIGINT or SIGTERM (on Windows: Ctrl-C or Ctrl-Break). It then finishes
    /// running requests, for as long as --drain allows. A second signal ends it at once. On SIGHUP it
    /// reads plugins.json again and applies what has changed; everything else goes on. With --watch it
    /// does so by itself, whenever a file changes.
    // So a wrong -1 is reported as a wrong number, not as an unknown option.
    #[command(allow_negative_numbers = true, after_long_help = RUN_EXAMPLES, after_help = MORE)]
    Run(Box<RunArgs>),

    /// Builds the crates that plugins.json names as `source`
    ///
    /// It runs cargo as `run --build` does, for native vlugins, WebAssembly modules and components, and
    /// lists the files that it made. If a crate does not compile, the others are still built.
    #[command(after_long_help = build::EXAMPLES, after_help = MORE)]
    Build(BuildCommandArgs),

    /// Does everything that `run` does except serving, and lists every fault
    ///
    /// It reads plugins.json, finds, checks and loads each file, and creates its vlugin. Then it ends.
    /// Each fault comes with its line and column, and with what to do.
    #[command(after_long_help = CHECK_EXAMPLES, after_help = MORE)]
    Check(CheckArgs),

    /// Compiles the WebAssembly modules and components of plugins.json, so that the next start need not
    ///
    /// It finds and checks each file, and runs nothing of it. The compiled code goes to the cache, where
    /// `run` of the same user finds it: below XDG_CACHE_HOME, or ~/.cache.
    #[cfg(feature = "wasm")]
    #[command(after_long_help = COMPILE_EXAMPLES, after_help = MORE)]
    Compile(CheckArgs),

    /// Shows what a vlugin's file says about itself, without running its code
    ///
    /// The file is a library for any platform, a WebAssembly module, a component or a package. The output
    /// has its name, version, ABI, form, target, compiler and panic strategy, for a component what it
    /// imports and exports, and says whether this program would load it.
    #[command(after_long_help = INSPECT_EXAMPLES, after_help = MORE)]
    Inspect(InspectArgs),

    /// Lists, registers, replaces and removes the vlugins of a running server
    ///
    /// It uses the server's `/_plugins`, which exists if the server was started with -w.
    #[command(after_long_help = plugins::EXAMPLES, after_help = MORE)]
    Plugins(PluginsArgs),

    /// Packages a vlugin's libraries for several targets in one file
    ///
    /// A package lists its contents, with the SHA-256 of each library. plugins.json names it like a
    /// library: `"path": "greet.vlugin"`. The host uses the library for its own target, the WebAssembly
    /// module if the type is `wasm`, or the component if it is `wasi`. The same libraries give the same
    /// package, byte for byte.
    #[command(after_long_help = package::EXAMPLES, after_help = MORE)]
    Package(PackageArgs),

    /// Verifies that a package or a library is signed with a trusted key
    #[command(after_long_help = package::VERIFY_EXAMPLES, after_help = MORE)]
    Verify(VerifyArgs),

    /// Makes a key pair for signing packages
    ///
    /// The keys are minisign's. The secret key has no password: anyone who can read its file can sign.
    /// For a key with a password, use `minisign -G`.
    #[command(after_long_help = package::KEYGEN_EXAMPLES, after_help = MORE)]
    Keygen(KeygenArgs),

    /// Writes a folder for a static server, with a page that runs the vlugins in a service worker
    ///
    /// The folder has the host as ES modules, the module of each WebAssembly vlugin, a plugins.json, and
    /// the files that `files` vlugins serve. Native vlugins are left out. If there is no index.html, the
    /// folder gets a page that lists the vlugins. The same input gives the same folder.
    #[cfg(feature = "wasm")]
    #[command(after_long_help = web::EXAMPLES, after_help = MORE)]
    Web(WebArgs),

    /// Lists the tools that vlugins need: versions, what each is for, and the command that gets it
    ///
    /// It looks for each tool where the other commands look for it, and installs nothing.
    #[command(after_long_help = doctor::EXAMPLES, after_help = MORE)]
    Doctor(DoctorArgs),

    /// Prints the completions for a shell
    #[command(after_long_help = COMPLETIONS_EXAMPLES, after_help = MORE)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Prints the JSON Schema of plugins.json
    #[command(after_long_help = SCHEMA_EXAMPLES, after_help = MORE)]
    Schema,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plugins.json to serve; `-` is standard input [default: plugins.json, which need not exist with -w]
    ///
    /// Paths in it are relative to its folder, or to the working directory if it comes from standard input.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    /// Mount /_plugins, to register, replace and remove vlugins while the server runs
    ///
    /// Anyone who can use it can load code into this program. So it only answers programs on this
    /// machine (a loopback peer, a loopback Host, no Origin), unless --registry-token-file is given. It
    /// only loads files inside the folders of --plugin-dir, and native vlugins by their bare names also
    /// from the folders of LD_LIBRARY_PATH, if you set it.
    #[arg(short, long)]
    pub with_registry: bool,

    /// A file with the token that requests to /_plugins must have as `Authorization: Bearer`
    ///
    /// The token is one word of at least 16 visible ASCII characters; white space around it is ignored.
    /// /_plugins then answers anyone who sends the token, on other machines too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "with_registry")]
    pub registry_token_file: Option<PathBuf>,

    /// Serve a page for people on /, if nothing else is there, and on /_welcome
    ///
    /// It shows what is mounted where, how it is, its requests, and the last lines of the log, and sends
    /// requests that you type. Whoever may use /_plugins may see it; without -w, browsers on this machine.
    #[arg(long)]
    pub welcome: bool,

    #[command(flatten)]
    pub build: BuildArgs,

    /// Replace vlugins while the server runs, whenever their files or plugins.json change
    ///
    /// A changed library, package, module or component replaces the old one, and a changed plugins.json
    /// is applied. With --build, crates whose sources have changed are built first. If the new one is
    /// broken, the old one keeps serving, and the log says why.
    #[arg(long)]
    pub watch: bool,

    /// An address to serve on, IP:PORT or unix:PATH; can be given several times
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub addr: Vec<Listen>,

    /// A proxy to trust about its clients: a network, an address, or `unix`; can be given several times
    ///
    /// Its X-Forwarded-For, -Proto and -Host, Forwarded or X-Real-IP set the peer's address, the
    /// scheme and the host that vlugins see. These headers are removed from everyone else's requests.
    /// `unix` means every program that connects to a Unix socket of this server.
    #[arg(long, value_name = "NET")]
    pub trusted_proxy: Vec<TrustedProxy>,

    #[command(flatten)]
    pub socket: SocketArgs,

    #[command(flatten)]
    pub tls: TlsArgs,

    /// The number of threads that serve requests [default: the number of processor cores]
    #[arg(long, value_name = "N", default_value_t = cores(), hide_default_value = true)]
    #[arg(value_parser = at_least_one)]
    pub workers: usize,

    #[command(flatten)]
    pub find: FindArgs,

    #[command(flatten)]
    pub trust: TrustArgs,

    /// Serve what loads, even if something does not; otherwise every fault is listed and nothing is served
    #[arg(long)]
    pub keep_going: bool,

    /// What `dev` wants beyond the other options.
    #[arg(skip)]
    pub dev: Option<Dev>,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub server: ServerArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The plugins.json to read; `-` is standard input [default: plugins.json]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    #[command(flatten)]
    pub build: BuildArgs,

    #[command(flatten)]
    pub find: FindArgs,

    #[command(flatten)]
    pub trust: TrustArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The library, module, component or package to inspect
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Print JSON, even about a file that is not a vlugin
    #[arg(long)]
    pub json: bool,
}

/// Where files and programs are found.
#[derive(Debug, Args)]
pub struct FindArgs {
    /// A folder with vlugins' files; can be given several times
    ///
    /// A bare name in plugins.json is looked up here first, then next to plugins.json, then on the
    /// system's library path.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub plugin_dir: Vec<PathBuf>,

    /// The Deno that runs JavaScript vlugins [default: VALOR_DENO, then the one in a node_modules of the
    /// project of plugins.json or of the script, then the one on the PATH]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub deno: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Speak HTTPS on every IP address, with this certificate
    ///
    /// PEM, the server's own certificate first, then its chain. TLS 1.2 and 1.3, HTTP/1.1. Unix sockets
    /// stay plain. On SIGHUP the server reads both files again: new connections get the new certificate.
    /// If something is wrong with it, the old one stays. (On Windows, restart the program instead.)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key
    ///
    /// PEM, not encrypted: PKCS#8, SEC1 or PKCS#1.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of each vlugin, unless plugins.json sets them")]
pub struct LimitArgs {
    /// Time until the response must begin; after that, 504
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,

    /// Size of a request's body; above that, 413
    #[arg(long, value_name = "BYTES", default_value = "10MiB", value_parser = bytes)]
    pub max_body: u64,

    /// Requests at once, streaming responses included; above that, 503
    #[arg(long, value_name = "N", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrency: u32,

    /// Memory of an instance of a WebAssembly vlugin; one that needs more ends and is replaced
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = bytes)]
    pub max_memory: u64,

    /// Time that a WebAssembly or JavaScript vlugin may run without a pause; after that, 504
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub max_cpu: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of the server")]
pub struct ServerArgs {
    /// Time that a client may take to send a request's head; after that, 408
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub head_timeout: Duration,

    /// Time without progress while a client, or a vlugin that calls another, sends a body; after that, 408
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub body_timeout: Duration,

    /// Time without progress while a client, or a vlugin that calls another, takes a response; after that,
    /// it is cut off
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub write_timeout: Duration,

    /// Time that an idle connection is kept open
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub idle_timeout: Duration,

    /// Silence after which a WebSocket, or another upgraded connection, is closed
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub upgraded_timeout: Duration,

    /// Time that a client may go on sending while its connection is being closed
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub linger: Duration,

    /// Time that running requests have to finish after a signal
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub drain: Duration,

    /// Size of a request's head; above that, 431
    #[arg(long, value_name = "BYTES", default_value = "32KiB", value_parser = bytes)]
    pub max_head: u64,

    /// Number of headers of a request (above that, 431) and of a response that a vlugin fetches (502)
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = at_least_one)]
    pub max_headers: usize,

    /// Size of a request's target, its path and query; above that, 414
    #[arg(long, value_name = "BYTES", default_value = "8KiB", value_parser = bytes)]
    pub max_target: u64,

    /// Connections at once; more wait until one ends
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    pub max_connections: usize,
}

impl FindArgs {
    /// Passes it to a runtime.
    pub fn tell(&self, mut builder: Builder) -> Builder {
        for dir in &self.plugin_dir {
            builder = builder.plugin_dir(dir);
        }
        match &self.deno {
            Some(program) => builder.deno(program),
            None => builder,
        }
    }
}

impl LimitArgs {
    /// As the runtime's defaults.
    pub fn limits(&self) -> Limits {
        Limits {
            timeout: Some(self.timeout.as_secs_f64()),
            body: Some(self.max_body),
            concurrency: Some(self.max_concurrency),
            memory: Some(self.max_memory),
            cpu: Some(self.max_cpu.as_secs_f64()),
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests;
