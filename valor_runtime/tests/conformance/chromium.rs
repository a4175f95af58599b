//! Real Chromium as a host: a page whose service worker has the vlugins, and which makes the
//! requests that it is handed. The page (`player.js`) judges nothing; it fetches and tells.

use super::hosts::{Ask, Host, Outcome, serve_fn};
use crate::socket::Serving;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};
use valor_runtime::{Request, Response};

/// How long the browser may take for anything. Nothing does.
const PATIENCE: Duration = Duration::from_secs(120);

/// As the book has it, but that the page also speaks to the runner.
const CSP: &[u8] = b"default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; \
    connect-src 'self' http://127.0.0.1:*";

pub struct Chromium {
    browser: Child,
    profile: tempfile::TempDir,
    _files: Serving,
    _control: Serving,
    asks: smol::channel::Sender<String>,
    answers: Mutex<mpsc::Receiver<Value>>,
    log: Arc<Mutex<Vec<(String, String)>>>,
    served: Arc<Mutex<Vec<String>>>,
}

impl Chromium {
    /// Serves the page, the browser's host and the module, and opens the page.
    pub fn start(plugins: &Value, module: &Path) -> Self {
        let served = Arc::default();
        let files = serve_files(plugins, module, Arc::clone(&served));
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
            browser,
            profile,
            _files: files,
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

    /// The SHA-256 of each module that the browser was sent.
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

    /// What the browser has to say, for who looks for a fault.
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
        "wasm (Chromium)"
    }

    fn kind(&self) -> &'static str {
        "wasm"
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

/// The static server. What it does not have it answers with 404, as any would.
fn serve_files(plugins: &Value, module: &Path, served: Arc<Mutex<Vec<String>>>) -> Serving {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    for (folder, name) in [
        ("web", "valor.js"),
        ("web", "valor-sw.js"),
        ("web", "guest.js"),
        ("web", "http.js"),
        ("web", "valor-js.js"),
        ("web", "valor-line.js"),
        ("web", "valor-next.js"),
        ("web", "valor-pages.js"),
        ("web", "valor-vlugins.js"),
        ("web", "valor-worker.js"),
        ("tests/conformance", "player.html"),
        ("tests/conformance", "player.js"),
        ("tests/conformance", "player-sw.js"),
        ("tests/conformance", "player-log.js"),
    ] {
        let bytes = std::fs::read(root.join(folder).join(name)).expect("a file to serve");
        let kind = if name.ends_with("html") {
            "text/html"
        } else {
            "text/javascript"
        };
        files.insert(format!("/{name}"), (kind, bytes));
    }
    let module = std::fs::read(module).expect("the module");
    files.insert("/conformance.wasm".into(), ("application/wasm", module));
    files.insert(
        "/text.wasm".into(),
        ("application/wasm", b"not a module".to_vec()),
    );
    files.insert(
        "/plugins.json".into(),
        ("application/json", plugins.to_string().into_bytes()),
    );
    let files = Arc::new(files);
    serve_fn(move |request| {
        let (files, served) = (files.clone(), served.clone());
        async move {
            let Some((kind, bytes)) = files.get(request.head.path()) else {
                return Response::new(404);
            };
            if request.head.path() == "/conformance.wasm" {
                let hash = Sha256::digest(bytes);
                let hash = hash.iter().map(|byte| format!("{byte:02x}")).collect();
                served.lock().expect("hashes").push(hash);
            }
            let mut response = Response::new(200);
            let _ = response.head.push("content-type", kind.as_bytes());
            let _ = response.head.push("content-security-policy", CSP);
            response.body = bytes.clone().into();
            response
        }
    })
}

/// The server that the page gets its work from and tells of it.
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
