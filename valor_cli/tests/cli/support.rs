//! Runs the program, and talks to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    thread::JoinHandle,
    time::{Duration, Instant},
};

// Beside this file, whatever module this file is.
#[path = "starting.rs"]
mod starting;

pub use starting::started;

/// How long anything that must happen may take: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
pub fn valor_cli() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_valor_cli"));
    command
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

/// Runs the program until it ends.
pub fn run(args: &[&str]) -> Finished {
    let mut command = valor_cli();
    command.args(args);
    finish(command)
}

/// Runs a program until it ends.
pub fn finish(command: Command) -> Finished {
    Running::spawn(command).end()
}

/// How the program ended, and its output.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Finished {
    /// The lines of standard error that report faults.
    pub fn faults(&self) -> Vec<&str> {
        let lines = self.err.lines();
        lines.filter_map(|l| l.strip_prefix("error: ")).collect()
    }
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder with the libraries of the examples, which are built by the first call.
pub fn libraries() -> &'static Path {
    static LIBRARIES: OnceLock<PathBuf> = OnceLock::new();
    LIBRARIES.get_or_init(|| {
        // If there is no cargo to build them with, as under Wine, they are already there.
        if let Some(folder) = std::env::var_os("VALOR_LIBRARIES") {
            return folder.into();
        }
        let file = built(&workspace().join("examples/plugins.json"), "hello_plugin");
        file.parent().unwrap().to_owned()
    })
}

/// The library of the runtime's own tests that does what a vlugin must not do, built by the first call.
#[cfg(unix)]
pub fn misbehaving() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "-p", "misbehaving"])
            .current_dir(workspace().join("valor_runtime/tests/fixtures"));
        assert!(started(with_fixtures(&mut cargo), Command::status).success());
        let (start, end) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        Path::new(env!("CARGO_TARGET_TMPDIR"))
            .with_file_name("fixtures")
            .join("debug")
            .join(format!("{start}misbehaving{end}"))
    })
}

/// The example `hello_plugin` as a WebAssembly module, built by the first call.
#[cfg(feature = "wasm")]
pub fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        let source = workspace().join("examples/hello_plugin");
        let plugins = serde_json::json!({
            "plugins": [{ "type": "wasm", "name": "hello", "source": source }]
        });
        let folder = Folder::new(&plugins.to_string());
        built(&folder.path().join("plugins.json"), "hello")
    })
}

/// The components of the runtime's tests that do one thing at each path, of WASI 0.2 and of 0.3, built by the first
/// call.
#[cfg(feature = "wasm")]
pub fn components() -> &'static [PathBuf; 2] {
    static COMPONENTS: OnceLock<[PathBuf; 2]> = OnceLock::new();
    COMPONENTS.get_or_init(|| {
        let entries = ["v2", "v3"].map(|name| {
            let source = workspace()
                .join("valor_runtime/tests/fixtures/wasi")
                .join(name);
            serde_json::json!({ "type": "wasi", "name": name, "source": source })
        });
        let folder = Folder::new(&serde_json::json!({ "plugins": entries }).to_string());
        ["v2", "v3"].map(|name| {
            let mut command = valor_cli();
            with_fixtures(&mut command);
            built_by(command, &folder.path().join("plugins.json"), name)
        })
    })
}

/// That of WASI 0.2.
#[cfg(feature = "wasm")]
pub fn component() -> &'static Path {
    &components()[0]
}

/// Makes a command build where the runtime's tests build their fixtures, and as they do.
#[cfg(any(unix, feature = "wasm"))]
pub fn with_fixtures(command: &mut Command) -> &mut Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fixtures");
    command
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
}

/// Writes a script that is run. This process does not write it itself: programs that it starts at the same time might
/// still have the file open then.
#[cfg(unix)]
pub fn script(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut writes = Command::new("sh");
    writes
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$2\" > \"$1\"; chmod +x \"$1\"",
            "sh",
        ])
        .arg(&file)
        .arg(text);
    assert!(started(&mut writes, Command::status).success());
    file
}

/// Builds what a plugins.json names, and returns the file of one of its vlugins.
fn built(plugins: &Path, name: &str) -> PathBuf {
    built_by(valor_cli(), plugins, name)
}

fn built_by(mut command: Command, plugins: &Path, name: &str) -> PathBuf {
    let args = ["check", "--build", "--log-format", "json", "-p"];
    command.args(args).arg(plugins);
    let built = finish(command);
    assert_eq!(built.code, Some(0), "{}", built.err);
    let records = built.err.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).expect("a line of the log is JSON")
    });
    let mut mounted = records.filter(|record| record["name"] == name);
    let mounted = mounted.next().expect("it is mounted");
    let here = std::env::current_dir().unwrap();
    here.join(mounted["file"].as_str().unwrap())
}

/// A folder with a plugins.json in it.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new(plugins: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("plugins.json", plugins);
        folder
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    /// `run` with its plugins.json, on a free port.
    pub fn run(&self) -> Command {
        let mut command = valor_cli();
        command.args(["run", "--addr", "127.0.0.1:0", "-p"]);
        command.arg(self.path().join("plugins.json"));
        command
    }

    /// `web` with its plugins.json, into its folder `dist`.
    #[cfg(feature = "wasm")]
    pub fn web(&self) -> Command {
        let mut command = valor_cli();
        command.arg("web").arg("-p");
        command.arg(self.path().join("plugins.json")).arg("-o");
        command.arg(self.path().join("dist"));
        command
    }

    /// A file in it, as the program's output names it.
    pub fn file(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }
}

