//! The headers of a request that concern its connection and its body. `guard` gathers them as it goes through a head.
//! Judged together, they say where the body ends.

use super::{
    chunked::ChunkedDecoder,
    framing::Framing,
    refusal::{Refusal, bad},
};

/// What the headers say about the connection and the body.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) host: bool,
    pub(super) length: Option<u64>,
    pub(super) codings: usize,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) expects_more: bool,
    pub(super) asks_upgrade: bool,
    pub(super) names_protocol: bool,
    pub(super) forwarded: bool,
}

impl Fields {
    /// Where the body ends: RFC 9112, section 6.3, without its leniency.
    pub(super) fn framing(&self, version: u8) -> Result<Framing, Refusal> {
        match (self.codings, self.length) {
            (0, None | Some(0)) => Ok(Framing::Done),
            (0, Some(length)) => Ok(Framing::Length(length)),
            (_, Some(_)) => Err(bad("there are both Content-Length and Transfer-Encoding")),
            (_, None) if version == 10 => Err(bad("HTTP/1.0 has no Transfer-Encoding")),
            (1, None) if self.chunked => Ok(Framing::Chunked(Box::new(ChunkedDecoder::new()))),
            (_, None) => Err(Refusal::new(
                501,
                "the only Transfer-Encoding known here is chunked",
            )),
        }
    }
}

/// The number in a `Content-Length`; the same number several times counts as one (RFC 9110, section 8.6).
pub(super) fn length_of(value: &[u8]) -> Result<u64, Refusal> {
    let malformed = || bad("the Content-Length is malformed");
    let mut length = None;
    for number in value.split(|&b| b == b',') {
        let number = number.trim_ascii();
        if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            return Err(malformed());
        }
        let number: u64 = std::str::from_utf8(number)
            .ok()
            .and_then(|digits| digits.parse().ok())
            .filter(|&number| number <= i64::MAX as u64)
            .ok_or_else(malformed)?;
        if length
            .replace(number)
            .is_some_and(|before| before != number)
        {
            return Err(bad("there are two lengths of the body"));
        }
    }
    length.ok_or_else(malformed)
}

/// The elements of a comma-separated list.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}
