//! Holds Valor's server under idle, slow and busy clients at once. The exit status is 1 if a busy client saw an
//! error, if a slow one was held for ever, or if the server's memory grew.
//!
//! ```sh
//! cargo run -p valor_endurance -- --seconds 300
//! ```
//!
//! The server is a separate process, so that its memory can be measured. Everything stays on loopback, and the busy
//! clients keep to a pace.

mod clients;
mod replace;
mod resources;
mod server;

use clap::{Parser, Subcommand};
use clients::{Clients, Load};
use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// How often memory is measured.
const SAMPLE: Duration = Duration::from_millis(250);

#[derive(Parser)]
#[command(about = "Holds Valor's server under idle, slow and busy clients at once")]
struct Args {
    #[command(subcommand)]
    command: Option<What>,
    /// How long memory is measured, after half a minute to warm up
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(30..=86_400))]
    seconds: u64,
    /// Connections that stay open and say nothing
    #[arg(long, default_value_t = 5000)]
    idle: usize,
    /// Connections that send a byte per second
    #[arg(long, default_value_t = 1000)]
    slow: usize,
    /// Connections that send requests all the time
    #[arg(long, default_value_t = 64)]
    busy: usize,
    /// The most requests per second from each busy client
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pace: u32,
}

#[derive(Subcommand)]
enum What {
    /// Replace a vlugin over and over under busy clients
    Replace(replace::Args),
    /// Be the server
    #[command(hide = true)]
    Serve,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Some(What::Serve) => server::serve(),
        Some(What::Replace(args)) => replace::run(&args).map_err(|error| error as _),
        None => endure(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The server's process. It ends with this one.
struct Server {
    child: Child,
    addr: String,
}

impl Server {
    fn start() -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().ok_or("the server has no output")?;
        let mut addr = String::new();
        BufReader::new(out).read_line(&mut addr)?;
        let addr = addr.trim().to_owned();
        Ok(Self { child, addr })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn endure(args: &Args) -> Result<(), Box<dyn Error>> {
    resources::allow_descriptors((args.idle + args.slow + args.busy + 100) as u64)?;
    let mut server = Server::start()?;
    let pid = server.child.id();
    let load = Load {
        addr: server.addr.parse()?,
        idle: args.idle,
        slow: args.slow,
        busy: args.busy,
        pause: Duration::from_secs(1) / args.pace,
    };
    let clients = Clients::start(load);
    let seen = clients.seen();

    let warm_up = server::IDLE + server::SLACK;
    println!(
        "{} idle, {} slow and {} busy connections; {} s to warm up, then {} s",
        args.idle,
        args.slow,
        args.busy,
        warm_up.as_secs(),
        args.seconds
    );
    let begin = Instant::now() + warm_up;
    let end = begin + Duration::from_secs(args.seconds);
    let mut samples = Vec::new();
    let mut told = Instant::now();
    while Instant::now() < end {
        std::thread::sleep(SAMPLE);
        if let Some(status) = server.child.try_wait()? {
            return Err(format!("the server ended: {status}").into());
        }
        let bytes = resources::resident(pid)?;
        if Instant::now() >= begin {
            samples.push(bytes);
        }
        if told.elapsed() >= Duration::from_secs(10) {
            told = Instant::now();
            println!("{seen}; {} KiB", bytes / 1024);
        }
    }
    let faults = seen.faults(args.slow);
    drop(clients);

    let quarter = samples.len() / 4;
    let first = median(&samples[..quarter]);
    let last = median(&samples[samples.len() - quarter..]);
    println!("{seen}");
    println!(
        "memory: {} KiB in the first quarter, {} KiB in the last",
        first / 1024,
        last / 1024
    );
    if let Some(fault) = faults.first() {
        return Err(format!("{} faults; the first: {fault}", faults.len()).into());
    }
    // A twentieth does not count as growth, nor does a MiB that an allocator keeps.
    if last > first + first / 20 + (1 << 20) {
        return Err(format!("the server's memory grew from {first} to {last} bytes").into());
    }
    println!("no busy client saw an error, no slow one was held, and memory is flat");
    Ok(())
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
