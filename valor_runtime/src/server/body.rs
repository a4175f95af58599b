//! The body of a request, between the connection that reads it and the vlugin that asks for it.
//!
//! `exchange` holds the [`Framing`], which cuts the body out of the input, and a [`Slot`]; the
//! vlugin holds the [`Incoming`] stream of the same slot. There is room for one chunk, and none
//! is read before it is asked for: that is all of the back-pressure.

use super::{
    buffer::{Input, READ},
    chunked::{ChunkedDecoder, Piece, Trailers},
    guard::Refusal,
};
use bytes::Bytes;
use futures_core::Stream;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use valor::wire::Chunk;

/// A body that is here as a whole and no larger than this is handed on as bytes.
const WHOLE: usize = 64 * 1024;

/// Why a body does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request's body is malformed: {0}")]
    Malformed(&'static str),
    #[error("the trailers of the request's body are too large")]
    TrailersTooLarge,
    #[error("the client did not go on with the request's body in time")]
    TooSlow,
    #[error("the client went away in the middle of the request's body")]
    Ended,
    #[error("the request is over, and with it its body")]
    Abandoned,
}

impl BodyError {
    fn to_io(&self) -> io::Error {
        let kind = match self {
            Self::Malformed(_) | Self::TrailersTooLarge => io::ErrorKind::InvalidData,
            Self::TooSlow => io::ErrorKind::TimedOut,
            Self::Ended => io::ErrorKind::UnexpectedEof,
            Self::Abandoned => io::ErrorKind::ConnectionAborted,
        };
        io::Error::new(kind, self.to_string())
    }

    /// What the client is told, where somebody is there to be told.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let status = match self {
            Self::Malformed(_) => 400,
            Self::TrailersTooLarge => 431,
            Self::TooSlow => 408,
            Self::Ended | Self::Abandoned => return None,
        };
        Some(Refusal::new(status, self.to_string()))
    }
}

/// How the end of a body is found, and how far it is.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    /// There is nothing (more) of it.
    Done,
    /// So many bytes are left.
    Length(u64),
    /// It ends where the coding says.
    Chunked(Box<ChunkedDecoder>),
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing, before more is read.
    More,
    Data(Bytes),
    /// The end; what follows in the input is another request.
    End(Trailers),
}

impl Framing {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// The bytes that are left, where they are known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Done => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) => None,
        }
    }

    /// Notes that this many bytes were taken past the input, of those [`Framing::left`].
    pub(super) fn advance(&mut self, amount: usize) {
        if let Self::Length(left) = self {
            *left = left.saturating_sub(amount as u64);
            if *left == 0 {
                *self = Self::Done;
            }
        }
    }

    /// Takes the next part of the body out of the input.
    pub(super) fn take(&mut self, input: &mut Input) -> Result<Part, BodyError> {
        match self {
            Self::Done => Ok(Part::End(Trailers::new())),
            Self::Length(_) if input.is_empty() => Ok(Part::More),
            Self::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(READ).min(READ);
                let data = Bytes::copy_from_slice(&input.unread()[..input.len().min(most)]);
                input.consume(data.len());
                self.advance(data.len());
                Ok(Part::Data(data))
            }
            Self::Chunked(decoder) => {
                let part = gather(decoder, input)?;
                if let Part::End(_) = part {
                    *self = Self::Done;
                }
                Ok(part)
            }
        }
    }

    /// Takes all of a small body that is in the input as a whole and has no trailers.
    pub(super) fn take_whole(&mut self, input: &mut Input) -> Option<Bytes> {
        let (data, used) = match self {
            Self::Done => return Some(Bytes::new()),
            Self::Length(left) => {
                let left = usize::try_from(*left).ok().filter(|&left| left <= WHOLE)?;
                (Bytes::copy_from_slice(input.unread().get(..left)?), left)
            }
            Self::Chunked(_) if input.len() > WHOLE => return None,
            Self::Chunked(decoder) => {
                // A trial: where the end is not here yet, the body begins anew as a stream.
                let mut decoder = decoder.clone();
                let mut data = Vec::new();
                let mut used = 0;
                loop {
                    let rest = &input.unread()[used..];
                    let (amount, piece) = decoder.decode(rest).ok()?;
                    used += amount;
                    match piece {
                        Piece::Data(range) => data.extend_from_slice(&rest[range]),
                        Piece::End(trailers) if trailers.is_empty() => break,
                        Piece::End(_) | Piece::More => return None,
                    }
                }
                (data.into(), used)
            }
        };
        input.consume(used);
        *self = Self::Done;
        Some(data)
    }
}

