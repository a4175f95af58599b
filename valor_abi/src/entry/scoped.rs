//! An author's code in its scope: with its host as the current one, inside its tokio runtime if it has one, and with
//! its panics caught. `entry` wraps every future and every stream of an author in one.

use super::panics::log_panic;
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};
use valor_abi_wire::{
    Body, Chunk, ChunkStream, Fault, Host, scope,
    unwind::{Caught, Panicked},
};

/// What surrounds the code of one mount: its host, and its runtime.
#[derive(Clone)]
pub(super) struct Scope {
    host: Arc<dyn Host>,
    /// It ends with the last clone.
    #[cfg(feature = "tokio")]
    runtime: Arc<super::runtime::Runtime>,
}

impl Scope {
    pub(super) fn new(host: Arc<dyn Host>) -> Result<Self, Fault> {
        Ok(Self {
            #[cfg(feature = "tokio")]
            runtime: Arc::new(super::runtime::Runtime::start(&host)?),
            host,
        })
    }

    pub(super) fn enter<T>(&self, code: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tokio")]
        let code = || self.runtime.enter(code);
        scope::enter(&self.host, code)
    }

    /// See [`log_panic`].
    pub(super) fn log_panic(&self, panicked: Option<Panicked>) {
        if let Some(panicked) = panicked {
            log_panic(&*self.host, panicked);
        }
    }
}

/// A body whose stream is an author's.
pub(super) fn body(scope: Scope, body: Body) -> Body {
    match body {
        Body::Stream { len, chunks } => Body::stream(len, ScopedChunks(Scoped::new(scope, chunks))),
        bytes => bytes,
    }
}

/// An author's future or stream: polled and dropped with its host in scope, panics caught.
pub(super) struct Scoped<T> {
    scope: Scope,
    caught: Caught<T>,
}

impl<T> Scoped<T> {
    pub(super) fn new(scope: Scope, inner: T) -> Self {
        Self {
            scope,
            caught: Caught::new(inner),
        }
    }
}

impl<T> Drop for Scoped<T> {
    fn drop(&mut self) {
        let panicked = self.scope.enter(|| self.caught.clear());
        self.scope.log_panic(panicked);
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.scope.enter(|| Pin::new(&mut this.caught).poll(cx))
    }
}

struct ScopedChunks(Scoped<ChunkStream>);

impl Stream for ScopedChunks {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let Scoped { scope, caught } = &mut self.get_mut().0;
        let polled = scope
            .enter(|| caught.poll_with(cx, |chunks, cx| chunks.get_mut().as_mut().poll_next(cx)));
        match polled {
            None => Poll::Ready(None),
            Some(Ok(next)) => Poll::Ready(ready!(next)),
            Some(Err(panicked)) => {
                let message = format!("the body's stream panicked: {}", panicked.message);
                scope.log_panic(Some(panicked));
                Poll::Ready(Some(Err(io::Error::other(message))))
            }
        }
    }
}
