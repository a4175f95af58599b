//! Many requests at once on one instance, from one thread and from several.

use super::{get, guest, runtime};
use futures_lite::{StreamExt, future::block_on, stream};
use serde_json::Value;
use std::time::{Duration, Instant};

#[test]
fn a_hundred_requests_wait_at_once_on_one_instance() {
    let runtime = runtime(&guest(Value::Null));
    let start = Instant::now();
    block_on(async {
        let mut all: futures_util::stream::FuturesUnordered<_> = (0..100)
            .map(|_| get(&runtime, "/guest/sleep?n=300"))
            .collect();
        while let Some(answer) = all.next().await {
            assert_eq!(answer, (200, "slept".into()));
        }
        assert_eq!(get(&runtime, "/guest/count").await.1, "101");
    });
    // One after the other would take half a minute.
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn requests_from_several_threads_are_all_answered() {
    let runtime = runtime(&guest(Value::Null));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let runtime = runtime.clone();
            std::thread::spawn(move || {
                block_on(async {
                    for round in 0..200 {
                        let path = match (thread + round) % 4 {
                            0 => "/guest/sleep?n=1",
                            1 => "/guest/stream?n=300",
                            2 => "/guest/call?to=guest/",
                            _ => "/guest/random",
                        };
                        let (status, text) = get(&runtime, path).await;
                        assert_eq!(status, 200, "{path}: {text}");
                    }
                });
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn requests_come_and_go() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        // Each is dropped somewhere on its way.
        for polls in 0..200 {
            let mut asked = Box::pin(get(&runtime, "/guest/ticks?n=1000"));
            for _ in 0..polls % 5 {
                let _ = futures_lite::future::poll_once(&mut asked).await;
                stream::once(()).next().await;
            }
        }
        assert_eq!(get(&runtime, "/guest").await.0, 200);
    });
}