/// Joins the data of small chunks, so that a body of one-byte chunks costs no more than another.
fn gather(decoder: &mut ChunkedDecoder, input: &mut Input) -> Result<Part, BodyError> {
    let mut data = Vec::new();
    let (mut used, mut end) = (0, None);
    while data.len() < READ {
        let rest = &input.unread()[used..];
        let mut ahead = decoder.clone();
        let (amount, piece) = match ahead.decode(rest) {
            // What came before the fault is handed on before it.
            Err(_) if !data.is_empty() => break,
            decoded => decoded?,
        };
        if matches!(piece, Piece::End(_)) && !data.is_empty() {
            break;
        }
        *decoder = ahead;
        used += amount;
        match piece {
            Piece::More => break,
            Piece::Data(range) => data.extend_from_slice(&rest[range]),
            Piece::End(trailers) => {
                end = Some(trailers);
                break;
            }
        }
    }
    input.consume(used);
    Ok(match end {
        Some(trailers) => Part::End(trailers),
        None if data.is_empty() => Part::More,
        None => Part::Data(data.into()),
    })
}

/// The place where a body's chunks change hands.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    chunk: Option<Chunk>,
    trailers: Option<Chunk>,
    /// How it ended, once it did.
    end: Option<Result<(), BodyError>>,
    wanted: bool,
    dropped: bool,
    reader: Option<Waker>,
    connection: Option<Waker>,
}

/// What the vlugin does with its end of the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// It has not asked for another chunk.
    Idle,
    /// It waits for one.
    Wanted,
    /// It threw the body away.
    Dropped,
}

