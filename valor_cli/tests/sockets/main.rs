//! Other people's clients over sockets that are more than HTTP: WebSocket with Python's `websockets` and Chromium, and
//! TLS with curl. If a client is missing, its test fails and says what to install.

#[allow(dead_code)] // Its other users need more of it.
#[path = "../cli/support.rs"]
mod support;
#[cfg(unix)] // Certificates are renewed with a signal.
mod tls;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};
use support::{Server, finish, libraries, workspace};

const PATIENCE: Duration = Duration::from_secs(120);

/// The program with the examples' `echo_socket` at `/echo_socket`.
fn serve(args: &[&str]) -> Server {
    let plugins = workspace().join("examples/plugins.json");
    let mut all = vec!["-p", plugins.to_str().unwrap()];
    let libraries = libraries();
    // `greet` is a module, which cargo builds into a folder next to that of the libraries.
    let modules = libraries.join("../wasm32-unknown-unknown/debug");
    all.extend(["--plugin-dir", libraries.to_str().unwrap()]);
    all.extend(["--plugin-dir", modules.to_str().unwrap()]);
    all.extend(args);
    Server::start(&all)
}

/// A Python that has the module `websockets`.
fn python() -> &'static str {
    let has_it = |python: &&str| {
        let mut command = Command::new(python);
        command
            .args(["-c", "import websockets"])
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has_it)
        .expect("no python3 here has the module websockets: install Debian's python3-websockets")
}

/// Converses with `echo_socket` at this address, with Python.
fn converse(args: &[&str]) {
    let mut client = Command::new(python());
    client.arg(workspace().join("valor_cli/tests/sockets/echo.py"));
    client.args(args);
    let finished = finish(client);
    assert_eq!(finished.out, "all came back\n", "{}", finished.err);
}

#[test]
fn python_speaks_websocket() {
    let server = serve(&[]);
    converse(&[&format!("ws://{}/echo_socket", server.addrs[0])]);
}

/// Chromium while it runs.
struct Browser {
    child: Child,
    /// Removed after it.
    _profile: tempfile::TempDir,
}

impl Browser {
    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args(["--disable-component-update", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // Without it, it may end when the page has been loaded.
            .arg("--remote-debugging-port=0")
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn();
        Self {
            child: child.expect("chromium is missing: install Debian's chromium"),
            _profile: profile,
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves the page, and passes on what it posts.
fn page_server() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let (send, results) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A browser opens connections that it does not use.
            let send = send.clone();
            std::thread::spawn(move || serve_page(stream, &send));
        }
    });
    (addr, results)
}

fn serve_page(stream: TcpStream, results: &mpsc::Sender<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok()?;
    let posts = line.starts_with("POST ");
    while line.trim_end() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if posts {
        results.send(String::from_utf8(body).ok()?).ok()?;
    }
    let page = include_str!("echo.html");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
    reader.get_mut().write_all(answer.as_bytes()).ok()
}

#[test]
fn chromium_speaks_websocket() {
    let server = serve(&[]);
    let (addr, results) = page_server();
    let url = format!("ws://{}/echo_socket", server.addrs[0]);
    let browser = Browser::open(&format!("http://{addr}/?url={url}"));
    let result = results.recv_timeout(PATIENCE).expect("the page's result");
    assert_eq!(result, "code 1000, clean");
    drop(browser);
}
