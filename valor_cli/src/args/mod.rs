//! The command line: every option, its default and its help, which is the manual.
//!
//! Nothing is done here but parsing; `main` hands each command's arguments to its module.

mod build;
mod package;
mod plugins;
mod socket;
mod values;
#[cfg(feature = "wasm")]
mod web;

pub use build::{BuildCommandArgs, WhenOpt};
pub use package::{KeygenArgs, PackageArgs, TrustArgs, VerifyArgs};
pub use plugins::{DefinitionArgs, PluginsArgs, PluginsCommand, RegistryAddr};
pub use socket::SocketArgs;
#[cfg(feature = "wasm")]
pub use web::WebArgs;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use std::{path::PathBuf, time::Duration};
use valor_runtime::{
    Builder, Limits,
    server::{Listen, TrustedProxy},
};
use values::{at_least_one, bytes, cores, log_filter, seconds};

const AFTER_HELP: &str = "\
Exit codes:
  0    everything went well; the server was stopped by SIGINT or SIGTERM and has drained
  1    faults in plugins.json, in a build or in loading; each is one line on standard error
  2    the command line is wrong
  3    an address cannot be bound
  130  a second signal ended the drain

Environment:
  VALOR_TOKEN      the registry's token for `plugins`, if no --token-file is given
  VALOR_DENO       the Deno that JavaScript vlugins run in, and that judges them for `web`, if no --deno is given
  VALOR_ESBUILD    the esbuild that `web` and `package` bundle scripts with, if no --esbuild is given
  CARGO, RUSTC     the cargo that builds run, and the rustc that is asked for its targets
                   (default: cargo and rustc, from the PATH)
  WASM_OPT         the wasm-opt that `build` and `web` run (default: wasm-opt, from the PATH)
  SSL_CERT_FILE, SSL_CERT_DIR
                   the authorities that are trusted in the place of the system's: by what vlugins
                   fetch, and by `plugins` with https://
  XDG_CACHE_HOME   the folder for what was compiled of WebAssembly modules (default: ~/.cache; not on Windows)
  TMPDIR           the folder for private copies of libraries and for the sockets of scripts
                   (TEMP on Windows)
  NO_COLOR         no colours, also on a terminal
  LD_LIBRARY_PATH  where bare names of native vlugins are looked for last (PATH on Windows,
                   DYLD_LIBRARY_PATH on macOS); with `run -w` also those that come over /_plugins,
                   unless it is the PATH, or cargo set it";

const RUN_EXAMPLES: &str = "\
Examples:
  Build the vlugins of plugins.json and serve them on 127.0.0.1:8080:
      valor_cli run -p plugins.json --build
  Build and replace them again whenever their sources change:
      valor_cli run -p plugins.json --build --watch
  Serve on two addresses and a socket, log as JSON:
      valor_cli run -p plugins.json --addr 0.0.0.0:80 --addr '[::]:80' --addr unix:/run/valor.sock --log-format json
  Serve HTTPS, and read a renewed certificate without a pause:
      valor_cli run -p plugins.json --addr 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem
      kill -HUP PID
  Start empty, and register vlugins while it runs:
      valor_cli run -w --plugin-dir target/release

Exit codes: 0 stopped by a signal and drained, 1 faults in plugins.json, a build or loading,
2 wrong command line, 3 an address cannot be bound, 130 a second signal.";

const CHECK_EXAMPLES: &str = "\
Examples:
  valor_cli check -p plugins.json
  valor_cli check -p plugins.json --build && systemctl reload valor

