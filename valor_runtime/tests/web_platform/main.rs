//! Files of the web-platform tests, each as a JavaScript vlugin: the same file in Deno behind Valor's server, and in
//! Chromium's service worker. `files.json` says which are played, and why others are not. `expected.json` says what
//! passes in each. A test that passes no longer is a failure. So is a test that passes now and is not noted:
//! `VALOR_WPT_UPDATE=1` writes it down.
//!
//! It needs Deno, from the `node_modules` that `VALOR_JS_TOOLS` names, Debian's package chromium, and in `VALOR_WPT`
//! the folder with the tests that `.ci/tools` makes. docs/src/js.md has the counts.

#[path = "../conformance/chromium.rs"]
#[allow(dead_code, reason = "the conformance suite asks more of it")]
mod chromium;
#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "../conformance/hosts.rs"]
#[allow(dead_code, reason = "the conformance suite asks more of a host")]
mod hosts;
#[path = "../socket/mod.rs"]
mod socket;

mod expected;
mod list;
mod server;
mod vlugin;

use chromium::{Beside, Chromium};
use expected::{Found, OfHost, Results};
use hosts::{Ask, Host, Served, serve_fn};
use list::Area;
use serde_json::{Value, json};
use server::Wpt;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    thread,
};
use valor_runtime::{Definition, Kind};

/// WPT's harness for interfaces calls `eval`, and some tests fetch `data:` and `blob:`.
const CSP: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval'; \
    connect-src 'self' data: blob: http://127.0.0.1:*";

/// How many vlugins are loaded into Deno at once; they share a process.
const LOADED: usize = 12;

#[test]
fn what_passed_of_the_web_platform_tests_still_passes() {
    let wpt = vlugin::wpt();
    let areas = list::areas(&wpt);
    let only = std::env::var("WPT_FILES").unwrap_or_default();
    let files = areas.iter().flat_map(|area| &area.files);
    let files: Vec<_> = files.filter(|it| it.contains(&only)).cloned().collect();
    let wpt_server = Wpt::new(&wpt);
    let folder = tempfile::tempdir().expect("a folder");
    let harness = vlugin::write_harness(&wpt, folder.path());
    let written = files
        .iter()
        .map(|it| vlugin::write(&wpt, it, folder.path()));
    let written: Vec<_> = written.collect();

    let (deno, page) = thread::scope(|scope| {
        let deno = scope.spawn(|| in_deno(&files, wpt_server.clone(), folder.path()));
        let page = in_chromium(&files, wpt_server.clone(), &harness, &written);
        (deno.join().expect("Deno's results"), page)
    });
    let of = |program, files| OfHost {
        version: version(program),
        files,
    };
    let deno = of(fixture::js_tool("deno"), deno);
    let page = of("chromium".into(), page);
    let found = BTreeMap::from([("Deno", deno), ("Chromium", page)]);
    println!("{}", table(&areas, &found));
    expected::compare(&found, only.is_empty());
}

/// A program's name and version: the first two words of its output.
fn version(program: PathBuf) -> String {
    let output = Command::new(program).arg("--version").output();
    let said = output.expect("it runs").stdout;
    let said = String::from_utf8_lossy(&said);
    let words: Vec<_> = said.split_whitespace().take(2).collect();
    words.join(" ")
}

/// `base` is WPT's server, if that is not the vlugin's own.
fn definition(file: &str, base: Option<&str>) -> Value {
    json!({
        "type": "js",
        "name": vlugin::name(file),
        "allow": ["127.0.0.1"],
        "config": base,
        "limits": { "timeout": 60 },
    })
}

fn in_deno(files: &[String], wpt: Wpt, folder: &Path) -> Results {
    let wpt = serve_fn(move |request| {
        let wpt = wpt.clone();
        async move { wpt.answer(request).await }
    });
    let base = format!("http://{}/", wpt.addr);
    let mut results = Results::new();
    for some in files.chunks(LOADED) {
        let definitions = some.iter().map(|file| {
            let mut definition = definition(file, Some(&base));
            definition["group"] = "tests".into();
            Definition::from_json(&definition.to_string()).expect("a definition")
        });
        let definitions: Vec<_> = definitions.collect();
        let served = Served::start(Kind::Js, &definitions, folder);
        let asked = some.iter().map(|file| (file.clone(), ask(&served, file)));
        results.extend(asked);
    }
    results
}

fn in_chromium(files: &[String], wpt: Wpt, harness: &Path, written: &[PathBuf]) -> Results {
    let definitions: Vec<_> = files.iter().map(|file| definition(file, None)).collect();
    let plugins = json!({ "plugins": definitions });
    let mut served = vec![harness];
    served.extend(written.iter().map(PathBuf::as_path));
    let beside = Beside {
        csp: CSP,
        answer: Box::new(move |request| {
            let wpt = wpt.clone();
            Box::pin(async move { wpt.answer(request).await })
        }),
        ..Beside::default()
    };
    let page = Chromium::start_beside(Kind::Js, &plugins, &served, beside);
    let asked = files.iter().map(|file| (file.clone(), ask(&page, file)));
    asked.collect()
}

/// The results of a file's tests.
fn ask(host: &dyn Host, file: &str) -> Found {
    let ask = Ask {
        method: "GET".into(),
        to: format!("/{}", vlugin::name(file)),
        headers: Vec::new(),
        body: None,
        streamed: false,
        follow: false,
        leave: false,
        meanwhile: None,
    };
    let outcome = host.ask(vec![ask]).remove(0);
    Found::of(&outcome.body).unwrap_or_else(|| {
        let (failed, broken) = (&outcome.failed, &outcome.broken);
        let body = String::from_utf8_lossy(&outcome.body);
        let why = format!("{} {failed:?} {broken:?} {body}", outcome.status);
        Found::nothing(&why)
    })
}

fn table(areas: &[Area], found: &BTreeMap<&str, OfHost>) -> String {
    let mut text = String::from("| area | files |");
    for host in found.keys() {
        text += &format!(" {host} |");
    }
    text += &format!("\n|---|---:|{}\n", "---:|".repeat(found.len()));
    let all = areas.iter().flat_map(|it| it.files.clone()).collect();
    let total = Area::named("all", all);
    for area in areas.iter().chain([&total]) {
        text += &format!("| {} | {} |", area.area, area.files.len());
        for OfHost { files, .. } in found.values() {
            let of_area = area.files.iter().filter_map(|file| files.get(file));
            let counts = of_area.map(|it| (it.passed(), it.failed()));
            let (passed, failed) = counts.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
            text += &format!(" {passed} passed, {failed} failed |");
        }
        text += "\n";
    }
    text
}
