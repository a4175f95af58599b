//! The blocks that cross the guest boundary: messages, faults and trailers.
//!
//! Both sides use these functions, the guest's glue and the host in `valor_runtime`, so that the code describes the
//! layout once; `docs/src/guest-abi.md` describes it in words. Reading trusts nothing: lengths are checked before bytes
//! are taken.

use valor_abi_wire::{
    Body, Bytes, ChunkStream, Fault, FaultKind, HeadError, Request, RequestHead, Response,
    ResponseHead, decode_headers, encode_headers,
};

/// The bytes before a head.
const FIXED: usize = 16;
/// Flag of a message: its body comes in pieces.
const STREAM: u32 = 1;
/// Flag of a message: the length of its body is known.
const KNOWN: u32 = 2;
/// Flag of a message: a fault, instead of a response.
const FAULT: u32 = 4;

/// The kinds of pieces of a body; the flags of `valor_body` and `write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum PieceKind {
    /// Bytes, and more to come.
    Data = 0,
    /// The last bytes, or none.
    End = 1,
    /// The trailers: the body has ended.
    Trailers = 2,
    /// Why the body failed.
    Failed = 4,
}

impl PieceKind {
    /// The kind with these flags.
    pub fn from_flags(flags: u32) -> Option<Self> {
        match flags {
            0 => Some(Self::Data),
            1 => Some(Self::End),
            2 => Some(Self::Trailers),
            4 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Why a block is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The block ends earlier than its lengths say.
    #[error("a message of {0} bytes is shorter than the lengths in it")]
    Length(usize),
    /// Flags that this version does not have, or that contradict each other.
    #[error("a message has the flags {0}, which mean nothing together")]
    Flags(u32),
    /// The head inside is not sound.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A text inside is not UTF-8.
    #[error("a text in a message is not UTF-8")]
    Text,
}

/// The body in a message.
#[derive(Debug)]
pub enum Brought {
    /// All of it.
    Whole(Bytes),
    /// It comes in pieces; its length, if it is known.
    Pieces(Option<u64>),
}

/// The block of a request, and the stream that its body comes from in pieces.
pub fn encode_request(request: Request) -> (Vec<u8>, Option<ChunkStream>) {
    encode(request.head.as_bytes(), request.body)
}

/// The block of a response, and the stream that its body comes from in pieces.
pub fn encode_response(response: Response) -> (Vec<u8>, Option<ChunkStream>) {
    encode(response.head.as_bytes(), response.body)
}

/// The length of the block that [`write_request`] writes.
pub fn request_len(request: &Request) -> usize {
    FIXED
        + request.head.as_bytes().len()
        + match &request.body {
            Body::Bytes(bytes) => bytes.len(),
            Body::Stream { .. } => 0,
        }
}

/// Writes the block of a request to memory of the guest's choice, which is [`request_len`] bytes long, and returns the
/// stream that its body comes from in pieces.
///
/// # Panics
/// If `block` has another length.
pub fn write_request(request: Request, block: &mut [u8]) -> Option<ChunkStream> {
    let (fixed, rest) = block.split_at_mut(FIXED);
    let (head, body) = rest.split_at_mut(request.head.as_bytes().len());
    fixed.copy_from_slice(&fixed_of(request.head.as_bytes().len(), &request.body));
    head.copy_from_slice(request.head.as_bytes());
    match request.body {
        Body::Bytes(bytes) => {
            body.copy_from_slice(&bytes);
            None
        }
        Body::Stream { chunks, .. } => Some(chunks),
    }
}

fn encode(head: &[u8], body: Body) -> (Vec<u8>, Option<ChunkStream>) {
    let whole = match &body {
        Body::Bytes(bytes) => bytes.len(),
        Body::Stream { .. } => 0,
    };
    let mut block = Vec::with_capacity(FIXED + head.len() + whole);
    block.extend_from_slice(&fixed_of(head.len(), &body));
    block.extend_from_slice(head);
    match body {
        Body::Bytes(bytes) => {
            block.extend_from_slice(&bytes);
            (block, None)
        }
        Body::Stream { chunks, .. } => (block, Some(chunks)),
    }
}

fn fixed_of(head: usize, body: &Body) -> [u8; FIXED] {
    let (flags, len) = match body {
        Body::Bytes(bytes) => (KNOWN, bytes.len() as u64),
        Body::Stream { len: None, .. } => (STREAM, 0),
        Body::Stream { len: Some(len), .. } => (STREAM | KNOWN, *len),
    };
    fixed_with(head, flags, len)
}

fn fixed_with(head: usize, flags: u32, len: u64) -> [u8; FIXED] {
    let mut fixed = [0; FIXED];
    fixed[..4].copy_from_slice(&(head as u32).to_le_bytes());
    fixed[4..8].copy_from_slice(&flags.to_le_bytes());
    fixed[8..].copy_from_slice(&len.to_le_bytes());
    fixed
}

/// The length of the head in a message, as the message states it: at most the length of the message.
pub fn head_len(block: &[u8]) -> usize {
    match block.first_chunk::<4>() {
        Some(len) => (u32::from_le_bytes(*len) as usize).min(block.len()),
        None => 0,
    }
}

/// The block of a fault, instead of a response.
pub fn encode_fault_message(fault: &Fault) -> Vec<u8> {
    let fault = encode_fault(fault);
    let mut block = fixed_with(fault.len(), FAULT, 0).to_vec();
    block.extend_from_slice(&fault);
    block
}

/// The block of just a fault.
pub fn encode_fault(fault: &Fault) -> Vec<u8> {
    let place = fault.place.as_deref().unwrap_or_default();
    let mut block = vec![fault.kind as u8, 0];
    block.extend_from_slice(&fault.status.to_le_bytes());
    block.extend_from_slice(&(fault.message.len() as u32).to_le_bytes());
    block.extend_from_slice(fault.message.as_bytes());
    block.extend_from_slice(place.as_bytes());
    block
}

/// Reads a fault.
///
/// # Errors
/// [`MessageError::Length`] and [`MessageError::Text`].
pub fn decode_fault(block: &[u8]) -> Result<Fault, MessageError> {
    let short = || MessageError::Length(block.len());
    let text = |bytes| {
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| MessageError::Text)
    };
    let (fixed, rest) = block.split_first_chunk::<8>().ok_or_else(short)?;
    let len = u32::from_le_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]) as usize;
    let (message, place) = rest.split_at_checked(len).ok_or_else(short)?;
    let mut fault = Fault::new(
        FaultKind::from_u8(fixed[0]),
        u16::from_le_bytes([fixed[2], fixed[3]]),
        text(message)?,
    );
    fault.place = (!place.is_empty()).then(|| text(place)).transpose()?;
    Ok(fault)
}

