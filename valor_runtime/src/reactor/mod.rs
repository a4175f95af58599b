//! Which sockets are ready, and which tasks that wakes. The server's sockets and the connections of the host's client
//! keep their file descriptors in [`Source`]s. `server/executor` waits on the [`Reactor`] when there is nothing to
//! run.
//!
//! On Linux it is epoll, edge-triggered (`epoll`). A socket is registered once for its whole life, and its state is
//! kept beside it. So a request on a kept connection costs one read, one write, and its share of a wait. Every other
//! system uses smol's reactor (`portable`). That one registers a socket again for each wait, and tries to read first:
//! three more system calls per request. Both promise the same: a poll that returns `Pending` wakes its task when the
//! socket is ready. A source belongs to one task, the last that polled it.
//!
//! A thread that turns a reactor [enters](enter) it. That reactor watches the connections that are made on this
//! thread ([`Watched`]), so that the thread that runs a request also gets its response. On any other thread, smol's
//! reactor watches.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
// Also compiled for the tests, which hold it to the same promises.
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

/// Makes a reactor this thread's own until the guard is dropped. The thread has to wait on it.
pub(crate) fn enter(reactor: &Arc<Reactor>) -> impl Drop + use<> {
    struct Entered(Option<Arc<Reactor>>);

    impl Drop for Entered {
        fn drop(&mut self) {
            HERE.replace(self.0.take());
        }
    }

    Entered(HERE.replace(Some(reactor.clone())))
}

/// Which reactor watches connections made on this thread: a number that no two reactors share.
pub(crate) fn here() -> Option<usize> {
    HERE.with_borrow(|here| here.as_ref().map(|reactor| Arc::as_ptr(reactor).addr()))
}

/// A connection that is watched by the reactor of the thread that made it, or else by smol's.
pub(crate) enum Watched<T> {
    Here(Source<T>),
    Smol(Async<T>),
}

macro_rules! watched {
    ($stream:ty) => {
        impl Watched<$stream> {
            /// Takes a connection over from smol's reactor, if this thread has its own.
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

            /// Tells the peer that nothing more will come. What the peer sends can still be read.
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
