//! What a script asks for: `fetch`, `valor.call`, lines for the log.
//!
//! `script` runs [`serve`] beside each worker. A request of Valor's waits in the worker for what comes next; the
//! answer to it is what the script asks for, as entries (`entry`). What came of it goes back as a request, head and
//! body in one message. So a script needs no connection to anywhere, and policy is the host's. A script that asks for
//! what is no entry, or no longer asks, is ended: its worker has run into something that it cannot recover from.

use super::{
    entry::{self, Entry, cut},
    hints::plain,
    process::Process,
    worker::{End, Worker},
};
use crate::lock::locked;
use crate::{
    Body, Bytes, Chunk, ChunkStream, Fault, Request, Response,
    account::{Account, Over},
    host::lines::Lines,
};
use futures_core::Stream;
use futures_lite::{StreamExt, future, stream};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use smol::{Timer, lock::Semaphore};
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
use valor_abi_wire::{HeadError, Host, LogRecord};

/// Bytes of one answer of a worker's: a batch and the longest entry (`asks.js`, `heads.js`).
const ANSWER: usize = 2 << 20;
/// A response of so many bytes is given to a script at once.
const SMALL: usize = 64 << 10;
/// What one script may have asked for that it has not been given yet. What comes beyond that waits in the script.
const AT_ONCE: usize = 512;
/// Bytes of what a fault says to a script.
const MESSAGE: usize = 4096;
/// How long the end of a worker may come behind the end of its connections.
const UNTIL_ENDED: Duration = Duration::from_secs(2);

type Running = Arc<Mutex<HashMap<u32, smol::Task<()>>>>;

/// What is done for one script.
struct Requests {
    worker: Arc<Worker>,
    process: Weak<Process>,
    host: Arc<dyn Host>,
    account: Account,
    /// Of those that were left out in its process: the host holds what comes from there to the same rate.
    lines: Arc<Lines>,
    /// Those that still run end with this.
    running: Running,
    places: Arc<Semaphore>,
}

/// Does what a script asks for, until its worker has ended; a worker that asks for what there is not is ended here.
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

/// Lets a worker whose link broke off say first why it ended.
async fn until_ended(worker: &Worker) {
    let late = async {
        Timer::after(UNTIL_ENDED).await;
    };
    future::or(async { drop(worker.ended().await) }, late).await;
}

impl Requests {
    /// Takes what the script asks for, for ever.
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
                // What has no place, such as what is no error and is thrown, is of the script.
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
                    // Dropped from inside, it would end before it has.
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

    /// Does what was asked for, and gives the script what came of it.
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
                // A script that has the response already does not look at this one.
                let again = give(&worker, id, Err(Fault::error(502, fault.message))).await;

                Ok::<_, Over>(again.err())
            };
            let why = match giving.await {
                Ok(None) => return,
                Ok(Some(fault)) => {
                    until_ended(&worker).await;
                    End::Died(format!(
                        "it did not take what came of a fetch or a call: {fault}"
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

/// Bytes of a body that are in memory.
fn whole_len(body: &Body) -> usize {
    match body {
        Body::Bytes(bytes) => bytes.len(),
        Body::Stream { .. } => 0,
    }
}

/// A body that the worker gives when it is asked for it.
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

/// Hands the outcome to the script, and lasts as long as the body does. A fault is all in the target: whatever a script
/// has done to its realm, reading a body included, it learns of that.
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
    let Response { head, body } = response;
    let room = SMALL.checked_sub(head.as_bytes().len());
    let is_small = matches!(&body, Body::Bytes(bytes) if room >= Some(bytes.len()));
    let body = match body {
        Body::Bytes(bytes) if !is_small => {
            let len = Some(bytes.len() as u64);
            Body::stream(len, stream::once(Ok(Chunk::Data(bytes))))
        }
        body => body,
    };
    let (block, chunks) = message::encode_response(Response { head, body });
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

/// What stands for a length if the body broke off (`asks.js`).
const BROKEN: u32 = u32::MAX;
/// Bytes of a piece.
const PIECE: usize = 1 << 20;

/// A response's body on its way to a script: these bytes in front, then pieces, each behind its length. An error is a
/// separate piece. As the error of a request's body it would outrun what comes before it: hyper sends nothing
/// more once it has seen one, and Deno forgets what a script has not read.
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
                // A `Response` of JavaScript has none.
                Some(Ok(Chunk::Trailers(_))) => {}
                Some(Err(_)) => {
                    // What it came from ends now, whenever the script reads on.
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
