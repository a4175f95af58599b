//! Does what a script asks for: `fetch`, `valor.call`, lines for the log.
//!
//! `script` runs [`serve`] next to each worker. A request of Valor's waits in the worker. The worker answers it with
//! what the script asks for, as entries (`entry`). The result goes back as a request, head and body in one message. So
//! a script needs no connection to anywhere, and the host enforces policy. A script that sends something that is not an
//! entry, or stops asking, is ended: its worker cannot recover.

use super::{
    entry::{self, Entry, cut},
    hints::plain,
    process::Process,
    worker::{End, Worker},
};
use crate::{
    Body, Bytes, Chunk, ChunkStream, Fault, Request, Response,
    account::{Account, Over},
    host::lines::Lines,
    timer::Timer,
};
use futures_core::Stream;
use futures_lite::{StreamExt, future, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use smol::lock::Semaphore;
use std::{
    collections::HashMap,
    convert::Infallible,
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};
use valor_abi_guest::message::{self, Brought};
use valor_abi_wire::{HeadError, Host, LogRecord, lock::locked};

/// The most bytes in one answer of a worker: a batch and the longest entry (`asks.js`, `heads.js`).
const ANSWER: usize = 2 << 20;
/// A response of at most so many bytes reaches a script at once.
const SMALL: usize = 64 << 10;
/// How much a script may have asked for without having received it. Further requests wait in the script.
const AT_ONCE: usize = 512;
/// The most bytes of a fault's text for a script.
const MESSAGE: usize = 4096;
/// How long after the end of its connections a worker's own end may be reported.
const UNTIL_ENDED: Duration = Duration::from_secs(2);

type Running = Arc<Mutex<HashMap<u32, smol::Task<()>>>>;

/// The work for one script.
struct Requests {
    worker: Arc<Worker>,
    process: Weak<Process>,
    host: Arc<dyn Host>,
    account: Account,
    /// Lines that were dropped in its process: the host limits what comes from there to the same rate.
    lines: Arc<Lines>,
    /// Those that still run end with this.
    running: Running,
    places: Arc<Semaphore>,
}

/// Does what a script asks for until its worker has ended. A worker that sends invalid requests is ended here.
pub(super) async fn serve(
    worker: Arc<Worker>,
    process: Weak<Process>,
    host: Arc<dyn Host>,
    account: Account,
) {
    let requests = Requests {
        account,
        process: process.clone(),
        lines: Lines::new(&worker.name),
        worker: worker.clone(),
        host,
        running: Running::default(),
        places: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let asking = async {
        let Err(why) = requests.ask().await;
        if why != End::Held {
            until_ended(&worker).await;
        }
        why
    };
    let why = future::or(
        async {
            worker.ended().await;
            None
        },
        async { Some(asking.await) },
    );
    if let (Some(why), Some(process)) = (why.await, process.upgrade()) {
        process.end(&worker, why);
    }
}

/// Lets a worker whose link broke off first say why it ended.
async fn until_ended(worker: &Worker) {
    let late = async {
        Timer::after(UNTIL_ENDED).await;
    };
    future::or(async { drop(worker.ended().await) }, late).await;
}

impl Requests {
    /// Takes the script's requests, for ever.
    async fn ask(&self) -> Result<Infallible, End> {
        let odd = |why: &dyn fmt::Display| End::Died(format!("its link to Valor broke off: {why}"));
        loop {
            let answer = own(&self.worker, "poll", Body::empty()).await;
            let answer = answer.map_err(|fault| odd(&fault))?;
            let status = answer.head.status();
            if status != 200 {
                return Err(odd(&format_args!("it answers with status {status}")));
            }
            let entries = answer.body.bytes(ANSWER).await;
            let mut entries = entries.map_err(|error| odd(&error))?;
            if entries.is_empty() {
                return Err(odd(&"it asks for nothing"));
            }
            let held = self.account.charge(entries.len());
            let _held = held.map_err(|_| End::Held)?;
            while let Some(entry) = entry::next(&mut entries).map_err(|error| odd(&error))? {
                self.take(entry).await.map_err(|error| odd(&error))?;
            }
        }
    }

    async fn take(&self, entry: Entry) -> Result<(), entry::EntryError> {
        match entry {
            Entry::Line {
                level,
                file,
                line,
                column,
                text,
            } => {
                let text = plain(&text);
                // What has no place, such as a thrown value that is not an error, is the script's.
                let target = match line {
                    0 => file.to_string(),
                    line => format!("{file}:{line}:{column}"),
                };
                self.host.log(&LogRecord {
                    level,
                    target: &target,
                    message: &text,
                    file: &file,
                    line,
                });
            }
            Entry::LeftOut(count) => self.lines.leave_out(count.into()),
            Entry::Reads(id) => self.worker.gates.open(id),
            Entry::Cancel(id) => drop(self.running().remove(&id)),
            Entry::Ask {
                id,
                callee,
                message,
            } => {
                let (head, body) = message::decode_request(message)?;
                let body = match body {
                    Brought::Whole(bytes) => Body::Bytes(bytes),
                    Brought::Pieces(len) => announced(&self.worker, id, len),
                };
                let place = self.places.acquire_arc().await;
                let over = Arc::downgrade(&self.running);
                let doing = self.doing(id, callee, Request { head, body });
                let doing = async move {
                    doing.await;
                    drop(place);
                    let over = over.upgrade();
                    let task = over.and_then(|it| it.lock().ok()?.remove(&id));
                    // Dropped from inside, it would end before it has finished.
                    if let Some(task) = task {
                        task.detach();
                    }
                };
                // Held, so that it cannot end before it is noted.
                let mut running = self.running();
                running.insert(id, smol::spawn(doing));
            }
        }
        Ok(())
    }

    /// Does what was asked for, and gives the script the result.
    fn doing(
        &self,
        id: u32,
        callee: Option<String>,
        request: Request,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (worker, host) = (self.worker.clone(), self.host.clone());
        let (account, process) = (self.account.clone(), self.process.clone());
        let sent = account.charge(request.head.as_bytes().len() + whole_len(&request.body));
        async move {
            let giving = async {
                let _sent = sent?;
                let outcome = match callee {
                    Some(name) => host.call(&name, request).await,
                    None => host.fetch(request).await,
                };
                let received = outcome.as_ref().map_or(0, |response| {
                    response.head.as_bytes().len() + whole_len(&response.body)
                });
                let _received = account.charge(received)?;
                let Err(fault) = give(&worker, id, outcome).await else {
                    return Ok(None);
                };
                // A script that already has the response no longer looks at this one.
                let again = give(&worker, id, Err(Fault::error(502, fault.message))).await;

                Ok::<_, Over>(again.err())
            };
            let why = match giving.await {
                Ok(None) => return,
                Ok(Some(fault)) => {
                    until_ended(&worker).await;
                    End::Died(format!(
                        "it did not take the result of a fetch or a call: {fault}"
                    ))
                }
                Err(_) => End::Held,
            };
            if let Some(process) = process.upgrade() {
                process.end(&worker, why);
            }
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<u32, smol::Task<()>>> {
        locked(&self.running)
    }
}

/// The bytes of a body that is in memory.
fn whole_len(body: &Body) -> usize {
    match body {
        Body::Bytes(bytes) => bytes.len(),
        Body::Stream { .. } => 0,
    }
}

/// A body that the worker sends when it is asked to.
fn announced(worker: &Arc<Worker>, id: u32, len: Option<u64>) -> Body {
    let worker = worker.clone();
    let asking = async move {
        match own(&worker, &format!("body{id}"), Body::empty()).await {
            Ok(response) if response.head.status() == 200 => response.body,
            Ok(_) => broken("the script gave it up".into()),
            Err(fault) => broken(fault.message),
        }
    };
    Body::stream(len, stream::once_future(asking).flatten())
}

fn broken(why: String) -> Body {
    Body::stream(None, stream::once(Err(io::Error::other(why))))
}

/// Passes the outcome to the script, and lasts as long as the body does. A fault is entirely in the target: the script
/// learns of it whatever it has done to its realm, including to the reading of bodies.
async fn give(worker: &Worker, id: u32, outcome: Result<Response, Fault>) -> Result<(), Fault> {
    let taken = match outcome {
        Ok(response) => give_response(worker, id, response).await?,
        Err(mut fault) => {
            cut(&mut fault.message, MESSAGE);
            let message = utf8_percent_encode(&fault.message, NON_ALPHANUMERIC);
            let what = format!("fault/{id}/{}/{message}", fault.status);
            own(worker, &what, Body::empty()).await?
        }
    };
    let status = taken.head.status();
    if status == 200 {
        return Ok(());
    }
    let why = taken.body.bytes(4 * MESSAGE).await.unwrap_or_default();
    let mut why = String::from_utf8_lossy(&why).into_owned();
    cut(&mut why, MESSAGE);
    Err(Fault::error(
        502,
        format!("it answers with status {status}: {why}"),
    ))
}

async fn give_response(worker: &Worker, id: u32, response: Response) -> Result<Response, Fault> {
    let Response { head, body, .. } = response;
    let room = SMALL.checked_sub(head.as_bytes().len());
    let is_small = matches!(&body, Body::Bytes(bytes) if room >= Some(bytes.len()));
    let body = match body {
        Body::Bytes(bytes) if !is_small => {
            let len = Some(bytes.len() as u64);
            Body::stream(len, stream::once(Ok(Chunk::Data(bytes))))
        }
        body => body,
    };
    let (block, chunks) = message::encode_response(Response::of(head, body));
    let front = [&id.to_le_bytes(), &*block].concat();
    match chunks {
        None => own(worker, "whole", front.into()).await,
        Some(chunks) => {
            let pieces = Pieces {
                front,
                rest: Bytes::new(),
                chunks: Some(chunks),
            };
            own(worker, "pieces", Body::stream(None, pieces)).await
        }
    }
}

/// Instead of a length, if the body broke off (`asks.js`).
const BROKEN: u32 = u32::MAX;
/// The bytes of a piece.
const PIECE: usize = 1 << 20;

/// A response's body on its way to a script: these bytes first, then pieces, each after its length. An error is a
/// separate piece. As the error of a request's body it would overtake the pieces before it: hyper sends nothing more
/// once it has seen one, and Deno drops what a script has not read.
struct Pieces {
    front: Vec<u8>,
    rest: Bytes,
    chunks: Option<ChunkStream>,
}

impl Pieces {
    fn piece(&mut self) -> Chunk {
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        let len = (piece.len() as u32).to_le_bytes();
        Chunk::Data([&len, &*piece].concat().into())
    }
}

impl Stream for Pieces {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.front.is_empty() {
            let front = std::mem::take(&mut self.front);
            return Poll::Ready(Some(Ok(Chunk::Data(front.into()))));
        }
        while self.rest.is_empty() {
            let Some(chunks) = &mut self.chunks else {
                return Poll::Ready(None);
            };
            match ready!(chunks.as_mut().poll_next(cx)) {
                Some(Ok(Chunk::Data(data))) => self.rest = data,
                // JavaScript's `Response` cannot have one.
                Some(Ok(Chunk::Trailers(_))) => {}
                Some(Err(_)) => {
                    // Its source ends now, whenever the script reads on.
                    self.chunks = None;
                    let broken = BROKEN.to_le_bytes().to_vec().into();
                    return Poll::Ready(Some(Ok(Chunk::Data(broken))));
                }
                None => self.chunks = None,
            }
        }
        Poll::Ready(Some(Ok(self.piece())))
    }
}

/// A request of Valor's own.
async fn own(worker: &Worker, what: &str, body: Body) -> Result<Response, Fault> {
    let refused = |error: HeadError| Fault::error(500, error.to_string());
    let target = format!("/{}!{what}", worker.token);
    let mut request = Request::new("POST", &target).map_err(refused)?;
    request.body = body;
    worker.local.send(request).await
}
