//! The body of a response, on its way to the vlugin.

use super::{
    FetchConfig, connect::Link, error, head, head::Target, patience::Patience, upload::Pump,
};
use crate::{Body, Chunk, Fault};
use futures_core::Stream;
use hyper::body::{Body as _, Incoming};
use std::{
    error::Error as _,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// The chunks of a response's body, held to the limits. Dropping it closes the connection,
/// unless the body has ended.
pub(super) struct Download {
    /// What the first poll gave, which was before there was a stream.
    first: Option<io::Result<Chunk>>,
    /// `None` once it has ended or failed.
    body: Option<Incoming>,
    /// What remains to be sent of the request's body.
    pump: Option<Pump>,
    link: Option<Link>,
    read: u64,
    limit: u64,
    /// Since when the reader waits.
    waiting: Option<Instant>,
    patience: Patience,
    idle_timeout: Duration,
    target: Target,
}

impl Download {
    /// # Errors
    /// Where the body announces that it is over the limit.
    pub(super) fn new(
        body: Incoming,
        pump: Option<Pump>,
        link: Option<Link>,
        config: &FetchConfig,
        target: Target,
    ) -> Result<Self, Fault> {
        let announced = body.size_hint().exact();
        if let Some(len) = announced.filter(|&len| len > config.response_limit) {
            return Err(error::too_long(&target, len, config.response_limit));
        }
        Ok(Self {
            first: None,
            body: Some(body),
            pump,
            link,
            read: 0,
            limit: config.response_limit,
            waiting: None,
            patience: Patience::new(config.idle_timeout),
            idle_timeout: config.idle_timeout,
            target,
        })
    }

    /// The body: whole, where all of it came with the head.
    pub(super) async fn into_body(mut self) -> Body {
        let len = match &self.body {
            Some(body) if !body.is_end_stream() => body.size_hint().exact(),
            _ => return Body::empty(),
        };
        let first = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut self).poll_next(cx))).await;
        match first {
            Poll::Ready(Some(Ok(Chunk::Data(data)))) if Some(data.len() as u64) == len => {
                return Body::Bytes(data);
            }
            Poll::Ready(None) => return Body::empty(),
            Poll::Ready(Some(first)) => self.first = Some(first),
            Poll::Pending => {}
        }
        Body::stream(len, self)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        if let Some(Poll::Ready(ended)) = self.pump.as_mut().map(|p| Pin::new(p).poll(cx)) {
            self.pump = None;
            if let Err(error) = ended {
                let fault = error::bad_upload(&self.target, &error);
                return Poll::Ready(Some(Err(io::Error::new(error.kind(), fault))));
            }
        }
        loop {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(self.broken(&error))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return self.wait(cx),
            };
            self.waiting = None;
            let data = match frame.into_data() {
                Ok(data) if data.is_empty() => continue,
                Ok(data) => data,
                Err(frame) => match frame.trailers_ref() {
                    Some(trailers) => {
                        return Poll::Ready(Some(Ok(Chunk::Trailers(head::trailers(trailers)))));
                    }
                    None => continue,
                },
            };
            self.read = self.read.saturating_add(data.len() as u64);
            if self.read > self.limit {
                let message = format!(
                    "the response from {} is longer than {} bytes, to which responses are limited",
                    self.target, self.limit
                );
                return Poll::Ready(Some(Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    message,
                ))));
            }
            return Poll::Ready(Some(Ok(Chunk::Data(data))));
        }
    }

    /// Pending, unless it has been that for too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Chunk>>> {
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        let (pump, link) = (&self.pump, &self.link);
        let since = |now| match (pump, link) {
            (Some(pump), _) if pump.is_starved() => now,
            (Some(_), Some(link)) => waiting.max(link.last_sent()),
            _ => waiting,
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

    fn broken(&self, error: &hyper::Error) -> io::Error {
        let inner = error.source().and_then(|e| e.downcast_ref::<io::Error>());
        let kind = match inner {
            Some(inner) => inner.kind(),
            None if error.is_incomplete_message() => io::ErrorKind::UnexpectedEof,
            None => io::ErrorKind::InvalidData,
        };
        let reason = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let target = &self.target;
        io::Error::new(
            kind,
            format!("the response from {target} broke off: {reason}"),
        )
    }
}

impl Stream for Download {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(first));
        }
        let next = this.poll_body(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            // Ends the connection, where the body has not ended, and breaks off the upload.
            this.body = None;
            this.pump = None;
        }
        next
    }
}
