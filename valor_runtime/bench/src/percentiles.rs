//! The times of requests at a fixed rate. `wrk` sends a request when the last one is answered, so a server that stalls
//! gets fewer of them, and says little about times. Here the client is `oha`: it sends at a rate that every server can
//! serve, and a request's time begins when the rate asks for it, even if no connection is free by then. `main` prints
//! this as one of its tables.

use crate::{
    footprint::clients,
    load::{self, Load},
    programs,
    subject::{CLIENTS_CPU, Running, Server, pinned},
    throughput::{median, there},
};
use serde::Deserialize;
use std::{collections::BTreeMap, io, path::Path};

const SERVERS: &[Server] = &[
    Server::HyperTokio,
    Server::Nginx,
    Server::ValorNative,
    Server::ValorWasm,
    Server::ValorJs,
];

/// The rate, as a part of what the slowest of them serves at most.
const PART: f64 = 0.5;
const ROUNDS: usize = 5;
const SECONDS: u64 = 5;
const CONNECTIONS: usize = 32;
const ORIGIN: &str = "`cargo install oha --version 1.16.0 --locked`";
const PERCENTILES: [&str; 4] = ["p50", "p90", "p99", "p99.9"];

/// What is read of the JSON that `oha` prints.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    summary: Summary,
    latency_percentiles: BTreeMap<String, f64>,
    status_code_distribution: BTreeMap<String, u64>,
    error_distribution: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    requests_per_sec: f64,
}

/// The servers take turns, all at the same rate.
///
/// # Errors
/// If a server, wrk or oha does not run, or if a request fails.
pub fn measure() -> io::Result<()> {
    let Some(oha) = programs::find("oha") else {
        eprintln!("left out: the percentiles; no `oha` on the PATH; get it with {ORIGIN}");
        return Ok(());
    };
    let servers = there(SERVERS);
    let start = |server: &Server| Running::start(*server, 1, Some(0));
    let running = servers.iter().map(start).collect::<io::Result<Vec<_>>>()?;
    let mut slowest = f64::INFINITY;
    for server in &running {
        let most = || load::play(Load::Hello { headers: 1 }, clients(CONNECTIONS, 2), server);
        // The second time, it is warm.
        slowest = slowest.min(most()?.rate.max(most()?.rate));
    }
    let rate = (slowest * PART / 100.0).round() * 100.0;
    let mut seen: Vec<Vec<Seen>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (server, seen) in running.iter().zip(&mut seen) {
            seen.push(at(&oha, rate, server)?);
        }
    }
    println!("\n### percentiles: hello at {rate:.0} requests per second, 1 header, 1 core\n");
    println!("| server | p50 µs | p90 µs | p99 µs | p99.9 µs | requests per second |");
    println!("|---|---:|---:|---:|---:|---:|");
    for (server, rounds) in servers.iter().zip(&seen) {
        let times = PERCENTILES.map(|name| {
            let times = rounds.iter().map(|seen| seen.latency_percentiles[name]);
            format!("{:.0}", median(times) * 1e6)
        });
        let reached = median(rounds.iter().map(|seen| seen.summary.requests_per_sec));
        println!(
            "| {} | {} | {reached:.0} |",
            server.title(),
            times.join(" | ")
        );
    }
    Ok(())
}

/// One turn.
fn at(oha: &Path, rate: f64, server: &Running) -> io::Result<Seen> {
    let output = pinned(oha, Some(CLIENTS_CPU))
        .args([
            "--no-tui",
            "--output-format",
            "json",
            "--latency-correction",
        ])
        .args(["-w", "--worker-threads", "1"])
        .args(["-z", &format!("{SECONDS}s")])
        .args(["-c", &CONNECTIONS.to_string()])
        .args(["-q", &rate.to_string()])
        .arg(format!("http://{}/hello", server.addr))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(io::Error::other(format!("oha failed: {said}")));
    }
    let seen: Seen = serde_json::from_str(&text)
        .map_err(|error| io::Error::other(format!("oha printed no figures: {error}:\n{text}")))?;
    let lacks = PERCENTILES
        .iter()
        .any(|name| !seen.latency_percentiles.contains_key(*name));
    let failed = seen
        .status_code_distribution
        .keys()
        .any(|code| code != "200");
    if lacks || failed || !seen.error_distribution.is_empty() {
        return Err(io::Error::other(format!(
            "not every request was answered: {seen:?}"
        )));
    }
    Ok(seen)
}
