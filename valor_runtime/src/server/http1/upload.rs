//! The request's body of one exchange: read as the vlugin asks for it, drained where nobody does.
//! `exchange` polls it; `framing` cuts it out of the input, `body` has the slot in which chunks change hands.

use super::{
    body::{Demand, Slot},
    body_error::BodyError,
    buffer::{self, Input, READ, Wire},
    framing::{Framing, Part},
};
use crate::stall::Stall;
use bytes::Bytes;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use valor::wire::Body;

/// What of a body nobody reads is taken away for the sake of the connection.
const DRAINED: usize = 256 * 1024;

/// The largest piece of a body of known length. It is read into memory of its own, which it gets
/// when there is something to read, so that a client which says much and sends little takes none.
const PIECE: usize = 256 * 1024;

/// How far the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Some of it is to come.
    Open,
    /// What follows in the input is another request.
    Done,
    /// The rest of it stays where it is, and the connection ends behind this response.
    GivenUp,
}

/// The body of a request on its way in.
pub(super) struct Upload {
    framing: Framing,
    /// The vlugin's side, while it has one.
    slot: Option<Arc<Slot>>,
    /// What the vlugin wanted when that was last looked after.
    demand: Demand,
    /// Whether the client was not yet told to go on, and waits for it.
    expects_continue: bool,
    drained: usize,
    given_up: bool,
    stall: Stall,
}

impl Upload {
    /// The upload, and the body that the vlugin gets: bytes where all of it is here already.
    pub(super) fn new(
        mut framing: Framing,
        expects_continue: bool,
        input: &mut Input,
        timeout: Duration,
    ) -> (Self, Body) {
        let whole = match expects_continue && !framing.is_done() {
            true => None,
            false => framing.take_whole(input),
        };
        let mut slot = None;
        let body = whole.map_or_else(
            || {
                let (ours, theirs) = Slot::new();
                slot = Some(ours);
                Body::stream(framing.left(), theirs)
            },
            Body::Bytes,
        );
        let upload = Self {
            framing,
            slot,
            demand: Demand::Idle,
            expects_continue,
            drained: 0,
            given_up: false,
            stall: Stall::new(timeout),
        };
        (upload, body)
    }

    pub(super) fn progress(&self) -> Progress {
        match self.given_up {
            true => Progress::GivenUp,
            false if self.framing.is_done() => Progress::Done,
            false => Progress::Open,
        }
    }

    /// The connection is at work, and need not be woken to be told what the vlugin wants.
    pub(super) fn begin_turn(&mut self) {
        if let Some(slot) = &self.slot {
            slot.demand();
        }
    }

    /// Whether the vlugin wants something else than it did; where it does later, the connection
    /// is woken.
    pub(super) fn has_changed(&self, cx: &Context<'_>) -> bool {
        let open = self.progress() == Progress::Open;
        self.slot
            .as_ref()
            .is_some_and(|slot| slot.watch(cx) != self.demand && open)
    }

