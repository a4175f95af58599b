//! Holds one conversation with libraries from some compiler, and prints a row of a table: this program's compiler,
//! theirs, and a word for each step. `.ci/matrix` runs it for every pair of compilers. The exit status is 1 if an
//! answer is not the expected one; it stops there.
//!
//! ```sh
//! cargo build --workspace && (cd valor_runtime/tests/fixtures && cargo build -p misbehaving)
//! valor_matrix --plugins target/debug --plugins valor_runtime/tests/fixtures/target/debug
//! ```

#![forbid(unsafe_code)]

mod conversation;
mod lines;

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};
use valor_runtime::Kind;

#[derive(Parser)]
#[command(about = "Holds one conversation with vlugins that other compilers built")]
struct Args {
    /// A folder with libraries; may be given several times
    #[arg(long, required = true)]
    plugins: Vec<PathBuf>,
    /// Print the table's header first
    #[arg(long)]
    head: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let names = conversation::STEPS.map(|(name, _)| name);
    if args.head {
        println!("| host | vlugins | {} |", names.join(" | "));
        println!("|---|---|{}", "---|".repeat(names.len()));
    }
    match conversation::hold(Kind::Native, &args.plugins) {
        Ok((host, vlugins)) => {
            println!("| {host} | {vlugins} |{}", " yes |".repeat(names.len()));
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("valor_matrix: {fault}");
            ExitCode::FAILURE
        }
    }
}
