//! The tables of requests: what each server pays for one. `main` measures them one after the other.

use crate::{
    load::{self, Clients, Figures, Load},
    programs,
    subject::{CLIENTS_CPU, Running, Server},
};
use std::{io, time::Duration};

/// A table: a load, and the servers that get it.
pub struct Table {
    /// Its title.
    pub title: &'static str,
    load: Load,
    /// Threads of a server.
    threads: usize,
    connections: usize,
    /// The others are compared with the first one.
    servers: &'static [Server],
}

const ALL: &[Server] = &[
    Server::HyperTokio,
    Server::HyperSmol,
    Server::Axum,
    Server::AsyncH1,
    Server::Nginx,
    Server::ValorBare,
    Server::ValorCompiled,
    Server::ValorNative,
];
const OF_KINDS: &[Server] = &[
    Server::ValorNative,
    Server::ValorWasm,
    Server::ValorWasmFresh,
];
const WITH_NEW_INSTANCES: &[Server] = &[
    Server::WasmtimeServe,
    Server::ValorWasmFresh,
    Server::ValorWasi2,
];
const OF_PROGRAMS: &[Server] = &[
    Server::ValorNative,
    Server::ValorWasm,
    Server::ValorJs,
    Server::NginxLua,
    Server::Caddy,
];
const PROXIES: &[Server] = &[Server::NginxProxy, Server::ValorProxy];
const OF_COMPONENTS: &[Server] = &[
    Server::ValorNative,
    Server::ValorWasi3,
    Server::ValorWasi2,
    Server::WasmtimeServe,
];
const OF_SCRIPTS: &[Server] = &[
    Server::DenoServe,
    Server::ValorJs,
    Server::Workerd,
    Server::Node,
];
const THAT_READ: &[Server] = &[
    Server::Axum,
    Server::ValorCompiled,
    Server::ValorNative,
    Server::ValorWasm,
];
const WITH_BODIES: &[Server] = &[
    Server::HyperTokio,
    Server::HyperSmol,
    Server::ValorBare,
    Server::ValorCompiled,
    Server::ValorNative,
];

/// All of them.
pub const TABLES: &[Table] = &[
    Table {
        title: "hello, 1 header, 1 thread",
        load: Load::Hello { headers: 1 },
        threads: 1,
        connections: 32,
        servers: ALL,
    },
    Table {
        title: "hello, 12 headers, 1 thread",
        load: Load::Hello { headers: 12 },
        threads: 1,
        connections: 32,
        servers: ALL,
    },
    Table {
        title: "hello, 1 header, 2 threads",
        load: Load::Hello { headers: 1 },
        threads: 2,
        connections: 32,
        servers: ALL,
    },
    Table {
        title: "path, query and a header read, JSON answered, 1 thread",
        load: Load::Reads,
        threads: 1,
        connections: 32,
        servers: THAT_READ,
    },
    Table {
        title: "WebAssembly: hello, 1 header, 1 thread",
        load: Load::Hello { headers: 1 },
        threads: 1,
        connections: 32,
        servers: OF_KINDS,
    },
    Table {
        title: "components: hello, 1 header, 1 thread",
        load: Load::Hello { headers: 1 },
        threads: 1,
        connections: 32,
        servers: OF_COMPONENTS,
    },
    Table {
        title: "each request a new instance: hello, 1 header, 1 thread",
        load: Load::Hello { headers: 1 },
        threads: 1,
        connections: 32,
        servers: WITH_NEW_INSTANCES,
    },
    Table {
        title: "a hello that a program answers, 1 header, 1 core",
        load: Load::Hello { headers: 1 },
        threads: 1,
        connections: 32,
        servers: OF_PROGRAMS,
    },
    Table {
        title: "proxied: hello, 1 header, 1 thread",
        load: Load::Hello { headers: 1 },
        threads: 1,
        connections: 32,
        servers: PROXIES,
    },
    Table {
        title: "JavaScript: hello, 1 header",
        load: Load::Hello { headers: 1 },
        threads: 2,
        connections: 32,
        servers: OF_SCRIPTS,
    },
    Table {
        title: "download of 1 MiB, 1 thread",
        load: Load::Download,
        threads: 1,
        connections: 8,
        servers: WITH_BODIES,
    },
    Table {
        title: "echo of 1 MiB, 1 thread",
        load: Load::Echo,
        threads: 1,
        connections: 8,
        servers: WITH_BODIES,
    },
];

/// Measures a table, and returns it as Markdown.
///
/// # Errors
/// If a server or wrk does not run, or if a request fails.
pub fn measure(table: &Table, rounds: usize, seconds: u64) -> io::Result<String> {
    // The server's one thread has one processor, and the clients have the other.
    let (server_cpu, clients_cpu) = match table.threads {
        1 => (Some(0), Some(CLIENTS_CPU)),
        _ => (None, None),
    };
    let clients = Clients {
        connections: table.connections,
        threads: 1,
        cpu: clients_cpu,
        time: Duration::from_secs(seconds),
    };
    let servers = there(table.servers);
    let start = |server: &Server| Running::start(*server, table.threads, server_cpu);
    let running = servers.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    let warm = Clients {
        time: Duration::from_secs(1),
        ..clients
    };
    for server in &running {
        load::play(table.load, warm, server)?;
    }
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); running.len()];
    for _ in 0..rounds {
        for (server, figures) in running.iter().zip(&mut figures) {
            figures.push(load::play(table.load, clients, server)?);
        }
    }
    let mut text = format!(
        "\n### {}\n\n| server | CPU µs per request | ratio | requests per second | ratio | p99 µs | ratio |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
        table.title
    );
    for (server, rounds) in servers.iter().zip(&figures) {
        let cell = |of: fn(&Figures) -> f64, places: usize| {
            let value = median(rounds.iter().map(of));
            let ratio = median(rounds.iter().zip(&figures[0]).map(|(a, b)| of(a) / of(b)));
            format!("{value:.places$} | {ratio:.2}")
        };
        text += &format!(
            "| {} | {} | {} | {} |\n",
            server.title(),
            cell(|f| f.cpu, 2),
            cell(|f| f.rate, 0),
            cell(|f| f.p99, 0)
        );
    }
    Ok(text)
}

/// Those that run on this machine. The others are said to be left out, and what they need.
pub fn there(servers: &[Server]) -> Vec<Server> {
    let is_there = |server: &&Server| match programs::lacking(**server) {
        Some(lacking) => {
            eprintln!("left out: {lacking}");
            false
        }
        None => true,
    };
    servers.iter().filter(is_there).copied().collect()
}

/// The median.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