Exit codes: 0 no faults, 1 faults (each one line, FILE:LINE:COLUMN first), 2 wrong command line.";

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
#[command(version, after_help = AFTER_HELP, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Loads the vlugins of plugins.json and serves them over HTTP
    ///
    /// It serves until SIGINT or SIGTERM comes (on Windows Ctrl-C or Ctrl-Break). Running requests
    /// are then finished, for as long as --drain says; a second signal ends the program at once.
    /// SIGHUP has plugins.json read again: what has changed in it is applied, all else goes on. With
    /// --watch that happens by itself, whenever a file changes.
    // A wrong -1 is then told of as a wrong number and not as an unknown option.
    #[command(allow_negative_numbers = true, after_long_help = RUN_EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Run(Box<RunArgs>),

    /// Builds the crates that plugins.json names as `source`
    ///
    /// It runs cargo as `run --build` does, for native and for WebAssembly vlugins, and shows the files
    /// that came out. A crate that does not compile keeps none of the others back.
    #[command(after_long_help = build::EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Build(BuildCommandArgs),

    /// Does everything that `run` does but serving, and lists every fault
    ///
    /// Reads plugins.json, looks for each file, checks it, loads it and creates its vlugin, then
    /// ends. It tells every fault there is, with line, column and what to do.
    #[command(after_long_help = CHECK_EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Check(CheckArgs),

    /// Shows what a vlugin's file says of itself, without running its code
    ///
    /// The file is a library for any platform, a WebAssembly module or a package. It tells name and
    /// version, ABI, form, target, compiler and panic strategy, and whether this program would load it.
    #[command(after_long_help = INSPECT_EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Inspect(InspectArgs),

    /// Lists, registers, replaces and removes vlugins of a server that runs
    ///
    /// It asks the server's `/_plugins`, which is there where the server was started with -w.
    #[command(after_long_help = plugins::EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Plugins(PluginsArgs),

    /// Makes one file of a vlugin's libraries for several targets
    ///
    /// A package says what it holds, with the SHA-256 of each library, and is named in plugins.json as a
    /// library is: `"path": "greet.vlugin"`. The host takes the library for its own target out of it,
    /// or the WebAssembly module where the type is `wasm`.
    /// The same libraries give the same package, byte by byte.
    #[command(after_long_help = package::EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Package(PackageArgs),

    /// Verifies that a package or a library is signed by those who are trusted
    #[command(after_long_help = package::VERIFY_EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Verify(VerifyArgs),

    /// Makes a pair of keys to sign packages with
    ///
    /// The keys are minisign's. The secret one has no password: whoever reads its file can sign.
    /// `minisign -G` makes one with a password.
    #[command(after_long_help = package::KEYGEN_EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Keygen(KeygenArgs),

    /// Writes a folder for a static server, whose page runs the vlugins in its service worker
    ///
    /// It holds the host as ES modules, the module of each WebAssembly vlugin, a plugins.json, and what
    /// `files` vlugins serve. Native vlugins are left out. Where there is no index.html, it gets a
    /// page that lists the vlugins. The same input gives the same folder.
    #[cfg(feature = "wasm")]
    #[command(after_long_help = web::EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Web(WebArgs),

    /// Prints the completions for a shell
    #[command(after_long_help = COMPLETIONS_EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Prints the JSON Schema of plugins.json
    #[command(after_long_help = SCHEMA_EXAMPLES, after_help = "`--help` tells more, with examples.")]
    Schema,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// The vlugins to serve; `-` is standard input [default: plugins.json, or none with -w]
    ///
    /// Paths in it are relative to its folder, or to the working directory if it comes from standard input.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plugins: Option<PathBuf>,

    /// Mount /_plugins, where vlugins are registered, replaced and removed while it runs
    ///
    /// Who may speak to it can load code into this program. So it answers programs on this machine
    /// only (a loopback peer, a loopback Host, no Origin), unless --registry-token-file is given.
    /// It loads files only from inside the folders of --plugin-dir, and native vlugins by their bare names
    /// from those of LD_LIBRARY_PATH as well, if you set it.
    #[arg(short, long)]
    pub with_registry: bool,

    /// A file with the token that requests to /_plugins bring as `Authorization: Bearer`
    ///
    /// The token is one word of at least 16 visible ASCII characters; white space around it is
    /// left out. With it, /_plugins answers whoever brings the token, from other machines too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "with_registry")]
    pub registry_token_file: Option<PathBuf>,

    #[command(flatten)]
    pub build: BuildArgs,

    /// Replace vlugins while it runs, whenever their files or plugins.json change
    ///
    /// A library, package or module that has changed is loaded in the place of the old one, and a
    /// plugins.json that has changed is applied. With --build, crates whose sources have changed are
    /// built first. What is broken leaves the old one serving, and the log says why.
    #[arg(long)]
    pub watch: bool,

    /// An address to serve on, IP:PORT or unix:PATH; can be given several times
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub addr: Vec<Listen>,

    /// A proxy whose word is taken for the client: a network, an address, or `unix`; can be given several times
    ///
    /// What it says in X-Forwarded-For, -Proto and -Host, in Forwarded or in X-Real-IP becomes the
    /// peer's address, the scheme and the host that vlugins see. From everybody else these headers
    /// are taken out. `unix` is whoever reaches a Unix socket of --addr.
    #[arg(long, value_name = "NET")]
    pub trusted_proxy: Vec<TrustedProxy>,

    #[command(flatten)]
    pub socket: SocketArgs,

    #[command(flatten)]
    pub tls: TlsArgs,

    /// How many threads serve requests; the number of processor cores unless given
    #[arg(long, value_name = "N", default_value_t = cores(), hide_default_value = true)]
    #[arg(value_parser = at_least_one)]
    pub workers: usize,

    #[command(flatten)]
    pub find: FindArgs,

    #[command(flatten)]
    pub trust: TrustArgs,

    /// Serve what loads, where something does not; otherwise every fault is listed and nothing served
    #[arg(long)]
    pub keep_going: bool,

    #[command(flatten)]
    pub limits: LimitArgs,

    #[command(flatten)]
    pub server: ServerArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The plugins.json to check; `-` is standard input [default: plugins.json]
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
    /// The library, module or package to look into
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Print JSON, also of what is nothing of the kind
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct BuildArgs {
    /// Build the crates that the definitions name as their `source`, with cargo, and take what comes out
    #[arg(long)]
    pub build: bool,

    /// Build them with optimisations (cargo's release profile instead of dev); means --build
    #[arg(long)]
    pub release: bool,
}

