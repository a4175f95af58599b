//! A host, as the suite sees it: it can be asked, several times at once. Another column of the table is another
//! [`Host`].
//!
//! [`Served`] is a runtime behind Valor's server. A client of a few lines speaks to it over real sockets. `chromium`
//! has the other host.

use crate::socket::{Connection, Serving, serve};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::Instant,
};
use valor_runtime::{Definition, Kind, RegistryAccess, Runtime};

/// A request to a host.
#[derive(Debug, Clone, Serialize)]
pub struct Ask {
    pub method: String,
    pub to: String,
    pub headers: Vec<(String, String)>,
    /// The body's pieces. There is only one, unless the length is not to be sent beforehand.
    #[serde(serialize_with = "base64_all")]
    pub body: Option<Vec<Vec<u8>>>,
    pub streamed: bool,
    pub follow: bool,
    pub leave: bool,
    pub meanwhile: Option<Box<Ask>>,
}

/// The result of a request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Its status, or `redirect` for a redirect that was not followed.
    pub status: String,
    /// By name, in lower case. Several values of a name are joined with commas.
    pub headers: BTreeMap<String, String>,
    #[serde(deserialize_with = "unbase64")]
    pub body: Vec<u8>,
    /// Why the body is incomplete.
    pub broken: Option<String>,
    /// Why there is no response.
    pub failed: Option<String>,
    /// Path and query after all redirects.
    pub url: String,
    pub ms: u64,
    pub meanwhile: Option<Box<Outcome>>,
}

/// A column of the table.
pub trait Host {
    fn name(&self) -> &'static str;

    /// The `type` of a definition on this host.
    fn kind(&self) -> &'static str;

    /// Where a vlugin of its plugins.json runs, as `/_plugins` shows it.
    fn runs(&self) -> &'static str {
        match self.kind() {
            "js" => "own process",
            _ => "host process",
        }
    }

    /// The file with the vlugin's code, as the log names it.
    fn source(&self) -> &'static str {
        match self.kind() {
            "js" => "conformance.js",
            _ => "lib.rs",
        }
    }

    /// Whether its requests share the vlugin's state.
    #[allow(dead_code, reason = "the other suites have no such conversation")]
    fn shares(&self) -> bool {
        self.name() != EACH
    }

    /// Its host and port, as a vlugin sees them.
    #[allow(dead_code, reason = "tests/programs asks for it")]
    fn addr(&self) -> &str;

    /// Makes all of these requests at once, and waits for all of them.
    fn ask(&self, asks: Vec<Ask>) -> Vec<Outcome>;

    /// The lines of its log so far: level and text.
    fn log(&self) -> Vec<(String, String)>;
}

/// The column of modules with a new instance for each request.
pub const EACH: &str = "wasm (each request)";

/// A runtime behind a server.
pub struct Served {
    name: &'static str,
    kind: Kind,
    serving: Serving,
}

impl Served {
    /// Loads the definitions and serves them. `plugins` is the folder with the vlugin's files.
    pub fn start(kind: Kind, definitions: &[Definition], plugins: &Path) -> Self {
        let name = match kind.as_str() {
            "wasm" => "wasm (server)",
            "js" => "js (Deno)",
            "wasi" => "wasi (server)",
            _ => "native",
        };
        Self::named(name, kind, definitions, plugins)
    }

    /// The same as another column.
    pub fn named(
        name: &'static str,
        kind: Kind,
        definitions: &[Definition],
        plugins: &Path,
    ) -> Self {
        let builder = Runtime::builder().plugin_dir(plugins);
        let builder = builder.deno(crate::fixture::js_tool("deno"));
        let builder = builder.registry(RegistryAccess::Loopback);
        let runtime = builder.build().expect("a runtime");
        let outcomes = smol::block_on(runtime.load_all(definitions));
        for (definition, outcome) in definitions.iter().zip(outcomes) {
            match outcome {
                Ok(()) => {}
                // As the command line does.
                Err(error) if definition.optional => runtime
                    .add_unavailable(definition, &error.to_string())
                    .expect("mounted"),
                Err(error) => panic!("{error}"),
            }
        }
        runtime.set_ready(true);
        Self {
            name,
            kind,
            serving: serve(runtime),
        }
    }

    fn one(&self, ask: &Ask) -> Outcome {
        let begun = Instant::now();
        let mut outcome = converse(&self.serving.addr, ask).unwrap_or_else(|error| Outcome {
            failed: Some(error.to_string()),
            ..Outcome::default()
        });
        outcome.ms = begun.elapsed().as_millis() as u64;
        outcome
    }
}

impl Host for Served {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    fn addr(&self) -> &str {
        &self.serving.addr
    }

    fn ask(&self, asks: Vec<Ask>) -> Vec<Outcome> {
        thread::scope(|scope| {
            let asking: Vec<_> = asks
                .iter()
                .map(|ask| scope.spawn(move || self.one(ask)))
                .collect();
            let answers = asking.into_iter();
            answers.map(|it| it.join().expect("an outcome")).collect()
        })
    }

