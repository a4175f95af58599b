//! What a head may contain: tokens, values, targets. The head's own functions call these for every byte that comes in,
//! so they are written for speed.

use super::error::HeadError;

/// Whether a head can contain a header.
pub(super) fn check_header(name: &[u8], value: &[u8]) -> Result<(), HeadError> {
    if name.is_empty() || name.len() > u16::MAX as usize || !name.iter().all(|&b| is_token(b)) {
        return Err(HeadError::HeaderName(shown(name)));
    }
    if value.len() > u32::MAX as usize || has_break(value) {
        return Err(HeadError::HeaderValue(shown(name)));
    }
    Ok(())
}

/// Whether it contains CR, LF or NUL. It first looks for a byte below 14 in eight bytes at once: hardly any value has
/// one.
fn has_break(value: &[u8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let mut blocks = value.chunks_exact(8);
    let is_low = |block: &[u8]| {
        let block = block.try_into().map_or(0, u64::from_ne_bytes);
        // If a byte is below 14, its highest bit is borrowed from.
        block.wrapping_sub(EACH * 14) & !block & (EACH * 0x80) != 0
    };
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    let low = blocks.by_ref().any(is_low) || blocks.remainder().iter().any(|&byte| byte < 14);
    low && value.iter().any(is_break)
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
        && target.iter().all(|&b| b > b' ' && b != 0x7f)
        && std::str::from_utf8(target).is_ok()
}

/// Bytes in a form for an error.
pub(super) fn shown(bytes: &[u8]) -> String {
    let end = bytes.len().min(64);
    bytes[..end].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_break_is_found_wherever_it_is(
            value in prop::collection::vec(prop_oneof![1 => 0..16_u8, 20 => 0..=255_u8], 0..40),
        ) {
            let plain = value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
            prop_assert_eq!(has_break(&value), plain);
        }
    }
}
