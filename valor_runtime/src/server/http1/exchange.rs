//! One request and its response. `connection` polls an [`Exchange`] until it is over. The exchange drives three
//! things at once: the vlugin, the request's body on its way in, and the output.
//!
//! It promises that a response is written once and whole, or else the connection is cut. No more is read than the
//! vlugin asks for. If the client goes away, the vlugin's future is dropped.

use super::{
    admitted::Admitted,
    body_error::BodyError,
    buffer::{self, Input, Wire},
    closing::{Closing, dead},
    codec::{self, Payload, Plan, RequestFacts, Sending},
    outcome::Outcome,
    refusal::Refusal,
    substitute::{about_server, name_of, of_broken, of_fault},
    upgrade::Offer,
    upload::{Progress, Upload},
};
use crate::{
    Vlugin,
    deadline::earlier,
    id,
    status::{self, Content},
    vlugin::{Instead, Logged},
};
use bytes::Bytes;
use std::{
    io,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use valor_abi_wire::{Body, BoxFuture, Chunk, Fault, Request, Response, ResponseHead, Signature};

/// How much of the next requests is read while the vlugin works on this one.
const AHEAD: usize = 64 * 1024;
/// After this many steps, the other connections of the thread have their turn.
const TURN: usize = 32;

enum Answer {
    Working(BoxFuture<'static, Result<Response, Fault>>),
    Streaming(Streaming),
    Done,
}

struct Streaming {
    head: ResponseHead,
    signature: Option<Signature>,
    /// Whether the head was written. It waits for the first chunk, so that both go out in one write.
    begun: bool,
    closes: bool,
    sending: Sending,
    sent: u64,
}

/// One request and its response.
pub(super) struct Exchange {
    answer: Answer,
    asked: RequestFacts,
    /// Whether the client wants to go on, and whether the server does.
    client_stays: bool,
    keep_alive: bool,
    upload: Upload,
    offer: Option<Box<Offer>>,
    /// The request's id, as long as its body may still be refused.
    id: Option<Arc<str>>,
}

impl Exchange {
    /// Hands a request to the vlugin.
    pub(super) fn new(
        mut admitted: Admitted,
        input: &mut Input,
        vlugin: &Arc<dyn Vlugin>,
        body_timeout: Duration,
    ) -> Self {
        let asked = RequestFacts {
            head_only: admitted.head.method() == "HEAD",
            version: admitted.head.version(),
        };
        let (upload, mut body) = Upload::new(
            admitted.framing,
            admitted.expects_continue,
            input,
            body_timeout,
        );
        let offer = admitted.offers_upgrade.then(|| {
            let (offer, incoming) = Offer::new(&admitted.head);
            body = incoming;
            offer
        });
        // The id in the log must be the one that the client gets if the body fails.
        let id = matches!(body, Body::Stream { .. }).then(|| id::settle(&mut admitted.head));
        let answer = if admitted.about_server {
            Box::pin(std::future::ready(Ok(about_server(&mut admitted.head))))
        } else {
            vlugin.clone().on_request(Request {
                head: admitted.head,
                body,
            })
        };
        Self {
            answer: Answer::Working(answer),
            asked,
            client_stays: admitted.keep_alive,
            keep_alive: admitted.keep_alive,
            upload,
            offer,
            id,
        }
    }

    /// Drives the exchange. `leaving` says that the server is shutting down.
    pub(super) fn poll(
        &mut self,
        wire: &mut Wire,
        leaving: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Outcome> {
        // A response that has begun did not announce the end of the connection. A client that relies on that may have
        // sent its next request already.
        self.keep_alive &= !leaving || self.has_begun();
        match self.drive(wire, cx) {
            Ok(poll) => poll,
            Err(outcome) => Poll::Ready(outcome),
        }
    }

    fn drive(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<Poll<Outcome>, Outcome> {
        self.upload.begin_turn();
        for _ in 0..TURN {
            let mut moved = self.poll_answer(wire, cx)?;
            let begun = self.has_begun();
            match self.upload.poll(wire, begun, cx) {
                Ok(more) => moved |= more,
                Err(error) => return Err(self.fail(error, cx)),
            }
            if let Some(outcome) = self.over(wire) {
                return Ok(Poll::Ready(outcome));
            }
            let has_room = wire.output.has_room();
            if moved && has_room {
                continue;
            }
            match wire.output.poll_flush(&mut wire.socket, cx) {
                Poll::Ready(Ok(())) if has_room => {}
                Poll::Ready(Ok(())) => continue,
                Poll::Ready(Err(error)) => return Err(Outcome::Close(dead(&error))),
                Poll::Pending if moved => continue,
                Poll::Pending => {}
            }
            self.watch_client(wire, cx)?;
            if self.upload.has_changed(cx) {
                // Another thread has just asked for the body, or thrown it away.
                continue;
            }
            let at = earlier(self.upload.deadline(), wire.output.stall.deadline());
            if wire.deadline.poll(cx, at) {
                self.timed_out(wire, cx)?;
                continue;
            }
            return Ok(Poll::Pending);
        }
        cx.waker().wake_by_ref();
        Ok(Poll::Pending)
    }

    /// How the exchange ended, once everything is done.
    fn over(&self, wire: &Wire) -> Option<Outcome> {
        let Answer::Done = self.answer else {
            return None;
        };
        match self.upload.progress() {
            Progress::GivenUp => Some(Outcome::Close(Closing::Lingering)),
            Progress::Open => None,
            Progress::Done if self.keep_alive => Some(Outcome::Next),
            Progress::Done if self.client_stays || !wire.input.is_empty() => {
                Some(Outcome::Close(Closing::Lingering))
            }
            Progress::Done => Some(Outcome::Close(Closing::Plain)),
        }
    }

    fn timed_out(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<(), Outcome> {
        let now = Instant::now();
        if wire.output.stall.deadline().is_some_and(|at| at <= now) {
            log::debug!(target: "valor::server", "a client does not read its response");
            return Err(Outcome::Close(Closing::Dead));
        }
        match self.upload.timed_out() {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail(error, cx)),
        }
    }

    /// Whether some of the response is written.
    fn has_begun(&self) -> bool {
        match &self.answer {
            Answer::Working(_) => false,
            Answer::Streaming(streaming) => streaming.begun,
            Answer::Done => true,
        }
    }

    // The vlugin and its response.

    fn poll_answer(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<bool, Outcome> {
        for step in 0..TURN {
            if !wire.output.has_room() {
                return Ok(step > 0);
            }
            let moved = match &mut self.answer {
                Answer::Working(future) => match future.as_mut().poll(cx) {
                    Poll::Pending => false,
                    Poll::Ready(answer) => {
                        self.begin(answer.unwrap_or_else(|fault| of_fault(&fault)), wire)?;
                        true
                    }
                },
                Answer::Streaming(streaming) => {
                    match streaming.sending.chunks.as_mut().poll_next(cx) {
                        Poll::Ready(next) => {
                            self.send(next, wire)?;
                            true
                        }
                        Poll::Pending => self.begin_stream(wire),
                    }
                }
                Answer::Done => false,
            };
            if !moved {
                return Ok(step > 0);
            }
        }
        Ok(true)
    }

    fn begin(&mut self, mut response: Response, wire: &mut Wire) -> Result<(), Outcome> {
        let checked = codec::check(&response.head).map_err(|error| error.to_string());
        let status = response.head.status();
        let checked = checked.and_then(|()| match status::content(status) {
            Content::Protocol => Offer::accept(self.offer.take(), &mut response, wire)
                .map(Some)
                .map_err(|error| error.to_string()),
            Content::Head => Err(format!("a response of status {status} answers nothing")),
            _ => Ok(None),
        });
        match checked {
            Ok(Some(tunnel)) => return Err(Outcome::Switch(Box::new(tunnel))),
            Ok(None) => {}
            Err(error) => {
                log::error!(target: "valor::server", "{}: {error}; answered 500", name_of(&response.signature));
                let other = of_broken(response.signature.take());
                Instead::of(&other).during(|| response = other);
            }
        }
        let plan = Plan::of(self.asked, &mut response);
        match plan.payload {
            Payload::Whole(bytes) => {
                self.done(wire);
                self.write_head(&response.head, plan.framing, plan.closes, wire);
                wire.output.push(bytes, b"");
            }
            Payload::Stream(sending) => {
                self.answer = Answer::Streaming(Streaming {
                    head: response.head,
                    signature: response.signature,
                    begun: false,
                    closes: plan.closes,
                    sending,
                    sent: 0,
                });
            }
        }
        Ok(())
    }

    fn write_head(
        &mut self,
        head: &ResponseHead,
        framing: codec::Framing,
        closes: bool,
        wire: &mut Wire,
    ) {
        self.keep_alive &= !closes && self.upload.progress() != Progress::GivenUp;
        let connection = match self.keep_alive {
            false => Some("close"),
            true if self.asked.version == 10 => Some("keep-alive"),
            true => None,
        };
        codec::head(wire.output.bytes(), head, framing, connection);
    }

    /// Writes the head of a stream. Returns whether there was one to write.
    fn begin_stream(&mut self, wire: &mut Wire) -> bool {
        let Answer::Streaming(streaming) = &mut self.answer else {
            return false;
        };
        if std::mem::replace(&mut streaming.begun, true) {
            return false;
        }
        let (framing, closes) = (streaming.sending.framing, streaming.closes);
        let head = streaming.head.clone();
        // If a vlugin answers with what it reads, `100 Continue` has to come first.
        self.upload.before_head(wire);
        self.write_head(&head, framing, closes, wire);
        true
    }

    fn send(&mut self, next: Option<io::Result<Chunk>>, wire: &mut Wire) -> Result<(), Outcome> {
        let Answer::Streaming(streaming) = &mut self.answer else {
            return Ok(());
        };
        let left = match streaming.sending.framing {
            codec::Framing::Length(len) => Some(len - streaming.sent),
            _ => None,
        };
        let short = left.is_some_and(|left| left > 0);
        let trailers = match next {
            Some(Ok(Chunk::Data(data))) => {
                self.send_data(data, left, wire);
                return Ok(());
            }
            // A runtime has logged whose it is, and the request's id.
            Some(Err(error)) if Logged::is(&error) => return self.cut(wire),
            Some(Err(error)) => {
                self.say_cut(&format!("failed: {error}"));
                return self.cut(wire);
            }
            Some(Ok(Chunk::Trailers(_))) | None if short => {
                self.say_cut("ended short of its length");
                return self.cut(wire);
            }
            Some(Ok(Chunk::Trailers(trailers))) if !codec::are_trailers(&trailers) => {
                self.say_cut("has trailers that cannot be sent");
                return self.cut(wire);
            }
            Some(Ok(Chunk::Trailers(trailers))) => trailers,
            None => Vec::new(),
        };
        let chunked = streaming.sending.framing == codec::Framing::Chunked;
        self.begin_stream(wire);
        if chunked {
            codec::end(&mut wire.output, &trailers);
        }
        self.done(wire);
        Ok(())
    }

    fn send_data(&mut self, mut data: Bytes, left: Option<u64>, wire: &mut Wire) {
        if data.is_empty() {
            return;
        }
        self.begin_stream(wire);
        let Answer::Streaming(streaming) = &mut self.answer else {
            return;
        };
        match left {
            Some(left) => {
                if data.len() as u64 > left {
                    let name = name_of(&streaming.signature);
                    log::error!(
                        target: "valor::server",
                        "{name}: the response's stream is longer than its length; the rest is left out"
                    );
                    data.truncate(left as usize);
                }
                streaming.sent += data.len() as u64;
                let done = data.len() as u64 == left;
                wire.output.push(data, b"");
                if done {
                    self.done(wire);
                }
            }
            None if streaming.sending.framing == codec::Framing::Chunked => {
                streaming.sent += data.len() as u64;
                codec::chunk(&mut wire.output, data);
            }
            None => {
                streaming.sent += data.len() as u64;
                wire.output.push(data, b"");
            }
        }
    }

    /// Logs why a response cannot go on.
    fn say_cut(&self, what: &str) {
        if let Answer::Streaming(Streaming {
            signature, sent, ..
        }) = &self.answer
        {
            let name = name_of(signature);
            log::error!(target: "valor::server", "{name}: the response's stream {what}, after {sent} bytes");
        }
    }

    /// Ends a response that cannot go on. If nothing of it was written, another takes its place. Otherwise the
    /// connection is cut: there is no other way to tell the client.
    fn cut(&mut self, wire: &mut Wire) -> Result<(), Outcome> {
        let Answer::Streaming(streaming) = &mut self.answer else {
            return Ok(());
        };
        if streaming.begun {
            return Err(self.abort());
        }
        let response = of_broken(streaming.signature.take());
        Instead::of(&response).during(|| self.answer = Answer::Done);
        self.begin(response, wire)
    }

    /// How to end a connection in the middle of a response, or before one.
    fn abort(&self) -> Outcome {
        Outcome::Close(match &self.answer {
            Answer::Streaming(s) if s.begun && s.sending.until_close => Closing::Reset,
            _ => Closing::Plain,
        })
    }

    fn done(&mut self, wire: &Wire) {
        self.answer = Answer::Done;
        self.upload.abandon(&wire.input);
    }

    // The client.

    /// Ends a body that cannot go on. The vlugin sees the error; the client gets the matching answer, unless it is
    /// too late for one.
    fn fail(&mut self, error: BodyError, cx: &mut Context<'_>) -> Outcome {
        let refusal = error.refusal();
        let is_seen = self.upload.fail(error);
        if let Answer::Done = self.answer {
            return Outcome::Close(Closing::Lingering);
        }
        if self.has_begun() {
            self.show_end(is_seen, cx);
            return self.abort();
        }
        let got = refusal.as_ref().map_or(Instead::Nothing, Refusal::instead);
        got.during(|| {
            self.show_end(is_seen, cx);
            self.answer = Answer::Done;
        });
        match refusal {
            Some(refusal) => Outcome::Refuse(Refusal {
                id: self.id.take(),
                ..refusal
            }),
            None => Outcome::Close(Closing::Plain),
        }
    }

    /// Shows the vlugin that the request's body has ended. Whatever it makes of that is not sent.
    fn show_end(&mut self, is_seen: bool, cx: &mut Context<'_>) {
        match &mut self.answer {
            Answer::Working(future) if is_seen => drop(future.as_mut().poll(cx)),
            Answer::Streaming(s) if is_seen => drop(s.sending.chunks.as_mut().poll_next(cx)),
            _ => {}
        }
    }

    /// Reads ahead while the vlugin works, to get the next requests or to notice that the client has gone.
    fn watch_client(&self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<(), Outcome> {
        while self.upload.progress() == Progress::Done && wire.input.len() < AHEAD {
            if let Answer::Done = self.answer {
                break;
            }
            let (socket, input) = (&mut wire.socket, &mut wire.input);
            let limit = AHEAD - input.len();
            let read = buffer::poll_read(socket, cx, limit, |bytes| {
                input.push(bytes);
                bytes.len()
            });
            match read {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => {
                    log::debug!(target: "valor::server", "a client went away before its response");
                    return Err(self.abort());
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(Outcome::Close(dead(&error))),
            }
        }
        Ok(())
    }
}

impl Drop for Exchange {
    /// If the client goes away, or the server ends, before the response has begun, nothing was sent of it.
    fn drop(&mut self) {
        if !self.has_begun() {
            Instead::Nothing.during(|| self.answer = Answer::Done);
        }
    }
}