impl Slot {
    /// A slot and the stream that the vlugin gets.
    pub(super) fn new() -> (Arc<Self>, Incoming) {
        let slot = Arc::new(Self::default());
        (slot.clone(), Incoming(slot))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the vlugin wants. While the connection is at work it is not to be woken for it.
    pub(super) fn demand(&self) -> Demand {
        let mut state = self.state();
        state.connection = None;
        state.demand()
    }

    /// What the vlugin wants; where that changes later, the connection is woken.
    pub(super) fn watch(&self, cx: &Context<'_>) -> Demand {
        let mut state = self.state();
        state.connection = Some(cx.waker().clone());
        state.demand()
    }

    /// Hands on a chunk that was wanted.
    pub(super) fn put(&self, data: Bytes) {
        self.answer(|state| state.chunk = Some(Chunk::Data(data)));
    }

    /// Hands on the end.
    pub(super) fn end(&self, trailers: Trailers) {
        self.answer(|state| {
            if state.end.is_none() {
                state.trailers = (!trailers.is_empty()).then_some(Chunk::Trailers(trailers));
                state.end = Some(Ok(()));
            }
        });
    }

    /// What was over goes on: there is more to come behind a switch of protocols.
    pub(super) fn reopen(&self) {
        self.state().end = None;
    }

    /// Ends the body with an error, unless it has ended.
    pub(super) fn fail(&self, error: BodyError) {
        self.answer(|state| {
            state.end.get_or_insert(Err(error));
        });
    }

    fn answer(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.wanted = false;
        let reader = state.reader.take();
        // Wakers are other people's code; none of it runs while the lock is held.
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl State {
    fn demand(&self) -> Demand {
        match self {
            _ if self.dropped => Demand::Dropped,
            _ if self.wanted => Demand::Wanted,
            _ => Demand::Idle,
        }
    }
}

/// A request's body as the vlugin reads it.
pub(super) struct Incoming(Arc<Slot>);

impl Stream for Incoming {
    type Item = io::Result<Chunk>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.state();
        if let Some(chunk) = state.chunk.take().or_else(|| state.trailers.take()) {
            return Poll::Ready(Some(Ok(chunk)));
        }
        match &state.end {
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => {
                let error = error.to_io();
                state.end = Some(Ok(()));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                state.wanted = true;
                state.reader = Some(cx.waker().clone());
                let connection = state.connection.take();
                drop(state);
                if let Some(connection) = connection {
                    connection.wake();
                }
                Poll::Pending
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.dropped = true;
        state.chunk = None;
        let connection = state.connection.take();
        drop(state);
        if let Some(connection) = connection {
            connection.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(framing: &mut Framing, input: &mut Input) -> Vec<Result<Part, BodyError>> {
        let mut parts = Vec::new();
        loop {
            let part = framing.take(input);
            let goes_on = matches!(part, Ok(Part::Data(_)));
            parts.push(part);
            if !goes_on {
                return parts;
            }
        }
    }

    fn input(bytes: &[u8]) -> Input {
        let mut input = Input::default();
        input.push(bytes);
        input
    }

    fn chunked() -> Framing {
        Framing::Chunked(Box::new(ChunkedDecoder::new()))
    }

    #[test]
    fn small_chunks_are_joined_and_the_next_request_is_left() {
        let mut input = input(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\nGET");
        let mut framing = chunked();
        let joined = Ok(Part::Data(Bytes::from_static(b"ab")));
        assert_eq!(
            parts(&mut framing, &mut input),
            [joined, Ok(Part::End(Vec::new()))]
        );
        assert_eq!((framing.is_done(), input.unread()), (true, &b"GET"[..]));
    }

    #[test]
    fn what_came_before_a_fault_comes_before_it() {
        let mut input = input(b"1\r\na\r\nx");
        let fault = BodyError::Malformed("a chunk does not begin with its size");
        let seen = parts(&mut chunked(), &mut input);
        assert_eq!(seen, [Ok(Part::Data(Bytes::from_static(b"a"))), Err(fault)]);
    }

    #[test]
    fn a_whole_body_is_taken_only_when_all_of_it_is_here() {
        for (mut framing, bytes, whole) in [
            (Framing::Length(2), &b"abc"[..], Some("ab")),
            (Framing::Length(4), b"abc", None),
            (Framing::Length(u64::MAX), b"abc", None),
            (Framing::Done, b"abc", Some("")),
            (chunked(), b"1\r\na\r\n0\r\n\r\nc", Some("a")),
            (chunked(), b"1\r\na\r\n0\r\n\r", None),
            (chunked(), b"1\r\na\r\n0\r\nx: y\r\n\r\n", None),
            (chunked(), b"x", None),
        ] {
            let mut input = input(bytes);
            let taken = framing.take_whole(&mut input);
            assert_eq!(
                taken.as_deref(),
                whole.map(str::as_bytes),
                "{}",
                bytes.escape_ascii()
            );
            assert_eq!(framing.is_done(), whole.is_some());
            if whole.is_none() {
                assert_eq!(input.unread(), bytes);
            } else if whole != Some("") {
                assert_eq!(input.unread(), b"c");
            }
        }
    }

    proptest! {
        #[test]
        fn a_length_is_kept_under_every_split(
            body in prop::collection::vec(any::<u8>(), 1..300),
            next in prop::collection::vec(any::<u8>(), 0..20),
            segments in prop::collection::vec(1..40usize, 1..10),
        ) {
            let all = [&body[..], &next].concat();
            let mut framing = Framing::Length(body.len() as u64);
            let (mut input, mut seen, mut at) = (Input::default(), Vec::new(), 0);
            for segment in segments.iter().cycle() {
                let end = (at + segment).min(all.len());
                input.push(&all[at..end]);
                at = end;
                while let Part::Data(data) = framing.take(&mut input).unwrap() {
                    seen.extend_from_slice(&data);
                }
                if at == all.len() {
                    break;
                }
            }
            prop_assert_eq!(seen, body);
            prop_assert!(framing.is_done());
            prop_assert_eq!(input.unread(), &next[..]);
        }
    }
}
