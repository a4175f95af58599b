//! The reactor if there is no epoll. Sockets are smol's, whose own thread reports them. A worker thread with nothing
//! to run sleeps on a condition variable.

use smol::Async;
use std::{
    io,
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};
use valor_abi_wire::lock::{locked, wait};

/// Where the workers sleep.
#[derive(Debug, Default)]
pub(crate) struct Reactor {
    wakes: Mutex<usize>,
    woken: Condvar,
}

/// What a thread keeps between waits: nothing.
#[derive(Debug, Default)]
pub(crate) struct Events;

impl Reactor {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Waits until somebody calls [`wake`](Self::wake), or the time is over; at times for less.
    pub(crate) fn wait(&self, _events: &mut Events, limit: Option<Duration>) {
        let mut wakes = locked(&self.wakes);
        if *wakes == 0 {
            wakes = wait(&self.woken, wakes, limit);
        }
        *wakes = wakes.saturating_sub(1);
    }

    /// How many sockets are registered: only smol knows.
    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        0
    }

    /// Nobody will wait any more. That does not affect sockets, because smol reports them.
    pub(crate) fn close(&self) {}

    /// Ends the wait of one thread, or of the next one that waits.
    pub(crate) fn wake(&self) {
        *locked(&self.wakes) += 1;
        self.woken.notify_one();
    }
}

/// A socket whose readiness is reported.
#[derive(Debug)]
pub(crate) struct Source<T>(Async<T>);

#[cfg(unix)]
impl<T: std::os::fd::AsFd> Source<T> {
    /// Registers a socket.
    pub(crate) fn new(_reactor: &Arc<Reactor>, io: T) -> io::Result<Self> {
        Async::new(io).map(Self)
    }
}

#[cfg(windows)]
impl<T: std::os::windows::io::AsSocket> Source<T> {
    /// Registers a socket.
    pub(crate) fn new(_reactor: &Arc<Reactor>, io: T) -> io::Result<Self> {
        Async::new(io).map(Self)
    }
}

impl<T> Source<T> {
    pub(crate) fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    /// Attempts to read, or to accept.
    pub(crate) fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        _len: usize,
        mut read: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            match read(self.0.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            ready!(self.0.poll_readable(cx))?;
        }
    }

    /// Attempts to write.
    pub(crate) fn poll_write_with(
        &self,
        cx: &mut Context<'_>,
        _len: usize,
        mut write: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match write(self.0.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            ready!(self.0.poll_writable(cx))?;
        }
    }
}
