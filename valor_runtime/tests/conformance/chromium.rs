//! Real Chromium as a host: a page whose service worker has the vlugins. The page (`player.js`) makes the requests
//! that it is handed. It judges nothing; it fetches and reports.

use super::hosts::{Ask, Host, Outcome, serve_fn};
use crate::socket::Serving;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};
use valor_runtime::{BoxFuture, Kind, Request, Response, web};

/// How long the browser may take for anything. Nothing does.
const PATIENCE: Duration = Duration::from_secs(120);

/// The policy of the book, except that the page may also speak to the runner.
const CSP: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
    connect-src 'self' http://127.0.0.1:*";

/// A component for the service worker, and the modules that were made of it, by path.
pub type Made = (web::Component, Vec<(String, Vec<u8>)>);

/// What the pages' server has beside Valor's files, and what the pages may do.
pub struct Beside {
    pub csp: &'static str,
    /// What the service worker imports.
    pub components: Vec<Made>,
    pub answer: Box<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>,
}

impl Default for Beside {
    /// Nothing. The server answers unknown paths with 404, as any would.
    fn default() -> Self {
        Self {
            csp: CSP,
            components: Vec::new(),
            answer: Box::new(|_| Box::pin(async { Response::new(404) })),
        }
    }
}

pub struct Chromium {
    kind: Kind,
    browser: Child,
    profile: tempfile::TempDir,
    files: Serving,
    _control: Serving,
    asks: smol::channel::Sender<String>,
    answers: Mutex<mpsc::Receiver<Value>>,
    log: Arc<Mutex<Vec<(String, String)>>>,
    served: Arc<Mutex<Vec<String>>>,
}

impl Chromium {
    /// Serves the page, the browser's host and the vlugins' files, and opens the page.
    pub fn start(kind: Kind, plugins: &Value, vlugins: &[&Path]) -> Self {
        Self::start_beside(kind, plugins, vlugins, Beside::default())
    }

    /// The same, with more files on the pages' server.
    pub fn start_beside(kind: Kind, plugins: &Value, vlugins: &[&Path], beside: Beside) -> Self {
        let served = Arc::default();
        let files = serve_files(kind, plugins, vlugins, Arc::clone(&served), beside);
        let (asks, to_do) = smol::channel::unbounded();
        let (done, answers) = mpsc::channel();
        let log = Arc::default();
        let control = serve_control(to_do, done, Arc::clone(&log));
        let profile = tempfile::tempdir().expect("a folder");
        let said = File::create(profile.path().join("said")).expect("a file");
        let browser = Command::new("chromium")
            .args("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run".split(' '))
            .args("--disable-background-networking --disable-component-update".split(' '))
            .args([
                "--disable-sync",
                "--no-proxy-server",
                "--enable-logging=stderr",
            ])
            .arg("--remote-debugging-port=0")
            .arg(format!(
                "--user-data-dir={}",
                profile.path().join("profile").display()
            ))
            .arg(format!(
                "http://{}/player.html?{}",
                files.addr, control.addr
            ))
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .expect("Debian's package chromium is installed");
        let chromium = Self {
            kind,
            browser,
            profile,
            files,
            _control: control,
            asks,
            answers: Mutex::new(answers),
            log,
            served,
        };
        let started = chromium.answer();
        assert_eq!(started, "started", "{}", chromium.said());
        chromium
    }

    /// The SHA-256 of each file of a vlugin that the browser received.
    pub fn served(&self) -> Vec<String> {
        self.served.lock().expect("hashes").clone()
    }

    fn answer(&self) -> Value {
        let answers = self.answers.lock().expect("answers");
        answers.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!(
                "nothing came from Chromium within {PATIENCE:?}\n{}",
                self.said()
            )
        })
    }

    /// The browser's output, for people who look for a fault.
    fn said(&self) -> String {
        let said = std::fs::read(self.profile.path().join("said")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<_> = said.lines().rev().take(40).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

impl Host for Chromium {
    fn name(&self) -> &'static str {
        match self.kind.as_str() {
            "js" => "js (Chromium)",
            "wasi" => "wasi (Chromium)",
            _ => "wasm (Chromium)",
        }
    }

    fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    fn runs(&self) -> &'static str {
        "service worker"
    }

    fn addr(&self) -> &str {
        &self.files.addr
    }

    fn source(&self) -> &'static str {
        match self.kind.as_str() {
            // Each mount has a separate module.
            "js" => "conformance.js?fragile",
            _ => "lib.rs",
        }
    }

    fn ask(&self, asks: Vec<Ask>) -> Vec<Outcome> {
        let asks = serde_json::to_string(&asks).expect("JSON");
        self.asks.send_blocking(asks).expect("the page asks for it");
        serde_json::from_value(self.answer()).expect("outcomes")
    }

    fn log(&self) -> Vec<(String, String)> {
        self.log.lock().expect("the log").clone()
    }
}

