//! Connections that switch to another protocol (RFC 9110, section 7.8). `exchange` makes an [`Offer`] from a request
//! that allows it, and a [`Tunnel`] from the response that accepts it. `connection` polls the tunnel to its end.
//!
//! The bytes behind the switch are the bodies of the two messages. No more is read than the vlugin asks for, and no
//! more is asked of the vlugin than the client takes. Each direction ends by itself. If the client goes away, the
//! vlugin's stream is dropped.

use super::{
    body::{Demand, Slot},
    body_error::BodyError,
    buffer::{self, Input, READ, Wire},
    closing::{Closing, dead},
    codec,
    substitute::name_of,
};
use crate::deadline::earlier;
use bytes::Bytes;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use valor_abi_wire::{Body, Chunk, ChunkStream, RequestHead, Response};

/// How far the client's bytes are read while the vlugin does not ask for them. Reading ahead shows that a connection
/// broke.
const AHEAD: usize = 64 * 1024;
/// After this many steps, the other connections of the thread have their turn.
const TURN: usize = 32;

/// What a request offers.
pub(super) struct Offer {
    protocols: String,
    slot: Arc<Slot>,
}

/// Why a response of status 101 cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Mismatch {
    #[error("the response switches protocols, but the request did not offer to")]
    NoOffer,
    #[error("the response switches to `{chosen}`, but the request offered `{offered}`")]
    Other { chosen: String, offered: String },
}

impl Offer {
    /// An offer, and the request's body, which has ended unless the offer is accepted.
    pub(super) fn new(head: &RequestHead) -> (Box<Self>, Body) {
        let (slot, incoming) = Slot::new();
        slot.end(Vec::new());
        let names = head.headers().filter(|(name, _)| *name == "upgrade");
        let protocols: Vec<_> = names
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect();
        let offer = Self {
            protocols: protocols.join(", "),
            slot,
        };
        (Box::new(offer), Body::stream(None, incoming))
    }

    /// Accepts the offer: writes the response's head and makes its body the tunnel's.
    pub(super) fn accept(
        offer: Option<Box<Self>>,
        response: &mut Response,
        wire: &mut Wire,
    ) -> Result<Tunnel, Mismatch> {
        let offer = offer.ok_or(Mismatch::NoOffer)?;
        let head = &response.head;
        let chosen = head.header_str("upgrade").unwrap_or_default().trim();
        let mut offered = offer.protocols.split(',');
        if !offered.any(|name| name.trim().eq_ignore_ascii_case(chosen)) {
            return Err(Mismatch::Other {
                chosen: chosen.to_owned(),
                offered: offer.protocols,
            });
        }
        codec::head(
            wire.output.bytes(),
            head,
            codec::Framing::None,
            Some("upgrade"),
        );
        wire.socket.keep_alive();
        offer.slot.reopen();
        let chunks: ChunkStream = match std::mem::take(&mut response.body) {
            Body::Stream { chunks, .. } => chunks,
            bytes => Box::pin(bytes),
        };
        Ok(Tunnel {
            name: name_of(&response.signature).to_owned(),
            slot: offer.slot,
            chunks: Some(chunks),
            client: Side::Open,
            vlugin: Side::Open,
            client_sends: true,
            last: Instant::now(),
        })
    }
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Open,
    /// No more comes, but earlier bytes are still on their way.
    Ending,
    Ended,
}

/// How long nothing may pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// While both directions are open.
    pub(super) open: Duration,
    /// Once the client has ended its side.
    pub(super) half: Duration,
}

