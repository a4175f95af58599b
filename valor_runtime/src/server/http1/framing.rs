//! Where the body of a request ends. The guard determines which [`Framing`] a head asks for. `upload` uses it to take
//! the body out of the input, part by part.

use super::{
    body_error::BodyError,
    buffer::{Input, READ},
    chunked::{ChunkedDecoder, Piece, Trailers},
};
use bytes::Bytes;

/// A body that has arrived as a whole and is no larger than this is handed on as bytes.
const WHOLE: usize = 64 * 1024;

/// How the end of a body is found, and how far the body has been read.
#[derive(Debug, Clone)]
pub(super) enum Framing {
    /// Nothing is left of it.
    Done,
    /// This many bytes are left.
    Length(u64),
    /// It ends where the coding says.
    Chunked(Box<ChunkedDecoder>),
}

/// A part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing, until more is read.
    More,
    Data(Bytes),
    /// The end; what follows in the input is another request.
    End(Trailers),
}

impl Framing {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// The number of bytes that are left, if it is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Done => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) => None,
        }
    }

    /// Records that this many of the bytes in [`Framing::left`] were read without passing through the input.
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

    /// Takes a small body out of the input, if all of it is there and it has no trailers.
    pub(super) fn take_whole(&mut self, input: &mut Input) -> Option<Bytes> {
        let (data, used) = match self {
            Self::Done => return Some(Bytes::new()),
            Self::Length(left) => {
                let left = usize::try_from(*left).ok().filter(|&left| left <= WHOLE)?;
                (Bytes::copy_from_slice(input.unread().get(..left)?), left)
            }
            Self::Chunked(_) if input.len() > WHOLE => return None,
            Self::Chunked(decoder) => {
                // This is a trial. If the end is not here yet, the body begins again as a stream.
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

/// Joins the data of small chunks, so that a body of one-byte chunks costs no more than any other.
fn gather(decoder: &mut ChunkedDecoder, input: &mut Input) -> Result<Part, BodyError> {
    let mut data = Vec::new();
    let (mut used, mut end) = (0, None);
    while data.len() < READ {
        let rest = &input.unread()[used..];
        let mut ahead = decoder.clone();
        let (amount, piece) = match ahead.decode(rest) {
            // The data before the fault is handed on first.
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
