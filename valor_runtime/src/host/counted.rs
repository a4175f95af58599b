//! Responses that count against the vlugin that asked for them until their bodies have ended. A vlugin's host makes
//! them.

use crate::{Body, Chunk, ChunkStream, Response, account::Charge};
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A response that holds these charges until its body has ended or was dropped. If the whole body is here, they end at
/// once.
pub(super) fn counted(mut response: Response, held: Vec<Arc<Charge>>) -> Response {
    response.body = match response.body {
        Body::Stream { len, chunks } => Body::stream(
            len,
            Counted {
                running: Some((chunks, held)),
            },
        ),
        bytes => bytes,
    };
    response
}

struct Counted {
    /// `None` once it has ended.
    running: Option<(ChunkStream, Vec<Arc<Charge>>)>,
}

impl Stream for Counted {
    type Item = io::Result<Chunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some((chunks, _)) = &mut self.running else {
            return Poll::Ready(None);
        };
        let next = ready!(chunks.as_mut().poll_next(cx));
        if !matches!(next, Some(Ok(_))) {
            self.running = None;
        }
        Poll::Ready(next)
    }
}
