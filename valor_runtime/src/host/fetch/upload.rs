//! The body of a request, on its way to the server.

use crate::{Body, Bytes, Chunk};
use hyper::body::{Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

/// A body as hyper sends it. A stream either has the announced length, or fails.
pub(super) struct Upload {
    body: Body,
    len: Option<u64>,
    /// How much is not sent yet, if the length is known.
    left: Option<u64>,
    starved: Starved,
}

/// Whether a body has nothing to send at the moment: the server's time limit then stands still.
#[derive(Clone, Default)]
pub(super) struct Starved(Arc<AtomicBool>);

impl Starved {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Upload {
    /// `announced` is the length in the request's head, for a body that does not know its length.
    pub(super) fn new(body: Body, announced: Option<u64>) -> Self {
        let len = body.len().or(announced);
        Self {
            body,
            len,
            left: len,
            starved: Starved::default(),
        }
    }

    /// The whole body, if it is in bytes.
    pub(super) fn whole(&self) -> Option<Bytes> {
        match &self.body {
            Body::Bytes(bytes) => Some(bytes.clone()),
            Body::Stream { .. } => None,
        }
    }

    /// Its length, if it is known.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// A handle that shows later whether this body has nothing to send.
    pub(super) fn starved(&self) -> Starved {
        self.starved.clone()
    }
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.left == Some(0) {
            return Poll::Ready(None);
        }
        // Until there is a chunk: it may take long until this is polled again.
        this.starved.0.store(true, Ordering::Relaxed);
        let chunk = loop {
            match ready!(this.body.poll_chunk(cx)) {
                // hyper only sends trailers that a `trailer` header has announced.
                Some(Ok(Chunk::Trailers(_))) => {}
                Some(Ok(Chunk::Data(data))) if data.is_empty() => {}
                chunk => break chunk,
            }
        };
        this.starved.0.store(false, Ordering::Relaxed);
        let failed = |kind, text: &str| Poll::Ready(Some(Err(io::Error::new(kind, text))));
        match (chunk, &mut this.left) {
            (Some(Ok(Chunk::Data(data))), left) => {
                if let Some(left) = left {
                    match left.checked_sub(data.len() as u64) {
                        Some(less) => *left = less,
                        None => {
                            return failed(
                                io::ErrorKind::InvalidData,
                                "it is longer than announced",
                            );
                        }
                    }
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            (Some(Err(error)), _) => Poll::Ready(Some(Err(error))),
            (_, Some(1..)) => failed(
                io::ErrorKind::UnexpectedEof,
                "it ended short of the length announced",
            ),
            (_, _) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
