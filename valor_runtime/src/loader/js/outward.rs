//! What a script asks for: `fetch`, `valor.call`, lines for the log.
//!
//! `script` runs [`serve`] beside each worker. A request of Valor's waits in the worker for what comes next; the
//! answer to it is what the script asks for, with the body that it sends. What came of it goes back as a request, with
//! the body that was received. So a script needs no connection to anywhere, and policy is the host's.

use super::process::Worker;
use crate::{Body, Chunk, ChunkStream, Fault, Request, Response};
use futures_core::Stream;
use futures_lite::future;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fmt::Write as _,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use valor::{
    host::{Host, LogRecord},
    wire::HeadError,
};

/// The head of what a script asks for.
#[derive(Deserialize)]
struct Asked {
    op: String,
    #[serde(default)]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    level: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    file: String,
    #[serde(default)]
    line: u32,
    #[serde(default)]
    column: u32,
}

type Running = Arc<Mutex<HashMap<u64, smol::Task<()>>>>;

/// Does what a script asks for, until its worker has ended.
pub(super) async fn serve(worker: Arc<Worker>, host: Arc<dyn Host>) {
    // Those that still run end with this.
    let running = Running::default();
    let asking = async {
        loop {
            let Ok(response) = own(&worker, "poll", None, Body::empty()).await else {
                break;
            };
            let head = response.head.header_str("x-valor-head");
            let Some(Ok(asked)) = head.map(serde_json::from_str) else {
                let name = &*worker.name;
                log::error!(target: "valor::js", vlugin = name; "the vlugin `{name}` asks for nothing that is known: {head:?}");
                break;
            };
            take(asked, response.body, &worker, &host, &running);
        }
        // What made the request fail may come later than that.
        worker.ended().await;
    };
    future::or(asking, async {
        worker.ended().await;
    })
    .await;
}

fn take(asked: Asked, body: Body, worker: &Arc<Worker>, host: &Arc<dyn Host>, running: &Running) {
    let lock = || running.lock().unwrap_or_else(PoisonError::into_inner);
    match &*asked.op {
        "log" => log(&asked, &**host),
        "cancel" => drop(lock().remove(&asked.id)),
        _ => {
            let (id, worker, host) = (asked.id, worker.clone(), host.clone());
            let over = Arc::downgrade(running);
            let doing = async move {
                let outcome = fetched(asked, body, &*host).await;
                if let Err(fault) = give(&worker, id, outcome).await {
                    // Who has the response already does not look at this one.
                    let _ = give(&worker, id, Err(Fault::error(502, fault.message))).await;
                }
                let over = over.upgrade();
                let task = over.and_then(|it| it.lock().ok()?.remove(&id));
                // Dropped from inside, it would end before it has.
                if let Some(task) = task {
                    task.detach();
                }
            };
            // Held, so that it cannot end before it is noted.
            let mut running = lock();
            running.insert(id, smol::spawn(doing));
        }
    }
}

fn log(asked: &Asked, host: &dyn Host) {
    let target = match asked.file.is_empty() {
        true => "console".to_owned(),
        false => format!("{}:{}:{}", asked.file, asked.line, asked.column),
    };
    host.log(&LogRecord {
        level: asked.level.parse().unwrap_or(log::Level::Info),
        target: &target,
        message: &asked.message,
        file: &asked.file,
        line: asked.line,
    });
}

async fn fetched(asked: Asked, body: Body, host: &dyn Host) -> Result<Response, Fault> {
    let request = request(&asked, body);
    let request = request.map_err(|error| Fault::error(400, error.to_string()))?;
    match &*asked.op {
        "call" => host.call(&asked.name, request).await,
        _ => host.fetch(request).await,
    }
}

fn request(asked: &Asked, body: Body) -> Result<Request, HeadError> {
    let mut request = Request::new(&asked.method, &asked.url)?;
    for (name, value) in &asked.headers {
        request.head.push(name, &latin1(value))?;
    }
    request.body = body;
    Ok(request)
}

/// Hands the outcome to the script, and lasts as long as the body does.
async fn give(
    worker: &Worker,
    id: u64,
    outcome: Result<Response, Fault>,
) -> Result<Response, Fault> {
    let (head, body) = match outcome {
        Ok(response) => {
            let headers = response.head.headers();
            let headers: Vec<_> = headers
                .map(|(name, value)| {
                    (
                        name,
                        value.iter().copied().map(char::from).collect::<String>(),
                    )
                })
                .collect();
            let body = match response.body {
                Body::Stream { len, chunks } => Body::stream(
                    len,
                    Late {
                        chunks,
                        error: None,
                    },
                ),
                whole => whole,
            };
            (json!([id, response.head.status(), headers]), body)
        }
        Err(fault) => {
            let rest = json!({ "status": fault.status, "message": fault.message });
            (json!([id, null, rest]), Body::empty())
        }
    };
    own(worker, "result", Some(&head), body).await
}

/// A body whose error comes one poll late: hyper sends nothing more once it has seen one, not even what came
/// before it.
struct Late {
    chunks: ChunkStream,
    error: Option<io::Error>,
}

impl Stream for Late {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match self.chunks.as_mut().poll_next(cx) {
            Poll::Ready(Some(Err(error))) => {
                self.error = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            next => next,
        }
    }
}

/// A request of Valor's own.
async fn own(
    worker: &Worker,
    what: &str,
    head: Option<&Value>,
    body: Body,
) -> Result<Response, Fault> {
    let refused = |error: HeadError| Fault::error(500, error.to_string());
    let target = format!("/{}!{what}", worker.token);
    let mut request = Request::new("POST", &target).map_err(refused)?;
    if let Some(head) = head {
        let head = ascii(&head.to_string());
        request
            .head
            .push("x-valor-head", head.as_bytes())
            .map_err(refused)?;
    }
    request.body = body;
    worker.local.send(request).await
}

/// JSON that fits into a header.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if (' '..='~').contains(&c) {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The bytes of a header's value, which is a string of them in JavaScript.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(c).unwrap_or(b'?'))
        .collect()
}
