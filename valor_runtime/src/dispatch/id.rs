//! The id of a request: the client's `x-request-id` where it is fit to be repeated, or a fresh
//! one. It comes back as `x-correlation-id` and stands in the access log.

use crate::RequestHead;

/// How long a client's id may be.
const LONGEST: usize = 128;

/// The id of this request.
pub fn of(head: &RequestHead) -> String {
    match head.header_str("x-request-id") {
        Some(id) if is_fit(id) => id.to_owned(),
        _ => fresh(),
    }
}

/// Visible ASCII, so that it can stand in a header and in a line of a log.
fn is_fit(id: &str) -> bool {
    !id.is_empty() && id.len() <= LONGEST && id.bytes().all(|b| b.is_ascii_graphic())
}

/// 128 random bits in hexadecimal. They tell requests apart and are no secret.
fn fresh() -> String {
    // A format string takes six times as long.
    let nibbles = |byte: u8| [byte >> 4, byte & 15];
    let bytes = fastrand::u128(..).to_be_bytes();
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let mut id = String::with_capacity(32);
    id.extend(bytes.into_iter().flat_map(nibbles).map(digit));
    id
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
        assert_eq!(of(&head(b"abc-123")), "abc-123");
        for unfit in [&b""[..], b"a b", "ä".as_bytes(), &[b'x'; 129]] {
            let id = of(&head(unfit));
            assert_eq!(id.len(), 32, "{id}");
        }
        assert_ne!(fresh(), fresh());
    }
}
