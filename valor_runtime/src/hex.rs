//! [`hex`]: bytes as people write digests and keys, in hexadecimal digits; [`bytes()`] is the way back.

use std::fmt::Write;

/// Two lower-case digits for each byte.
///
/// ```
/// assert_eq!(valor_runtime::hex::hex(&[0, 0xab]), "00ab");
/// ```
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes that so many digits stand for, in either case; none, if there are more or fewer, or others.
///
/// ```
/// use valor_runtime::hex::bytes;
///
/// assert_eq!(bytes("00Ab"), Some([0, 0xab]));
/// assert_eq!((bytes::<2>("00a"), bytes::<2>("00ax"), bytes::<1>("é")), (None, None, None));
/// ```
pub fn bytes<const LEN: usize>(text: &str) -> Option<[u8; LEN]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * LEN {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; LEN];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}