    fn log(&self) -> Vec<(String, String)> {
        LINES.lock().expect("the log").clone()
    }
}

/// Sends a request on a new connection, and returns the result.
pub fn converse(addr: &str, ask: &Ask) -> io::Result<Outcome> {
    let mut connection = Connection::to(addr);
    let mut outcome = Outcome::default();
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {addr}\r\n", ask.method, ask.to);
    for (name, value) in &ask.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let pieces = ask.body.as_deref().unwrap_or_default();
    match pieces {
        _ if ask.streamed => head += "transfer-encoding: chunked\r\n",
        [] => {}
        pieces => head += &format!("content-length: {}\r\n", pieces.concat().len()),
    }
    connection.write(format!("{head}\r\n").as_bytes())?;
    let mut meanwhile = ask.meanwhile.as_deref();
    let mut in_between = |outcome: &mut Outcome| {
        if let Some(ask) = meanwhile.take() {
            let other = converse(addr, ask).unwrap_or_else(|error| Outcome {
                failed: Some(error.to_string()),
                ..Outcome::default()
            });
            outcome.meanwhile = Some(Box::new(other));
        }
    };
    // A server that answers early reads no more. Its answer is what counts.
    let _ = (|| {
        for piece in pieces {
            if ask.streamed {
                connection.write(format!("{:x}\r\n", piece.len()).as_bytes())?;
                connection.write(piece)?;
                connection.write(b"\r\n")?;
                in_between(&mut outcome);
            } else {
                connection.write(piece)?;
            }
        }
        if ask.streamed {
            connection.write(b"0\r\n\r\n")?;
        }
        io::Result::Ok(())
    })();
    if ask.leave && ask.meanwhile.is_some() {
        in_between(&mut outcome);
        outcome.failed = Some("the client left".into());
        return Ok(outcome);
    }
    let answer = connection.read_head()?;
    outcome.status = match answer.status {
        301 | 302 | 303 | 307 | 308 if !ask.follow => "redirect".into(),
        status => status.to_string(),
    };
    for (name, value) in &answer.headers {
        let values = outcome.headers.entry(name.clone()).or_default();
        *values = match &**values {
            "" => value.clone(),
            before => format!("{before}, {value}"),
        };
    }
    if let (301 | 302 | 303 | 307 | 308, true) = (answer.status, ask.follow) {
        let location = answer.header("location").unwrap_or("/").to_owned();
        let next = Ask {
            to: location,
            ..ask.clone()
        };
        return converse(addr, &next);
    }
    outcome.url = ask.to.clone();
    let bodiless = ask.method == "HEAD" || matches!(answer.status, 204 | 205 | 304);
    let mut read = |outcome: &mut Outcome| -> io::Result<()> {
        if let Some(len) = answer.header("content-length") {
            let mut left: usize = len.parse().map_err(io::Error::other)?;
            while left > 0 && !bodiless {
                let now = left.min(64 * 1024);
                outcome.body.extend(connection.read_body(now)?);
                left -= now;
                if ask.leave {
                    return Ok(());
                }
                in_between(outcome);
            }
        } else if answer.header("transfer-encoding") == Some("chunked") && !bodiless {
            while let Some(chunk) = connection.chunk()? {
                outcome.body.extend(chunk);
                if ask.leave {
                    return Ok(());
                }
                in_between(outcome);
            }
        }
        Ok(())
    };
    if let Err(error) = read(&mut outcome) {
        outcome.broken = Some(error.to_string());
    }
    Ok(outcome)
}

static LINES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("vlugin::") || record.target().starts_with("valor::") {
            let level = record.level().to_string().to_lowercase();
            let line = (level, record.args().to_string());
            LINES.lock().expect("the log").push(line);
        }
    }

    fn flush(&self) {}
}

/// Keeps what this process logs, for [`Host::log`].
pub fn keep_log() {
    log::set_logger(&Log).expect("no logger before");
    log::set_max_level(log::LevelFilter::Info);
}

fn base64_all<S: serde::Serializer>(
    pieces: &Option<Vec<Vec<u8>>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let texts = pieces.as_ref().map(|pieces| {
        let texts = pieces.iter().map(|piece| BASE64_STANDARD.encode(piece));
        texts.collect::<Vec<_>>()
    });
    texts.serialize(serializer)
}

fn unbase64<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let text = String::deserialize(deserializer)?;
    let bytes = BASE64_STANDARD.decode(text);
    bytes.map_err(serde::de::Error::custom)
}

/// A server for the test.
pub fn serve_fn<F, Fut>(handler: F) -> Serving
where
    F: Fn(valor_runtime::Request) -> Fut + std::marker::Send + Sync + 'static,
    Fut: Future<Output = valor_runtime::Response> + std::marker::Send + 'static,
{
    let handler = Arc::new(handler);
    serve(valor_runtime::from_fn(move |request| {
        let handler = handler.clone();
        async move { Ok(handler(request).await) }
    }))
}
