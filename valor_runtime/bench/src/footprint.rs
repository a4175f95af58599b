//! What a server costs besides throughput: memory for connections that do nothing and for a very large body, system
//! calls, instructions, and the time until it serves.

use crate::{
    copies,
    load::{self, Clients, Load},
    process,
    subject::{CLIENTS_CPU, Running, Server},
};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Something to measure, by its name.
pub type Measure = (&'static str, fn() -> io::Result<()>);

/// Everything that is measured here.
pub const ALL: &[Measure] = &[
    ("calls without a socket", crate::calls::measure),
    ("instructions", instructions),
    ("system calls", system_calls),
    ("idle connections", idle),
    ("echo of 1 GiB", large_echo),
    ("100 vlugins", readiness),
    ("100 WebAssembly vlugins", readiness_of_modules),
    ("100 components", readiness_of_components),
    ("100 modules in signed packages", crate::packaged::measure),
    ("routes", crate::many::routes),
    ("mounted vlugins", crate::many::mounted),
    ("memory of a mounted vlugin", crate::many::memory),
    ("percentiles", crate::percentiles::measure),
    ("neighbours", crate::neighbours::measure),
];

const SERVERS: &[Server] = &[Server::HyperTokio, Server::Nginx, Server::ValorNative];
const KIB: u64 = 1024;

/// Connections that were used once and are kept open: resident memory per connection.
fn idle() -> io::Result<()> {
    const CONNECTIONS: usize = 4000;
    println!("\n### memory of an idle connection\n");
    println!("| server | bytes for each of {CONNECTIONS} |\n|---|---:|");
    for &server in SERVERS {
        let running = Running::start(server, 1, None)?;
        // What exists only once for all of them comes first.
        let warm = (0..50).map(|_| used_once(&running));
        drop(warm.collect::<io::Result<Vec<_>>>()?);
        thread::sleep(Duration::from_millis(300));
        let before = process::resident(running.pid())?;
        let idle = (0..CONNECTIONS).map(|_| used_once(&running));
        let idle = idle.collect::<io::Result<Vec<_>>>()?;
        thread::sleep(Duration::from_millis(300));
        let bytes = process::resident(running.pid())?.saturating_sub(before);
        println!("| {} | {} |", server.title(), bytes / CONNECTIONS as u64);
        drop(idle);
    }
    Ok(())
}

/// A connection to a server, after one answer.
///
/// # Errors
/// If there is no answer.
pub fn used_once(server: &Running) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server.addr)?;
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: a\r\n\r\n")?;
    let mut answer = [0; 1024];
    if stream.read(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(stream)
}

/// 1 GiB to `/echo` and back: the peak of resident memory.
fn large_echo() -> io::Result<()> {
    println!("\n### echo of 1 GiB\n");
    println!("| server | resident before, KiB | at most, KiB |\n|---|---:|---:|");
    for server in [
        Server::HyperTokio,
        Server::ValorCompiled,
        Server::ValorNative,
        Server::ValorWasi3,
        Server::ValorWasi2,
    ] {
        let running = Running::start(server, 1, None)?;
        drop(used_once(&running)?);
        let before = process::resident(running.pid())?;
        let peak = echo(&running, 1 << 30)?;
        println!("| {} | {} | {} |", server.title(), before / KIB, peak / KIB);
    }
    Ok(())
}

fn echo(server: &Running, length: u64) -> io::Result<u64> {
    let mut out = TcpStream::connect(server.addr)?;
    let mut back = out.try_clone()?;
    let sender = thread::spawn(move || -> io::Result<()> {
        let head = format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        out.write_all(head.as_bytes())?;
        let piece = vec![b'v'; 64 * 1024];
        for _ in 0..length / piece.len() as u64 {
            out.write_all(&piece)?;
        }
        Ok(())
    });
    let mut piece = vec![0; 256 * 1024];
    let (mut seen, mut peak) = (0, 0);
    while seen < length {
        match back.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            amount => seen += amount as u64,
        }
        peak = peak.max(process::resident(server.pid())?);
    }
    sender
        .join()
        .map_err(|_| io::Error::other("the sender panicked"))??;
    Ok(peak)
}

/// 100 libraries, each a different file: from the program's start to the first answer.
fn readiness() -> io::Result<()> {
    const VLUGINS: usize = 100;
    let folder = TempDir::new()?;
    copies::libraries(folder.path(), VLUGINS)?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        command.env("VALOR_BENCH_FILES", folder.path());
        let running = Running::spawn(Server::ValorNative, 2, command)?;
        drop(used_once(&running)?);
        times.push(start.elapsed().as_secs_f64());
    }
    let seconds = crate::throughput::median(times.into_iter());
    println!("\n### {VLUGINS} native vlugins\n");
    println!("From the program's start to the first answer: {seconds:.3} s.");
    Ok(())
}

fn readiness_of_modules() -> io::Result<()> {
    readiness_of_guests(
        "WebAssembly vlugins",
        Server::ValorWasm,
        &crate::valor::module("hello_plugin")?,
    )
}

fn readiness_of_components() -> io::Result<()> {
    readiness_of_guests(
        "components",
        Server::ValorWasi2,
        &crate::valor::component()?,
    )
}

