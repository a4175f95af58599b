//! The body of a response, on its way to the vlugin.

use super::{
    config::FetchConfig,
    error, head,
    head::Target,
    patience::Patience,
    pool::{HttpConnection, Pool},
    upload::Starved,
};
use crate::{Body, Chunk, Fault};
use futures_core::Stream;
use hyper::body::{Body as _, Incoming};
use std::{
    error::Error as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// The chunks of a response's body, held to the limits. It drives the connection, and returns it to the pool when the
/// body has ended. If it is dropped earlier, it closes the connection.
pub(super) struct Download {
    /// The result of the first poll, which came before there was a stream.
    first: Option<io::Result<Chunk>>,
    /// `None` once it has ended or failed.
    running: Option<(Box<HttpConnection>, Incoming)>,
    starved: Starved,
    pool: Arc<Pool>,
    target: Target,
    read: u64,
    limit: u64,
    /// When the reader began to wait.
    waiting: Option<Instant>,
    patience: Patience,
    idle_timeout: Duration,
}

impl Download {
    /// # Errors
    /// If the body announces a length over the limit.
    pub(super) fn new(
        exchange: Box<HttpConnection>,
        body: Incoming,
        starved: Starved,
        pool: Arc<Pool>,
        target: Target,
        config: &FetchConfig,
    ) -> Result<Self, Fault> {
        let announced = body.size_hint().exact();
        if let Some(len) = announced.filter(|&len| len > config.response_limit) {
            return Err(error::too_long(&target, len, config.response_limit));
        }
        Ok(Self {
            first: None,
            running: Some((exchange, body)),
            starved,
            pool,
            target,
            read: 0,
            limit: config.response_limit,
            waiting: None,
            patience: Patience::new(config.idle_timeout),
            idle_timeout: config.idle_timeout,
        })
    }

    /// The body: as bytes if all of it came with the head.
    pub(super) async fn into_body(mut self) -> Body {
        let len = match &self.running {
            Some((_, body)) => body.size_hint().exact(),
            None => Some(0),
        };
        let first = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut self).poll_next(cx))).await;
        match first {
            Poll::Ready(Some(Ok(Chunk::Data(data)))) if self.running.is_none() => {
                return Body::Bytes(data);
            }
            Poll::Ready(None) => return Body::empty(),
            Poll::Ready(Some(first)) => self.first = Some(first),
            Poll::Pending => {}
        }
        Body::stream(len, self)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        let Some((exchange, body)) = &mut self.running else {
            return Poll::Ready(None);
        };
        let data = loop {
            let mut frame = Pin::new(&mut *body).poll_frame(cx);
            if frame.is_pending() {
                exchange.drive(cx);
                frame = Pin::new(&mut *body).poll_frame(cx);
            }
            let frame = match frame {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    let error = exchange.failure().unwrap_or(error);
                    return Poll::Ready(Some(Err(broken(&self.target, &error))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return self.wait(cx),
            };
            self.waiting = None;
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => break data,
                Err(frame) => {
                    if let Some(trailers) = frame.trailers_ref() {
                        return Poll::Ready(Some(Ok(Chunk::Trailers(head::trailers(trailers)))));
                    }
                }
            }
        };
        self.read = self.read.saturating_add(data.len() as u64);
        if self.read > self.limit {
            let (target, limit) = (&self.target, self.limit);
            let message = format!(
                "the response from {target} is longer than {limit} bytes, to which responses are limited"
            );
            let error = io::Error::new(io::ErrorKind::FileTooLarge, message);
            return Poll::Ready(Some(Err(error)));
        }
        if body.is_end_stream() {
            self.end(cx);
        }
        Poll::Ready(Some(Ok(Chunk::Data(data))))
    }

    /// Returns the connection to the pool, if it can carry another request.
    fn end(&mut self, cx: &mut Context<'_>) {
        let Some((mut exchange, _)) = self.running.take() else {
            return;
        };
        if !exchange.is_ready() {
            exchange.drive(cx);
        }
        if exchange.is_ready() {
            self.pool.put(&self.target.origin, exchange);
        }
    }

    /// Pending, unless the wait has been too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        let sent = self
            .running
            .as_ref()
            .map(|(exchange, _)| exchange.link.last_sent());
        let since = |now| match sent {
            _ if self.starved.get() => now,
            Some(sent) => waiting.max(sent),
            None => waiting,
        };
        if self.patience.poll(cx, since).is_pending() {
            return Poll::Pending;
        }
        let message = format!(
            "{} sent nothing for {:?} in the middle of its response",
            self.target, self.idle_timeout
        );
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, message))))
    }
}

fn broken(target: &Target, error: &hyper::Error) -> io::Error {
    let cause = error.source().and_then(|e| e.downcast_ref::<io::Error>());
    let kind = match cause {
        Some(cause) => cause.kind(),
        None if error.is_incomplete_message() => io::ErrorKind::UnexpectedEof,
        None => io::ErrorKind::InvalidData,
    };
    let message = match cause {
        Some(cause) if error.is_user() => error::bad_upload(target, cause).message,
        _ => format!(
            "the response from {target} broke off: {}",
            error::reason(error)
        ),
    };
    io::Error::new(kind, message)
}

impl Stream for Download {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(first));
        }
        let next = this.poll_body(cx);
        match &next {
            Poll::Ready(None) => this.end(cx),
            Poll::Ready(Some(Err(_))) => this.running = None,
            _ => {}
        }
        next
    }
}
