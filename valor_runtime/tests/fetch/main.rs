//! Conversations with the host's HTTP client, over real sockets. The servers are written by hand, so the tests see
//! every byte on the wire.
//!
//! `futures_lite`'s `block_on` drives all futures. It knows nothing of smol, so what works here works under any
//! executor.

mod allow;
mod bodies;
mod connections;
mod heads;
mod limits;
mod server;
mod tls;
mod workers;

use futures_lite::future::block_on;
use server::Server;
use std::time::{Duration, Instant};
use valor_runtime::{
    Body, Fault, Request, Response,
    host::{
        allow::Allow,
        fetch::{FetchConfig, Fetcher},
    },
};

fn fetcher() -> Fetcher {
    Fetcher::new(FetchConfig::default()).unwrap()
}

fn get(url: &str) -> Request {
    Request::new("GET", url).unwrap()
}

fn post(url: &str, body: impl Into<Body>) -> Request {
    let mut request = Request::new("POST", url).unwrap();
    request.body = body.into();
    request
}

fn fetch(fetcher: &Fetcher, request: Request) -> Result<Response, Fault> {
    block_on(fetcher.fetch(request, &Allow::all()))
}

fn text(response: Response) -> String {
    let bytes = block_on(response.body.bytes(usize::MAX)).unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Waits for something that other threads do.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
