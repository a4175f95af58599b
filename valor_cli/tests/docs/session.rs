//! A reader at a terminal: one bash that gets a page's commands one after the other, and the server that runs next to
//! it.
//!
//! Pages are played concurrently, so each has a separate folder and port; `8080` in a page stands for that port. The
//! folder holds `valor`, a link to the clone, where the reader begins. Everything is built in the folder of this test's
//! own build, for which `target/debug` stands.

use crate::page::{Step, root};
use snapbox::IntoData;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a command may take, and a server until it serves: both may have to build.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long a server may take until it has printed what the page shows.
const TO_SAY_IT: Duration = Duration::from_secs(30);
/// The id of the requests that ask a server whether it is ready.
const READY_ID: &str = "is-it-ready";
/// A separate line after a command's output, before its exit code.
const END: &str = "\u{1}end of output\u{1}";

pub struct Session {
    bash: Child,
    input: ChildStdin,
    output: Receiver<String>,
    dir: PathBuf,
    port: u16,
    server: Option<Server>,
    servers: u32,
}

struct Server {
    place: String,
    /// Its output.
    log: PathBuf,
}

impl Session {
    /// A reader who has cloned Valor and has `valor_cli` on the path.
    pub fn begin(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("docs")
            .join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        fs::create_dir_all(dir.join(".session")).unwrap();
        symlink(root().canonicalize().unwrap(), dir.join("valor")).unwrap();
        // A pipe is not a terminal, and curl would show its progress; on a terminal it does not.
        fs::write(dir.join(".session/.curlrc"), "silent\nshow-error\n").unwrap();

        let program = Path::new(env!("CARGO_BIN_EXE_valor_cli"));
        // All builds share one folder, whatever their workspace.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let path = format!(
            "{}:{}",
            program.parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        let (read, write) = std::io::pipe().unwrap();
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc"])
            .current_dir(&dir)
            .env("PATH", path)
            .env("CARGO_TARGET_DIR", target)
            .env("CURL_HOME", dir.join(".session"))
            .env("LC_ALL", "C")
            .env("NO_COLOR", "1")
            .env("CARGO_TERM_COLOR", "never")
            // As in the workspace, so that what a reader's crate needs is not built again.
            .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
            .env("CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG", "line-tables-only")
            // cargo sets it for the programs that it runs. A reader has none of it, and the loader would find libraries
            // there.
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("DYLD_FALLBACK_LIBRARY_PATH")
            .envs(std::env::var_os("VALOR_JS_TOOLS").map(|tools| {
                let deno = std::path::Path::new(&tools).join(".bin/deno");
                ("VALOR_DENO", deno)
            }))
            .stdin(Stdio::piped())
            .stdout(write.try_clone().unwrap())
            .stderr(write);
        let mut child = bash.spawn().expect("bash, which the pages are written for");
        // Its ends of the pipe; otherwise the output would not end.
        drop(bash);

        let (send, output) = channel();
        thread::spawn(move || {
            for line in BufReader::new(read).split(b'\n').map_while(Result::ok) {
                if send
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    break;
                }
            }
        });
        let mut session = Self {
            input: child.stdin.take().unwrap(),
            bash: child,
            output,
            dir,
            port: free_port(),
            server: None,
            servers: 0,
        };
        // No server outlives its session, however that ends.
        session.bash("trap 'kill $(jobs -p) 2>/dev/null' EXIT");
        session.bash("cd valor");
        session
    }

    /// Text of a page, with the session's port and build folder instead of the usual ones.
    fn own(&self, text: &str) -> String {
        let built = Path::new(env!("CARGO_BIN_EXE_valor_cli")).parent().unwrap();
        let modules = built.with_file_name("wasm32");
        // The clone is a link in the session's folder; for a program, `..` is the real clone's parent, where nothing
        // may be written.
        let token = self.dir.join("token");
        text.replace("8080", &self.port.to_string())
            .replace("../token", token.to_str().unwrap())
            // From the clone and from next to it.
            .replace("valor/target/debug", "target/debug")
            .replace("target/debug", built.to_str().unwrap())
            .replace("valor/target/wasm32", "target/wasm32")
            // From next to a crate of the reader's.
            .replace("hello/target/wasm32", "target/wasm32")
            .replace("target/wasm32", modules.to_str().unwrap())
    }

    /// Writes a file that the page shows.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, self.own(text)).unwrap();
        if path.ends_with("Cargo.toml") {
            // The versions that everything else is built with, so that nothing is built twice.
            let lock = root().join(match text.contains("wstd") {
                true => "examples/wasi_hello/Cargo.lock",
                false => "Cargo.lock",
            });
            fs::copy(lock, path.with_file_name("Cargo.lock")).unwrap();
        }
    }

    /// Gives crates that a command has created the versions that everything else is built with.
    fn lock_new_crates(&self) {
        for entry in fs::read_dir(&self.dir).unwrap() {
            let folder = entry.unwrap().path();
            // The clone is a link, and has its lock file.
            if folder.join("Cargo.toml").is_file() && !folder.join("Cargo.lock").exists() {
                fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
            }
        }
    }

    /// Runs a command and compares its output with the page. A command that fails must be followed by `echo $?`, as
    /// `code_is_shown` says; so must a `run` that ends by itself.
    pub fn step(&mut self, step: &Step, code_is_shown: bool) {
        let command = self.own(&translated(&step.command));
        let called = without_variables(&command);
        let serves = called.starts_with("valor_cli run ")
            || called.starts_with("valor_cli dev")
            || command.contains(" --serve ");
        if serves && !code_is_shown {
            return self.serve(step, &command);
        }
        let (output, code) = self.bash(&command);
        if command.starts_with("valor_cli new ") {
            self.lock_new_crates();
        }
        self.compare(step, &output);
        assert!(
            code == 0 || code_is_shown,
            "{}: `{}` ends with {code}; show that with `$ echo $?`:\n{output}",
            step.place,
            step.command
        );
    }

    /// Starts a server instead of the previous one, if there is one.
    fn serve(&mut self, step: &Step, command: &str) {
        self.stop();
        self.servers += 1;
        let log = self
            .dir
            .join(format!(".session/server-{}.log", self.servers));
        let addr = match command.contains("--addr") || command.contains("--serve") {
            true => String::new(),
            false => format!(" --addr 127.0.0.1:{}", self.port),
        };
        let log_file = log.display();
        self.bash(&format!("{command}{addr} >'{log_file}' 2>&1 & server=$!"));
        self.server = Some(Server {
            place: step.place.clone(),
            log: log.clone(),
        });
        let printed = || {
            let log = fs::read_to_string(&log).unwrap();
            // The readiness check is not the reader's.
            let lines = log.lines().filter(|line| !line.contains(READY_ID));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };

        let since = Instant::now();
        while !self.is_ready() {
            let (_, ended) = self.bash("kill -0 $server 2>/dev/null");
            if ended != 0 || since.elapsed() > PATIENCE {
                let state = self.server_state();
                panic!("{}: `{command}` does not serve: {state}", step.place);
            }
            thread::sleep(Duration::from_millis(100));
        }
        let since = Instant::now();
        while self.differs(step, &printed()).is_some() && since.elapsed() < TO_SAY_IT {
            thread::sleep(Duration::from_millis(100));
        }
        self.compare(step, &printed());
    }

    /// Whether the server says so. An open port is not enough, since a server that finds faults has already bound it.
    fn is_ready(&self) -> bool {
        let answer = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            let request = format!(
                "GET /_health HTTP/1.1\r\nhost: localhost\r\nx-request-id: {READY_ID}\r\n\
                 connection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        });
        answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
    }

    /// Stops the server as a reader does, and checks that it ends well.
    fn stop(&mut self) {
        let Some(server) = self.server.take() else {
            return;
        };
        let (_, code) = self.bash("kill -TERM $server && wait $server");
        assert_eq!(
            code,
            0,
            "{}: the server does not end well:\n{}",
            server.place,
            fs::read_to_string(server.log).unwrap()
        );
    }

    pub fn end(mut self) {
        self.stop();
    }

    fn differs(&self, step: &Step, output: &str) -> Option<String> {
        // A page does not show whether the last line has an end.
        let ended = |text: &str| format!("{}\n", text.trim_end()).into_data();
        let outcome = snapbox::Assert::new().try_eq(
            Some(&step.command),
            ended(output),
            ended(&self.own(&step.expected)),
        );
        outcome.err().map(|error| error.to_string())
    }

    fn compare(&mut self, step: &Step, output: &str) {
        if let Some(difference) = self.differs(step, output) {
            let state = self.server_state();
            panic!("{}: `{}`\n{difference}\n{state}", step.place, step.command);
        }
    }

    /// About the server that runs, or should: whether it does, and its output.
    fn server_state(&mut self) -> String {
        let Some(server) = self.server.take() else {
            return "no server runs".into();
        };
        let asked =
            "kill -0 $server 2>/dev/null && echo runs || { wait $server; echo ended with $?; }";
        let (state, _) = self.bash(asked);
        let printed = fs::read_to_string(server.log).unwrap();
        format!("the server of {} {state}:\n{printed}", server.place)
    }

    /// Makes bash run something; returns its output and its exit code. Afterwards `$?` is as the command left it.
    fn bash(&mut self, command: &str) -> (String, i32) {
        // The command reads nothing: the rest of the input is the session's.
        let line = format!(
            "{{ {command}\n}} </dev/null; code=$?; printf '\\n%s%d\\n' '{END}' $code; (exit $code)\n"
        );
        self.input.write_all(line.as_bytes()).unwrap();
        let mut output = Vec::new();
        let since = Instant::now();
        loop {
            match self
                .output
                .recv_timeout(PATIENCE.saturating_sub(since.elapsed()))
            {
                Ok(line) => {
                    if let Some(code) = line.strip_prefix(END) {
                        // The line break before the mark is not the command's.
                        return (output.join("\n"), code.parse().unwrap());
                    }
                    output.push(line);
                }
                Err(RecvTimeoutError::Timeout) => panic!("`{command}` does not end"),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("bash ended during `{command}`:\n{}", output.join("\n"))
                }
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // bash exits when its input ends, and takes a server with it.
        let _ = self.input.write_all(b"exit\n");
        let _ = self.bash.wait();
    }
}

/// A command without the variables that are set only for it: `NAME=value `.
fn without_variables(mut command: &str) -> &str {
    while let Some((word, rest)) = command.split_once(' ')
        && word
            .split_once('=')
            .is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    {
        command = rest;
    }
    command
}

/// What is run for a command: for `cargo run`, the program that cargo has built for this test, so that it is not built
/// again in another profile.
fn translated(command: &str) -> String {
    match command.split_once(" -- ") {
        Some((cargo, arguments)) if cargo.starts_with("cargo run") => {
            format!("valor_cli {arguments}")
        }
        _ => command.to_owned(),
    }
}

/// A port that nobody listens on, a different one for each session. It is below those that systems give to clients, so
/// that none of them takes it in between.
fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // A different start for each process, for those that run concurrently.
    let start = 10_000 + (std::process::id() % 20_000) as u16;
    loop {
        let port = start + TAKEN.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Plays a block in a separate session.
#[cfg(test)]
fn played(name: &str, text: &str) {
    let block = crate::page::Block {
        place: format!("{name}:1"),
        tags: vec!["console".into()],
        text: text.into(),
    };
    let mut session = Session::begin(name);
    let steps = block.steps();
    for (index, step) in steps.iter().enumerate() {
        let next = steps.get(index + 1);
        session.step(step, next.is_some_and(|next| next.command == "echo $?"));
    }
    session.end();
}

#[test]
fn a_session_goes_on_where_it_was() {
    played(
        "goes-on",
        "$ cd ..; word='a b'\n$ ls; echo \"$word\"\nvalor\na b\n$ printf '1\\n2\\n3'\n1\n...\n\
         $ echo none\nnone\n...\n\
         $ (exit 3)\n$ echo $?\n3\n$ cat\n",
    );
}

#[test]
#[should_panic(expected = "other:1: `echo one`")]
fn other_output_is_a_failure() {
    played("other", "$ echo one\ntwo\n");
}

#[test]
#[should_panic(expected = "`false` ends with 1")]
fn a_command_that_fails_is_a_failure() {
    played("fails", "$ false\n");
}

#[test]
#[should_panic(expected = "does not serve")]
fn a_server_that_does_not_serve_is_a_failure() {
    played("no-server", "$ valor_cli run -p nowhere/plugins.json\n");
}