/// A parsed message: the flags, the head's bytes, and the body.
fn split(block: &Bytes) -> Result<(u32, &[u8], Brought), MessageError> {
    let short = || MessageError::Length(block.len());
    let (fixed, rest) = block.split_first_chunk::<FIXED>().ok_or_else(short)?;
    let number =
        |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    let (head, body) = rest
        .split_at_checked(number(0) as usize)
        .ok_or_else(short)?;
    let len = u64::from(number(8)) | u64::from(number(12)) << 32;
    let flags = number(4);
    let brought = match flags {
        0 | KNOWN => {
            if flags == KNOWN && len != body.len() as u64 {
                return Err(short());
            }
            Brought::Whole(block.slice(FIXED + head.len()..))
        }
        STREAM if body.is_empty() => Brought::Pieces(None),
        // STREAM and KNOWN.
        3 if body.is_empty() => Brought::Pieces(Some(len)),
        FAULT if body.is_empty() => Brought::Whole(Bytes::new()),
        flags => return Err(MessageError::Flags(flags)),
    };
    Ok((flags, head, brought))
}

/// Reads a request.
///
/// # Errors
/// Any [`MessageError`].
pub fn decode_request(block: impl Into<Bytes>) -> Result<(RequestHead, Brought), MessageError> {
    let block = block.into();
    match split(&block)? {
        (FAULT, ..) => Err(MessageError::Flags(FAULT)),
        (_, head, body) => Ok((RequestHead::parse(with_room(head))?, body)),
    }
}

/// Reads a request from this guest's own host, whose heads are sound.
///
/// # Errors
/// Any [`MessageError`].
pub fn decode_host_request(block: Vec<u8>) -> Result<(RequestHead, Brought), MessageError> {
    let block = Bytes::from(block);
    match split(&block)? {
        (FAULT, ..) => Err(MessageError::Flags(FAULT)),
        (_, head, body) => Ok((RequestHead::from_host(head.to_vec())?, body)),
    }
}

