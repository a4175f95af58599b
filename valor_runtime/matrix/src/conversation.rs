//! The conversation: requests to the vlugins, and the answers they have to give. The table of compilers holds it with
//! today's libraries, and `tests/archive` with libraries and modules that were built when their ABI was new.

use crate::lines;
use futures_lite::{
    AsyncReadExt,
    future::{block_on, poll_once},
    io::{BufReader, Cursor},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use valor_runtime::{
    Definition, Kind, Request, Response, Runtime, from_fn, http, inspect,
    server::{Server, ServerConfig},
};

type Outcome = Result<(), String>;
type Step = fn(&Runtime) -> Outcome;

/// Every step with its name, in this order.
pub const STEPS: [(&str, Step); 7] = [
    ("loads", loads),
    ("state", state),
    ("stream out", stream_out),
    ("both ways, fetch", both_ways),
    ("wakes", wakes),
    ("panic", panics),
    ("cancellation", cancellation),
];
/// The number of steps for vlugins that are not libraries. The others use the fixture that misbehaves.
const OF_MODULES: usize = 4;

/// Holds the conversation with the vlugins of this kind in these folders. Returns the compilers of this program and
/// of the vlugins.
///
/// # Errors
/// The step that failed, with the expected and the actual answer.
pub fn hold(kind: Kind, folders: &[PathBuf]) -> Result<(String, String), String> {
    lines::keep();
    let upstream = upstream()?;
    let runtime = Runtime::builder().build().map_err(|e| e.to_string())?;
    let mut compilers = Vec::new();
    let steps = match kind.as_str() {
        "native" => &STEPS[..],
        _ => &STEPS[..OF_MODULES],
    };
    for (name, library, config) in [
        ("hello", "hello_plugin", Value::Null),
        ("alice", "with_state", json!("Alice")),
        ("bob", "with_state", json!("Bob")),
        ("events", "events", Value::Null),
        ("proxy", "proxy", json!({ "upstream": upstream })),
        ("bad", "misbehaving", Value::Null),
    ] {
        if library == "misbehaving" && steps.len() == OF_MODULES {
            continue;
        }
        let file = find(kind, folders, library)?;
        let inspection = inspect(&file).map_err(|error| error.to_string())?;
        let metadata = inspection.metadata.ok_or("a library without metadata")?;
        compilers.push(metadata.rustc);
        let mut definition = Definition::new(kind, name);
        definition.path = Some(file);
        definition.allow = Some(vec!["127.0.0.1".into()]);
        definition.config = config;
        block_on(runtime.load(&definition)).map_err(|error| error.to_string())?;
    }
    compilers.dedup();
    let [vlugins] = &compilers[..] else {
        return Err(format!(
            "the libraries are of several compilers: {compilers:?}"
        ));
    };
    for (name, step) in steps {
        step(&runtime).map_err(|fault| format!("{name}, vlugins of rustc {vlugins}: {fault}"))?;
    }
    let short = |rustc: &str| rustc.split(" (").next().unwrap_or(rustc).to_owned();
    Ok((
        short(valor_abi_wire::metadata::Metadata::this_rustc()),
        short(vlugins),
    ))
}

fn find(kind: Kind, folders: &[PathBuf], library: &str) -> Result<PathBuf, String> {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let file = match kind.as_str() {
        "native" => format!("{DLL_PREFIX}{library}{DLL_SUFFIX}"),
        _ => format!("{library}.wasm"),
    };
    let files = folders.iter().map(|folder| folder.join(&file));
    let found = files.into_iter().find(|file| Path::exists(file));
    found.ok_or_else(|| format!("{file} is not in {folders:?}"))
}

/// A server that sends back what it gets, on its own thread.
fn upstream() -> Result<String, String> {
    let echo = from_fn(|request: Request| async move {
        let mut response = Response::new(200);
        response.body = request.body;
        Ok(response)
    });
    let addr = "127.0.0.1:0".parse().map_err(|error| format!("{error}"))?;
    let server = block_on(Server::bind(&[addr], ServerConfig::default()));
    let server = server.map_err(|error| error.to_string())?;
    let addr = server.local_addrs()[0].clone();
    let runtime = Runtime::builder().build().map_err(|e| e.to_string())?;
    runtime.add("echo", echo).map_err(|e| e.to_string())?;
    std::thread::spawn(move || block_on(server.run(runtime, 1, std::future::pending())));
    Ok(format!("http://{addr}/echo"))
}

fn get(path: &str) -> http::Request {
    http::Request::new(http::Method::Get, &*format!("http://localhost{path}"))
}

/// Sends a request, and compares status and text.
fn expect(runtime: &Runtime, path: &str, status: u16, text: &str) -> Outcome {
    let mut res = block_on(runtime.handle(get(path)));
    let found = block_on(res.body_string()).map_err(|error| format!("{path}: {error}"))?;
    let same = u16::from(res.status()) == status && (found == text || text == "…");
    same.then_some(()).ok_or_else(|| {
        format!(
            "{path}: expected {status} `{text}`, found {} `{found}`",
            res.status()
        )
    })
}

fn loads(runtime: &Runtime) -> Outcome {
    expect(runtime, "/hello", 200, "OK response from a plugin")
}

fn state(runtime: &Runtime) -> Outcome {
    expect(runtime, "/alice?who=Zoe", 200, "Alice says hello Zoe!")?;
    expect(runtime, "/bob?who=Zoe", 200, "Bob says hello Zoe!")?;
    expect(runtime, "/bob", 400, "…")
}

fn stream_out(runtime: &Runtime) -> Outcome {
    let mut res = block_on(runtime.handle(get("/events?every=1")));
    let mut events = res.take_body();
    for number in 0..3 {
        let expected = format!("id: {number}\ndata: tick\n\n");
        let mut event = vec![0; expected.len()];
        block_on(events.read_exact(&mut event)).map_err(|error| error.to_string())?;
        if event != expected.as_bytes() {
            return Err(format!(
                "expected {expected:?}, found {:?}",
                event.escape_ascii().to_string()
            ));
        }
    }
    Ok(())
}

/// Through the proxy to another server, by the host's client, and back the same way.
fn both_ways(runtime: &Runtime) -> Outcome {
    let sent: Vec<u8> = (0..1_000_000_u32).map(|at| (at * 7 / 3) as u8).collect();
    let mut req = http::Request::new(http::Method::Post, "http://localhost/proxy/");
    let reader = BufReader::new(Cursor::new(sent.clone()));
    req.set_body(http::Body::from_reader(reader, None));
    let mut res = block_on(runtime.handle(req));
    let received = block_on(res.body_bytes()).map_err(|error| error.to_string())?;
    (received == sent).then_some(()).ok_or_else(|| {
        format!(
            "{} bytes came back as {}, status {}",
            sent.len(),
            received.len(),
            res.status()
        )
    })
}

/// By the host's timer, and by a thread that the vlugin started.
fn wakes(runtime: &Runtime) -> Outcome {
    expect(runtime, "/bad/sleep?n=5", 200, "slept")?;
    expect(runtime, "/bad/thread", 200, "woken")
}

fn panics(runtime: &Runtime) -> Outcome {
    for path in [
        "/bad/panic",
        "/bad/panic-before",
        "/bad/panic-later",
        "/bad/panic-again",
    ] {
        expect(runtime, path, 500, "…")?;
    }
    let mut res = block_on(runtime.handle(get("/bad/stream-panics")));
    if block_on(res.body_string()).is_ok() {
        return Err("/bad/stream-panics: its body ended as if it were whole".into());
    }
    expect(runtime, "/bad/", 200, "fine")
}

/// Dropping a request drops the library's future, whose destructor panics; the log has a line about it.
fn cancellation(runtime: &Runtime) -> Outcome {
    {
        let mut waiting = Box::pin(runtime.handle(get("/bad/hang-bomb")));
        if block_on(poll_once(&mut waiting)).is_some() {
            return Err("/bad/hang-bomb: it was answered".into());
        }
    }
    lines::wait_for("dropped while it waited")?;
    expect(runtime, "/bad/", 200, "fine")
}
