//! The id of a request: the client's `x-request-id` if it can be repeated safely, or else a fresh one. `dispatch`
//! settles it, and `server` does so earlier if it may have to answer itself. The client gets it back as
//! `x-correlation-id`, and the access log has it.

use crate::{RequestHead, in_band::REQUEST_ID as NAME};
use std::sync::Arc;

/// The most characters of a client's id.
const LONGEST: usize = 128;

/// Settles the id of a request: from now on its head has this one and no other, so that whoever asks again, and the
/// vlugin, get the same.
pub(crate) fn settle(head: &mut RequestHead) -> Arc<str> {
    let id = match head.header_str(NAME) {
        Some(id) if is_fit(id) => id.into(),
        _ => fresh(),
    };
    // A head that is too full for it goes without. The id is fit, so it needs no other check.
    let _ = head.set_parsed(NAME, id.as_bytes());
    id
}

/// The id of a request whose head was refused: the client's, if the head can be read that far.
pub(crate) fn of_refused(head: &[u8]) -> Arc<str> {
    let mut lines = head.split_inclusive(|&byte| byte == b'\n').skip(1);
    let id = lines.find_map(|line| {
        // If the line is incomplete, the value may be incomplete too.
        let (name, value) = line
            .strip_suffix(b"\r\n")?
            .split_at(NAME.len().min(line.len() - 2));
        let value = value.strip_prefix(b":")?.trim_ascii();
        let id = std::str::from_utf8(value).ok().filter(|id| is_fit(id))?;
        name.eq_ignore_ascii_case(NAME.as_bytes())
            .then(|| id.into())
    });
    id.unwrap_or_else(fresh)
}

/// Only visible ASCII, so that it can appear in a header and in a log line.
fn is_fit(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST && id.bytes().all(|b| b.is_ascii_graphic())
}

/// 128 random bits in hexadecimal. They tell requests apart; they are not secret.
fn fresh() -> Arc<str> {
    // A format string takes six times as long.
    let mut digits = [0; 32];
    for (pair, byte) in digits
        .chunks_exact_mut(2)
        .zip(fastrand::u128(..).to_be_bytes())
    {
        pair.copy_from_slice(
            &[byte >> 4, byte & 15].map(|it| b"0123456789abcdef"[usize::from(it)]),
        );
    }
    std::str::from_utf8(&digits).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(id: &[u8]) -> RequestHead {
        let mut head = RequestHead::new("GET", "/").unwrap();
        head.push("X-Request-Id", id).unwrap();
        head
    }

    #[test]
    fn the_clients_id_only_where_it_is_fit() {
        assert_eq!(&*settle(&mut head(b"abc-123")), "abc-123");
        for unfit in [&b""[..], b"a b", "ä".as_bytes(), &[b'x'; 129]] {
            let mut head = head(unfit);
            let id = settle(&mut head);
            assert_eq!(id.len(), 32, "{id}");
            // Whoever asks next gets the same.
            assert_eq!(settle(&mut head), id);
        }
        assert_ne!(fresh(), fresh());
    }

    #[test]
    fn of_several_ids_one_is_left() {
        let mut head = head(b"first");
        head.push("x-request-id", b"second").unwrap();
        assert_eq!(&*settle(&mut head), "first");
        let left = head.headers().filter(|(name, _)| *name == NAME);
        assert_eq!(left.map(|(_, id)| id).collect::<Vec<_>>(), [b"first"]);
    }

    #[test]
    fn the_clients_id_of_a_head_that_was_refused() {
        for (head, id) in [
            (
                &b"BAD\r\nhost: a\r\nX-Request-Id:  abc \r\n\r\n"[..],
                Some("abc"),
            ),
            (
                b"GET / HTTP/1.1\r\nb@d\r\nx-request-id:abc\r\n",
                Some("abc"),
            ),
            (b"GET / HTTP/1.1\r\nx-request-id: abc", None),
            (b"GET / HTTP/1.1\r\nx-request-id: abc\r", None),
            (b"GET / HTTP/1.1\nx-request-id: abc\n\n", None),
            (b"GET / HTTP/1.1\r\nx-request-id: a\xffc\r\n", None),
            (b"GET / HTTP/1.1\r\nx-request-ids: abc\r\n\r\n", None),
            (b"x-request-id: abc\r\n\r\n", None),
            (b"\x16\x03\x01", None),
            (b"", None),
        ] {
            let found = of_refused(head);
            match id {
                Some(id) => assert_eq!(&*found, id, "{}", head.escape_ascii()),
                None => assert_eq!(found.len(), 32, "{}", head.escape_ascii()),
            }
        }
    }
}
