//! Guests that make the host copy, keep or begin too much for them. Whatever they do within their limits, the host
//! holds no more for them than `limits` says, and releases everything with the instance.
//!
//! A separate program, because the tests measure the memory of the whole process.
#![cfg(feature = "wasm")]

use futures_lite::{AsyncReadExt, future::block_on};
use peak_alloc::PeakAlloc;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use valor_runtime::{Definition, Runtime, RuntimeError, http};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// How much the host may hold for the guest in these tests.
const LIMIT: usize = 4 << 20;
/// How much of the process's memory one flood may take: a copy or two of what counts, and the host's own needs.
const BOUND: usize = 3 * LIMIT + (8 << 20);

/// One at a time, because all of them measure the same memory.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = record.args().to_string();
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// The lines of the log since the last call.
fn lines() -> Vec<String> {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    std::mem::take(&mut LINES.lock().unwrap())
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A message without a body, or the start of one whose body fills the rest of its block.
fn message(head: &[u8], flags: u32) -> Vec<u8> {
    let mut message = (head.len() as u32).to_le_bytes().to_vec();
    message.extend_from_slice(&flags.to_le_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(head);
    message
}

/// A response of 200 with a header whose value has this many bytes.
fn response(flags: u32, header: u32) -> Vec<u8> {
    let mut head = vec![2, 11, 200, 0, 0, 0, 0, 0, u8::from(header > 0), 0, 0, 0];
    if header > 0 {
        head.extend_from_slice(&[1, 0]);
        head.extend_from_slice(&header.to_le_bytes());
        head.push(b'a');
        // Unwritten memory has zeros, which no value may contain, so the guest fills it.
    }
    let mut message = message(&head, flags);
    let len = head.len() as u32 + header;
    message[..4].copy_from_slice(&len.to_le_bytes());
    message
}

/// The places of things in a guest's memory.
const WHOLE: u32 = 1024;
const PIECES: u32 = 2048;
const FETCH: u32 = 3072;
const LARGE_HEAD: u32 = 1 << 20;
/// From here on there are letters.
const LETTERS: u32 = 65536;
const PAGES: u32 = 256;
const MIB: u32 = 1 << 20;

/// A guest that does this at each request. Then it answers `ok`, unless it has already answered.
fn guest(flood: &str) -> String {
    let mut fetch = vec![1, 11, 0, 0, 19, 0, 0, 0, 0, 0, 3, 0];
    fetch.extend_from_slice(b"GEThttp://127.0.0.1:9/");
    let mut ok = response(0, 0);
    ok.extend_from_slice(b"ok");
    let (whole, pieces, fetch, large) = (
        escaped(&ok),
        escaped(&response(1, 0)),
        escaped(&message(&fetch, 0)),
        escaped(&response(0, MIB)),
    );
    format!(
        r#"(module
  (import "valor1" "ready" (func $ready (param i32 i32)))
  (import "valor1" "respond" (func $respond (param i32 i32 i32)))
  (import "valor1" "write" (func $write (param i32 i32 i32 i32)))
  (import "valor1" "fetch" (func $fetch (param i32 i32 i32 i32 i32)))
  (import "valor1" "abort" (func $abort (param i32)))
  (import "valor1" "timer" (func $timer (param i32 f64)))
  (import "valor1" "wake" (func $wake))
  (import "valor1" "log" (func $log (param i32 i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") {PAGES})
  (global $n (mut i32) (i32.const 0))
  (global $polls (mut i32) (i32.const 0))
  (global $id (mut i32) (i32.const 0))
  (data (i32.const {WHOLE}) "{whole}")
  (data (i32.const {PIECES}) "{pieces}")
  (data (i32.const {FETCH}) "{fetch}")
  (func $letters (memory.fill (i32.const {LETTERS}) (i32.const 120) (i32.const {letters})))
  (data $large "{large}")
  (func $large_head
    (memory.init $large (i32.const {LARGE_HEAD}) (i32.const 0) (i32.const {large_len}))
    (call $respond (global.get $id) (i32.const {LARGE_HEAD}) (i32.const {large_message})))
  (func $ok (call $respond (global.get $id) (i32.const {WHOLE}) (i32.const 30)))
  (func (export "valor_abi") (result i32) (i32.const 1))
  (func (export "valor_alloc") (param i32) (result i32) (i32.const 8192))
  (func (export "valor_free") (param i32 i32))
  (func (export "valor_init") (param i32 i32) (call $letters) (call $ready (i32.const 0) (i32.const 0)))
  (func (export "valor_request") (param $id i32) (param i32 i32)
    (global.set $id (local.get $id)) (global.set $n (i32.const 0))
    {flood}
    (call $ok))
  (func (export "valor_body") (param i32 i32 i32 i32))
  (func (export "valor_fetch_response") (param i32 i32 i32))
  (func (export "valor_writable") (param i32 i32))
  (func (export "valor_timer") (param i32))
  (func (export "valor_cancel") (param i32))
  (func (export "valor_poll") (global.set $polls (i32.add (global.get $polls) (i32.const 1)))))"#,
        letters = PAGES * 65536 - LETTERS,
        large_len = response(0, MIB).len(),
        large_message = response(0, MIB).len() as u32 + MIB,
    )
}

/// This many times, with `$n` counting from 0.
fn times(times: u32, what: &str) -> String {
    format!(
        "(loop $again {what} (global.set $n (i32.add (global.get $n) (i32.const 1)))
           (br_if $again (i32.lt_u (global.get $n) (i32.const {times}))))"
    )
}

/// A fetch with the number `$n` and this many bytes.
fn fetch(bytes: u32) -> String {
    format!(
        "(call $fetch (i32.or (global.get $n) (i32.const 0x80000000))
           (i32.const 0) (i32.const 0) (i32.const {FETCH}) (i32.const {bytes}))"
    )
}

fn definition(folder: &tempfile::TempDir, text: &str) -> Definition {
    let file = folder.path().join("flood.wasm");
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    let limits = json!({ "host_memory": LIMIT, "timers": 1000, "cpu": 60, "timeout": 600 });
    let definition = json!({ "type": "wasm", "name": "flood", "path": file, "limits": limits });
    serde_json::from_value(definition).unwrap()
}

fn load(text: &str) -> Result<Arc<Runtime>, RuntimeError> {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::builder().build().unwrap();
    block_on(runtime.load(&definition(&folder, text)))?;
    Ok(runtime)
}

async fn ask(runtime: &Runtime) -> http::Response {
    let url = "http://localhost/flood";
    runtime
        .handle(http::Request::new(http::Method::Get, url))
        .await
}

/// The status of an answer, and the readable part of its body.
async fn answer(runtime: &Runtime) -> (u16, String) {
    let mut res = ask(runtime).await;
    let text = res.body_string().await;
    (
        res.status().into(),
        text.unwrap_or_else(|error| error.to_string()),
    )
}

/// How a flood ends.
enum End {
    /// The instance ends, with a line that names this.
    Ends(&'static str),
    /// The guest answers, and lives on.
    Answers,
}
use End::{Answers, Ends};

#[test]
fn no_flood_has_the_host_hold_more_than_the_limit() {
    let _alone = alone();
    let write = |flags: u32, bytes: u32| {
        let respond =
            format!("(call $respond (global.get $id) (i32.const {PIECES}) (i32.const 28))");
        let write = format!(
            "(call $write (global.get $id) (i32.const {LETTERS}) (i32.const {bytes}) (i32.const {flags}))"
        );
        respond + &times(100, &write)
    };
    let abort = "(call $abort (i32.or (global.get $n) (i32.const 0x80000000)))";
    let timer = |id: &str| format!("(call $timer {id} (f64.const 9e15))");
    let log = format!(
        "(call $log (i32.const 3) (i32.const {LETTERS}) (i32.const {MIB}) (i32.const {LETTERS}) (i32.const {})
           (i32.const {LETTERS}) (i32.const {MIB}) (i32.const 0))",
        8 * MIB
    );
    let floods = [
        (
            "large fetches",
            times(100, &fetch(MIB)),
            Ends("host_memory"),
        ),
        (
            "small fetches",
            times(100_000, &fetch(50)),
            Ends("host_memory"),
        ),
        (
            "fetches that are taken back",
            times(100, &(fetch(MIB) + abort)),
            Ends("host_memory"),
        ),
        (
            "a call of a long name",
            format!(
                "(call $fetch (i32.const 0x80000000) (i32.const {LETTERS}) (i32.const {}) (i32.const {FETCH}) \
                 (i32.const 50))",
                8 * MIB
            ),
            Answers,
        ),
        (
            "timers",
            times(1_000_000, &timer("(global.get $n)")),
            Ends("timers"),
        ),
        (
            "one timer",
            times(100_000, &timer("(i32.const 1)")),
            Answers,
        ),
        (
            "timers that are taken back",
            times(
                100_000,
                &(timer("(global.get $n)") + "(call $timer (global.get $n) (f64.const -1))"),
            ),
            Answers,
        ),
        ("wakes", times(100_000, "(call $wake)"), Answers),
        ("log", times(30, &log), Answers),
        ("texts behind the end", write(4, 8 * MIB), Answers),
        (
            "a large response",
            format!(
                "(call $respond (global.get $id) (i32.const {WHOLE}) (i32.const {}))",
                8 * MIB
            ),
            Ends("host_memory"),
        ),
        (
            "a large head",
            "(call $large_head)".into(),
            Ends("a head of"),
        ),
        (
            "responses to nobody",
            times(
                1000,
                &format!(
                    "(call $respond (i32.const 12345) (i32.const {WHOLE}) (i32.const {}))",
                    8 * MIB
                ),
            ),
            Answers,
        ),
    ];
    for (name, flood, end) in floods {
        lines();
        let runtime = load(&guest(&flood)).unwrap();
        block_on(answer(&runtime));
        // Things that begin once, such as threads, have now begun.
        lines();
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        for _ in 0..3 {
            let (status, text) = block_on(answer(&runtime));
            let lines = lines();
            match end {
                Answers => {
                    assert_eq!(status, 200, "{name}: {text}");
                    assert!(!lines.iter().any(|line| line.contains("trapped")), "{name}");
                }
                Ends(why) => {
                    assert_eq!(status, 502, "{name}: {text}");
                    let of_it = |line: &&String| line.contains("trapped") && line.contains(why);
                    let count = lines.iter().filter(of_it).count();
                    // One line of the instance, and one of the request.
                    assert_eq!(count, 2, "{name}: {lines:?}");
                }
            }
            let longest = lines.iter().map(String::len).max().unwrap_or(0);
            assert!(longest < 20_000, "{name}: a line of {longest} bytes");
            drop(lines);
        }
        let peak = MEMORY.peak_usage().saturating_sub(before);
        assert!(peak < BOUND, "{name}: {peak} bytes");
        drop(runtime);
        let left = MEMORY.current_usage().saturating_sub(before);
        assert!(left < 1 << 20, "{name} leaves {left} bytes");
    }
}

#[test]
fn what_a_module_logs_is_held_to_a_rate() {
    let _alone = alone();
    let log = format!(
        "(call $log (i32.const 3) (i32.const {LETTERS}) (i32.const 1) (i32.const {LETTERS}) (i32.const 7)
           (i32.const {LETTERS}) (i32.const 1) (i32.const 0))"
    );
    // Lines left out in another test are reported a second later.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    lines();
    let runtime = load(&guest(&times(20_000, &log))).unwrap();
    assert_eq!(block_on(answer(&runtime)).0, 200);
    // Each line is logged or counted.
    let (mut logged, mut left_out) = (0, 0);
    while logged + left_out < 20_000 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        for line in lines() {
            match line.split_once(" lines of `flood` were left out") {
                Some((count, _)) => left_out += count.parse::<usize>().unwrap(),
                None => logged += usize::from(line == "xxxxxxx"),
            }
        }
    }
    assert_eq!(logged + left_out, 20_000);
    assert!(logged >= 2000 && left_out > 0, "{logged} {left_out}");
}

