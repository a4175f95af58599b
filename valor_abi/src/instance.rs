//! The glue around a vlugin: from an author's type to something that answers wire requests.
//!
//! `#[vlugin]` makes an [`Entry`] of the author's code. The native boundary, the guest, the
//! test kit and the runtime (for crates that are compiled in) all create their vlugins from it,
//! so that panics, configuration, logging and the scope of the host are the same everywhere.

use crate::{
    Context, Vlugin, convert,
    fault::Fault,
    host::{self, Host, LogRecord},
    unwind::{Caught, Panicked, drop_caught},
    wire::{self, Body, BoxFuture, Chunk, ChunkStream},
};
use futures_core::Stream;
use serde_json::Value;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll, ready},
};

/// A vlugin as a library has it: what it is called, and how to create it.
#[derive(Clone, Copy)]
pub struct Entry {
    name: &'static str,
    version: &'static str,
    create: fn(Arc<dyn Host>, Value) -> Created,
}

/// A created vlugin, or why there is none.
pub type Created = BoxFuture<'static, Result<Arc<dyn Instance>, Fault>>;

/// A created vlugin.
pub trait Instance: Send + Sync + 'static {
    /// Answers a request. Dropping the future cancels it.
    fn on_request(
        self: Arc<Self>,
        request: wire::Request,
    ) -> BoxFuture<'static, Result<wire::Response, Fault>>;
}

impl Entry {
    /// The entry of a type; `name` and `version` are those of its crate.
    pub const fn of<V: Vlugin>(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            create: |host, config| Box::pin(create::<V>(host, config)),
        }
    }

    /// The name of the crate.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The version of the crate.
    pub const fn version(&self) -> &'static str {
        self.version
    }

    /// Creates the vlugin for one place where it is mounted.
    pub fn create(&self, host: Arc<dyn Host>, config: Value) -> Created {
        (self.create)(host, config)
    }
}

async fn create<V: Vlugin>(host: Arc<dyn Host>, config: Value) -> Result<Arc<dyn Instance>, Fault> {
    let mut cx = Context::new(host.clone(), config);
    let creating = Scoped::new(host.clone(), async move {
        let config = cx.raw_config();
        let config = serde_json::from_value(config.clone()).map_err(|error| {
            let wrong = match config {
                Value::Null => "there is no `config`, but the vlugin needs one",
                _ => "`config` does not fit",
            };
            Fault::error(500, format!("{wrong}: {error}"))
        })?;
        let vlugin = V::on_create(config, &mut cx).await?;
        Ok::<_, Fault>((vlugin, cx))
    });
    let (vlugin, cx) = creating.await??;
    Ok(Arc::new(Running {
        parts: Some((vlugin, cx)),
        host,
    }))
}

struct Running<V> {
    // Taken out in `drop` alone, so that a destructor of the author's can be caught.
    parts: Option<(V, Context)>,
    host: Arc<dyn Host>,
}

impl<V: Vlugin> Instance for Running<V> {
    fn on_request(
        self: Arc<Self>,
        request: wire::Request,
    ) -> BoxFuture<'static, Result<wire::Response, Fault>> {
        let host = self.host.clone();
        Box::pin(async move {
            let answering = Scoped::new(host.clone(), async move {
                let (vlugin, cx) = self.parts.as_ref().expect("taken only when dropped");
                convert::answer(request, |req| vlugin.on_request(cx, req)).await
            });
            let mut response = answering.await??;
            if let Body::Stream { len, chunks } = response.body {
                response.body = Body::stream(len, ScopedChunks(Scoped::new(host, chunks)));
            }
            Ok(response)
        })
    }
}

impl<V> Drop for Running<V> {
    fn drop(&mut self) {
        let host = self.host.clone();
        let parts = self.parts.take();
        let dropped = host::enter(&host, || drop_caught(parts));
        log_panic(&host, dropped.err());
    }
}

/// An author's future or stream: polled and dropped with its host in scope, panics caught.
struct Scoped<T> {
    host: Arc<dyn Host>,
    caught: Caught<T>,
}

impl<T> Scoped<T> {
    fn new(host: Arc<dyn Host>, inner: T) -> Self {
        Self {
            host,
            caught: Caught::new(inner),
        }
    }
}

impl<T> Drop for Scoped<T> {
    fn drop(&mut self) {
        let panicked = host::enter(&self.host, || self.caught.clear());
        log_panic(&self.host, panicked);
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        host::enter(&this.host, || Pin::new(&mut this.caught).poll(cx))
    }
}

struct ScopedChunks(Scoped<ChunkStream>);

impl Stream for ScopedChunks {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<Option<Self::Item>> {
        let Scoped { host, caught } = &mut self.get_mut().0;
        let polled = host::enter(host, || {
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

/// A panic that no response can tell of goes to the log.
fn log_panic(host: &Arc<dyn Host>, panicked: Option<Panicked>) {
    let Some(panicked) = panicked else { return };
    host.log(&LogRecord {
        level: log::Level::Error,
        target: "valor::panic",
        message: &Fault::from(panicked).to_string(),
        file: "",
        line: 0,
    });
}