/// Reads a response, or the fault instead of one.
///
/// # Errors
/// Any [`MessageError`].
pub fn decode_response(
    block: impl Into<Bytes>,
) -> Result<Result<(ResponseHead, Brought), Fault>, MessageError> {
    let block = block.into();
    match split(&block)? {
        (FAULT, fault, _) => Ok(Err(decode_fault(fault)?)),
        (_, head, body) => Ok(Ok((ResponseHead::parse(with_room(head))?, body))),
    }
}

/// A head for this side, which adds headers to it.
fn with_room(head: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(head.len() + valor_abi_wire::ROOM / 2);
    bytes.extend_from_slice(head);
    bytes
}

/// The block of trailers.
pub fn encode_trailers(trailers: &[(String, Vec<u8>)]) -> Vec<u8> {
    encode_headers(trailers)
}

/// Reads trailers.
///
/// # Errors
/// [`MessageError::Head`] for a length, a name or a value that is not sound.
pub fn decode_trailers(block: &[u8]) -> Result<Vec<(String, Vec<u8>)>, MessageError> {
    Ok(decode_headers(block)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response() -> Response {
        let mut response = Response::new(404);
        response.head.push("X-A", b"b").unwrap();
        response.body = Body::from("nothing here");
        response
    }

    #[test]
    fn a_response_comes_back_as_it_was() {
        let (block, stream) = encode_response(response());
        assert!(stream.is_none());
        let (head, body) = decode_response(block).unwrap().unwrap();
        assert_eq!((head.status(), head.header_str("x-a")), (404, Some("b")));
        assert!(matches!(body, Brought::Whole(bytes) if bytes == "nothing here"));
    }

    #[test]
    fn a_request_is_written_as_it_is_encoded() {
        let request = || {
            let mut request = Request::new("PUT", "/a?b").unwrap();
            request.body = Body::from("in");
            request
        };
        let mut written = vec![0; request_len(&request())];
        assert!(write_request(request(), &mut written).is_none());
        assert_eq!(written, encode_request(request()).0);
        let (head, _) = decode_request(written).unwrap();
        assert_eq!((head.method(), head.target()), ("PUT", "/a?b"));
    }

    #[test]
    fn the_length_of_a_stream_is_kept() {
        for len in [None, Some(0), Some(1 << 40)] {
            let mut response = Response::new(200);
            response.body = Body::stream(len, futures_lite::stream::empty());
            let (block, stream) = encode_response(response);
            assert!(stream.is_some());
            let (_, body) = decode_response(block).unwrap().unwrap();
            assert!(matches!(body, Brought::Pieces(found) if found == len));
        }
    }

    #[test]
    fn a_fault_comes_back_as_it_was() {
        let mut fault = Fault::new(FaultKind::Panic, 500, "no luck");
        for place in [None, Some("src/lib.rs:1:2".to_owned())] {
            fault.place = place;
            let read = decode_response(encode_fault_message(&fault)).unwrap();
            assert_eq!(read.unwrap_err(), fault);
        }
    }

    #[test]
    fn a_block_that_is_cut_off_anywhere_is_refused() {
        let (block, _) = encode_response(response());
        for len in 0..block.len() {
            assert!(decode_response(block[..len].to_vec()).is_err(), "{len}");
        }
        let fault = encode_fault_message(&Fault::error(500, "no"));
        for len in 0..fault.len() {
            assert!(decode_response(fault[..len].to_vec()).is_err(), "{len}");
        }
    }

    #[test]
    fn flags_that_mean_nothing_together_are_refused() {
        let (mut block, _) = encode_response(response());
        for flags in [1, 3, 4, 5, 6, 7, 8, 1 << 31] {
            block[4..8].copy_from_slice(&u32::to_le_bytes(flags));
            assert!(decode_response(block.clone()).is_err(), "{flags}");
        }
    }

    #[test]
    fn trailers_come_back_as_they_were_and_bad_ones_are_refused() {
        let trailers = vec![("x-sum".to_owned(), b"1".to_vec()), ("b".into(), vec![])];
        let block = encode_trailers(&trailers);
        assert_eq!(decode_trailers(&block).unwrap(), trailers);
        for len in [1, block.len() - 1, block.len() - 5] {
            assert!(decode_trailers(&block[..len]).is_err(), "{len}");
        }
        // A line break, instead of an `x`.
        let mut split = encode_trailers(&[("a".to_owned(), b"bxc: d".to_vec())]);
        let at = split.iter().position(|byte| *byte == b'x').unwrap();
        split[at] = b'\n';
        assert!(decode_trailers(&split).is_err());
    }
}
