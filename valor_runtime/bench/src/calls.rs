//! Calls without a server: what a kind of vlugin adds to a request that was never on a socket. `main` prints this as
//! one of its tables.

use crate::{subject::Server, valor};
use smol::{block_on, future};
use std::{io, sync::Arc, time::Instant};
use valor_runtime::{Request, Vlugin};

/// Calls in a row, before the next kind has its turn.
const TURN: usize = 5_000;
const TURNS: usize = 40;

/// The kinds take turns, over and over. The best turn counts: it is the one that nothing disturbed.
///
/// # Errors
/// If a vlugin cannot be loaded, or does not answer.
pub fn measure() -> io::Result<()> {
    let kinds = [
        Server::ValorCompiled,
        Server::ValorNative,
        Server::ValorWasm,
        Server::ValorWasmFresh,
        Server::ValorWasi3,
        Server::ValorWasi2,
    ];
    println!("\n### calls without a socket\n");
    println!("| vlugin | µs per call | ratio |\n|---|---:|---:|");
    block_on(async {
        let mut vlugins: Vec<Arc<dyn Vlugin>> = Vec::new();
        for kind in kinds {
            let vlugin = valor::vlugin(kind).await;
            vlugins.push(vlugin.map_err(|error| io::Error::other(error.to_string()))?);
        }
        let mut best = [f64::INFINITY; 6];
        for _ in 0..TURNS {
            for (vlugin, best) in vlugins.iter().zip(&mut best) {
                let begin = Instant::now();
                for _ in 0..TURN {
                    call(vlugin).await?;
                }
                let each = begin.elapsed().as_secs_f64() * 1e6 / TURN as f64;
                *best = best.min(each);
                future::yield_now().await;
            }
        }
        for (kind, each) in kinds.iter().zip(best) {
            println!("| {} | {each:.2} | {:.2} |", kind.title(), each / best[1]);
        }
        Ok(())
    })
}

async fn call(vlugin: &Arc<dyn Vlugin>) -> io::Result<()> {
    let failed = |what: String| io::Error::other(format!("the call failed: {what}"));
    let mut request = Request::new("GET", "/hello").map_err(|error| failed(error.to_string()))?;
    let _ = request.head.push("host", b"127.0.0.1:8080");
    let answered = vlugin.clone().on_request(request).await;
    let response = answered.map_err(|fault| failed(fault.to_string()))?;
    match response.head.status() {
        200 => Ok(()),
        status => Err(failed(format!("status {status}"))),
    }
}
