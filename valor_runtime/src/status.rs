//! Which responses can be sent: what a status says about the bytes after its head (RFC 9110, section 15; RFC 9112,
//! section 6.3), and which headers a head may have. One table for vlugins of every kind. `dispatch` asks it what a
//! vlugin may answer with, and `server` asks how to frame the answer. The page has `CONTENT` in `web/valor-rules.js`;
//! `tests/conformance` holds both to the same conversations.

use valor_abi_wire::ResponseHead;

/// What may follow a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Another head: an interim response is no answer to a request.
    Head,
    /// The bytes of another protocol, if the request offered it.
    Protocol,
    /// Nothing, and no `content-length` either.
    Nothing,
    /// Nothing, and `content-length: 0` says so.
    Empty,
    /// A body.
    Body,
}

/// What may follow the head of a response of this status.
pub(crate) const fn content(status: u16) -> Content {
    match status {
        101 => Content::Protocol,
        ..=199 => Content::Head,
        204 | 304 => Content::Nothing,
        205 => Content::Empty,
        _ => Content::Body,
    }
}

/// The most bytes that the headers of a response may have: of any vlugin's, and of another server's.
pub(crate) const MAX_HEAD: usize = 400 << 10;

/// The bytes of headers, as HTTP/1.1 has them.
pub(crate) fn head_len<'a>(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> usize {
    headers
        .map(|(name, value)| name.len() + value.len() + ": \r\n".len())
        .sum()
}

/// Why a response with this head is no answer, if it has more than [`MAX_HEAD`].
pub(crate) fn too_long(head: &ResponseHead) -> Option<String> {
    // The block has all of it, and more.
    if head.as_bytes().len() <= MAX_HEAD {
        return None;
    }
    let len = head_len(head.headers());
    (len > MAX_HEAD).then(|| {
        format!("the headers of its response have {len} bytes, and {MAX_HEAD} are sent at most: send a body instead")
    })
}

/// Why a response is no answer, if it is none. `offered` says whether the request offers to switch to another
/// protocol.
pub(crate) fn no_answer(status: u16, offered: bool) -> Option<String> {
    match content(status) {
        Content::Head => Some(format!(
            "its response is an interim one (status {status}), which answers nothing: answer with a status from 200 on"
        )),
        Content::Protocol if !offered => {
            Some("its response switches protocols, but the request did not offer to".to_owned())
        }
        _ => None,
    }
}

/// A header whose value is not allowed in a head.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of header `{0}` has a control character in it")]
pub(crate) struct BadHeader(String);

/// The header that keeps a vlugin's head from being written, if there is one. A head has no line breaks (`head.rs` sees
/// to that), but may contain other control characters.
pub(crate) fn bad_header(head: &ResponseHead) -> Option<BadHeader> {
    let (name, _) = head.fields().find(|(_, value)| !is_value(value))?;
    Some(BadHeader(name.escape_ascii().to_string()))
}

/// `field-value` of RFC 9110, section 5.5, bytes beyond ASCII included.
pub(crate) fn is_value(value: &[u8]) -> bool {
    // No early exit, so that many bytes are looked at in one step.
    let is_control = |b: u8| ((b < b' ') & (b != b'\t')) | (b == 0x7f);
    !value.iter().fold(false, |found, &b| found | is_control(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_same_table() {
        let script = include_str!("../web/valor-rules.js");
        assert!(script.contains("\nconst MAX_HEAD = 400 << 10;\n"));
        let (_, row) = script
            .split_once("const CONTENT = {")
            .expect("the page's table");
        let row = row.split('}').next().unwrap_or_default();
        let of = |status: u16| match status {
            101 | ..=199 => "none",
            _ if row.contains(&format!("{status}: false")) => "nothing",
            _ => "body",
        };
        for status in 100..600 {
            let expected = match content(status) {
                Content::Head | Content::Protocol => "none",
                Content::Nothing | Content::Empty => "nothing",
                Content::Body => "body",
            };
            assert_eq!(of(status), expected, "{status}");
        }
    }
}
