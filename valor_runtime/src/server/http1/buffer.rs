//! The bytes of a connection on their way in and out. `connection` and `exchange` read and write the socket only
//! through these. While a connection is idle, its buffers hold next to no memory.

use crate::{deadline::Deadline, server::net::Socket, stall::Stall};
use bytes::Bytes;
use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

/// How much is read at once, and the size of the chunks in which a body is handed on.
pub(super) const READ: usize = 64 * 1024;
/// Once this much output waits, it is written before more is added.
const HIGH_WATER: usize = 64 * 1024;
/// Data up to this size is copied behind the waiting output, so that one write sends both.
const COPIED: usize = 16 * 1024;
/// How much memory an empty buffer may keep.
const KEPT: usize = 1024;

thread_local! {
    // One per worker thread, not one per connection: ten thousand idle connections then cost nothing. What was read
    // is copied to where it is needed, into memory of its exact size.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// Reads up to `limit` bytes and hands them to `take`, which gets none at the end of the stream.
pub(super) fn poll_read<T>(
    socket: &mut Socket,
    cx: &mut Context<'_>,
    limit: usize,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let limit = limit.clamp(1, scratch.len());
        loop {
            match ready!(Pin::new(&mut *socket).poll_read(cx, &mut scratch[..limit])) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(amount) => return Poll::Ready(Ok(take(&scratch[..amount]))),
            }
        }
    })
}

/// Reads up to `limit` bytes into new memory, without a copy if the system allows that. At the end of the stream it
/// reads none.
pub(super) fn poll_read_bytes(
    socket: &mut Socket,
    cx: &mut Context<'_>,
    limit: usize,
) -> Poll<io::Result<Bytes>> {
    if limit <= COPIED {
        return poll_read(socket, cx, limit, Bytes::copy_from_slice);
    }
    loop {
        let mut bytes = Vec::new();
        let read = match socket.poll_receive(cx, limit, &mut bytes) {
            Some(read) => ready!(read),
            None => return poll_read(socket, cx, limit, Bytes::copy_from_slice),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
            // A few bytes in a large allocation would hold all of it until they are read.
            Ok(amount) if amount < limit / 4 => return Poll::Ready(Ok(bytes[..].to_vec().into())),
            Ok(_) => return Poll::Ready(Ok(bytes.into())),
        }
    }
}

/// A connection's socket, with its buffers and its timer.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) socket: Socket,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) deadline: Deadline,
}

impl Wire {
    /// Tells the peer that nothing more will come. If the peer does not take even that, nobody waits for it.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.socket).poll_close(cx) {
            Poll::Ready(_) => {
                self.output.stall.stop();
                Poll::Ready(())
            }
            Poll::Pending => {
                self.output.stall.start();
                match self.deadline.poll(cx, self.output.stall.deadline()) {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            }
        }
    }
}

/// What was read but not yet used: the beginning of a head or of a body, or pipelined requests.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
}

impl Input {
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.bytes.len());
        if self.is_empty() {
            self.start = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
    }
}

/// What is still to be written: collected bytes, and behind them at most one large piece, which is written without a
/// copy.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    start: usize,
    data: Bytes,
    tail: &'static [u8],
    /// How long the peer may refuse to take anything.
    pub(super) stall: Stall,
}

impl Output {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            data: Bytes::new(),
            tail: b"",
            stall: Stall::new(timeout),
        }
    }

    fn len(&self) -> usize {
        self.bytes.len() - self.start + self.data.len() + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether more may be added before the waiting bytes are written.
    pub(super) fn has_room(&self) -> bool {
        self.data.is_empty() && self.tail.is_empty() && self.len() < HIGH_WATER
    }

    /// The collected bytes, to be added to.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        // Callers ask `has_room` first. For one that does not, a copy keeps the order.
        let data = std::mem::take(&mut self.data);
        self.bytes.extend_from_slice(&data);
        self.bytes.extend_from_slice(std::mem::take(&mut self.tail));
        &mut self.bytes
    }

    /// Adds `data` and, behind it, `tail`.
    pub(super) fn push(&mut self, data: Bytes, tail: &'static [u8]) {
        let bytes = self.bytes();
        if data.len() <= COPIED {
            bytes.extend_from_slice(&data);
            bytes.extend_from_slice(tail);
        } else {
            self.data = data;
            self.tail = tail;
        }
    }

    /// Writes everything that waits.
    pub(super) fn poll_flush(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let written = if self.data.is_empty() && self.tail.is_empty() {
                Pin::new(&mut *socket).poll_write(cx, &self.bytes[self.start..])
            } else {
                let parts = [&self.bytes[self.start..], &self.data, self.tail].map(IoSlice::new);
                Pin::new(&mut *socket).poll_write_vectored(cx, &parts)
            };
            match written {
                Poll::Pending => {
                    self.stall.start();
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(amount)) => self.written(amount),
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        // TLS may hold some of it back.
        match Pin::new(socket).poll_flush(cx) {
            Poll::Pending => {
                self.stall.start();
                return Poll::Pending;
            }
            Poll::Ready(flushed) => flushed?,
        }
        self.stall.stop();
        Poll::Ready(Ok(()))
    }

    fn written(&mut self, amount: usize) {
        self.stall.progress(amount);
        let of_bytes = amount.min(self.bytes.len() - self.start);
        self.start += of_bytes;
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT);
        }
        let of_data = (amount - of_bytes).min(self.data.len());
        let _ = self.data.split_to(of_data);
        if self.data.is_empty() {
            // An empty piece of a large allocation would hold all of it.
            self.data = Bytes::new();
        }
        self.tail = &self.tail[amount - of_bytes - of_data..];
    }
}
