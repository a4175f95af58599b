//! What is measured: which server, with how many threads. A [`Running`] is one server as a child process of the
//! bench; it ends when it is dropped.

use crate::{process, programs};
use std::{
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
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
    /// async-h1 on smol
    AsyncH1,
    /// nginx, as Debian builds it
    Nginx,
    /// The same, with a hello in Lua
    NginxLua,
    /// The same, in front of another server
    NginxProxy,
    /// Caddy with `respond`
    Caddy,
    /// `wasmtime serve` with a WASI component
    WasmtimeServe,
    /// `deno serve` with the same file that Valor serves as a vlugin
    DenoServe,
    /// workerd with that file
    Workerd,
    /// Node's own server
    Node,
    /// Valor with its vlugins in libraries
    ValorNative,
    /// Valor with its vlugins in WebAssembly modules
    ValorWasm,
    /// The same, with an instance for each request
    ValorWasmFresh,
    /// Valor with modules in signed packages, which carry their compiled code
    ValorPackages,
    /// Valor with a vlugin in a library that passes requests on to another server
    ValorProxy,
    /// Valor with components of WASI 0.2, whose instances answer one request each
    ValorWasi2,
    /// Valor with components of WASI 0.3, whose instance answers all requests
    ValorWasi3,
    /// Valor with a vlugin in JavaScript
    ValorJs,
    /// Valor with a healthy vlugin and greedy neighbours
    ValorNeighbours,
    /// Valor with the same vlugins linked into the program
    ValorCompiled,
    /// Valor's server alone, in front of a closure
    ValorBare,
}

impl Server {
    /// Its name in a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::HyperTokio => "hyper on tokio",
            Self::HyperSmol => "hyper on smol",
            Self::Axum => "axum",
            Self::AsyncH1 => "async-h1 on smol",
            Self::Nginx => "nginx",
            Self::NginxLua => "nginx with Lua",
            Self::NginxProxy => "nginx, proxy_pass",
            Self::Caddy => "Caddy, respond",
            Self::WasmtimeServe => "wasmtime serve",
            Self::DenoServe => "deno serve",
            Self::Workerd => "workerd",
            Self::Node => "Node",
            Self::ValorNative => "Valor, native",
            Self::ValorWasm => "Valor, WebAssembly",
            Self::ValorWasmFresh => "Valor, WebAssembly, each a new instance",
            Self::ValorPackages => "Valor, signed packages",
            Self::ValorProxy => "Valor, native proxy",
            Self::ValorWasi2 => "Valor, WASI 0.2, each a new instance",
            Self::ValorWasi3 => "Valor, WASI 0.3",
            Self::ValorJs => "Valor, JavaScript",
            Self::ValorNeighbours => "Valor, with bad neighbours",
            Self::ValorCompiled => "Valor, compiled in",
            Self::ValorBare => "Valor, server alone",
        }
    }

    /// Whether requests go on to another server behind it.
    fn is_proxy(self) -> bool {
        matches!(self, Self::NginxProxy | Self::ValorProxy)
    }

    /// Whether this server is Valor.
    pub fn is_valor(self) -> bool {
        self.title().starts_with("Valor,")
    }

    fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self).expect("none is hidden");
        value.get_name().to_owned()
    }
}

/// A running server.
pub struct Running {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    // The files of a program.
    _folder: Option<TempDir>,
    // What a proxy passes requests on to. It is not in the proxy's figures.
    _upstream: Option<Box<Running>>,
}

/// The variable that tells Valor as a proxy what it passes requests on to.
pub const UPSTREAM: &str = "VALOR_BENCH_UPSTREAM";

/// The processor of the clients and of what is behind a proxy, if the server has its own.
pub const CLIENTS_CPU: usize = 1;

impl Running {
    /// Starts a server, on a single processor if `cpu` names one.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(server: Server, threads: usize, cpu: Option<usize>) -> io::Result<Self> {
        if let Some(lacking) = programs::lacking(server) {
            return Err(io::Error::other(lacking));
        }
        let program = match programs::name(server) {
            Some(name) if !server.is_valor() => programs::find(name),
            _ => Some(std::env::current_exe()?),
        };
        let program = program.ok_or(io::ErrorKind::NotFound)?;
        if server == Server::ValorJs {
            let script = Self::spawn(server, threads, Command::new(program))?;
            return script.moved(cpu);
        }
        let command = pinned(&program, cpu);
        if !server.is_proxy() {
            return Self::spawn(server, threads, command);
        }
        let upstream = Self::start(Server::HyperTokio, 1, cpu.map(|_| CLIENTS_CPU))?;
        let mut proxy = Self::before(Some(upstream.addr), server, threads, command)?;
        proxy._upstream = Some(Box::new(upstream));
        Ok(proxy)
    }

    /// Moves a server and its children to a single processor. Deno has to start on all of them: Valor gives it memory
    /// for as many processors as it has itself.
    fn moved(self, cpu: Option<usize>) -> io::Result<Self> {
        if let Some(cpu) = cpu {
            for pid in process::tree(self.pid())? {
                let (cpu, pid) = (cpu.to_string(), pid.to_string());
                let moved = Command::new("taskset")
                    .args(["-a", "-c", "-p", &cpu, &pid])
                    .stdout(Stdio::null())
                    .status()?;
                if !moved.success() {
                    return Err(io::Error::other("taskset failed"));
                }
            }
        }
        Ok(self)
    }

    /// Starts a server under another command, such as a tracer.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn spawn(server: Server, threads: usize, command: Command) -> io::Result<Self> {
        Self::before(None, server, threads, command)
    }

    /// A server that knows what is behind it, if it is a proxy.
    fn before(
        upstream: Option<SocketAddr>,
        server: Server,
        threads: usize,
        mut command: Command,
    ) -> io::Result<Self> {
        if programs::name(server).is_some() && !server.is_valor() {
            return Self::program(upstream, server, threads, command);
        }
        if let Some(upstream) = upstream {
            command.env(UPSTREAM, upstream.to_string());
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
            _upstream: None,
        })
    }

    fn program(
        upstream: Option<SocketAddr>,
        server: Server,
        threads: usize,
        mut command: Command,
    ) -> io::Result<Self> {
        let folder = TempDir::new()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let place = programs::Place {
            threads,
            port,
            folder: folder.path(),
            upstream,
        };
        programs::arm(&mut command, server, place)?;
        let child = command.stdout(Stdio::null()).spawn()?;
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        process::wait_for(addr)?;
        Ok(Self {
            child,
            addr,
            _folder: Some(folder),
            _upstream: None,
        })
    }

    /// The process id. The figures include its children.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a user would, and waits for that.
    pub fn terminate(&mut self) -> io::Result<()> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx's workers end with their master only if it can tell them to.
        if matches!(self.child.try_wait(), Ok(None)) && self.terminate().is_err() {
            let _ = self.child.kill();
        }
    }
}

/// A command that runs on a single processor, if `cpu` names one.
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
