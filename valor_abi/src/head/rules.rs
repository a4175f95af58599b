//! What may stand in a head: tokens, values, targets. The head's own functions ask these for
//! every byte that comes in, so they are written to be quick.

use super::HeadError;

/// Whether a header can stand in a head.
pub(super) fn check_header(name: &[u8], value: &[u8]) -> Result<(), HeadError> {
    if name.is_empty() || name.len() > u16::MAX as usize || !name.iter().all(|&b| is_token(b)) {
        return Err(HeadError::HeaderName(shown(name)));
    }
    if value.len() > u32::MAX as usize || any(value, |b| (b == b'\r') | (b == b'\n') | (b == 0)) {
        return Err(HeadError::HeaderValue(shown(name)));
    }
    Ok(())
}

/// Looks at every byte, with no early end: so the compiler looks at many of them at once.
fn any(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(false, |found, &byte| found | is(byte))
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = {
        let mut tokens = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            tokens[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let marks = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < marks.len() {
            tokens[marks[at] as usize] = true;
            at += 1;
        }
        tokens
    };
    TOKENS[byte as usize]
}

/// Whether a text can be a request's target: no spaces, no control characters.
pub(super) fn is_target(target: &[u8]) -> bool {
    !target.is_empty()
        && target.len() <= u32::MAX as usize
        && !any(target, |b| (b <= b' ') | (b == 0x7f))
        && std::str::from_utf8(target).is_ok()
}

/// Bytes as they can stand in an error.
pub(super) fn shown(bytes: &[u8]) -> String {
    let end = bytes.len().min(64);
    bytes[..end].escape_ascii().to_string()
}