    /// When the client has to have sent more.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stall.deadline()
    }

    /// The client has not sent more in time.
    pub(super) fn timed_out(&mut self) -> Result<(), BodyError> {
        self.stall.stop();
        if self.slot.is_some() {
            return Err(BodyError::TooSlow);
        }
        self.given_up = true;
        Ok(())
    }

    /// Moves the body on, and says whether there is something new for the vlugin. `begun` says
    /// that the response is on its way, so that there can be no interim one any more.
    pub(super) fn poll(
        &mut self,
        wire: &mut Wire,
        begun: bool,
        cx: &mut Context<'_>,
    ) -> Result<bool, BodyError> {
        if self.progress() != Progress::Open {
            return Ok(false);
        }
        if let Some(slot) = &self.slot {
            self.demand = slot.demand();
            match self.demand {
                Demand::Idle => return Ok(false),
                Demand::Wanted if !begun => self.send_continue(wire),
                Demand::Wanted => {}
                Demand::Dropped => self.abandon(&wire.input),
            }
        }
        if self.slot.is_none() {
            return self.drain(wire, cx).map(|()| false);
        }
        let part = self.poll_part(wire, cx)?;
        let Some(slot) = &self.slot else {
            return Ok(false);
        };
        match part {
            Part::More => return Ok(false),
            Part::Data(data) => {
                slot.put(data);
                if self.framing.is_done() {
                    slot.end(Vec::new());
                }
            }
            Part::End(trailers) => slot.end(trailers),
        }
        Ok(true)
    }

    /// The response's head is about to be written: the last moment for an interim response, and
    /// for saying that the connection ends.
    pub(super) fn before_head(&mut self, wire: &mut Wire) {
        match self.slot.as_ref().map(|slot| slot.demand()) {
            Some(Demand::Wanted) => self.send_continue(wire),
            Some(Demand::Dropped) => self.abandon(&wire.input),
            _ => {}
        }
    }

    /// Nobody reads the body any more: what is left of it is drained, or the connection ends.
    pub(super) fn abandon(&mut self, input: &Input) {
        self.fail(BodyError::Abandoned);
        let left = self.framing.left();
        let large = left.is_some_and(|left| left > (DRAINED + input.len()) as u64);
        // A client that was never told to go on may send the body or not.
        let unsure = self.expects_continue && !self.framing.is_done();
        self.given_up |= large || unsure;
    }

    /// Ends the body with an error, and says whether there is somebody to see it.
    pub(super) fn fail(&mut self, error: BodyError) -> bool {
        let slot = self.slot.take();
        if let Some(slot) = &slot {
            slot.fail(error);
        }
        slot.is_some()
    }

    fn send_continue(&mut self, wire: &mut Wire) {
        if std::mem::take(&mut self.expects_continue) {
            let out = wire.output.bytes();
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Takes the body away unread, as far as it is worth it.
    fn drain(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<(), BodyError> {
        while self.progress() == Progress::Open {
            match self.poll_part(wire, cx)? {
                Part::More => break,
                Part::Data(data) => {
                    self.drained += data.len();
                    self.given_up = self.drained > DRAINED;
                }
                Part::End(_) => {}
            }
        }
        Ok(())
    }

    /// The next part of the body, [`Part::More`] where the client has to send it first.
    fn poll_part(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<Part, BodyError> {
        loop {
            match self.framing.take(&mut wire.input)? {
                Part::More => {}
                part => {
                    self.came();
                    return Ok(part);
                }
            }
            let (socket, input) = (&mut wire.socket, &mut wire.input);
            let read = match self.framing.left() {
                // Past the input.
                Some(left) => {
                    let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                    let read = buffer::poll_read_bytes(socket, cx, most);
                    read.map_ok(|bytes| (bytes.len(), bytes))
                }
                None => buffer::poll_read(socket, cx, READ, |bytes| {
                    input.push(bytes);
                    (bytes.len(), Bytes::new())
                }),
            };
            match read {
                Poll::Pending => {
                    self.stall.start();
                    return Ok(Part::More);
                }
                Poll::Ready(Ok((0, _))) => return Err(BodyError::Ended),
                Poll::Ready(Err(error)) => {
                    log::debug!(target: "valor::server", "a request's body broke off: {error}");
                    return Err(BodyError::Ended);
                }
                Poll::Ready(Ok((amount, data))) => {
                    self.stall.progress(amount);
                    if !data.is_empty() {
                        self.framing.advance(amount);
                        self.came();
                        return Ok(Part::Data(data));
                    }
                }
            }
        }
    }

    /// A part has come: the client is not waited for while the vlugin works on it.
    fn came(&mut self) {
        match self.framing.is_done() {
            true => self.stall.stop(),
            false => self.stall.pause(),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.fail(BodyError::Abandoned);
    }
}
