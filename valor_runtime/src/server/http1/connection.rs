//! The loop of one connection: a head, its exchange, the next head, and the end. A task of the server's executor runs
//! it. Nothing of it outlives the socket.

use super::{
    admitted::Admitted,
    buffer::{self, Input, Output, READ, Wire},
    closing::{Closing, dead},
    codec::{self, Payload, Plan, RequestFacts},
    exchange::Exchange,
    forwarded,
    guard::{Guard, Step},
    outcome::Outcome,
    refusal::Refusal,
    upgrade::{Patience, Tunnel},
};
use crate::{
    deadline::{Deadline, earlier},
    id,
    in_band::CORRELATION_ID,
    server::{net::Socket, shared::Shared},
};
use futures_core::Stream;
use smol::{channel::Receiver, future};
use std::{
    convert::Infallible,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// How much a client may go on sending to a connection that is being closed.
const LINGERING: usize = 16 * 1024 * 1024;
/// How much one read takes while a head is expected: room for many small requests, but not for much of a large body,
/// whose later pieces are read straight to where they stay.
const HEAD: usize = 16 * 1024;
/// After this many requests, the other connections of the thread have their turn.
const TURN: u32 = 32;
/// How long an idle connection stays once the server leaves. A request that is on its way, or that a client sends
/// before it can know, is still answered.
const GRACE: Duration = Duration::from_millis(500);
/// How long to linger at most when the whole server is about to end.
const LEAVING: Duration = Duration::from_secs(1);

/// A client's connection.
pub(crate) struct Connection {
    wire: Wire,
    guard: Guard,
    peer: String,
    shared: Arc<Shared>,
    /// Ends when the server shuts down.
    leaving: Pin<Box<Receiver<Infallible>>>,
    /// When the client fell silent.
    idle_since: Instant,
    /// When the server was first seen to leave.
    leaving_since: Option<Instant>,
    /// When the first byte of a head arrived.
    begun: Option<Instant>,
}

/// What comes next on a connection.
enum Next {
    Request(Box<Admitted>),
    End(Outcome),
}

impl Connection {
    pub(crate) fn new(socket: Socket, peer: String, shared: Arc<Shared>) -> Self {
        Self {
            wire: Wire {
                socket,
                input: Input::default(),
                output: Output::new(shared.config.write_timeout),
                deadline: Deadline::new(),
            },
            guard: Guard::default(),
            peer,
            leaving: Box::pin(shared.leaving.clone()),
            shared,
            idle_since: Instant::now(),
            leaving_since: None,
            begun: None,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn serve(mut self) {
        let mut served = 0_u32;
        let outcome = loop {
            let admitted = match poll_fn(|cx| self.poll_head(cx)).await {
                Next::Request(admitted) => admitted,
                Next::End(outcome) => break outcome,
            };
            // On the heap, and only while there is a request: an idle connection is small.
            let mut exchange = Box::new(Exchange::new(
                *admitted,
                &mut self.wire.input,
                &self.shared.vlugin,
                self.shared.config.body_timeout,
            ));
            let leaving = || self.shared.leaving.is_closed();
            match poll_fn(|cx| exchange.poll(&mut self.wire, leaving(), cx)).await {
                Outcome::Next => {}
                Outcome::Switch(tunnel) => {
                    drop(exchange);
                    break Outcome::Close(self.tunnel(tunnel).await);
                }
                outcome => break outcome,
            }
            self.idle_since = Instant::now();
            served = served.wrapping_add(1);
            if served.is_multiple_of(TURN) {
                // Requests that come faster than they are answered must not keep the thread.
                future::yield_now().await;
            }
        };
        let closing = match outcome {
            Outcome::Next | Outcome::Switch(_) | Outcome::Close(Closing::Dead) => return,
            Outcome::Close(closing) => closing,
            Outcome::Refuse(refusal) => {
                self.refuse(refusal);
                Closing::Lingering
            }
        };
        if poll_fn(|cx| self.poll_flush(cx)).await.is_ok() {
            self.close(closing).await;
        }
    }

    /// Continues the connection in another protocol.
    async fn tunnel(&mut self, mut tunnel: Box<Tunnel>) -> Closing {
        let patience = Patience {
            open: self.shared.config.upgraded_timeout,
            half: self.shared.config.idle_timeout,
        };
        poll_fn(|cx| {
            let leaving = self.leaving.as_mut().poll_next(cx).is_ready();
            tunnel.poll(&mut self.wire, patience, leaving, cx)
        })
        .await
    }

    /// The next head that passes the guard, or why there is none.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if !self.wire.output.has_room() {
                match self.poll_flush(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(())) => {
                        return Poll::Ready(Next::End(Outcome::Close(Closing::Dead)));
                    }
                    Poll::Ready(Ok(())) => {}
                }
            }
            match self.read_head() {
                Some(Step::More) | None => {}
                Some(Step::Skip(amount)) => {
                    self.wire.input.consume(amount);
                    continue;
                }
                Some(Step::Head(amount, mut admitted)) => {
                    self.wire.input.consume(amount);
                    self.begun = None;
                    let proxies = &self.shared.config.trusted_proxies;
                    let is_tls = self.wire.socket.is_tls();
                    forwarded::settle(&mut admitted, &self.peer, is_tls, proxies);
                    return Poll::Ready(Next::Request(admitted));
                }
                Some(Step::Refuse(refusal)) => {
                    return Poll::Ready(Next::End(Outcome::Refuse(refusal)));
                }
            }
            let Wire { socket, input, .. } = &mut self.wire;
            let read = buffer::poll_read(socket, cx, HEAD, |bytes| {
                input.push(bytes);
                bytes.len()
            });
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Next::End(self.ended())),
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Next::End(Outcome::Close(dead(&error))));
                }
                Poll::Pending => {}
            }
            return self.poll_silence(cx).map(Next::End);
        }
    }

    fn read_head(&mut self) -> Option<Step> {
        let input = self.wire.input.unread();
        if input.is_empty() {
            self.begun = None;
            return None;
        }
        Some(self.guard.check(input, &self.peer, &self.shared.config))
    }

    /// The client has nothing more to say.
    fn ended(&self) -> Outcome {
        match self.wire.input.is_empty() {
            true => Outcome::Close(Closing::Plain),
            false => Outcome::Refuse(Refusal::new(
                400,
                "the request ends in the middle of its head",
            )),
        }
    }

    /// What to do while the client is silent: write what waits, and look at the clock.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let config = &self.shared.config;
        let Wire {
            socket,
            output,
            deadline,
            input,
        } = &mut self.wire;
        if let Poll::Ready(Err(error)) = output.poll_flush(socket, cx) {
            return Poll::Ready(Outcome::Close(dead(&error)));
        }
        let idle = input.is_empty();
        let mut limit = match idle {
            true => self.idle_since.checked_add(config.idle_timeout),
            false => {
                let begun = self.begun.get_or_insert_with(Instant::now);
                begun.checked_add(config.head_timeout)
            }
        };
        if idle && output.is_empty() && self.leaving.as_mut().poll_next(cx).is_ready() {
            let since = *self.leaving_since.get_or_insert_with(Instant::now);
            limit = earlier(limit, since.checked_add(GRACE.min(config.drain / 2)));
        }
        if !deadline.poll(cx, earlier(limit, output.stall.deadline())) {
            return Poll::Pending;
        }
        let now = Instant::now();
        Poll::Ready(match idle {
            _ if output.stall.deadline().is_some_and(|at| at <= now) => {
                Outcome::Close(Closing::Dead)
            }
            true => Outcome::Close(Closing::Plain),
            false => Outcome::Refuse(Refusal::new(408, "the request's head did not come in time")),
        })
    }

    /// Writes everything that waits, as far as the client takes it in time.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        let Wire {
            socket,
            output,
            deadline,
            ..
        } = &mut self.wire;
        match output.poll_flush(socket, cx) {
            Poll::Ready(written) => Poll::Ready(written.map_err(drop)),
            Poll::Pending if deadline.poll(cx, output.stall.deadline()) => Poll::Ready(Err(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        // A request without an id is one whose head was refused; that head is still in the input.
        let head = self.wire.input.unread();
        let mut response = refusal.response();
        let id = refusal.id.unwrap_or_else(|| id::of_refused(head));
        log::debug!(
            target: "valor::server", id = &*id;
            "{} got {}: {}", self.peer, refusal.status, refusal.detail
        );
        let asked = RequestFacts {
            head_only: false,
            version: 11,
        };
        let _ = response.head.push(CORRELATION_ID, id.as_bytes());
        let plan = Plan::of(asked, &mut response);
        let output = &mut self.wire.output;
        codec::head(output.bytes(), &response.head, plan.framing, Some("close"));
        if let Payload::Whole(bytes) = plan.payload {
            output.push(bytes, b"");
        }
    }

    async fn close(&mut self, closing: Closing) {
        match closing {
            // In TLS, an end without a notice counts as a truncation.
            Closing::Plain if self.wire.socket.is_tls() => {
                poll_fn(|cx| self.wire.poll_end(cx)).await;
            }
            Closing::Plain | Closing::Dead => {}
            Closing::Reset => self.wire.socket.reset_on_close(),
            Closing::Lingering => {
                poll_fn(|cx| self.wire.poll_end(cx)).await;
                self.linger().await;
            }
        }
    }

    /// Lets the client finish what it is sending: a socket closed under it would be reset, and
    /// the reset would overtake the response (RFC 9112, section 9.6).
    async fn linger(&mut self) {
        let mut limit = self.shared.config.linger;
        if self.shared.leaving.is_closed() {
            limit = limit.min(LEAVING);
        }
        let until = Instant::now().checked_add(limit);
        let mut left = LINGERING;
        let Wire {
            socket, deadline, ..
        } = &mut self.wire;
        poll_fn(|cx| {
            while left > 0 {
                match buffer::poll_read(socket, cx, READ, <[u8]>::len) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(amount)) => left = left.saturating_sub(amount),
                    Poll::Pending if deadline.poll(cx, until) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}
