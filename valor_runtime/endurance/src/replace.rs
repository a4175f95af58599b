//! Replaces a vlugin over and over while clients send requests all the time. No request may fail, and every response
//! has to come from a single version.
//!
//! The library is `versioned` of the runtime's fixtures. Each replacement writes another number into a copy of it, so
//! that the host has never seen that build, and sends it to `/_plugins` as a client would. Clients and server share
//! one process, whose memory is measured.

use crate::resources;
use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use valor_runtime::{
    Definition, Kind, RegistryAccess, Runtime,
    server::{Listen, Server, ServerConfig},
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The text in the library that is written over.
const MARK: &str = "version-0000";
/// How often a response names its version.
const TOLD: usize = 4;

#[derive(clap::Args)]
pub struct Args {
    /// The library `versioned`
    #[arg(long)]
    library: PathBuf,
    /// How often to replace it
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=9_999))]
    replacements: u32,
    /// Connections that send requests all the time
    #[arg(long, default_value_t = 32)]
    busy: usize,
}

/// Runs it and prints the cost.
///
/// # Errors
/// The first request that failed or mixed two versions, or the reason why it cannot run.
pub fn run(args: &Args) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let library = fs::read(&args.library)?;
    let file = |number: u32| -> Outcome<PathBuf> {
        let file = folder.path().join(format!("versioned-{number}.so"));
        fs::write(&file, marked(&library, number)?)?;
        Ok(file)
    };
    let runtime = Runtime::builder()
        .plugin_dir(folder.path())
        .registry(RegistryAccess::Loopback)
        .build()?;
    let mut definition = Definition::new(Kind::Native, "versioned");
    definition.path = Some(file(0)?);
    smol::block_on(runtime.load(&definition))?;
    let server = smol::block_on(Server::bind(
        &["127.0.0.1:0".parse()?],
        ServerConfig::default(),
    ))?;
    let Listen::Tcp(addr) = server.local_addrs()[0].clone() else {
        return Err("the server has no TCP address".into());
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let served = runtime.clone();
    thread::spawn(move || smol::block_on(server.run(served, workers, std::future::pending())));

    let (over, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clients: Vec<_> = (0..args.busy)
        .map(|_| {
            let (over, asked) = (over.clone(), asked.clone());
            thread::spawn(move || client(addr, &over, &asked))
        })
        .collect();
    // Wait until every client has had some answers: their memory is not the replacements'.
    wait_for(20 * args.busy as u64, &asked, &clients);

    let before = resources::resident(std::process::id());
    let start = Instant::now();
    for number in 1..=args.replacements {
        if clients.iter().any(thread::JoinHandle::is_finished) {
            break;
        }
        let file = file(number)?;
        put(addr, &file)?;
        fs::remove_file(&file)?;
    }
    let took = start.elapsed();
    // Each client may have one request under way that began before the last replacement. Of twice as many answers, half
    // began after it.
    let last = asked.load(Ordering::Relaxed) + 2 * args.busy as u64;
    wait_for(last, &asked, &clients);
    over.store(true, Ordering::Release);
    let mut versions = BTreeSet::new();
    for client in clients {
        versions.extend(client.join().map_err(|_| "a client panicked")??);
    }
    let requests = asked.load(Ordering::Relaxed);
    println!(
        "{} replacements under {} busy connections in {:.1} s; {requests} requests, none failed; {} versions were \
         seen, none mixed",
        args.replacements,
        args.busy,
        took.as_secs_f64(),
        versions.len()
    );
    match (before, resources::resident(std::process::id())) {
        (Ok(before), Ok(after)) => println!(
            "{} KiB resident before, {} KiB after: {} KiB for each, of a library of {} KiB",
            before / 1024,
            after / 1024,
            after.saturating_sub(before) / 1024 / u64::from(args.replacements),
            library.len() / 1024
        ),
        (Err(error), _) | (_, Err(error)) => println!("{error}"),
    }
    if !versions.contains(&args.replacements) {
        return Err("nobody has seen the last version".into());
    }
    Ok(())
}

/// Waits until so many requests were answered, or a client has ended: it has failed then.
fn wait_for(
    answers: u64,
    asked: &AtomicU64,
    clients: &[thread::JoinHandle<Outcome<BTreeSet<u32>>>],
) {
    while asked.load(Ordering::Relaxed) < answers
        && !clients.iter().any(thread::JoinHandle::is_finished)
    {
        thread::sleep(Duration::from_millis(10));
    }
}

/// The library with another number in its mark.
fn marked(library: &[u8], number: u32) -> Outcome<Vec<u8>> {
    let mut bytes = library.to_vec();
    let places: Vec<_> = library
        .windows(MARK.len())
        .enumerate()
        .filter(|(_, window)| *window == MARK.as_bytes())
        .map(|(at, _)| at)
        .collect();
    if places.is_empty() {
        return Err(
            format!("there is no `{MARK}` in it: it is not the library `versioned`").into(),
        );
    }
    for at in places {
        bytes[at..at + MARK.len()].copy_from_slice(format!("version-{number:04}").as_bytes());
    }
    Ok(bytes)
}

/// Sends requests until it is over. Returns the versions it saw.
fn client(addr: SocketAddr, over: &AtomicBool, asked: &AtomicU64) -> Outcome<BTreeSet<u32>> {
    let mut seen = BTreeSet::new();
    let mut stream = connect(addr)?;
    while !over.load(Ordering::Acquire) {
        stream
            .get_mut()
            .write_all(b"GET /versioned HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let response = read_until(&mut stream, b"\r\n0\r\n\r\n")?;
        seen.insert(version_of(&response)?);
        asked.fetch_add(1, Ordering::Relaxed);
    }
    Ok(seen)
}

fn connect(addr: SocketAddr) -> Outcome<BufReader<TcpStream>> {
    let stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(BufReader::new(stream))
}

/// The version that all parts of a response name.
fn version_of(response: &str) -> Outcome<u32> {
    let told: Vec<_> = response
        .match_indices("version-")
        .filter_map(|(at, mark)| response.get(at + mark.len()..at + mark.len() + 4))
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        .collect();
    let whole = response.starts_with("HTTP/1.1 200 ") && told.len() == TOLD;
    if !whole || told.iter().any(|version| *version != told[0]) {
        return Err(format!("not one whole version:\n{response}").into());
    }
    Ok(told[0].parse()?)
}

fn read_until(stream: &mut BufReader<TcpStream>, end: &[u8]) -> Outcome<String> {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(end) {
        stream.read_exact(&mut byte).map_err(|error| {
            let so_far = String::from_utf8_lossy(&bytes);
            format!("{error} after `{so_far}`")
        })?;
        bytes.push(byte[0]);
        if bytes.len() > 64 * 1024 {
            return Err("a response without an end".into());
        }
    }
    Ok(String::from_utf8(bytes)?)
}

/// Replaces it, like a client of `/_plugins`.
fn put(addr: SocketAddr, file: &Path) -> Outcome<()> {
    let mut definition = Definition::new(Kind::Native, "versioned");
    definition.path = Some(file.to_owned());
    let body = serde_json::to_string(&definition)?;
    let mut stream = connect(addr)?;
    write!(
        stream.get_mut(),
        "PUT /_plugins/versioned HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    if !response.starts_with("HTTP/1.1 200 ") {
        return Err(format!("it was not replaced:\n{response}").into());
    }
    Ok(())
}
