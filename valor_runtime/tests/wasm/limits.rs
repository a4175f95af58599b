//! Each limit, and a guest that breaks it.

use super::{get, guest, runtime};
use futures_lite::future::{self, block_on};
use serde_json::Value;
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}", record.target(), record.args());
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

#[test]
fn the_log_has_the_functions_that_a_trap_was_in() {
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let mut definition = guest(Value::Null);
    definition.name = "told".into();
    let runtime = runtime(&definition);
    assert_eq!(block_on(get(&runtime, "/told/deep")).0, 502);
    let lines = LINES.lock().unwrap();
    let of_trap = |line: &&String| line.starts_with("valor::wasm the vlugin `told` trapped");
    let line = lines.iter().find(of_trap).expect("a line of the trap");
    for part in ["out of bounds memory access", "guest::deep"] {
        assert!(line.contains(part), "`{part}` is not in: {line}");
    }
}

#[test]
fn a_loop_without_end_is_ended_and_others_have_their_turn() {
    let mut endless = guest(Value::Null);
    endless.limits.cpu = Some(0.3);
    let runtime = runtime(&endless);
    let mut other = guest(Value::Null);
    other.name = "other".into();
    block_on(runtime.load(&other)).unwrap();
    // Both on this one thread.
    block_on(async {
        let turns = async {
            let mut turns = 0;
            loop {
                assert_eq!(get(&runtime, "/other").await.0, 200);
                turns += 1;
                future::yield_now().await;
                if turns == 10 {
                    return turns;
                }
            }
        };
        let (looping, turns) = future::zip(get(&runtime, "/guest/loop"), turns).await;
        assert_eq!((looping.0, turns), (504, 10));
        assert_eq!(get(&runtime, "/guest").await.0, 200);
    });
}

#[test]
fn work_with_pauses_may_take_longer_than_one_run() {
    let mut definition = guest(Value::Null);
    definition.limits.cpu = Some(60.0);
    let runtime = runtime(&definition);
    assert_eq!(block_on(get(&runtime, "/guest/burn?n=3")).1, "burnt");
}

#[test]
fn memory_is_limited_and_a_trap_takes_only_its_own_instance() {
    let mut definition = guest(Value::Null);
    definition.limits.memory = Some(16 << 20);
    let runtime = runtime(&definition);
    block_on(async {
        assert_eq!(get(&runtime, "/guest/grow?n=4").await, (200, "4".into()));
        assert!(get(&runtime, "/guest/grow?n=100").await.0 >= 500);
        assert_eq!(get(&runtime, "/guest/grow?n=4").await, (200, "4".into()));
        assert_eq!(get(&runtime, "/guest/deep").await.0, 502);
        assert_eq!(get(&runtime, "/guest").await.0, 200);
    });
}

#[test]
fn who_waits_for_an_instance_that_traps_gets_502() {
    let runtime = runtime(&guest(Value::Null));
    block_on(async {
        let waiting = get(&runtime, "/guest/sleep?n=60000");
        let trapping = async {
            future::yield_now().await;
            get(&runtime, "/guest/deep").await
        };
        let (waiting, trapping) = future::zip(waiting, trapping).await;
        assert_eq!((waiting.0, trapping.0), (502, 502));
    });
}

#[test]
fn what_an_instance_never_heard_of_is_answered_by_the_next() {
    let mut definition = guest(Value::Null);
    definition.limits.cpu = Some(0.2);
    let runtime = runtime(&definition);
    block_on(async {
        // The loop gives its thread back each tick, and what comes then waits for its end.
        let looping = get(&runtime, "/guest/loop");
        let after = async {
            future::yield_now().await;
            get(&runtime, "/guest/count").await
        };
        let (looping, after) = future::zip(looping, after).await;
        assert_eq!((looping.0, after), (504, (200, "1".into())));
    });
}

#[test]
fn the_time_until_a_response_is_limited() {
    let mut definition = guest(Value::Null);
    definition.limits.timeout = Some(0.2);
    let runtime = runtime(&definition);
    let start = Instant::now();
    assert_eq!(block_on(get(&runtime, "/guest/sleep?n=60000")).0, 504);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(block_on(get(&runtime, "/guest/dropped")).1, "1");
}

#[test]
fn instances_are_added_where_all_are_busy_and_more_are_allowed() {
    let mut definition = guest(Value::Null);
    definition.limits.instances = Some(2);
    definition.limits.cpu = Some(30.0);
    let runtime = runtime(&definition);
    // One thread is inside of the first instance: another one finds a second.
    let busy = {
        let runtime = runtime.clone();
        std::thread::spawn(move || block_on(get(&runtime, "/guest/loop")))
    };
    let start = Instant::now();
    while block_on(get(&runtime, "/guest/count")).1 != "1" {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(block_on(get(&runtime, "/guest/count")).1, "2");
    drop(busy);
}
