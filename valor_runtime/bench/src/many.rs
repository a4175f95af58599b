//! What it costs a host to have many vlugins: the processor time of a request if there are many routes or many mounted
//! vlugins, and the memory that each takes. `main` prints these tables.

use crate::{
    copies,
    footprint::clients,
    load::{self, Load},
    process::{self, Memory},
    subject::{Running, Server, pinned},
    throughput, valor,
};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The same requests, with few routes and with many.
///
/// # Errors
/// If a server does not run, or if a request fails.
pub fn routes() -> io::Result<()> {
    println!("\n### routes\n");
    println!("| routes | CPU µs per request | ratio |\n|---:|---:|---:|");
    let load = |_| Load::Hello { headers: 1 };
    compare("VALOR_BENCH_ROUTES", 10, 10_000, load)
}

/// One library, mounted once and mounted often. Each request goes to another one of them.
///
/// # Errors
/// If a server does not run, or if a request fails.
pub fn mounted() -> io::Result<()> {
    println!("\n### mounted vlugins, each request to another\n");
    println!("| mounted | CPU µs per request | ratio |\n|---:|---:|---:|");
    compare(MOUNTS, 1, 1000, |paths| Load::InTurn { paths })
}

/// The variable that says how often the hello is mounted besides.
pub const MOUNTS: &str = "VALOR_BENCH_MOUNTS";

/// Two servers take turns: one has few of something and one has many.
fn compare(
    variable: &str,
    few: usize,
    many: usize,
    load: impl Fn(usize) -> Load,
) -> io::Result<()> {
    let start = |count: usize| {
        let mut command = pinned(&std::env::current_exe()?, Some(0));
        command.env(variable, count.to_string());
        Running::spawn(Server::ValorNative, 1, command)
    };
    let servers = (start(few)?, start(many)?);
    let cpu =
        |server, count| Ok::<_, io::Error>(load::play(load(count), clients(32, 2), server)?.cpu);
    // The first requests of each vlugin are not its usual ones.
    cpu(&servers.0, few)?;
    cpu(&servers.1, many)?;
    let (mut of_few, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let least = cpu(&servers.0, few)?;
        of_few.push(least);
        ratios.push(cpu(&servers.1, many)? / least);
    }
    let least = throughput::median(of_few.into_iter());
    let ratio = throughput::median(ratios.into_iter());
    println!("| {few} | {least:.2} | 1.00 |");
    println!("| {many} | {:.2} | {ratio:.2} |", least * ratio);
    Ok(())
}

/// A kind of vlugin, and how many of it are mounted.
struct Crowd {
    title: &'static str,
    server: Server,
    count: usize,
    files: Files,
}

/// The files of a crowd.
enum Files {
    /// All of them are one file.
    One,
    /// Each is its own.
    Each(fn(&TempDir, usize) -> io::Result<()>),
}

const CROWDS: &[Crowd] = &[
    Crowd {
        title: "native, one library",
        server: Server::ValorNative,
        count: 1000,
        files: Files::One,
    },
    Crowd {
        title: "native, a library each",
        server: Server::ValorNative,
        count: 100,
        files: Files::Each(|folder, count| copies::libraries(folder.path(), count)),
    },
    Crowd {
        title: "WebAssembly, one module",
        server: Server::ValorWasm,
        count: 1000,
        files: Files::One,
    },
    Crowd {
        title: "WebAssembly, a module each",
        server: Server::ValorWasm,
        count: 100,
        files: Files::Each(|folder, count| {
            copies::modules(folder.path(), &valor::module("hello_plugin")?, count)
        }),
    },
    Crowd {
        title: "JavaScript, a script each",
        server: Server::ValorJs,
        count: 8,
        files: Files::Each(|folder, count| copies::scripts(folder.path(), count)),
    },
];

/// The memory of a host and of its children with a crowd and without one, for each in the crowd. Each of them has
/// answered a request.
///
/// # Errors
/// If a server does not run, or if a vlugin does not answer.
pub fn memory() -> io::Result<()> {
    println!("\n### memory of a mounted vlugin\n");
    println!(
        "| vlugin | mounted | resident KiB for each | proportional KiB for each |\n|---|---:|---:|---:|"
    );
    let servers: Vec<Server> = CROWDS.iter().map(|crowd| crowd.server).collect();
    let there = throughput::there(&servers);
    for crowd in CROWDS.iter().filter(|it| there.contains(&it.server)) {
        let cache = TempDir::new()?;
        // The first start leaves the compiled code of modules behind for the next, so that the memory of the compiler
        // does not count.
        crowded(crowd, crowd.count, &cache)?;
        let (none, all) = (
            crowded(crowd, 0, &cache)?,
            crowded(crowd, crowd.count, &cache)?,
        );
        let each = |of: fn(&Memory) -> u64| {
            of(&all).saturating_sub(of(&none)) as f64 / 1024.0 / crowd.count as f64
        };
        println!(
            "| {} | {} | {:.1} | {:.1} |",
            crowd.title,
            crowd.count,
            each(|it| it.resident),
            each(|it| it.proportional)
        );
    }
    Ok(())
}

/// The memory of a server with so many of a crowd.
fn crowded(crowd: &Crowd, count: usize, cache: &TempDir) -> io::Result<Memory> {
    let folder = TempDir::new()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.env("XDG_CACHE_HOME", cache.path());
    match crowd.files {
        Files::One => command.env(MOUNTS, count.to_string()),
        Files::Each(write) => {
            write(&folder, count)?;
            command.env("VALOR_BENCH_FILES", folder.path())
        }
    };
    let server = Running::spawn(crowd.server, 1, command)?;
    ask(&server, "/hello")?;
    for number in 0..count {
        ask(&server, &format!("/a{number}/"))?;
    }
    thread::sleep(Duration::from_secs(1));
    process::memory(server.pid())
}

/// A request that has to be answered with 200.
fn ask(server: &Running, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(server.addr)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{path}: {}",
            String::from_utf8_lossy(&answer)
        ))),
    }
}
