//! An author's code in its scope: with its host as the current one, and with its panics caught. `instance` wraps every
//! future and every stream of an author in one.

use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};
use valor_abi_wire::{
    Body, Chunk, ChunkStream, Fault, Host, LogRecord, scope,
    unwind::{Caught, Panicked},
};

/// A body whose stream is an author's.
pub(super) fn body(host: Arc<dyn Host>, body: Body) -> Body {
    match body {
        Body::Stream { len, chunks } => Body::stream(len, ScopedChunks(Scoped::new(host, chunks))),
        bytes => bytes,
    }
}

/// An author's future or stream: polled and dropped with its host in scope, panics caught.
pub(super) struct Scoped<T> {
    host: Arc<dyn Host>,
    caught: Caught<T>,
}

impl<T> Scoped<T> {
    pub(super) fn new(host: Arc<dyn Host>, inner: T) -> Self {
        Self {
            host,
            caught: Caught::new(inner),
        }
    }
}

impl<T> Drop for Scoped<T> {
    fn drop(&mut self) {
        let panicked = scope::enter(&self.host, || self.caught.clear());
        log_panic(&self.host, panicked);
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        scope::enter(&this.host, || Pin::new(&mut this.caught).poll(cx))
    }
}

struct ScopedChunks(Scoped<ChunkStream>);

impl Stream for ScopedChunks {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let Scoped { host, caught } = &mut self.get_mut().0;
        let polled = scope::enter(host, || {
            caught.poll_with(cx, |chunks, cx| chunks.get_mut().as_mut().poll_next(cx))
        });
        match polled {
            None => Poll::Ready(None),
            Some(Ok(next)) => Poll::Ready(ready!(next)),
            Some(Err(panicked)) => {
                let message = format!("the body's stream panicked: {}", panicked.message);
                log_panic(host, Some(panicked));
                Poll::Ready(Some(Err(io::Error::other(message))))
            }
        }
    }
}

/// A panic that no response can report goes to the log.
pub(super) fn log_panic(host: &Arc<dyn Host>, panicked: Option<Panicked>) {
    let Some(panicked) = panicked else { return };
    host.log(&LogRecord {
        level: log::Level::Error,
        target: "valor::panic",
        message: &Fault::from(panicked).to_string(),
        file: "",
        line: 0,
    });
}
