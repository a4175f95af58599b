//! What a request costs among 10 vlugins and among 10,000: `cargo bench -p valor_runtime`.
//!
//! Both runtimes answer in turn within one run, so that a machine whose speed drifts gives the
//! same ratio. Printed are the median of the rounds and the ratio of the two.

use futures_lite::future::block_on;
use std::{sync::Arc, time::Instant};
use valor_runtime::{Place, Request, Response, Runtime, Vlugin, from_fn};

const ROUNDS: usize = 41;
const REQUESTS: usize = 2000;

fn main() {
    let sizes = [10, 10_000];
    let runtimes = sizes.map(runtime_of);
    println!("nanoseconds for a request through the runtime, {ROUNDS} rounds in turn");
    for (what, path) in [
        ("the first vlugin", "/v0"),
        ("a vlugin three segments deep", "/group/7/v7/and/more?x=1"),
        ("no vlugin (404)", "/nowhere/at/all"),
        ("a path of 2,000 segments", &"/a".repeat(2000)),
    ] {
        let mut times = sizes.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (runtime, times) in runtimes.iter().zip(&mut times) {
                times.push(round(runtime, path));
            }
        }
        let [few, many] = times.map(median);
        println!(
            "{what:>30}: {few:>7.0} among {}, {many:>7.0} among {}, ratio {:.2}",
            sizes[0],
            sizes[1],
            many / few
        );
    }
}

/// Half of the vlugins at `/v0`, `/v1`, …, half at `/group/7/v7`.
fn runtime_of(vlugins: usize) -> Arc<Runtime> {
    let runtime = Runtime::builder().build().expect("a runtime");
    let hello = from_fn(|_| async { Ok(Response::new(200)) });
    let places = (0..vlugins / 2).flat_map(|n| {
        [
            Place::new(format!("v{n}")),
            Place::new(format!("g{n}")).prefix(format!("/group/{n}/v{n}")),
        ]
    });
    let all = places.map(|place| (place, hello.clone()));
    runtime.add_all(all).expect("places that differ");
    runtime
}

fn round(runtime: &Arc<Runtime>, path: &str) -> f64 {
    let start = Instant::now();
    for _ in 0..REQUESTS {
        let request = Request::new("GET", path).expect("a request");
        let response = block_on(runtime.clone().on_request(request));
        std::hint::black_box(&response);
    }
    start.elapsed().as_nanos() as f64 / REQUESTS as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
