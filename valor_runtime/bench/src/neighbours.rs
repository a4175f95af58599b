//! What greedy vlugins cost a healthy one: the times of a native hello on two workers, alone and beside modules that
//! compute, scripts that loop and libraries that block. `main` prints this as one of its tables.

use crate::{
    programs,
    subject::{Running, Server as Subject},
    valor,
};
use std::{
    error::Error,
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use valor_runtime::{Definition, Response, Runtime, Vlugin, from_fn};

/// How many there are of each bad neighbour. A number is appended to the name.
const NEIGHBOURS: [(&str, usize); 3] = [("spin", 2), ("loop", 2), ("block", 4)];

/// How long a request blocks its thread.
const BLOCK: Duration = Duration::from_millis(700);

/// How long the healthy one is measured, once the others have had time to begin.
const TIME: Duration = Duration::from_secs(20);
const BEGIN: Duration = Duration::from_secs(4);

/// The pause between two requests to the healthy one.
const PAUSE: Duration = Duration::from_millis(5);

/// The healthy vlugin and its neighbours.
///
/// # Errors
/// If one cannot be loaded.
pub async fn vlugin() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let spin = folder.path().join("spin.wasm");
    fs::write(&spin, wat::parse_str(include_str!("../spin.wat"))?)?;
    let loops = Path::new(env!("CARGO_MANIFEST_DIR")).join("loop.js");
    let deno = programs::find("deno").ok_or("there is no Deno")?;
    let runtime = Runtime::builder()
        .plugin_dir(valor::library_dir()?)
        .deno(deno)
        .build()?;
    let mut definitions = vec![definition("native", "hello", Path::new("hello_plugin"))?];
    for (name, count) in NEIGHBOURS {
        for number in 0..count {
            let name = format!("{name}{number}");
            match &*name {
                "spin0" | "spin1" => definitions.push(definition("wasm", &name, &spin)?),
                "loop0" | "loop1" => definitions.push(definition("js", &name, &loops)?),
                // Like a library, whose code runs on the worker's thread.
                _ => {
                    let blocks = from_fn(|_| async {
                        thread::sleep(BLOCK);
                        Ok(Response::new(204))
                    });
                    runtime.add(&*name, blocks)?;
                }
            }
        }
    }
    for loaded in runtime.load_all(&definitions).await {
        loaded?;
    }
    Ok(runtime)
}

fn definition(kind: &str, name: &str, path: &Path) -> Result<Definition, Box<dyn Error>> {
    let definition = serde_json::json!({
        "type": kind, "name": name, "path": path,
        "limits": { "cpu": if kind == "wasm" { 10.0 } else { 1.0 } }
    });
    let mut definition: Definition = serde_json::from_value(definition)?;
    if kind == "native" {
        definition.limits = Default::default();
    }
    Ok(definition)
}

/// The times of the healthy one, alone and beside the others.
///
/// # Errors
/// If the server does not come up, or if the healthy one does not answer.
pub fn measure() -> io::Result<()> {
    println!(
        "\n### neighbours: hello on 2 threads beside 2 modules that compute, 2 scripts that loop, 4 libraries that \
         block\n"
    );
    println!("| hello | requests | p50 ms | p99 ms | longest ms |\n|---|---:|---:|---:|---:|");
    let running = Running::start(Subject::ValorNeighbours, 2, None)?;
    row("alone", running.addr)?;
    let stop = Arc::new(AtomicBool::new(false));
    let names = NEIGHBOURS.iter().flat_map(|(name, count)| {
        let numbers = 0..*count;
        numbers.map(move |number| format!("/{name}{number}"))
    });
    let threads: Vec<_> = names
        .map(|path| {
            let (addr, stop) = (running.addr, stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // The answer does not matter: a script that loops is ended.
                    if TcpStream::connect(addr)
                        .and_then(|mut stream| ask(&mut stream, &path))
                        .is_err()
                    {
                        thread::sleep(PAUSE);
                    }
                }
            })
        })
        .collect();
    thread::sleep(BEGIN);
    let measured = row("beside them", running.addr);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        let _ = thread.join();
    }
    measured
}

fn row(name: &str, addr: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed() < TIME {
        let asked = Instant::now();
        match ask(&mut stream, "/hello")? {
            200 => times.push(asked.elapsed()),
            status => return Err(io::Error::other(format!("hello answered {status}"))),
        }
        thread::sleep(PAUSE);
    }
    times.sort_unstable();
    let of = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    let (count, p50, p99, most) = (times.len(), of(50), of(99), of(100));
    println!("| {name} | {count} | {p50:.2} | {p99:.2} | {most:.1} |");
    Ok(())
}

/// Sends one GET, reads the response with its body, and returns the status.
fn ask(stream: &mut TcpStream, path: &str) -> io::Result<u16> {
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |line: &str| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(str::to_owned)
            };
            let len = head.lines().find_map(field);
            let len: usize = len.and_then(|len| len.trim().parse().ok()).unwrap_or(0);
            if body.len() >= len {
                let status = head.get(9..12).and_then(|status| status.parse().ok());
                return status.ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => answer.extend_from_slice(&part[..len]),
        }
    }
}
