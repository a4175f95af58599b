//! Modules in a process that gets few addresses from its system (`ulimit -v`). This is a separate program, because the
//! limit applies to the whole process.
#![cfg(all(feature = "wasm", target_os = "linux"))]

use futures_lite::future::block_on;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Mutex;
use valor_runtime::{Definition, Kind, Runtime, http};

const HELLO: &str = include_str!("wasm/hello.wat");
const GIB: u64 = 1 << 30;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("valor::")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            LINES.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn modules_run_with_few_addresses() {
    log::set_logger(&Log).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let few = Rlimit {
        current: Some(4 * GIB),
        ..getrlimit(Resource::As)
    };
    setrlimit(Resource::As, few).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hello.wasm");
    // Its memory grows page by page, so it has to move.
    let grows = "(drop (memory.grow (i32.const 100))) (call $respond (local.get $id)";
    let text = HELLO.replace("(call $respond (local.get $id)", grows);
    std::fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
    let runtime = Runtime::builder().build().unwrap();
    // More than would fit with 4 GiB of addresses each.
    for number in 0..20 {
        let mut definition = Definition::new(Kind::Wasm, format!("hello{number}"));
        definition.path = Some(file.clone());
        block_on(runtime.load(&definition)).unwrap();
    }
    for round in 0..3 {
        for number in 0..20 {
            let url = format!("http://localhost/hello{number}");
            let answering = runtime.handle(http::Request::new(http::Method::Get, &*url));
            let mut res = block_on(answering);
            assert_eq!(
                block_on(res.body_string()).unwrap(),
                "hi",
                "{number} in round {round}"
            );
        }
    }
    let lines = LINES.lock().unwrap();
    let of_it = |line: &&String| line.contains("ulimit -v");
    assert_eq!(lines.iter().filter(of_it).count(), 1, "{lines:?}");
}
