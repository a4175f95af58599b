//! Bodies on their way through dispatch. A request's body is held to its limit. A response's body keeps its
//! [`InFlight`] open until it ends.

use super::{
    fault_log::{log_fault, told},
    in_flight::InFlight,
    watch,
};
use crate::{Body, Chunk, ChunkStream, registry::Mount, vlugin::Logged};
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    task::{Context, Poll, ready},
};
use valor_abi_wire::unwind::{catch, drop_caught};

/// Why a request's body did not come to its end, if it did not.
#[derive(Default)]
pub struct Cut {
    /// The status to answer with, or 0.
    status: AtomicU16,
    /// Whether its sender broke it off.
    broken: AtomicBool,
}

impl Cut {
    /// The note for a body; none for one that is all there.
    pub fn of(body: &Body) -> Option<Arc<Self>> {
        match body {
            Body::Bytes(_) => None,
            Body::Stream { .. } => Some(Arc::default()),
        }
    }

    /// The status to answer with, whatever the vlugin makes of it.
    pub fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Acquire)).filter(|&status| status != 0)
    }

    /// The body came too slowly.
    pub fn is_slow(&self) {
        self.status.store(408, Ordering::Release);
    }

    fn is_large(&self) {
        self.status.store(413, Ordering::Release);
    }

    /// Whether its sender broke it off. What follows from that is not the vlugin's fault.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

/// Holds a request's body to a limit; `cut` notes when the body would exceed it.
pub fn limited(body: Body, limit: u64, cut: Option<&Arc<Cut>>) -> Body {
    match body {
        Body::Bytes(bytes) => Body::Bytes(bytes),
        Body::Stream { len, chunks } => Body::stream(
            len,
            Limited {
                chunks,
                left: limit,
                limit,
                cut: cut.cloned().unwrap_or_default(),
            },
        ),
    }
}

struct Limited {
    chunks: ChunkStream,
    left: u64,
    limit: u64,
    cut: Arc<Cut>,
}

impl Stream for Limited {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = ready!(self.chunks.as_mut().poll_next(cx));
        if let Some(Err(_)) = &chunk {
            self.cut.broken.store(true, Ordering::Release);
        }
        if let Some(Ok(Chunk::Data(data))) = &chunk {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    self.cut.is_large();
                    let message = format!("the request's body is over {} bytes", self.limit);
                    return Poll::Ready(Some(Err(io::Error::new(
                        io::ErrorKind::FileTooLarge,
                        message,
                    ))));
                }
            }
        }
        Poll::Ready(chunk)
    }
}

/// Ends the request with the body: at once for bytes, otherwise when the stream ends.
///
/// `cut` is that of the request's body.
pub fn tracked(
    body: Body,
    mount: &Arc<Mount>,
    mut in_flight: InFlight,
    cut: Option<Arc<Cut>>,
) -> Body {
    match body {
        Body::Bytes(bytes) => {
            in_flight.bytes = bytes.len() as u64;
            in_flight.complete = true;
            Body::Bytes(bytes)
        }
        Body::Stream { len, chunks } => Body::stream(
            len,
            Tracked {
                len,
                chunks: Some(chunks),
                mount: mount.clone(),
                in_flight: Some(in_flight),
                cut,
            },
        ),
    }
}

/// A response's stream. It is a vlugin's code, so it is watched and caught like a handler.
struct Tracked {
    len: Option<u64>,
    chunks: Option<ChunkStream>,
    mount: Arc<Mount>,
    in_flight: Option<InFlight>,
    cut: Option<Arc<Cut>>,
}

impl Tracked {
    /// Drops the stream. If it failed, or nothing came of it, the request is open until the server drops this: until
    /// then nobody knows whether the client gets something else.
    fn end(&mut self) {
        let chunks = self.chunks.take();
        if let Err(panicked) = watch::run(&self.mount, || drop_caught(chunks)) {
            log_fault(&self.mount, &panicked.into(), "");
        }
    }
}

impl Stream for Tracked {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(chunks) = &mut this.chunks else {
            return Poll::Ready(None);
        };
        let polled = watch::run(&this.mount, || catch(|| chunks.as_mut().poll_next(cx)));
        let in_flight = this
            .in_flight
            .as_mut()
            .expect("there as long as chunks are");
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Some(Ok(chunk)))) => {
                if let Chunk::Data(data) = &chunk {
                    in_flight.bytes += data.len() as u64;
                    // A reader that knows the length does not ask for anything after it.
                    in_flight.complete = this.len == Some(in_flight.bytes);
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            Ok(Poll::Ready(None)) => {
                let nothing = in_flight.bytes == 0 && !in_flight.is_call;
                in_flight.complete = this.len.is_none_or(|len| len == in_flight.bytes);
                this.end();
                // A server may still put another response in the place of one that ends too soon.
                if !nothing {
                    this.in_flight = None;
                }
                Poll::Ready(None)
            }
            Ok(Poll::Ready(Some(Err(error)))) => {
                // A runtime in a runtime has said so.
                if !Logged::is(&error) {
                    let level = match this.cut.as_ref().is_some_and(|cut| cut.is_broken()) {
                        true => log::Level::Debug,
                        false => log::Level::Error,
                    };
                    log::log!(
                        target: "valor::dispatch", level, vlugin = &*this.mount.name, id = in_flight.id();
                        "the body of a response of the vlugin `{}` broke off: {error}", this.mount.name
                    );
                    in_flight.reason = Some(format!("the body of its response broke off: {error}"));
                }
                this.end();
                Poll::Ready(Some(Err(Logged::mark(error))))
            }
            Err(panicked) => {
                let fault = panicked.into();
                log_fault(&this.mount, &fault, in_flight.id());
                in_flight.reason = Some(told(&fault));
                this.end();
                Poll::Ready(Some(Err(Logged::mark(io::Error::other(fault)))))
            }
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.chunks.is_some() {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Place, Response};
    use futures_lite::{future::block_on, stream};

    fn two_pieces(len: Option<u64>) -> Tracked {
        let vlugin = crate::from_fn(|_| async { Ok(Response::new(200)) });
        let place = Place::new("a");
        let mount = Arc::new(place.mount(vlugin, Default::default(), &Limits::default()));
        let mut in_flight = InFlight::begin(
            Arc::default(),
            "id".into(),
            &crate::RequestHead::new("GET", "/").unwrap(),
        );
        in_flight.enter(&mount);
        let chunks = ["one", "two"].map(|piece| Ok(Chunk::Data(piece.into())));
        Tracked {
            len,
            chunks: Some(Box::pin(stream::iter(chunks))),
            mount,
            in_flight: Some(in_flight),
            cut: None,
        }
    }

    fn complete(tracked: &mut Tracked) -> bool {
        use futures_lite::StreamExt;
        block_on(tracked.next()).unwrap().unwrap();
        tracked.in_flight.as_ref().unwrap().complete
    }

    #[test]
    fn a_body_of_known_length_is_complete_with_its_last_byte() {
        let mut tracked = two_pieces(Some(6));
        assert!(!complete(&mut tracked));
        assert!(complete(&mut tracked));

        let mut tracked = two_pieces(None);
        assert!(!complete(&mut tracked));
        assert!(!complete(&mut tracked));
    }
}
