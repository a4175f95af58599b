//! Bodies that a guest writes, piece by piece, on their way to who reads them: no further ahead than a window.
//!
//! `exchange` has the [`Pieces`] of each response; of a fetch's request they stand in an [`Outgoing`].

use super::exchange::{Event, Shared};
use crate::{Bytes, Chunk};
use futures_core::Stream;
use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// How many bytes a guest may write ahead of what was taken.
const WINDOW: u32 = 128 * 1024;

/// A piece that a guest wrote.
pub(super) enum Piece {
    Nothing,
    Data(Bytes),
    End(Bytes),
    Trailers(Vec<(String, Vec<u8>)>),
    Failed(String),
}

impl Piece {
    pub fn ends(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Data(_))
    }
}

/// The pieces of a body that were written and not taken.
#[derive(Default)]
pub(super) struct Pieces {
    pub queue: VecDeque<io::Result<Option<Chunk>>>,
    /// How many bytes may be written.
    allowed: u32,
}

impl Pieces {
    /// Whether the piece is within what may be written.
    #[must_use]
    pub fn push(&mut self, piece: Piece) -> bool {
        let mut data = |queue: &mut VecDeque<_>, bytes: Bytes| {
            let Some(left) = self.allowed.checked_sub(bytes.len() as u32) else {
                return false;
            };
            self.allowed = left;
            if !bytes.is_empty() {
                queue.push_back(Ok(Some(Chunk::Data(bytes))));
            }
            true
        };
        let queue = &mut self.queue;
        match piece {
            Piece::Nothing => {}
            Piece::Data(bytes) => return data(queue, bytes),
            Piece::End(bytes) => {
                let within = data(queue, bytes);
                queue.push_back(Ok(None));
                return within;
            }
            Piece::Trailers(trailers) => {
                queue.push_back(Ok(Some(Chunk::Trailers(trailers))));
                queue.push_back(Ok(None));
            }
            Piece::Failed(why) => queue.push_back(Err(io::Error::other(why))),
        }
        true
    }

    /// How many bytes more the guest is to be allowed, now that somebody wants some.
    pub fn allow(&mut self) -> Option<u32> {
        (self.queue.is_empty() && self.allowed < WINDOW / 2).then(|| {
            let more = WINDOW - self.allowed;
            self.allowed = WINDOW;
            more
        })
    }
}

/// The body of a fetch's request, written by a guest and read by what runs the fetch.
#[derive(Clone, Default)]
pub(super) struct Outgoing {
    inner: Arc<Mutex<(Pieces, Option<Waker>)>>,
}

impl Outgoing {
    /// Whether the piece is within what may be written.
    #[must_use]
    pub fn write(&self, piece: Piece) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let within = inner.0.push(piece);
        let waker = inner.1.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        within
    }

    /// Its reader's side.
    pub fn stream(
        &self,
        id: u32,
        shared: Arc<Shared>,
    ) -> impl Stream<Item = io::Result<Chunk>> + Send + 'static {
        Reader {
            id,
            shared,
            outgoing: self.clone(),
            ended: false,
        }
    }
}

struct Reader {
    id: u32,
    shared: Arc<Shared>,
    outgoing: Outgoing,
    ended: bool,
}

impl Stream for Reader {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let more = {
            let inner = &self.outgoing.inner;
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(next) = inner.0.queue.pop_front() {
                drop(inner);
                self.ended = !matches!(next, Ok(Some(_)));
                return Poll::Ready(next.transpose());
            }
            inner.1 = Some(cx.waker().clone());
            inner.0.allow()
        };
        if let Some(more) = more {
            self.shared.push(Event::Writable(self.id, more));
            // Read on another thread than the driver's, it has to be told.
            self.shared.clone().wake();
        }
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.push(Event::Cancel(self.id));
            self.shared.clone().wake();
        }
    }
}
