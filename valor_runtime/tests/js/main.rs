//! JavaScript vlugins, run by Deno: conversations through a runtime, without a socket in front of it.
//!
//! The tests of `over_tcp` are the same, over the transport that Windows uses. All need a Deno: the one in
//! `VALOR_JS_TOOLS` (a `node_modules`), or the one on the PATH.

#![cfg(unix)]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../socket/mod.rs"]
mod socket;

mod confined;
#[cfg(target_os = "linux")]
mod descriptors;
mod ends;
mod examples;
mod imports;
mod link;
mod loading;
mod outbound;
mod over_tcp;
mod packages;
mod pinned;
mod requests;
mod responses;
mod workers;

use std::{
    cell::Cell,
    sync::{Arc, Mutex, Once, PoisonError},
    time::Duration,
};
use valor_runtime::{
    Body, Builder, Definition, Kind, Request, Response, Runtime, RuntimeError, Vlugin,
};

/// A folder with scripts, and a runtime that starts from there.
struct House {
    dir: tempfile::TempDir,
    runtime: Arc<Runtime>,
}

thread_local! {
    /// Whether the houses of this thread talk to their scripts over TCP.
    static OVER_TCP: Cell<bool> = const { Cell::new(false) };
}

impl House {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, |builder| builder)
    }

    fn with(files: &[(&str, &str)], more: impl FnOnce(Builder) -> Builder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let builder = Runtime::builder()
            .base_dir(dir.path())
            .deno(fixture::js_tool("deno"));
        let builder = match OVER_TCP.get() {
            true => builder.scripts_over_tcp(),
            false => builder,
        };
        Self {
            runtime: more(builder).build().unwrap(),
            dir,
        }
    }

    /// Loads a script by its definition's JSON, without the type.
    async fn load(&self, json: serde_json::Value) -> Result<(), RuntimeError> {
        let mut json = json;
        json["type"] = "js".into();
        let definition = Definition::from_json(&json.to_string()).unwrap();
        assert_eq!(definition.kind, Kind::Js);
        self.runtime.load(&definition).await
    }

    async fn ask(&self, request: Request) -> Response {
        self.runtime.clone().on_request(request).await.unwrap()
    }

    async fn get(&self, target: &str) -> (u16, String) {
        let response = self.ask(Request::new("GET", target).unwrap()).await;
        (response.head.status(), text(response.body).await)
    }
}

async fn text(body: Body) -> String {
    let bytes = body.bytes(1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the log, as `LEVEL vlugin module: message`.
struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let key = |name: &str| {
            let value = record.key_values().get(name.into());
            value.map_or_else(String::new, |value| value.to_string())
        };
        let (vlugin, module) = (key("vlugin"), key("module"));
        let line = format!("{} {vlugin} {module}: {}", record.level(), record.args());
        LINES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    fn flush(&self) {}
}

/// Keeps the log from here on.
fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Log).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// The lines so far that begin like this.
fn lines(start: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let found = lines.iter().filter(|line| line.starts_with(start));
    found.cloned().collect()
}

/// Waits for a line in the log that contains all of these.
fn logged(parts: &[&str]) -> String {
    for _ in 0..1000 {
        let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        let found = lines
            .iter()
            .find(|line| parts.iter().all(|part| line.contains(part)));
        if let Some(line) = found {
            return line.clone();
        }
        drop(lines);
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!(
        "no line has {parts:?}:\n{}",
        LINES
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    );
}
