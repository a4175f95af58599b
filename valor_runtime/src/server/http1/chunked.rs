//! The chunked transfer coding (RFC 9112, section 7.1), decoded as its bytes come. However the stream is split, the
//! body is the same. `framing` feeds it; it keeps nothing but the trailers.

use super::body_error::BodyError;
use std::ops::Range;

/// The most bytes of trailers.
const MAX_TRAILERS: usize = 8 * 1024;
/// The most trailers.
const MAX_TRAILER_FIELDS: usize = 64;
/// The most bytes of chunk extensions in a whole body: they carry nothing and cost time.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// The most digits of a size: leading zeros are legal, an endless line of them is not.
const MAX_DIGITS: u8 = 32;

/// The trailers of a body, names in lower case.
pub(super) type Trailers = Vec<(String, Vec<u8>)>;

/// What the decoder found in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Nothing; all the input is used up.
    More,
    /// These bytes of the input are data.
    Data(Range<usize>),
    /// The body ends here.
    End(Trailers),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// In the digits of a size, after this many of them.
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
    state: Expected,
    left: u64,
    extensions: usize,
    trailers: Vec<u8>,
}

impl ChunkedDecoder {
    pub(super) fn new() -> Self {
        Self {
            state: Expected::Size(0),
            left: 0,
            extensions: 0,
            trailers: Vec::new(),
        }
    }