/// The static server.
fn serve_files(
    kind: Kind,
    plugins: &Value,
    vlugins: &[&Path],
    served: Arc<Mutex<Vec<String>>>,
    beside: Beside,
) -> Serving {
    let mut plugins = plugins.clone();
    let mut vlugins: BTreeMap<String, Vec<u8>> = vlugins
        .iter()
        .map(|file| {
            let name = file.file_name().expect("a name").to_string_lossy();
            let bytes = std::fs::read(file).expect("a vlugin's file");
            (format!("/{name}"), bytes)
        })
        .collect();
    let scripts = match kind.as_str() {
        "js" => imported(&mut plugins, &vlugins),
        _ => Vec::new(),
    };
    let mut components = Vec::new();
    for (component, modules) in &beside.components {
        components.push(component.clone());
        let modules = modules.iter();
        vlugins.extend(modules.map(|(path, bytes)| (format!("/{path}"), bytes.clone())));
    }
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (name, bytes) in web::HOST.iter().chain(web::COMPONENTS) {
        files.insert(format!("/{name}"), bytes.to_vec());
    }
    files.insert(
        format!("/{}", web::SCRIPTS),
        web::scripts(&scripts, &components).into_bytes(),
    );
    let worker = web::worker(&scripts, &components);
    files.insert(format!("/{}", web::WORKER), worker);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    for name in ["player.html", "player.js", "player-sw.js", "player-log.js"] {
        let bytes = std::fs::read(own.join(name)).expect("a file to serve");
        files.insert(format!("/{name}"), bytes);
    }
    let of_vlugins: BTreeSet<_> = vlugins.keys().cloned().collect();
    files.extend(vlugins);
    files.insert(format!("/text.{kind}"), b"not a module".to_vec());
    files.insert("/plugins.json".into(), plugins.to_string().into_bytes());
    let (files, of_vlugins) = (Arc::new(files), Arc::new(of_vlugins));
    let beside = Arc::new(beside);
    serve_fn(move |request: Request| {
        let (files, served, of_vlugins) = (files.clone(), served.clone(), of_vlugins.clone());
        let beside = beside.clone();
        async move {
            let path = request.head.path();
            let Some(bytes) = files.get(path) else {
                return (beside.answer)(request).await;
            };
            if of_vlugins.contains(path) {
                served.lock().expect("hashes").push(sha256(bytes));
            }
            let kind: &[u8] = match path.rsplit('.').next() {
                Some("html") => b"text/html",
                Some("json") => b"application/json",
                Some("wasm") => b"application/wasm",
                _ => b"text/javascript",
            };
            let mut response = Response::new(200);
            let _ = response.head.push("content-type", kind);
            let _ = response
                .head
                .push("content-security-policy", beside.csp.as_bytes());
            response.body = bytes.clone().into();
            response
        }
    })
}

/// The scripts that the service worker imports, as `valor_cli web` would write them. Their definitions then name the
/// files' hashes.
fn imported(plugins: &mut Value, vlugins: &BTreeMap<String, Vec<u8>>) -> Vec<web::Script> {
    let definitions = plugins["plugins"].as_array_mut().expect("an array");
    let script = |definition: &mut Value| {
        let name = definition["name"].as_str().expect("a name").to_owned();
        let path = format!("{}.js", definition["path"].as_str().unwrap_or(&name));
        // One vlugin of the suite has no file.
        let sha256 = sha256(vlugins.get(&format!("/{path}"))?);
        definition["sha256"] = sha256.clone().into();
        Some(web::Script { name, path, sha256 })
    };
    definitions.iter_mut().filter_map(script).collect()
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The server that the page gets its work from and reports to.
fn serve_control(
    to_do: smol::channel::Receiver<String>,
    done: mpsc::Sender<Value>,
    log: Arc<Mutex<Vec<(String, String)>>>,
) -> Serving {
    serve_fn(move |request: Request| {
        let (to_do, done, log) = (to_do.clone(), done.clone(), log.clone());
        async move {
            let mut response = Response::new(200);
            let _ = response.head.push("access-control-allow-origin", b"*");
            let path = request.head.path().to_owned();
            let body = request.body.bytes(1 << 30).await.unwrap_or_default();
            let said = serde_json::from_slice(&body).unwrap_or_default();
            match &*path {
                "/next" => response.body = to_do.recv().await.unwrap_or_default().into(),
                "/log" => {
                    let line = serde_json::from_value(said).expect("level and text");
                    log.lock().expect("the log").push(line);
                }
                _ => drop(done.send(said)),
            }
            response
        }
    })
}