impl BuildArgs {
    /// Whether anything is to be built.
    pub fn is_wanted(&self) -> bool {
        self.build || self.release
    }
}

/// Where files and programs are found.
#[derive(Debug, Args)]
pub struct FindArgs {
    /// A folder with vlugins' files; can be given several times
    ///
    /// A bare name in plugins.json is looked for here first, then beside plugins.json, then on the
    /// system's library path.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub plugin_dir: Vec<PathBuf>,

    /// The Deno that runs JavaScript vlugins; without it $VALOR_DENO, then that of a node_modules in the
    /// project of plugins.json or of the script, then of the PATH
    #[arg(long, value_name = "FILE", value_hint = ValueHint::ExecutablePath)]
    pub deno: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// Speak HTTPS on every IP address, with this certificate
    ///
    /// PEM, the server's own certificate first and its chain behind it. TLS 1.2 and 1.3, HTTP/1.1.
    /// Unix sockets stay plain. SIGHUP has both files read again: connections that begin after that
    /// get the new certificate, and where something is wrong with it the old one stays (on
    /// Windows the program has to be started anew).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key
    ///
    /// PEM, not encrypted: PKCS#8, SEC1 or PKCS#1.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of each vlugin that says nothing else in plugins.json")]
pub struct LimitArgs {
    /// Time until the response has to begin; 504 after that
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,

    /// Size of a request's body; 413 over that
    #[arg(long, value_name = "BYTES", default_value = "10MiB", value_parser = bytes)]
    pub max_body: u64,

    /// Requests at once, streaming responses included; 503 over that
    #[arg(long, value_name = "N", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_concurrency: u32,

    /// Memory of an instance of a WebAssembly vlugin; it ends at that, and is started anew
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = bytes)]
    pub max_memory: u64,

    /// Time that a WebAssembly or JavaScript vlugin may run without a pause; 504 after that
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub max_cpu: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits of the server")]
pub struct ServerArgs {
    /// Time that a client may take to send a request's head; 408 after that
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub head_timeout: Duration,

    /// Time without any progress while a client, or a vlugin that calls another, sends a body; 408 after that
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub body_timeout: Duration,

    /// Time without any progress while a client, or a vlugin that calls another, takes a response; it is cut off after
    /// that
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub write_timeout: Duration,

    /// Time that an idle connection is kept open
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = seconds)]
    pub idle_timeout: Duration,

    /// Silence after which a WebSocket, or another connection that was upgraded, is closed
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    pub upgraded_timeout: Duration,

    /// Time that a client may go on sending to a connection that is being closed
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub linger: Duration,

    /// Time that running requests have to finish once a signal has come
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub drain: Duration,

    /// Size of a request's head; 431 over that
    #[arg(long, value_name = "BYTES", default_value = "32KiB", value_parser = bytes)]
    pub max_head: u64,

    /// Headers of a request, 431 over that, and of a response that a vlugin fetches, 502 over that
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = at_least_one)]
    pub max_headers: usize,

    /// Size of a request's target, its path and query; 414 over that
    #[arg(long, value_name = "BYTES", default_value = "8KiB", value_parser = bytes)]
    pub max_target: u64,

    /// Connections at once; further ones wait until one ends
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = at_least_one)]
    pub max_connections: usize,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Log, on standard error")]
pub struct LogArgs {
    /// Lines for people, or one JSON object in each line
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What to log: off, error, warn, info, debug or trace, also for one target alone
    ///
    /// Commas stand between: `warn,vlugin::hello=debug,valor::access=info`. A vlugin's own lines
    /// have the target `vlugin::` and its name.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_filter)]
    pub log: String,

    /// How requests are lines of a text log; in JSON they have all of it as keys
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = AccessLog::Brief)]
    pub access_log: AccessLog,

    /// Log no requests
    #[arg(long, conflicts_with = "access_log")]
    pub no_access_log: bool,

    /// Only warnings and errors: no requests, no table, whatever --log says beside them
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object in each line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccessLog {
    /// Method, path, status, vlugin, time and id
    Brief,
    /// The combined log format of Apache and nginx, for tools that read it
    Combined,
}

impl FindArgs {
    /// Tells it to a runtime.
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
