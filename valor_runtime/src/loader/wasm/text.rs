//! Texts from a guest that people will read. They are bounded, because nobody reads more, and the host has to hold
//! them.

use crate::escape::{LONGEST, more};
use std::borrow::Cow;

/// The most bytes of a message: a line of the log, a fault, why a body failed.
pub(super) const MESSAGE: usize = LONGEST;
/// The most bytes of a name: of a vlugin, a module, a file.
pub(super) const NAME: usize = 256;

/// The text, cut to this many bytes, with a mark that says so.
pub(super) fn cut(bytes: &[u8], most: usize) -> Cow<'_, str> {
    let Some(left) = bytes.len().checked_sub(most).filter(|left| *left > 0) else {
        return String::from_utf8_lossy(bytes);
    };
    // Not in the middle of a character.
    let mut end = most;
    while end > most.saturating_sub(3) && bytes[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    let left = left + (most - end);
    let kept = String::from_utf8_lossy(&bytes[..end]);
    Cow::Owned(kept.into_owned() + &more(left))
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for (text, most, cut_to) in [
            ("", 0, ""),
            ("four", 4, "four"),
            ("four", 3, "fou… (1 more bytes)"),
            ("aäö", 4, "aä… (2 more bytes)"),
            ("a\u{1f600}", 3, "a… (4 more bytes)"),
        ] {
            assert_eq!(cut(text.as_bytes(), most), cut_to);
        }
        // Whatever the bytes are.
        assert_eq!(cut(&[0xbf; 8], 4), "\u{fffd}… (7 more bytes)");
    }
}