#[test]
fn a_creation_that_fails_with_a_long_text_ends() {
    let _alone = alone();
    let fault = |len: u32| {
        let text = guest("");
        let fault = format!(
            "(i32.store (i32.const {LETTERS}) (i32.const 0x01f60000))
             (i32.store offset=4 (i32.const {LETTERS}) (i32.const {}))
             (call $ready (i32.const {LETTERS}) (i32.const {len}))",
            len - 8
        );
        text.replace("(call $ready (i32.const 0) (i32.const 0))", &fault)
    };
    // The log line keeps 2000 characters of its message, and says how many bytes are left out.
    let left_out = format!("xxx… ({} more bytes)", MIB - 8 - 2000);
    for (len, part) in [(8 * MIB, "host_memory"), (MIB, &*left_out)] {
        let error = load(&fault(len)).map(drop).unwrap_err().to_string();
        assert!(error.contains(part), "{}", &error[..error.len().min(2000)]);
        assert!(error.len() < 20_000, "{} bytes", error.len());
    }
}

#[test]
fn all_wakes_before_a_poll_are_one_poll() {
    let _alone = alone();
    // The answer comes a while later. It is the number of polls until then.
    let flood =
        times(1000, "(call $wake)") + "(call $timer (i32.const 1) (f64.const 100)) (return)";
    let answer_later = format!(
        r#"(func (export "valor_timer") (param i32)
             (i32.store8 (i32.const {}) (i32.add (global.get $polls) (i32.const 48))) (call $ok))"#,
        WHOLE + 28
    );
    let text = guest(&flood).replace(
        r#"(func (export "valor_timer") (param i32))"#,
        &answer_later,
    );
    let runtime = load(&text).unwrap();
    for polls in ["1k", "2k"] {
        assert_eq!(block_on(answer(&runtime)), (200, polls.into()));
    }
}

#[test]
fn clients_that_do_not_read_get_no_more_and_end_nothing() {
    let _alone = alone();
    let flood = format!(
        "(call $respond (global.get $id) (i32.const {WHOLE}) (i32.const {}))",
        MIB + 28
    );
    let runtime = load(&guest(&flood)).unwrap();
    lines();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let answers: Vec<_> = (0..30).map(|_| block_on(ask(&runtime))).collect();
    let peak = MEMORY.peak_usage().saturating_sub(before);
    assert!(peak < BOUND, "{peak} bytes");
    let (held, refused): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .partition(|res| u16::from(res.status()) == 200);
    assert!(
        (2..=4).contains(&held.len()),
        "{} have an answer",
        held.len()
    );
    for res in refused {
        assert_eq!(u16::from(res.status()), 503);
        assert!(res.header("retry-after").is_some());
    }
    assert!(lines().iter().all(|line| !line.contains("trapped")));
    for mut res in held {
        let mut body = Vec::new();
        block_on(res.take_body().read_to_end(&mut body)).unwrap();
        assert_eq!(body.len(), MIB as usize);
    }
    assert_eq!(block_on(answer(&runtime)).0, 200);
}
