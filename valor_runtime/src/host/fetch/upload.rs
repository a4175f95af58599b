//! The body of a request, on its way to the server.
//!
//! A whole body goes to hyper as it is. A stream is a vlugin's code: it is polled by [`Pump`],
//! where the vlugin's own request is polled, and its chunks go through a channel of one place to
//! hyper's task, which serves all vlugins and must not be held up.

use crate::{Body, BoxFuture, Bytes, Chunk};
use http_body_util::channel::{Channel, Sender};
use hyper::body::{Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// What hyper sends.
pub(super) enum UploadBody {
    /// All of it; `None` once it was taken.
    Whole(Option<Bytes>),
    /// What a [`Pump`] sends.
    Piped {
        chunks: Channel<Bytes, io::Error>,
        len: Option<u64>,
    },
}

/// A body for hyper, and what has to be polled beside it. `len` is the body's length, where it
/// is known.
pub(super) fn split(body: Body, len: Option<u64>) -> (UploadBody, Option<Pump>) {
    match body {
        Body::Bytes(bytes) => (UploadBody::Whole(Some(bytes)), None),
        Body::Stream { .. } if len == Some(0) => (UploadBody::Whole(None), None),
        body => {
            let (sender, chunks) = Channel::new(1);
            let starved = Arc::new(AtomicBool::new(true));
            let task = pump(body, Pipe(Some(sender)), len, starved.clone());
            let pump = Pump {
                task: Box::pin(task),
                starved,
            };
            (UploadBody::Piped { chunks, len }, Some(pump))
        }
    }
}

impl UploadBody {
    /// All of the body, where it is whole and not yet sent.
    pub(super) fn whole(&self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes.clone().unwrap_or_default()),
            Self::Piped { .. } => None,
        }
    }

    /// Its length, where it is known.
    pub(super) fn len(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Piped { len, .. } => *len,
        }
    }
}

impl hyper::body::Body for UploadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Piped { chunks, .. } => Pin::new(chunks).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(_)) && self.len() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.len().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

/// Carries a stream's chunks to hyper. Ends when all of them are on their way, when the server
/// has no use for the rest, or with what the stream failed with. Dropped before its end, it
/// breaks the request off, so that the server does not take a part for the whole.
pub(super) struct Pump {
    task: BoxFuture<'static, io::Result<()>>,
    starved: Arc<AtomicBool>,
}

impl Pump {
    /// Whether the stream has nothing to send at the moment, so that nobody waits for the server.
    pub(super) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }
}

impl Future for Pump {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.task.as_mut().poll(cx)
    }
}

async fn pump(
    mut body: Body,
    mut pipe: Pipe,
    len: Option<u64>,
    starved: Arc<AtomicBool>,
) -> io::Result<()> {
    let mut left = len;
    while left != Some(0) {
        starved.store(true, Ordering::Relaxed);
        let chunk = body.chunk().await;
        starved.store(false, Ordering::Relaxed);
        let data = match chunk {
            Some(Ok(Chunk::Data(data))) if data.is_empty() => continue,
            Some(Ok(Chunk::Data(data))) => data,
            Some(Ok(Chunk::Trailers(_))) => continue,
            Some(Err(error)) => return Err(error),
            None => break,
        };
        if let Some(left) = &mut left {
            *left = left.checked_sub(data.len() as u64).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "it is longer than its length")
            })?;
        }
        if pipe.send(data).await.is_err() {
            return Ok(());
        }
    }
    if left.is_some_and(|left| left > 0) {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it ended short of its length",
        ));
    }
    pipe.end();
    Ok(())
}

/// The sending end of the channel, which takes a drop for a good end where this does not.
struct Pipe(Option<Sender<Bytes, io::Error>>);

impl Pipe {
    async fn send(&mut self, data: Bytes) -> Result<(), ()> {
        match &mut self.0 {
            Some(sender) => sender.send_data(data).await.map_err(|_| ()),
            None => Err(()),
        }
    }

    fn end(&mut self) {
        self.0 = None;
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.abort(io::Error::other("the request was broken off"));
        }
    }
}