/// An upgraded connection.
pub(super) struct Tunnel {
    name: String,
    slot: Arc<Slot>,
    /// What the vlugin sends; `None` when it has let go of the connection.
    chunks: Option<ChunkStream>,
    client: Side,
    vlugin: Side,
    /// Whether the client may still be sending.
    client_sends: bool,
    /// When bytes last passed.
    last: Instant,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Tunnel");
        shown.field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tunnel {
    /// Drives both directions. `leaving` says that the server is shutting down: the client's bytes then end, so that
    /// the vlugin can say goodbye.
    pub(super) fn poll(
        &mut self,
        wire: &mut Wire,
        patience: Patience,
        leaving: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Closing> {
        if leaving && self.client == Side::Open {
            self.end_of_client();
        }
        for _ in 0..TURN {
            let moved = match self.step(wire, cx) {
                Ok(moved) => moved,
                Err(closing) => return Poll::Ready(closing),
            };
            if moved {
                self.last = Instant::now();
                continue;
            }
            let demand = self.slot.watch(cx);
            let waits = self.client != Side::Ended && !wire.input.is_empty();
            if waits && demand != Demand::Idle {
                // Another thread has just asked for more.
                continue;
            }
            let limit = match self.client_sends {
                true => patience.open,
                false => patience.half,
            };
            let idle = self.last.checked_add(limit);
            let stall = wire.output.stall.deadline();
            if !wire.deadline.poll(cx, earlier(idle, stall)) {
                return Poll::Pending;
            }
            log::debug!(target: "valor::server", "{}: nothing passed on an upgraded connection in time", self.name);
            let closing = match stall.is_some_and(|at| at <= Instant::now()) {
                true => Closing::Dead,
                false => Closing::Plain,
            };
            return Poll::Ready(closing);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves what can be moved. Returns whether anything moved.
    fn step(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<bool, Closing> {
        let mut moved = self.take_up(wire, cx)?;
        moved |= self.hand_on(wire, cx)?;
        let had_room = wire.output.has_room();
        match wire.output.poll_flush(&mut wire.socket, cx) {
            Poll::Pending => {}
            Poll::Ready(Err(error)) => return Err(dead(&error)),
            Poll::Ready(Ok(())) if self.chunks.is_none() => {
                return Err(match self.client_sends {
                    true => Closing::Lingering,
                    false => Closing::Plain,
                });
            }
            Poll::Ready(Ok(())) => {
                // If there was no room, the vlugin was not asked for more.
                moved |= !had_room;
                if self.vlugin == Side::Ending && wire.poll_end(cx).is_ready() {
                    self.vlugin = Side::Ended;
                }
            }
        }
        Ok(moved)
    }

    /// From the vlugin into the output.
    fn take_up(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<bool, Closing> {
        let Some(chunks) = &mut self.chunks else {
            return Ok(false);
        };
        if !wire.output.has_room() {
            return Ok(false);
        }
        match chunks.as_mut().poll_next(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Some(Ok(Chunk::Data(data)))) => {
                if self.vlugin == Side::Open {
                    wire.output.push(data, b"");
                }
                Ok(true)
            }
            Poll::Ready(Some(Ok(Chunk::Trailers(_)))) => {
                if self.vlugin == Side::Open {
                    self.vlugin = Side::Ending;
                }
                Ok(true)
            }
            Poll::Ready(None) => {
                self.chunks = None;
                Ok(true)
            }
            Poll::Ready(Some(Err(error))) => {
                self.chunks = None;
                log::debug!(target: "valor::server", "{}: an upgraded connection is cut: {error}", self.name);
                Err(Closing::Reset)
            }
        }
    }

    /// From the client to the vlugin.
    fn hand_on(&mut self, wire: &mut Wire, cx: &mut Context<'_>) -> Result<bool, Closing> {
        if self.client == Side::Ended {
            return Ok(false);
        }
        let demand = self.slot.demand();
        let input = &mut wire.input;
        match demand {
            Demand::Wanted if !input.is_empty() => {
                let data = taken(input);
                self.slot.put(data);
                return Ok(true);
            }
            Demand::Wanted | Demand::Idle => {}
            // Nobody reads the bytes, but their end counts.
            Demand::Dropped => input.consume(input.len()),
        }
        if self.client == Side::Ending {
            if input.is_empty() {
                self.end_of_client();
            }
            return Ok(false);
        }
        if input.len() >= AHEAD {
            return Ok(false);
        }
        let limit = AHEAD - input.len();
        let read = match demand {
            // Around the input, with a single copy.
            Demand::Wanted => buffer::poll_read(&mut wire.socket, cx, limit, |bytes| {
                if !bytes.is_empty() {
                    self.slot.put(Bytes::copy_from_slice(bytes));
                }
                bytes.len()
            }),
            _ => buffer::poll_read(&mut wire.socket, cx, limit, |bytes| {
                input.push(bytes);
                bytes.len()
            }),
        };
        match read {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => {
                self.client = Side::Ending;
                self.client_sends = false;
                Ok(true)
            }
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Ready(Err(error)) => Err(dead(&error)),
        }
    }

    fn end_of_client(&mut self) {
        self.client = Side::Ended;
        self.slot.end(Vec::new());
    }
}

/// All that the input has, at most one chunk.
fn taken(input: &mut Input) -> Bytes {
    let data = Bytes::copy_from_slice(&input.unread()[..input.len().min(READ)]);
    input.consume(data.len());
    data
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.slot.fail(BodyError::Abandoned);
    }
}