/// A running program. It is killed when this is dropped.
struct Running {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = started(&mut command, Command::spawn);
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            gather(child.stdout.take().unwrap(), &out),
            gather(child.stderr.take().unwrap(), &err),
        ];
        Self {
            child,
            out,
            err,
            readers,
        }
    }

    /// Waits for the end.
    fn end(mut self) -> Finished {
        let mut status: Option<ExitStatus> = None;
        wait_for("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Finished {
            code: status.unwrap().code(),
            out: self.out.lock().unwrap().clone(),
            err: self.err.lock().unwrap().clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program while it serves.
pub struct Server {
    running: Running,
    /// The addresses on which it reported to listen.
    pub addrs: Vec<String>,
}

impl Server {
    /// Starts `valor_cli run` on a free port and waits until it listens.
    pub fn start(args: &[&str]) -> Self {
        let mut command = valor_cli();
        command.args(["run", "--addr", "127.0.0.1:0"]).args(args);
        Self::spawn(command)
    }

    /// Waits until a program listens.
    pub fn spawn(mut command: Command) -> Self {
        own_console(&mut command);
        // It reports one after the other.
        let addrs = command.get_args().filter(|arg| *arg == "--addr").count();
        let mut server = Self {
            running: Running::spawn(command),
            addrs: Vec::new(),
        };
        let mut ended = None;
        wait_for("the server listens", || {
            server.addrs = server.listening();
            ended = server.running.child.try_wait().unwrap();
            server.addrs.len() >= addrs.max(1) || ended.is_some()
        });
        assert!(ended.is_none(), "{ended:?}: {}", server.err());
        server
    }

    /// Its output about its addresses, in either form of the log.
    fn listening(&self) -> Vec<String> {
        let text = self.out();
        let text = text.lines().filter_map(|l| l.strip_prefix("listening on "));
        let plain = text.map(|addr| {
            addr.trim_start_matches("http://")
                .trim_start_matches("https://")
                .to_owned()
        });
        let err = self.err();
        let records = err.lines().filter(|line| line.contains("\"listening\""));
        let records = records.filter_map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(record["addr"].as_str()?.to_owned())
        });
        plain.chain(records).collect()
    }

    /// Standard output so far.
    pub fn out(&self) -> String {
        self.running.out.lock().unwrap().clone()
    }

    /// Standard error so far.
    pub fn err(&self) -> String {
        self.running.err.lock().unwrap().clone()
    }

    /// Sends a request without a body and returns the answer.
    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], "")
    }

    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let stream = TcpStream::connect(&self.addrs[0]).unwrap();
        converse(stream, method, target, headers, body)
    }

    /// A connection with a request whose answer's head has arrived.
    pub fn begin(&self, target: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.addrs[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        stream
    }

    /// Waits until standard error contains this.
    pub fn wait_for_err(&self, part: &str) {
        wait_for(part, || self.err().contains(part));
    }

    /// Waits until standard error contains this so many times.
    pub fn wait_until(&self, part: &str, times: usize) {
        let deadline = Instant::now() + 5 * PATIENCE;
        while self.err().matches(part).count() < times {
            let err = self.err();
            assert!(Instant::now() < deadline, "it never said: {part}\n{err}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let pid = self.running.child.id().to_string();
        let mut kill = Command::new("kill");
        let sent = started(kill.args(["-s", name, &pid]), Command::status);
        assert!(sent.success());
    }

    /// Presses Ctrl-C in its console: the only signal that Windows has.
    #[cfg(windows)]
    pub fn signal(&self, _name: &str) {
        let pid = self.running.child.id().to_string();
        let program = std::env::var_os("VALOR_CTRL_C")
            .expect("VALOR_CTRL_C names the program of .ci/ctrl_c.c");
        let sent = started(Command::new(program).arg(pid), Command::status);
        assert!(sent.success());
    }

    /// Waits for the end.
    pub fn end(self) -> Finished {
        self.running.end()
    }
}

/// Gives a program a separate console, without a window: Ctrl-C reaches everything that shares one.
#[cfg(windows)]
fn own_console(command: &mut Command) {
    const CREATE_NO_WINDOW: u32 = 0x0800_0000;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NO_WINDOW);
}

#[cfg(not(windows))]
fn own_console(_command: &mut Command) {}

fn gather(from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = into.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let mut into = into.lock().unwrap();
            into.push_str(&line.unwrap());
            into.push('\n');
        }
    })
}

/// Waits until something has happened.
pub fn wait_for(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + 5 * PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "it did not come to this: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until the process with this number is gone.
#[cfg(unix)]
pub fn wait_for_the_end_of(pid: &str) {
    wait_for("the end of a process", || {
        let mut ps = Command::new("ps");
        let shown = started(ps.args(["-o", "stat=", "-p", pid.trim()]), Command::output);
        let state = String::from_utf8(shown.stdout).unwrap();
        state.trim().is_empty() || state.starts_with('Z')
    });
}

/// An answer, with its body as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub fn converse(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = format!(
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
