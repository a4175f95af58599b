//! Programs from npm as vlugins. Their answers through Valor, in Deno and in Chromium, equal their answers in workerd
//! without Valor. Each is an app of a few lines in `apps/`, over a router or a server that nobody here wrote. esbuild
//! makes one file of it, and that file runs unchanged in all three.
//!
//! It needs the packages in `.ci/js/package.json`, in the `node_modules` that `VALOR_JS_TOOLS` names.

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

use chromium::Chromium;
use hosts::{Ask, Host, Outcome, Served, converse};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use valor_runtime::{Definition, Kind};

/// A program, and the requests that it gets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Program {
    program: String,
    requests: Vec<Asked>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default = "get")]
    method: String,
    to: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
}

fn get() -> String {
    "GET".into()
}

#[test]
fn programs_from_npm_answer_as_they_do_without_valor() {
    let text = std::fs::read_to_string(tests().join("programs/requests.json")).expect("requests");
    let programs: Vec<Program> = serde_json::from_str(&text).expect("requests.json");
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<_> = programs
        .iter()
        .map(|it| bundle(&it.program, folder.path()))
        .collect();
    let definitions: Vec<_> = programs
        .iter()
        .map(|it| serde_json::json!({ "type": "js", "name": it.program }))
        .collect();
    let parsed: Vec<_> = definitions
        .iter()
        .map(|it| Definition::from_json(&it.to_string()).expect("a definition"))
        .collect();
    let workerd = Workerd::start(&programs, folder.path());
    let deno = Served::start(Kind::Js, &parsed, folder.path());
    let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    let plugins = serde_json::json!({ "plugins": definitions });
    let page = Chromium::start(Kind::Js, &plugins, &files);

    let (mut differ, mut table) = (
        String::new(),
        String::from("| program | requests | Deno | Chromium |\n"),
    );
    for Program { program, requests } in &programs {
        let mut alike = [0, 0];
        for asked in requests {
            let alone = workerd.ask(program, asked);
            let hosts: [&dyn Host; 2] = [&deno, &page];
            for (host, alike) in hosts.into_iter().zip(&mut alike) {
                let ask = asked.at(&format!("/{program}{}", asked.to));
                let outcome = host.ask(vec![ask]).remove(0);
                let (expected, found) = (
                    shown(&alone, workerd.addr(program)),
                    shown(&outcome, host.addr()),
                );
                // A browser shows only that a redirect is one.
                let is_hidden = alone.status == "redirect" && host.name() == page.name();
                if expected == found || is_hidden && outcome.status == "redirect" {
                    *alike += 1;
                } else {
                    let (method, to) = (&asked.method, &asked.to);
                    let _ = writeln!(
                        differ,
                        "{program}, {method} {to}, {}:\n{found}and not\n{expected}",
                        host.name()
                    );
                }
            }
        }
        let count = requests.len();
        let [deno, page] = alike;
        let _ = writeln!(table, "| {program} | {count} | {deno} | {page} |");
    }
    println!("{table}");
    assert!(differ.is_empty(), "\n{differ}");
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

impl Asked {
    fn at(&self, to: &str) -> Ask {
        Ask {
            method: self.method.clone(),
            to: to.to_owned(),
            headers: self.headers.clone(),
            body: self
                .body
                .as_ref()
                .map(|body| vec![body.clone().into_bytes()]),
            streamed: false,
            follow: false,
            leave: false,
            meanwhile: None,
        }
    }
}

/// The program's own part of an answer, with one name for all hosts.
fn shown(outcome: &Outcome, addr: &str) -> String {
    let mut text = format!("  {} {:?}\n", outcome.status, outcome.failed);
    for (name, value) in &outcome.headers {
        let of_host = [
            "connection",
            "content-length",
            "date",
            "keep-alive",
            "server",
            "transfer-encoding",
        ];
        if !of_host.contains(&&**name) && !["x-correlation-id", "x-valor-plugin"].contains(&&**name)
        {
            let _ = writeln!(text, "  {name}: {value}");
        }
    }
    let body = String::from_utf8_lossy(&outcome.body);
    let _ = writeln!(text, "  {body:?} {:?}", outcome.broken);
    text.replace(addr, "HOST")
}

/// One file with an app and all its imports.
fn bundle(program: &str, folder: &Path) -> PathBuf {
    let esbuild = fixture::js_tool("esbuild");
    let modules = std::env::var_os("VALOR_JS_TOOLS")
        .expect("VALOR_JS_TOOLS names the node_modules of these programs");
    let file = folder.join(format!("{program}.js"));
    let output = Command::new(esbuild)
        .arg(tests().join(format!("programs/apps/{program}.js")))
        .args([
            "--bundle",
            "--format=esm",
            "--platform=browser",
            "--conditions=worker",
            "--log-level=warning",
        ])
        .arg(format!("--outfile={}", file.display()))
        .env("NODE_PATH", modules)
        .output()
        .expect("esbuild runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} is not bundled:\n{said}");
    file
}

/// workerd with the same files, each on a separate port.
struct Workerd {
    process: Child,
    addrs: BTreeMap<String, String>,
}

impl Workerd {
    fn start(programs: &[Program], folder: &Path) -> Self {
        let addrs: BTreeMap<_, _> = programs
            .iter()
            .map(|it| (it.program.clone(), free()))
            .collect();
        let (mut services, mut sockets) = (String::new(), String::new());
        for (name, addr) in &addrs {
            let _ = writeln!(
                services,
                "(name = \"{name}\", worker = (modules = [(name = \"{name}\", esModule = embed \"{name}.js\")], \
                 compatibilityDate = \"2026-01-01\")),"
            );
            let _ = writeln!(
                sockets,
                "(name = \"{name}\", address = \"{addr}\", http = (), service = \"{name}\"),"
            );
        }
        let config = folder.join("config.capnp");
        let text = format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\nconst config :Workerd.Config = (services = \
             [{services}], sockets = [{sockets}]);\n"
        );
        std::fs::write(&config, text).expect("written");
        let process = Command::new(fixture::js_tool("workerd"))
            .arg("serve")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn()
            .expect("workerd runs");
        let workerd = Self { process, addrs };
        for addr in workerd.addrs.values() {
            let tries = (0..1200).any(|_| {
                thread::sleep(Duration::from_millis(50));
                TcpStream::connect(addr).is_ok()
            });
            assert!(tries, "workerd does not listen");
        }
        workerd
    }

    fn addr(&self, program: &str) -> &str {
        &self.addrs[program]
    }

    fn ask(&self, program: &str, asked: &Asked) -> Outcome {
        converse(self.addr(program), &asked.at(&asked.to)).expect("workerd answers")
    }
}

impl Drop for Workerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
    listener.local_addr().expect("an address").to_string()
}
