//! [`Outgoing`]: the body of a fetch's request. A guest writes it piece by piece while the fetch reads it. `imports`
//! makes one for each such request.

use super::{
    pieces::{Piece, Pieces, Wanted},
    shared::{Event, Shared},
};
use crate::{Chunk, account::Charge};
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Wake, Waker},
};
use valor_abi_wire::lock::locked;

/// The body of a fetch's request, written by a guest and read by the fetch.
#[derive(Clone, Default)]
pub(super) struct Outgoing {
    inner: Arc<Mutex<(Pieces, Option<Waker>)>>,
}

impl Outgoing {
    fn lock(&self) -> MutexGuard<'_, (Pieces, Option<Waker>)> {
        locked(&self.inner)
    }

    /// What should become of a piece with this many bytes of the body.
    pub fn wants(&self, bytes: usize) -> Wanted {
        self.lock().0.wants(bytes)
    }

    /// Takes in a piece that is wanted.
    pub fn write(&self, piece: Piece) {
        let mut inner = self.lock();
        inner.0.push(piece);
        let waker = inner.1.take();
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn has_ended(&self) -> bool {
        self.lock().0.ended
    }

    /// The reader's side.
    pub fn stream(
        &self,
        id: u32,
        shared: Arc<Shared>,
    ) -> impl Stream<Item = io::Result<Chunk>> + Send + 'static {
        shared.reads(true);
        Reader {
            id,
            shared,
            outgoing: self.clone(),
            ended: false,
            held: None,
        }
    }
}

struct Reader {
    id: u32,
    shared: Arc<Shared>,
    outgoing: Outgoing,
    ended: bool,
    /// The charge for what was taken last. It lasts until the reader has finished with that.
    held: Option<Charge>,
}

impl Stream for Reader {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let window = self.shared.window();
        let more = {
            let mut inner = self.outgoing.lock();
            if let Some((next, charge)) = inner.0.queue.pop_front() {
                drop(inner);
                self.held = charge.or(self.held.take());
                self.ended = !matches!(next, Ok(Some(_)));
                return Poll::Ready(next.transpose());
            }
            inner.1 = Some(cx.waker().clone());
            inner.0.allow(window)
        };
        if let Some(more) = more {
            self.shared.push(Event::Writable(self.id, more));
            // The reader may be on another thread than the driver, so the driver has to be woken.
            self.shared.clone().wake();
        }
        Poll::Pending
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.reads(false);
        if !self.ended {
            self.shared.push(Event::Cancel(self.id));
            self.shared.clone().wake();
        }
    }
}