    /// Goes on with `input`. Returns how many of its bytes are used up, and what they were.
    pub(super) fn decode(&mut self, input: &[u8]) -> Result<(usize, Piece), BodyError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                Expected::Data => {
                    let amount = usize::try_from(self.left)
                        .map_or(input.len() - at, |left| left.min(input.len() - at));
                    self.left -= amount as u64;
                    if self.left == 0 {
                        self.state = Expected::DataCr;
                    }
                    return Ok((at + amount, Piece::Data(at..at + amount)));
                }
                Expected::Trailers => {
                    at += 1;
                    if let Some(trailers) = self.trailer_byte(byte)? {
                        self.state = Expected::End;
                        return Ok((at, Piece::End(trailers)));
                    }
                    continue;
                }
                Expected::End => break,
                state => self.state = self.framing_byte(state, byte)?,
            }
            at += 1;
        }
        match self.state {
            Expected::End => Ok((at, Piece::End(Vec::new()))),
            _ => Ok((at, Piece::More)),
        }
    }

    fn framing_byte(&mut self, state: Expected, byte: u8) -> Result<Expected, BodyError> {
        let bad = |what| Err(BodyError::Malformed(what));
        match (state, byte) {
            (Expected::Size(digits), _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                let left = self
                    .left
                    .checked_mul(16)
                    .and_then(|left| left.checked_add(digit.into()));
                match left {
                    Some(left) if digits < MAX_DIGITS => {
                        self.left = left;
                        Ok(Expected::Size(digits + 1))
                    }
                    _ => bad("a chunk's size is too large"),
                }
            }
            (Expected::Size(0), _) => bad("a chunk does not begin with its size"),
            (Expected::Size(_), b'\r') | (Expected::Extension, b'\r') => Ok(Expected::SizeLf),
            (Expected::Size(_) | Expected::Space, b';') => Ok(Expected::Extension),
            (Expected::Size(_) | Expected::Space, b' ' | b'\t') => {
                self.extension_byte()?;
                Ok(Expected::Space)
            }
            (Expected::Size(_) | Expected::Space, _) => bad("a chunk's size is malformed"),
            (Expected::Extension, b'\t' | b' '..=0x7e | 0x80..) => {
                self.extension_byte()?;
                Ok(Expected::Extension)
            }
            (Expected::Extension, _) => bad("a chunk's extension is malformed"),
            (Expected::SizeLf, b'\n') if self.left == 0 => Ok(Expected::Trailers),
            (Expected::SizeLf, b'\n') => Ok(Expected::Data),
            (Expected::DataCr, b'\r') => Ok(Expected::DataLf),
            (Expected::DataLf, b'\n') => Ok(Expected::Size(0)),
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

/// Fields that frame, route or authenticate a message mean nothing behind it and are left out (RFC 9110, section
/// 6.5.1).
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes `input` in segments of these lengths, over and over. Returns data, trailers, and the number of bytes
    /// used.
    fn decode(input: &[u8], segments: &[usize]) -> Result<(Vec<u8>, Trailers, usize), BodyError> {
        let mut decoder = ChunkedDecoder::new();
        let (mut data, mut used, mut seen) = (Vec::new(), 0, 0);
        for segment in segments.iter().cycle() {
            seen = (seen + segment).min(input.len());
            loop {
                let rest = &input[used..seen];
                let (amount, piece) = decoder.decode(rest)?;
                used += amount;
                match piece {
                    Piece::Data(range) => data.extend_from_slice(&rest[range]),
                    Piece::End(trailers) => return Ok((data, trailers, used)),
                    Piece::More => break,
                }
            }
            if seen == input.len() {
                return Err(BodyError::Ended);
            }
        }
        unreachable!("there is at least one segment")
    }

    #[test]
    fn every_split_of_a_body_in_two_gives_the_same() {
        let body =
            b"5\r\nhello\r\n007;a=\"b\";c \t\r\n, world\r\n000;x\r\nX-A: 1\r\nX-B:  2 \r\n\r\nGET";
        let whole = decode(body, &[body.len()]).unwrap();
        assert_eq!(whole.0, b"hello, world");
        let trailer = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        assert_eq!(whole.1, [trailer("x-a", "1"), trailer("x-b", "2")]);
        assert_eq!(&body[whole.2..], b"GET");
        for at in 1..body.len() {
            assert_eq!(
                decode(body, &[at, body.len()]).as_ref(),
                Ok(&whole),
                "at {at}"
            );
        }
        for at in 0..whole.2 {
            assert_eq!(
                decode(&body[..at], &[at.max(1)]),
                Err(BodyError::Ended),
                "{at} bytes"
            );
        }
    }

    #[test]
    fn what_never_was_a_body() {
        for bad in [
            "g\r\n",
            "\r\n",
            ";\r\n",
            " 1\r\n",
            "+1\r\n",
            "1\n",
            "1\r\r",
            "1 \r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\rb",
            "0\r\n\n",
            "0\r\nx\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\nx: y\n\r\n",
            "0\r\nx: y\rz\r\n\r\n",
            "1;\n",
            "1;\r\r",
            "1;\0",
            "10000000000000000\r\n",
            "0\r\nx : y\r\n\r\n",
        ] {
            let decoded = decode(bad.as_bytes(), &[1]);
            assert!(
                matches!(decoded, Err(BodyError::Malformed(_))),
                "{bad:?}: {decoded:?}"
            );
        }
        // 2^64 - 1 can still be counted.
        assert_eq!(
            decode(b"ffffffffffffffff\r\nx", &[1]),
            Err(BodyError::Ended)
        );
    }

    #[test]
    fn nothing_grows_without_bound() {
        let endless = |begin: &str, more: &str| {
            let body = begin.to_owned() + &more.repeat(70_000);
            decode(body.as_bytes(), &[1000]).unwrap_err()
        };
        for (begin, more) in [
            ("0", "0"),
            ("1;", "x"),
            ("1", " "),
            ("", "1;xxxxxxxx\r\na\r\n"),
        ] {
            assert!(
                matches!(endless(begin, more), BodyError::Malformed(_)),
                "{begin}{more}"
            );
        }
        for (begin, more) in [("0\r\nx: ", "x"), ("0\r\n", "x: y\r\n")] {
            assert_eq!(
                endless(begin, more),
                BodyError::TrailersTooLarge,
                "{begin}{more}"
            );
        }
    }

    fn token() -> impl Strategy<Value = String> {
        "[a-z!#$%&'*+.^_`|~-][a-z0-9]{0,8}"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn any_split_of_any_body_gives_the_same(
            parts in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..300), 0..4usize, "(;[a-z]{0,5}(=\"[ -!#-~]{0,5}\")?){0,2}"),
                0..8,
            ),
            trailers in prop::collection::vec((token(), "[!-~]{0,12}"), 0..4),
            next in prop::collection::vec(any::<u8>(), 0..20),
            segments in prop::collection::vec(1..64usize, 1..40),
        ) {
            let mut body = Vec::new();
            let mut data = Vec::new();
            for (part, zeros, extension) in &parts {
                body.extend_from_slice("0".repeat(*zeros).as_bytes());
                body.extend_from_slice(format!("{:x}{extension}\r\n", part.len()).as_bytes());
                body.extend_from_slice(part);
                body.extend_from_slice(b"\r\n");
                data.extend_from_slice(part);
            }
            body.extend_from_slice(b"0\r\n");
            for (name, value) in &trailers {
                body.extend_from_slice(format!("x{name}: {value}\r\n").as_bytes());
            }
            body.extend_from_slice(b"\r\n");
            let length = body.len();
            body.extend_from_slice(&next);
            let trailers: Trailers = trailers
                .into_iter()
                .map(|(name, value)| (format!("x{name}"), value.into_bytes()))
                .collect();
            prop_assert_eq!(decode(&body, &segments), Ok((data, trailers, length)));
        }

        #[test]
        fn no_bytes_make_it_panic_or_depend_on_the_split(
            body in prop::collection::vec(prop::sample::select(b"01fF;\"= \t\r\n:x\0\xff".to_vec()), 0..60),
            segments in prop::collection::vec(1..9usize, 1..10),
        ) {
            prop_assert_eq!(decode(&body, &segments), decode(&body, &[body.len().max(1)]));
        }
    }
}
