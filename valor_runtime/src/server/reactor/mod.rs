//! Which sockets are ready, and whom that wakes. `socket` keeps its file descriptors in
//! [`Source`]s, `executor` waits on the [`Reactor`] when there is nothing to run.
//!
//! On Linux it is epoll, edge-triggered: a socket is registered once for its whole life, and what
//! is known of it is kept beside it, so that a request on a kept connection costs one read, one
//! write, and its share of a wait (`epoll`). smol's own reactor, which every other system uses
//! (`portable`), registers a socket anew each time that somebody waits for it, and tries to read
//! before that, which is three more system calls for each request. Both promise the same: a poll
//! that gives `Pending` wakes its task when the socket is ready. A source belongs to one task, the
//! last that polled it.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
// Held to the same tests where it is not used.
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
mod portable;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use epoll::{Events, Reactor, Source};
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) use portable::{Events, Reactor, Source};

use futures_lite::{AsyncRead, AsyncWrite};
use std::{
    io::{self, IoSlice, Read, Write},
    pin::Pin,
    task::{Context, Poll},
};

macro_rules! stream {
    ($source:ident) => {
        impl<T> AsyncRead for $source<T>
        where
            for<'a> &'a T: Read,
        {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.poll_read_with(cx, buf.len(), |mut io| io.read(buf))
            }
        }

        impl<T> AsyncWrite for $source<T>
        where
            for<'a> &'a T: Write,
        {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.poll_write_with(cx, buf.len(), |mut io| io.write(buf))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let len = bufs.iter().map(|buf| buf.len()).sum();
                self.poll_write_with(cx, len, |mut io| io.write_vectored(bufs))
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
    };
}

stream!(Source);

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests;
