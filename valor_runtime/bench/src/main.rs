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
mod plot;
mod process;
mod programs;
mod subject;
mod throughput;
mod valor;

use clap::{Parser, Subcommand};
use std::{error::Error, fs, net::TcpListener, path::PathBuf, process::ExitCode};
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
    /// Draw the tables that compare the CPU time of requests into this folder, one SVG each
    #[arg(long, value_name = "FOLDER")]
    plot: Option<PathBuf>,
    /// Measure nothing, and draw the tables of this page
    #[arg(long, value_name = "PAGE", requires = "plot")]
    from: Option<PathBuf>,
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
    if let Some(page) = &args.from {
        return draw(&args, &fs::read_to_string(page)?);
    }
    valor::build()?;
    println!("{}", machine::describe());
    let is_wanted = |title: &str| title.contains(&args.only);
    let mut page = String::new();
    for table in throughput::TABLES {
        if is_wanted(table.title) {
            let table = throughput::measure(table, args.rounds, args.seconds)?;
            print!("{table}");
            page.push_str(&table);
        }
    }
    for (title, measure) in footprint::ALL {
        if is_wanted(title) {
            measure()?;
        }
    }
    draw(&args, &page)
}

/// Draws the tables of a page, if that is wanted.
fn draw(args: &Args, page: &str) -> Result<(), Box<dyn Error>> {
    if let Some(folder) = &args.plot {
        let mut tables = plot::tables(page);
        tables.retain(|table| table.title.contains(&args.only));
        plot::write(folder, &tables)?;
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
