//! Programs to run, and the server that they talk to.

use crate::support::{Finished, Folder, Server, libraries, workspace};
use serde_json::json;
use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

/// How many requests each client sends, at least.
pub const REQUESTS: usize = 1000;

/// An installed program, or a failure that says how to install it.
pub fn program(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|p| p.is_file());
    let found = found.unwrap_or_else(|| {
        panic!("{name} is missing: install the package {package}, or run .ci/tools")
    });
    let mut command = Command::new(found);
    for name in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(name);
    }
    command
}

/// The output of a program, which must succeed.
pub fn run(command: &mut Command) -> String {
    run_with(command, b"")
}

/// The same with bytes for its standard input.
pub fn run_with(command: &mut Command, input: &[u8]) -> String {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeding = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    assert!(status.success(), "{command:?}: {status}\n{out}\n{err}");
    out.into_owned()
}

/// The library of the runtime's own tests that sends a body back once it has all of it.
fn whole() -> &'static str {
    static BUILT: OnceLock<String> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fixtures");
        let fixtures = workspace().join("valor_runtime/tests/fixtures");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "-p", "misbehaving"])
            .current_dir(fixtures);
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false");
        run(cargo.env("CARGO_TARGET_DIR", &target));
        let file = format!("{DLL_PREFIX}misbehaving{DLL_SUFFIX}");
        target.join("debug").join(file).display().to_string()
    })
}

/// A server with `hello_plugin` at `/hello`, and, for bodies up to 1 GiB, `echo` at `/echo`, which sends back what it
/// gets as it arrives, and `/whole/echo-whole`, which waits for the end.
pub struct Serving {
    pub server: Server,
    _folder: Folder,
}

impl Serving {
    pub fn start() -> Self {
        Self::with(&[], &[])
    }

    /// With a page at `/site/`.
    pub fn page(page: &str) -> Self {
        Self::with(&[], &[("site/index.html", page)])
    }

    pub fn with(args: &[&str], files: &[(&str, &str)]) -> Self {
        let large = json!({ "body": 1 << 30 });
        let plugins = json!({ "plugins": [
            { "type": "native", "name": "hello", "path": "hello_plugin" },
            { "type": "native", "name": "echo", "limits": large },
            { "type": "native", "name": "whole", "path": whole(), "config": "", "limits": large },
            { "type": "files", "name": "site", "path": "site" },
        ] });
        let folder = Folder::new(&plugins.to_string());
        folder.write("site/empty", "");
        for (name, text) in files {
            folder.write(name, text);
        }
        let file = folder.file("plugins.json");
        let libraries = libraries().to_str().unwrap();
        let mut all = vec!["-p", &file, "--plugin-dir", libraries];
        all.extend(args);
        Self {
            server: Server::start(&all),
            _folder: folder,
        }
    }

    pub fn addr(&self) -> &str {
        &self.server.addrs[0]
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// Waits for the end.
    pub fn end(self) -> Finished {
        self.server.end()
    }

    /// Checks that the server found nothing to complain about either.
    pub fn is_content(&self) {
        let err = self.server.err();
        let complaints: Vec<_> = err
            .lines()
            .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
            .collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// Bytes that do not repeat.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}
