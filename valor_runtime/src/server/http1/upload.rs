//! The request's body in one exchange: read as the vlugin asks for it, drained if nobody does. `exchange` polls it.
//! `framing` cuts it out of the input, and `body` has the slot in which chunks change hands.

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
use valor_abi_wire::Body;

/// The most that is drained of an unread body to keep the connection.
const DRAINED: usize = 256 * 1024;

/// The largest piece of a body of known length. Its memory is allocated only when there is something to read, so that
/// a client that announces much and sends little takes none.
const PIECE: usize = 256 * 1024;

/// How far the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// More of it will come.
    Open,
    /// What follows in the input is another request.
    Done,
    /// The rest of it stays unread, and the connection ends after this response.
    GivenUp,
}

/// The body of a request on its way in.
pub(super) struct Upload {
    framing: Framing,
    /// The vlugin's side, while it has one.
    slot: Option<Arc<Slot>>,
    /// What the vlugin wanted at the last look.
    demand: Demand,
    /// Whether the client waits for `100 Continue` and has not got it yet.
    expects_continue: bool,
    drained: usize,
    given_up: bool,
    stall: Stall,
}

impl Upload {
    /// The upload, and the body that the vlugin gets: bytes if all of it is here already.
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

    /// The connection is at work, so it need not be woken when the vlugin wants something.
    pub(super) fn begin_turn(&mut self) {
        if let Some(slot) = &self.slot {
            slot.demand();
        }
    }

    /// Whether the vlugin now wants something else. If that changes later, the connection is woken.
    pub(super) fn has_changed(&self, cx: &Context<'_>) -> bool {
        let open = self.progress() == Progress::Open;
        self.slot
            .as_ref()
            .is_some_and(|slot| slot.watch(cx) != self.demand && open)
    }

    /// By when the client has to send more.
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

    /// Moves the body on. Returns whether there is something new for the vlugin. `begun` says that the response is on
    /// its way: it is then too late for an interim response.
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

    /// The response's head is about to be written. This is the last moment to send an interim response, or to
    /// announce that the connection ends.
    pub(super) fn before_head(&mut self, wire: &mut Wire) {
        match self.slot.as_ref().map(|slot| slot.demand()) {
            Some(Demand::Wanted) => self.send_continue(wire),
            Some(Demand::Dropped) => self.abandon(&wire.input),
            _ => {}
        }
    }

    /// Nobody will read the rest of the body: it is drained, or the connection ends.
    pub(super) fn abandon(&mut self, input: &Input) {
        self.fail(BodyError::Abandoned);
        let left = self.framing.left();
        let large = left.is_some_and(|left| left > (DRAINED + input.len()) as u64);
        // A client that never got `100 Continue` may or may not send the body.
        let unsure = self.expects_continue && !self.framing.is_done();
        self.given_up |= large || unsure;
    }

    /// Ends the body with an error. Returns whether anybody will see it.
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

    /// Reads the rest of the body and throws it away, up to the limit.
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

    /// The next part of the body; [`Part::More`] if the client has to send it first.
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
                // Around the input.
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

    /// A part has arrived. The client's time limit pauses while the vlugin works on it.
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
