//! What is measured: which server, with how many threads. [`Running`] is one of them as a child
//! process of the bench; it ends when it is dropped.

use crate::process;
use std::{
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// What every server answers at `/hello`.
pub const HELLO: &str = "OK response from a plugin";

/// What every server answers at `/blob`: 1 MiB.
pub static BLOB: &[u8] = &[b'v'; 1024 * 1024];

/// A server program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Server {
    /// hyper on tokio
    HyperTokio,
    /// hyper on smol
    HyperSmol,
    /// axum, which is hyper on tokio with a router
    Axum,
    /// nginx, as Debian builds it
    Nginx,
    /// Valor with its vlugins in libraries
    ValorNative,
    /// Valor with its vlugins in WebAssembly modules
    ValorWasm,
    /// The same, with an instance of its own for every request
    ValorWasmFresh,
    /// Valor with the same vlugins linked into the program
    ValorCompiled,
    /// Valor's server alone, in front of a closure
    ValorBare,
}

impl Server {
    /// How it is called in a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::HyperTokio => "hyper on tokio",
            Self::HyperSmol => "hyper on smol",
            Self::Axum => "axum",
            Self::Nginx => "nginx",
            Self::ValorNative => "Valor, native",
            Self::ValorWasm => "Valor, WebAssembly",
            Self::ValorWasmFresh => "Valor, WebAssembly, each a new instance",
            Self::ValorCompiled => "Valor, compiled in",
            Self::ValorBare => "Valor, server alone",
        }
    }

    fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self).expect("none is hidden");
        value.get_name().to_owned()
    }
}

/// A server that runs.
pub struct Running {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    // nginx's files.
    _folder: Option<TempDir>,
}

impl Running {
    /// Starts a server, on one processor where `cpu` names it.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(server: Server, threads: usize, cpu: Option<usize>) -> io::Result<Self> {
        let program = match server {
            Server::Nginx => PathBuf::from("nginx"),
            _ => std::env::current_exe()?,
        };
        Self::spawn(server, threads, pinned(&program, cpu))
    }

    /// Starts a server under another command (a tracer, say).
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn spawn(server: Server, threads: usize, mut command: Command) -> io::Result<Self> {
        if server == Server::Nginx {
            return Self::nginx(threads, command);
        }
        command
            .args(["serve", &server.name(), "--threads", &threads.to_string()])
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().parse().map_err(|_| {
            let _ = child.kill();
            io::Error::other(format!("{} did not start", server.title()))
        })?;
        Ok(Self {
            child,
            addr,
            _folder: None,
        })
    }

    fn nginx(threads: usize, mut command: Command) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        std::fs::write(folder.path().join("blob"), BLOB)?;
        let at = folder.path().display();
        let config = format!(
            "daemon off; pid {at}/pid; error_log {at}/error.log;\n\
             worker_processes {threads};\n\
             events {{ worker_connections 8192; }}\n\
             http {{\n\
             access_log off; sendfile on; keepalive_requests 1000000000; default_type text/plain;\n\
             client_body_temp_path {at}; proxy_temp_path {at}; fastcgi_temp_path {at};\n\
             uwsgi_temp_path {at}; scgi_temp_path {at};\n\
             server {{ listen 127.0.0.1:{port}; root {at}; location = /hello {{ return 200 '{HELLO}'; }} }}\n\
             }}\n"
        );
        let path = folder.path().join("nginx.conf");
        std::fs::File::create(&path)?.write_all(config.as_bytes())?;
        let child = command
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&path)
            .spawn()?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        process::wait_for(addr)?;
        Ok(Self {
            child,
            addr,
            _folder: Some(folder),
        })
    }

    /// The number of the process, whose children belong to it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a user would, and waits until it has.
    pub fn terminate(&mut self) -> io::Result<()> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx's workers end with their master only where it can tell them to.
        if matches!(self.child.try_wait(), Ok(None)) && self.terminate().is_err() {
            let _ = self.child.kill();
        }
    }
}

/// A command that runs on one processor, where `cpu` names it.
pub fn pinned(program: &Path, cpu: Option<usize>) -> Command {
    match cpu {
        None => Command::new(program),
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &cpu.to_string()]).arg(program);
            command
        }
    }
}
