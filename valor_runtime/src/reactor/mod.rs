//! Which sockets are ready, and whom that wakes. The server's sockets and the connections of the
//! host's client keep their file descriptors in [`Source`]s, `server/executor` waits on the
//! [`Reactor`] when there is nothing to run.
//!
//! On Linux it is epoll, edge-triggered: a socket is registered once for its whole life, and what
//! is known of it is kept beside it, so that a request on a kept connection costs one read, one
//! write, and its share of a wait (`epoll`). smol's own reactor, which every other system uses
//! (`portable`), registers a socket anew each time that somebody waits for it, and tries to read
//! before that, which is three more system calls for each request. Both promise the same: a poll
//! that gives `Pending` wakes its task when the socket is ready. A source belongs to one task, the
//! last that polled it.
//!
//! A thread that turns a reactor [enters](enter) it. What is connected to on such a thread is
//! [`Watched`] by it, so that the thread that runs the request hears of the response; on any other
//! thread smol's reactor watches.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
// Held to the same tests where it is not used.
#[cfg(any(test, not(any(target_os = "linux", target_os = "android"))))]
mod portable;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use epoll::{Events, Reactor, Source};
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) use portable::{Events, Reactor, Source};

use futures_lite::{AsyncRead, AsyncWrite};
use smol::Async;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::{
    cell::RefCell,
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, TcpStream},
    pin::Pin,
    sync::Arc,
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

thread_local! {
    static HERE: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
}

/// Makes a reactor the one of this thread, which is to wait on it, until the guard is dropped.
pub(crate) fn enter(reactor: &Arc<Reactor>) -> impl Drop + use<> {
    struct Entered(Option<Arc<Reactor>>);

    impl Drop for Entered {
        fn drop(&mut self) {
            HERE.replace(self.0.take());
        }
    }

    Entered(HERE.replace(Some(reactor.clone())))
}

/// Which reactor watches what is connected to on this thread: a number that no two have.
pub(crate) fn here() -> Option<usize> {
    HERE.with_borrow(|here| here.as_ref().map(|reactor| Arc::as_ptr(reactor).addr()))
}

/// A connection that the reactor of the thread watches on which it was made, or else smol's.
pub(crate) enum Watched<T> {
    Here(Source<T>),
    Smol(Async<T>),
}

macro_rules! watched {
    ($stream:ty) => {
        impl Watched<$stream> {
            /// Takes a connection over from smol's reactor, where this thread has one of its own.
            pub(crate) fn new(connected: Async<$stream>) -> io::Result<Self> {
                match HERE.with_borrow(Clone::clone) {
                    Some(reactor) => Source::new(&reactor, connected.into_inner()?).map(Self::Here),
                    None => Ok(Self::Smol(connected)),
                }
            }
        }

        impl AsyncRead for Watched<$stream> {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Here(it) => Pin::new(it).poll_read(cx, buf),
                    Self::Smol(it) => Pin::new(it).poll_read(cx, buf),
                }
            }
        }

        impl AsyncWrite for Watched<$stream> {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Here(it) => Pin::new(it).poll_write(cx, buf),
                    Self::Smol(it) => Pin::new(it).poll_write(cx, buf),
                }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() {
                    Self::Here(it) => Pin::new(it).poll_write_vectored(cx, bufs),
                    Self::Smol(it) => Pin::new(it).poll_write_vectored(cx, bufs),
                }
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Tells the peer that nothing more will come; what it sends can still be read.
            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream = match self.get_mut() {
                    Self::Here(it) => it.get_ref(),
                    Self::Smol(it) => it.get_ref(),
                };
                Poll::Ready(stream.shutdown(Shutdown::Write))
            }
        }
    };
}

watched!(TcpStream);
#[cfg(unix)]
watched!(UnixStream);

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests;
