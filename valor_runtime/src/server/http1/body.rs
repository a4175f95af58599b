//! The body of a request, between the connection that reads it and the vlugin that asks for it.
//!
//! `upload` holds a [`Slot`] and puts into it what `framing` cuts out of the input. The vlugin holds the [`Incoming`]
//! stream of the same slot. There is room for one chunk, and none is read before the vlugin asks for it: that is all
//! the back-pressure there is.

use super::{body_error::BodyError, chunked::Trailers};
use bytes::Bytes;
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};
use valor_abi_wire::{Chunk, lock::locked};

/// The place where a body's chunks change hands.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<SlotState>);

#[derive(Debug, Default)]
struct SlotState {
    chunk: Option<Chunk>,
    trailers: Option<Chunk>,
    /// How it ended, once it did.
    end: Option<Result<(), BodyError>>,
    wanted: bool,
    dropped: bool,
    reader: Option<Waker>,
    connection: Option<Waker>,
}

/// What the vlugin does with its end of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// It has not asked for another chunk.
    Idle,
    /// It waits for one.
    Wanted,
    /// It threw the body away.
    Dropped,
}

impl Slot {
    /// A slot and the stream that the vlugin gets.
    pub(super) fn new() -> (Arc<Self>, Incoming) {
        let slot = Arc::new(Self::default());
        (slot.clone(), Incoming(slot))
    }

    fn state(&self) -> MutexGuard<'_, SlotState> {
        locked(&self.0)
    }

    /// What the vlugin wants. The connection is at work, so a change does not wake it.
    pub(super) fn demand(&self) -> Demand {
        let mut state = self.state();
        state.connection = None;
        state.demand()
    }

    /// What the vlugin wants. If that changes later, the connection is woken.
    pub(super) fn watch(&self, cx: &Context<'_>) -> Demand {
        let mut state = self.state();
        state.connection = Some(cx.waker().clone());
        state.demand()
    }

    /// Hands on a chunk that was wanted.
    pub(super) fn put(&self, data: Bytes) {
        self.answer(|state| state.chunk = Some(Chunk::Data(data)));
    }

    /// Hands on the end.
    pub(super) fn end(&self, trailers: Trailers) {
        self.answer(|state| {
            if state.end.is_none() {
                state.trailers = (!trailers.is_empty()).then_some(Chunk::Trailers(trailers));
                state.end = Some(Ok(()));
            }
        });
    }

    /// Continues a body that had ended: after a switch of protocols, more follows.
    pub(super) fn reopen(&self) {
        self.state().end = None;
    }

    /// Ends the body with an error, unless it has ended.
    pub(super) fn fail(&self, error: BodyError) {
        self.answer(|state| {
            state.end.get_or_insert(Err(error));
        });
    }

    fn answer(&self, change: impl FnOnce(&mut SlotState)) {
        let mut state = self.state();
        change(&mut state);
        state.wanted = false;
        let reader = state.reader.take();
        // Wakers are other people's code; none of it runs while the lock is held.
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl SlotState {
    fn demand(&self) -> Demand {
        match self {
            _ if self.dropped => Demand::Dropped,
            _ if self.wanted => Demand::Wanted,
            _ => Demand::Idle,
        }
    }
}

/// A request's body as the vlugin reads it.
pub(super) struct Incoming(Arc<Slot>);

impl Stream for Incoming {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.state();
        if let Some(chunk) = state.chunk.take().or_else(|| state.trailers.take()) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => {
                let error = error.to_io();
                state.end = Some(Ok(()));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                state.wanted = true;
                state.reader = Some(cx.waker().clone());
                let connection = state.connection.take();
                drop(state);
                if let Some(connection) = connection {
                    connection.wake();
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.dropped = true;
        state.chunk = None;
        let connection = state.connection.take();
        drop(state);
        if let Some(connection) = connection {
            connection.wake();
        }
    }
}
