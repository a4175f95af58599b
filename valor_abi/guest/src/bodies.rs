//! Bodies in pieces: those that the host sends, as streams, and those that it receives, written as fast as it allows.

use crate::{
    imports,
    message::{self, Brought, PieceKind},
    numbered::Numbered,
};
use futures_core::Stream;
use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use valor_abi_wire::{Body, Bytes, Chunk, ChunkStream};

/// How many bytes to ask for ahead of what has been read.
const WINDOW: u32 = 128 * 1024;

/// Whether a number belongs to a fetch.
pub fn is_fetch(id: u32) -> bool {
    id & 1 << 31 != 0
}

#[derive(Default)]
struct Incoming {
    pieces: VecDeque<io::Result<Option<Chunk>>>,
    /// Bytes that were asked for and have not arrived.
    asked: u32,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Outgoing {
    allowed: u32,
    waker: Option<Waker>,
}

thread_local! {
    static INCOMING: RefCell<Numbered<Incoming>> = const { RefCell::new(Numbered::new()) };
    static OUTGOING: RefCell<Numbered<Outgoing>> = const { RefCell::new(Numbered::new()) };
}

/// The body of a message with this number.
pub fn incoming(id: u32, brought: Brought) -> Body {
    match brought {
        Brought::Whole(bytes) => Body::Bytes(bytes),
        Brought::Pieces(len) => {
            INCOMING.with_borrow_mut(|all| all.insert(id, Incoming::default()));
            Body::stream(len, Pieces { id, ended: false })
        }
    }
}

/// Notes a piece that the host sent; if nobody reads the body any more, the piece is dropped.
pub fn piece(id: u32, bytes: Vec<u8>, flags: u32) {
    let len = bytes.len() as u32;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let data = |bytes: Vec<u8>| Ok(Some(Chunk::Data(Bytes::from(bytes))));
    let mut pieces = Vec::new();
    let mut taken = 0;
    match PieceKind::from_flags(flags) {
        Some(PieceKind::Data) => {
            taken = len;
            pieces.push(data(bytes));
        }
        Some(PieceKind::End) => {
            if !bytes.is_empty() {
                taken = len;
                pieces.push(data(bytes));
            }
            pieces.push(Ok(None));
        }
        Some(PieceKind::Trailers) => match message::decode_trailers(&bytes) {
            Ok(trailers) => {
                pieces.push(Ok(Some(Chunk::Trailers(trailers))));
                pieces.push(Ok(None));
            }
            Err(error) => pieces.push(Err(io::Error::other(error))),
        },
        Some(PieceKind::Failed) => pieces.push(Err(io::Error::other(text(bytes)))),
        None => pieces.push(Err(io::Error::other("a piece of an unknown kind"))),
    }
    let waker = INCOMING.with_borrow_mut(|all| {
        let incoming = all.get_mut(id)?;
        incoming.asked = incoming.asked.saturating_sub(taken);
        incoming.pieces.extend(pieces);
        incoming.waker.take()
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A body that comes in pieces.
struct Pieces {
    id: u32,
    ended: bool,
}

impl Stream for Pieces {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let id = self.id;
        let (next, ask) = INCOMING.with_borrow_mut(|all| {
            let Some(incoming) = all.get_mut(id) else {
                return (Some(Ok(None)), 0);
            };
            let next = incoming.pieces.pop_front();
            let mut ask = 0;
            if next.is_none() {
                incoming.waker = Some(cx.waker().clone());
                if incoming.asked < WINDOW / 2 {
                    ask = WINDOW - incoming.asked;
                    incoming.asked = WINDOW;
                }
            }
            (next, ask)
        });
        if ask > 0 {
            imports::read_more(id, ask);
        }
        match next {
            None => Poll::Pending,
            Some(next) => {
                self.ended |= !matches!(next, Ok(Some(_)));
                Poll::Ready(next.transpose())
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        let incoming = INCOMING.with_borrow_mut(|all| all.remove(self.id));
        drop(incoming);
        // A fetch ends with what is kept with it.
        if !self.ended && !is_fetch(self.id) {
            imports::abort(self.id);
        }
    }
}

/// Notes that the host takes more of a body.
pub fn writable(id: u32, bytes: u32) {
    let waker = OUTGOING.with_borrow_mut(|all| {
        let outgoing = all.get_mut(id)?;
        outgoing.allowed = outgoing.allowed.saturating_add(bytes);
        outgoing.waker.take()
    });
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Removes the entry when the body has ended or its task is dropped.
struct Entry(u32);

impl Drop for Entry {
    fn drop(&mut self) {
        OUTGOING.with_borrow_mut(|all| all.remove(self.0));
    }
}

/// Where a body will be written, from before the host can know about it.
pub fn outgoing(id: u32, chunks: ChunkStream) -> impl Future<Output = ()> {
    OUTGOING.with_borrow_mut(|all| all.insert(id, Outgoing::default()));
    let entry = Entry(id);
    async move {
        let _entry = entry;
        write_all(id, chunks).await;
    }
}

async fn write_all(id: u32, mut chunks: ChunkStream) {
    loop {
        // Not even the first chunk is made before someone wants it.
        allowed(id, 0).await;
        match poll_fn(|cx| chunks.as_mut().poll_next(cx)).await {
            None => return imports::write(id, &[], PieceKind::End),
            Some(Ok(Chunk::Data(bytes))) => write_data(id, bytes).await,
            Some(Ok(Chunk::Trailers(trailers))) => {
                let block = message::encode_trailers(&trailers);
                return imports::write(id, &block, PieceKind::Trailers);
            }
            Some(Err(error)) => {
                let why = error.to_string();
                return imports::write(id, why.as_bytes(), PieceKind::Failed);
            }
        }
    }
}

async fn write_data(id: u32, mut bytes: Bytes) {
    while !bytes.is_empty() {
        let now = allowed(id, bytes.len()).await;
        imports::write(id, &bytes.split_to(now), PieceKind::Data);
    }
}

/// Waits until bytes may be written, and takes up to `wanted` of them.
async fn allowed(id: u32, wanted: usize) -> usize {
    poll_fn(|cx| {
        OUTGOING.with_borrow_mut(|all| {
            let Some(outgoing) = all.get_mut(id) else {
                return Poll::Pending;
            };
            if outgoing.allowed == 0 {
                outgoing.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let now = wanted.min(outgoing.allowed as usize);
            outgoing.allowed -= now as u32;
            Poll::Ready(now)
        })
    })
    .await
}
