//! The command line of the client of `/_plugins`.

use super::values;
use clap::{Args, Subcommand, ValueHint};
use std::{fmt, path::PathBuf, str::FromStr};
use valor_runtime::{definition, server::Listen};

pub const EXAMPLES: &str = "\
Examples:
  valor_cli plugins list
  valor_cli plugins add greet --path greet.wasm --type wasm --prefix /api/greet
  valor_cli plugins add hello --path with_state --config '\"Alice\"'
  valor_cli plugins replace hello --path with_state_2
  valor_cli plugins replace --definition hello.json
  valor_cli plugins --addr unix:/run/valor.sock --token-file token remove hello
  valor_cli plugins --addr https://localhost:8443 --ca-file root.pem list

The server must run with -w. A path is one on the server: relative to the folder of its plugins.json,
and inside one of its plugin directories.

Exit codes: 0 done, 1 the server refused it or cannot be reached, 2 wrong command line.";

#[derive(Debug, Args)]
pub struct PluginsArgs {
    /// Where the server listens: an address with a port, unix:PATH, or an https URL
    ///
    /// With https://, the server's certificate must be valid for the host in the URL.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        global = true
    )]
    pub addr: RegistryAddr,

    /// Certificates (PEM) to trust besides the platform's: the authority of the server's certificate
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,

    /// A file with the registry's token [default: VALOR_TOKEN, if it is set]
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,

    /// Print the server's answer, as JSON
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: PluginsCommand,
}

/// Where a registry is asked.
#[derive(Debug, Clone)]
pub enum RegistryAddr {
    /// An address or a socket, in plain HTTP.
    Listen(Listen),
    /// `http://HOST` or `https://HOST`, with a port or without, and nothing behind.
    Url(String),
}

impl FromStr for RegistryAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // RFC 3986, section 3.1: a scheme may be written in capitals.
        let scheme = text
            .split_once("://")
            .map(|(it, _)| it.to_ascii_lowercase());
        let Some(scheme) = scheme.filter(|it| it == "http" || it == "https") else {
            let example =
                "write one like 127.0.0.1:8080, unix:/run/valor.sock or https://valor.example";
            return match text.parse() {
                Ok(Listen::Tcp(addr)) if addr.port() == 0 => {
                    Err("no server listens on port 0; give the port that it prints".into())
                }
                Ok(listen) => Ok(Self::Listen(listen)),
                Err(_) => Err(format!("`{text}` is not an address; {example}")),
            };
        };
        let wrong = || {
            format!(
                "`{text}` is not the address of a server; write one like {scheme}://valor.example:8443, with no path \
                 after it"
            )
        };
        let url: hyper::Uri = text.parse().map_err(|_| wrong())?;
        let is_bare =
            matches!(url.path(), "" | "/") && url.query().is_none() && !text.contains(['#', '@']);
        let authority = url.authority().filter(|_| is_bare).ok_or_else(wrong)?;
        let port = authority.as_str().strip_prefix(authority.host());
        let port = port.and_then(|it| it.strip_prefix(':'));
        match port.map(|port| (port, port.parse::<u16>())) {
            _ if authority.host().is_empty() => Err(wrong()),
            None | Some((_, Ok(1..))) => Ok(Self::Url(format!("{scheme}://{authority}"))),
            Some((port, _)) => Err(format!("`{port}` is not a port, which is 1 to 65535")),
        }
    }
}

impl fmt::Display for RegistryAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(listen) => listen.fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// Lists the mounted vlugins
    List,
    /// Shows everything about a vlugin
    Show {
        /// The vlugin's name
        #[arg(value_parser = values::name)]
        name: String,
    },
    /// Registers a vlugin
    Add(DefinitionArgs),
    /// Replaces a vlugin; running requests finish on the old one
    ///
    /// What is not given stays as it is: prefix, limits, `allow`, config. --definition replaces all of it.
    Replace(DefinitionArgs),
    /// Removes a vlugin; running requests finish
    Remove {
        /// The vlugin's name
        #[arg(value_parser = values::name)]
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct DefinitionArgs {
    /// The vlugin's name
    #[arg(required_unless_present = "definition", value_parser = values::name)]
    pub name: Option<String>,

    /// A file with the whole definition as JSON, as in plugins.json; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(conflicts_with_all = ["name", "kind", "path", "prefix", "config", "sha256", "allow", "callees"])]
    pub definition: Option<PathBuf>,

    /// The kind of vlugin [default for a new one: native]
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,

    /// Its file on the server, or a bare name to look up
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,

    /// Where it is mounted [default for a new one: `/` and its name]
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,

    /// Its configuration, as JSON; `replace` merges an object into the old one, and `null` removes a key of that
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub config: Option<serde_json::Value>,

    /// The SHA-256 that its file must have
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,

    /// A host that it may reach; can be given several times
    #[arg(long, value_name = "HOST")]
    pub allow: Vec<String>,

    /// A vlugin that it may call, or `*` for every one; can be given several times
    #[arg(long, value_name = "NAME")]
    pub callees: Vec<String>,
}

fn json(text: &str) -> Result<serde_json::Value, String> {
    definition::json(text).map_err(|faults| {
        let line = faults.on_one_line();
        match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => line,
            Err(_) => format!("{line}; a text is JSON with quotes around it: '\"Alice\"'"),
        }
    })
}
