//! What a vlugin logs with `tracing`, as a library and as a module: its lines are in the host's log, with their level,
//! the module that they come from, and the vlugin's name.
#![cfg(feature = "wasm")]

mod fixture;

use std::sync::Mutex;
use valor_runtime::{Definition, Kind, Runtime, http};

/// The lines of vlugins: level, target, the values of the record, and text.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keep;

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if !record.target().starts_with("vlugin::") {
            return;
        }
        let module = record.key_values().get("module".into());
        let module = module.map(|it| it.to_string()).unwrap_or_default();
        let (level, target, text) = (record.level(), record.target(), record.args());
        let line = format!("{level} {target} {module}: {text}");
        assert!(record.file().is_some_and(|file| file.ends_with("lib.rs")));
        LINES.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

#[test]
fn events_are_lines_of_the_hosts_log() {
    log::set_logger(&Keep).expect("the only logger");
    log::set_max_level(log::LevelFilter::Info);
    let (library, module) = fixture::traced();
    let runtime = Runtime::builder().build().unwrap();
    for (kind, name, path) in [
        (Kind::Native, "library", library),
        (Kind::Wasm, "module", module),
    ] {
        let mut definition = Definition::new(kind, name);
        definition.path = Some(path);
        smol::block_on(runtime.load(&definition)).unwrap();
        let url = format!("http://localhost/{name}/7");
        let req = http::Request::new(http::Method::Get, &*url);
        let res = smol::block_on(runtime.handle(req));
        assert_eq!(res.status(), 200);
        let lines = std::mem::take(&mut *LINES.lock().unwrap());
        assert_eq!(
            lines,
            [
                format!(r#"WARN vlugin::{name} payments: order{{path="/7"}}: declined code=51"#),
                format!("INFO vlugin::{name} traced: a line of `log`"),
            ]
        );
    }
}
