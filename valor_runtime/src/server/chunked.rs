//! The chunked transfer coding (RFC 9112, section 7.1), decoded as its bytes come: every split
//! of the stream gives the same body. `body` feeds it; it keeps nothing but the trailers.

use super::body::BodyError;
use std::ops::Range;

/// Bytes of trailers.
const MAX_TRAILERS: usize = 8 * 1024;
/// How many trailers.
const MAX_TRAILER_FIELDS: usize = 64;
/// Bytes of chunk extensions in all of a body: they carry nothing and cost time.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Digits of a size: zeros in front are legal, an endless line of them is not.
const MAX_DIGITS: u8 = 32;

/// The trailers of a body, names in lower case.
pub(super) type Trailers = Vec<(String, Vec<u8>)>;

/// What the decoder found in its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing; all of the input is used up.
    More,
    /// These bytes of the input are data.
    Data(Range<usize>),
    /// The body is at its end.
    End(Trailers),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the digits of a size, of which there were so many.
    Size(u8),
    /// In the white space between a size and its extension.
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    End,
}

/// The decoder of one body.
#[derive(Debug, Clone)]
pub(super) struct ChunkedDecoder {
    state: State,
    left: u64,
    extensions: usize,
    trailers: Vec<u8>,
}

impl ChunkedDecoder {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size(0),
            left: 0,
            extensions: 0,
            trailers: Vec::new(),
        }
    }

    /// Goes on with `input` and says how many of its bytes are used up by what it found.
    pub(super) fn decode(&mut self, input: &[u8]) -> Result<(usize, Piece), BodyError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Data => {
                    let amount = usize::try_from(self.left)
                        .map_or(input.len() - at, |left| left.min(input.len() - at));
                    self.left -= amount as u64;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok((at + amount, Piece::Data(at..at + amount)));
                }
                State::Trailers => {
                    at += 1;
                    if let Some(trailers) = self.trailer_byte(byte)? {
                        self.state = State::End;
                        return Ok((at, Piece::End(trailers)));
                    }
                    continue;
                }
                State::End => break,
                state => self.state = self.framing_byte(state, byte)?,
            }
            at += 1;
        }
        match self.state {
            State::End => Ok((at, Piece::End(Vec::new()))),
            _ => Ok((at, Piece::More)),
        }
    }

    fn framing_byte(&mut self, state: State, byte: u8) -> Result<State, BodyError> {
        let bad = |what| Err(BodyError::Malformed(what));
        match (state, byte) {
            (State::Size(digits), _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                let left = self
                    .left
                    .checked_mul(16)
                    .and_then(|left| left.checked_add(digit.into()));
                match left {
                    Some(left) if digits < MAX_DIGITS => {
                        self.left = left;
                        Ok(State::Size(digits + 1))
                    }
                    _ => bad("a chunk's size is too large"),
                }
            }
            (State::Size(0), _) => bad("a chunk does not begin with its size"),
            (State::Size(_), b'\r') | (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size(_) | State::Space, b';') => Ok(State::Extension),
            (State::Size(_) | State::Space, b' ' | b'\t') => {
                self.extension_byte()?;
                Ok(State::Space)
            }
            (State::Size(_) | State::Space, _) => bad("a chunk's size is malformed"),
            (State::Extension, b'\t' | b' '..=0x7e | 0x80..) => {
                self.extension_byte()?;
                Ok(State::Extension)
            }
            (State::Extension, _) => bad("a chunk's extension is malformed"),
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::Trailers),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size(0)),
            _ => bad("a chunk does not end where its size says"),
        }
    }

    fn extension_byte(&mut self) -> Result<(), BodyError> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS {
            return Err(BodyError::Malformed("the chunks' extensions are too long"));
        }
        Ok(())
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<Option<Trailers>, BodyError> {
        let before = self.trailers.last().copied();
        if (byte == b'\n') != (before == Some(b'\r')) {
            return Err(BodyError::Malformed("a trailer does not end in CRLF"));
        }
        self.trailers.push(byte);
        if self.trailers == b"\r\n" || self.trailers.ends_with(b"\r\n\r\n") {
            return parse(&std::mem::take(&mut self.trailers)).map(Some);
        }
        if self.trailers.len() >= MAX_TRAILERS {
            return Err(BodyError::TrailersTooLarge);
        }
        Ok(None)
    }
}

fn parse(section: &[u8]) -> Result<Trailers, BodyError> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(section, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => Ok(fields
            .iter()
            .filter(|field| may_trail(field.name))
            .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()))
            .collect()),
        Err(httparse::Error::TooManyHeaders) => Err(BodyError::TrailersTooLarge),
        _ => Err(BodyError::Malformed("a trailer is malformed")),
    }
}

/// Fields that frame, route or authenticate a message mean nothing behind it, and are left out
/// (RFC 9110, section 6.5.1).
fn may_trail(name: &str) -> bool {
    ![
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
    .iter()
    .any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}
