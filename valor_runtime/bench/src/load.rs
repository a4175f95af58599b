//! One run of `wrk` against a server, and what it cost the server.

use crate::{
    process,
    subject::{Running, pinned},
};
use std::{io, path::Path, process::Command, time::Duration};
use tempfile::TempDir;

/// What clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// `GET /hello` with this many headers.
    Hello {
        /// How many, including `Host`.
        headers: usize,
    },
    /// `GET /reads/notes?page=2` with three headers.
    Reads,
    /// `GET /blob`, a body of 1 MiB.
    Download,
    /// `POST /echo` of 1 MiB.
    Echo,
    /// `GET /a0/`, `GET /a1/` and so on, as many, and again.
    InTurn {
        /// How many paths.
        paths: usize,
    },
}

/// How clients send it.
#[derive(Debug, Clone, Copy)]
pub struct Clients {
    /// Connections at once.
    pub connections: usize,
    /// Threads of wrk.
    pub threads: usize,
    /// The processor that wrk runs on.
    pub cpu: Option<usize>,
    /// How long it lasts.
    pub time: Duration,
}

/// The results.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// How many requests there were.
    pub requests: f64,
    /// The server's processor time per request, in microseconds.
    pub cpu: f64,
    /// Requests per second.
    pub rate: f64,
    /// 99 of 100 requests took no longer than this, in microseconds.
    pub p99: f64,
}

/// Headers as a browser would send them.
const HEADERS: &[(&str, &str)] = &[
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-language", "en-US,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "http://127.0.0.1/index.html"),
    (
        "cookie",
        "session=0123456789abcdef0123456789abcdef; theme=dark",
    ),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("priority", "u=0, i"),
    ("cache-control", "no-cache"),
];

/// Prints the figures for the bench to read. A status over 399 and a broken connection count as errors.
const SCRIPT: &str = r#"
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("figures %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// The requests are made once, so that the client does the same for one path as for many.
const IN_TURN: &str = r#"
local all, at = {}, 0
init = function()
  for path = 1, paths do
    all[path] = wrk.format("GET", "/a" .. (path - 1) .. "/")
  end
end
request = function()
  at = at % paths + 1
  return all[at]
end
"#;

impl Load {
    fn path(self) -> &'static str {
        match self {
            Self::Hello { .. } => "/hello",
            Self::Reads => "/reads/notes?page=2",
            Self::Download => "/blob",
            Self::Echo => "/echo",
            Self::InTurn { .. } => "/a0/",
        }
    }

    fn script(self) -> String {
        match self {
            Self::Echo => {
                format!("wrk.method = \"POST\"\nwrk.body = string.rep(\"v\", 1048576)\n{SCRIPT}")
            }
            Self::InTurn { paths } => format!("local paths = {paths}\n{IN_TURN}{SCRIPT}"),
            _ => SCRIPT.to_owned(),
        }
    }

    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Hello { headers } => &HEADERS[..headers - 1],
            Self::Reads => &HEADERS[..2],
            _ => &[],
        }
    }
}

/// Plays a load against a server.
///
/// # Errors
/// If wrk is missing, or if a request failed.
pub fn play(load: Load, clients: Clients, server: &Running) -> io::Result<Figures> {
    let folder = TempDir::new()?;
    let script = folder.path().join("load.lua");
    std::fs::write(&script, load.script())?;
    let mut command: Command = pinned(Path::new("wrk"), clients.cpu);
    command
        .args(["-t", &clients.threads.to_string()])
        .args(["-c", &clients.connections.to_string()])
        .args(["-d", &format!("{}s", clients.time.as_secs())])
        .args(["--timeout", "10s", "-s"])
        .arg(&script);
    for (name, value) in load.headers() {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    command.arg(format!("http://{}{}", server.addr, load.path()));
    let before = process::cpu(server.pid())?;
    let output = command.output().map_err(|error| {
        io::Error::other(format!(
            "wrk does not run: {error}; install Debian's package `wrk`"
        ))
    })?;
    let cpu = process::cpu(server.pid())? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text
        .lines()
        .find_map(|line| line.strip_prefix("figures "))
        .map(|line| {
            line.split(' ')
                .filter_map(|word| word.parse().ok())
                .collect()
        })
        .unwrap_or_default();
    let &[requests, micros, p99, errors] = &*figures else {
        return Err(io::Error::other(format!("wrk printed no figures:\n{text}")));
    };
    if errors > 0.0 || requests == 0.0 {
        return Err(io::Error::other(format!(
            "{errors} of {requests} requests to {} failed:\n{text}",
            load.path()
        )));
    }
    Ok(Figures {
        requests,
        cpu: cpu.as_secs_f64() * 1e6 / requests,
        rate: requests * 1e6 / micros,
        p99,
    })
}