/// 100 guests, each a different file. The first start leaves its compiled code behind for the next.
fn readiness_of_guests(title: &str, server: Server, file: &Path) -> io::Result<()> {
    const VLUGINS: usize = 100;
    let (folder, cache) = (TempDir::new()?, TempDir::new()?);
    copies::modules(folder.path(), file, VLUGINS)?;
    let start = || -> io::Result<f64> {
        let start = Instant::now();
        let mut command = Command::new(std::env::current_exe()?);
        command
            .env("VALOR_BENCH_FILES", folder.path())
            .env("XDG_CACHE_HOME", cache.path());
        let running = Running::spawn(server, 2, command)?;
        drop(used_once(&running)?);
        Ok(start.elapsed().as_secs_f64())
    };
    let first = start()?;
    let again = (0..5).map(|_| start()).collect::<io::Result<Vec<_>>>()?;
    let seconds = crate::throughput::median(again.into_iter());
    println!("\n### {VLUGINS} {title}\n");
    println!(
        "From the program's start to the first answer: {seconds:.3} s, and {first:.1} s the first time."
    );
    Ok(())
}

/// System calls per request, counted by strace.
fn system_calls() -> io::Result<()> {
    println!("\n### system calls of a request, 32 connections, 1 thread\n");
    println!("| server | calls |\n|---|---:|");
    for &server in SERVERS {
        let running = Running::start(server, 1, Some(0))?;
        let folder = TempDir::new()?;
        let counts = folder.path().join("counts");
        let mut tracer = Command::new("strace")
            .args(["-f", "-c", "-o"])
            .arg(&counts)
            .args(pids(&running)?)
            .stderr(Stdio::null())
            .spawn()?;
        thread::sleep(Duration::from_millis(500));
        let figures = load::play(Load::Hello { headers: 1 }, clients(32, 3), &running)?;
        interrupt(&mut tracer)?;
        let text = std::fs::read_to_string(&counts)?;
        let total = text.lines().find(|line| line.ends_with("total"));
        let calls = total.and_then(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok());
        let calls =
            calls.ok_or_else(|| io::Error::other(format!("strace counted none:\n{text}")))?;
        println!("| {} | {:.2} |", server.title(), calls / figures.requests);
    }
    Ok(())
}

fn pids(server: &Running) -> io::Result<Vec<String>> {
    let pids = process::tree(server.pid())?;
    Ok(pids.into_iter().map(|pid| format!("-p{pid}")).collect())
}

/// What makes `prctl` fail in a program. Linux from 6.4 on says with it where the kernel's own functions are, which
/// valgrind keeps from the program, and rustix calls them: without this, a module ends its host there. The tracer is in
/// the background, and stops the program at no other call. Once the program serves, [`process::untrace`] ends it.
const WITHOUT_PRCTL: [&str; 10] = [
    "-D",
    "-f",
    "-qq",
    // It ends when it is told to.
    "-I1",
    "--seccomp-bpf",
    "--output=/dev/null",
    "-e",
    "trace=prctl",
    "-e",
    "inject=prctl:error=EINVAL",
];

/// Instructions per request outside of the kernel, counted by callgrind.
fn instructions() -> io::Result<()> {
    const REQUESTS: usize = 4000;
    println!("\n### instructions of a request\n");
    println!("| server | instructions |\n|---|---:|");
    let servers = [
        Server::HyperTokio,
        Server::HyperSmol,
        Server::Axum,
        Server::ValorBare,
        Server::ValorCompiled,
        Server::ValorNative,
        Server::ValorWasm,
    ];
    for server in servers {
        let folder = TempDir::new()?;
        let mut command = Command::new("strace");
        command
            .args(WITHOUT_PRCTL)
            .arg("valgrind")
            .args(["-q", "--tool=callgrind", "--instr-atstart=no"])
            .arg(format!(
                "--callgrind-out-file={}",
                folder.path().join("out").display()
            ))
            .arg(std::env::current_exe()?)
            .stderr(Stdio::null());
        let mut running = Running::spawn(server, 1, command)?;
        process::untrace(running.pid())?;
        ask(&running, REQUESTS / 4)?;
        control(&running, "-i", "on")?;
        ask(&running, REQUESTS)?;
        control(&running, "-i", "off")?;
        running.terminate()?;
        let count = total(&folder.path().join("out"))?;
        println!("| {} | {} |", server.title(), count / REQUESTS as u64);
    }
    Ok(())
}

/// Requests on four kept connections, one after the other.
fn ask(server: &Running, requests: usize) -> io::Result<()> {
    let status = Command::new("ab")
        .args(["-q", "-k", "-c", "4", "-n", &requests.to_string()])
        .arg(format!("http://{}/hello", server.addr))
        .stdout(Stdio::null())
        .status()
        .map_err(|error| {
            io::Error::other(format!(
                "ab does not run: {error}; install Debian's package `apache2-utils`"
            ))
        })?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other("ab failed")),
    }
}

fn control(server: &Running, option: &str, value: &str) -> io::Result<()> {
    Command::new("callgrind_control")
        .args([option, value, &server.pid().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(drop)
}

fn total(file: &Path) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = line.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| io::Error::other("callgrind counted nothing"))
}

/// Clients on the processor that the server has not.
pub fn clients(connections: usize, seconds: u64) -> Clients {
    Clients {
        connections,
        threads: 1,
        cpu: Some(CLIENTS_CPU),
        time: Duration::from_secs(seconds),
    }
}

fn interrupt(child: &mut Child) -> io::Result<()> {
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()?;
    child.wait().map(drop)
}
