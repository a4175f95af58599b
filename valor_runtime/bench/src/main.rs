//! Measures Valor's server beside its peers on this machine, and prints a table.
//!
//! ```sh
//! cargo run --profile measure -p valor_bench
//! ```
//!
//! Every figure also comes as a ratio to hyper's, measured in the same round. The servers take turns, so that
//! everything else on the machine disturbs all of them alike.

mod calls;
mod copies;
mod footprint;
mod load;
mod machine;
mod many;
mod neighbours;
mod packaged;
mod peers;
mod percentiles;
mod process;
mod programs;
mod subject;
mod throughput;
mod valor;

use clap::{Parser, Subcommand};
use std::{error::Error, net::TcpListener, process::ExitCode};
use subject::Server;

#[derive(Parser)]
#[command(about = "Measures Valor's server beside its peers")]
struct Args {
    #[command(subcommand)]
    command: Option<What>,
    /// How often every server has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of a turn
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Measure only what has this in its name, for example `hello` or `idle connections`
    #[arg(long, default_value = "")]
    only: String,
}

#[derive(Subcommand)]
enum What {
    /// Be one of the servers
    #[command(hide = true)]
    Serve {
        server: Server,
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    if let Some(What::Serve { server, threads }) = args.command {
        return serve(server, threads);
    }
    valor::build()?;
    println!("{}", machine::describe());
    let is_wanted = |title: &str| title.contains(&args.only);
    for table in throughput::TABLES {
        if is_wanted(table.title) {
            print!("{}", throughput::measure(table, args.rounds, args.seconds)?);
        }
    }
    for (title, measure) in footprint::ALL {
        if is_wanted(title) {
            measure()?;
        }
    }
    Ok(())
}

fn serve(server: Server, threads: usize) -> Result<(), Box<dyn Error>> {
    if server.is_valor() {
        return valor::serve(server, threads);
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    Ok(peers::serve(server, listener, threads)?)
}
