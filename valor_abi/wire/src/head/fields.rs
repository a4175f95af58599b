//! The headers of a block, read and changed in place. The heads' own methods call these with the place where the
//! headers begin.

use super::{
    error::HeadError,
    rules::{check_header, shown},
};

/// The lengths before a name and a value.
pub(super) const ENTRY: usize = 6;

struct Entry {
    name: std::ops::Range<usize>,
    value: std::ops::Range<usize>,
}

/// Walks over headers that were checked when they came in.
pub(super) fn fields(bytes: &[u8], start: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = bytes.get(start..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (fixed, after) = rest.split_first_chunk::<ENTRY>()?;
        let name_len = u16::from_le_bytes([fixed[0], fixed[1]]) as usize;
        let value_len = u32::from_le_bytes([fixed[2], fixed[3], fixed[4], fixed[5]]) as usize;
        let (name, after) = after.split_at_checked(name_len)?;
        let (value, after) = after.split_at_checked(value_len)?;
        rest = after;
        Some((name, value))
    })
}

fn entry_at(bytes: &[u8], at: usize) -> Option<Entry> {
    let fixed = bytes.get(at..at + ENTRY)?;
    let name_len = u16::from_le_bytes([fixed[0], fixed[1]]) as usize;
    let value_len = u32::from_le_bytes([fixed[2], fixed[3], fixed[4], fixed[5]]) as usize;
    let name = at + ENTRY..at + ENTRY + name_len;
    let end = name.end.checked_add(value_len)?;
    let value = name.end..end;
    (end <= bytes.len()).then_some(Entry { name, value })
}

pub(super) fn push(bytes: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), HeadError> {
    let name = name.as_bytes();
    check_header(name, value)?;
    add(bytes, name, value)
}

pub(super) fn add(bytes: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
    let count = u16::from_le_bytes([bytes[8], bytes[9]]);
    let count = count.checked_add(1).ok_or(HeadError::TooManyHeaders)?;
    bytes[8..10].copy_from_slice(&count.to_le_bytes());
    bytes.reserve(ENTRY + name.len() + value.len());
    let name_len = (name.len() as u16).to_le_bytes();
    let value_len = (value.len() as u32).to_le_bytes();
    let [a, b] = name_len;
    let [c, d, e, f] = value_len;
    bytes.extend_from_slice(&[a, b, c, d, e, f]);
    let at = bytes.len();
    bytes.extend_from_slice(name);
    lower(&mut bytes[at..]);
    bytes.extend_from_slice(value);
    Ok(())
}

/// Puts ASCII letters into lower case, eight at once: the last eight of a name overlap with those before, which are
/// lower case already.
fn lower(name: &mut [u8]) {
    let Some(_) = name.last_chunk::<8>() else {
        return name.make_ascii_lowercase();
    };
    for eight in name.chunks_exact_mut(8) {
        if let Some(eight) = eight.first_chunk_mut() {
            *eight = lowered(*eight);
        }
    }
    if let Some(last) = name.last_chunk_mut() {
        *last = lowered(*last);
    }
}

fn lowered(eight: [u8; 8]) -> [u8; 8] {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let bytes = u64::from_ne_bytes(eight);
    // Without its highest bit, no byte carries into the next.
    let low = bytes & (EACH * 0x7f);
    let from_a = low + EACH * (0x80 - b'A' as u64);
    let behind_z = low + EACH * (0x7f - b'Z' as u64);
    let upper = !bytes & (from_a ^ behind_z) & (EACH * 0x80);
    // From the highest bit to the one between the cases.
    (bytes | upper >> 2).to_ne_bytes()
}

pub(super) fn remove(bytes: &mut Vec<u8>, start: usize, name: &str) -> bool {
    let mut at = start;
    let mut removed = 0u16;
    while let Some(entry) = entry_at(bytes, at) {
        if &bytes[entry.name.clone()] == name.as_bytes() {
            bytes.drain(at..entry.value.end);
            removed += 1;
        } else {
            at = entry.value.end;
        }
    }
    if removed > 0 {
        let count = u16::from_le_bytes([bytes[8], bytes[9]]) - removed;
        bytes[8..10].copy_from_slice(&count.to_le_bytes());
    }
    removed > 0
}

/// Reads every header of an unchecked block.
pub(super) fn check_headers(bytes: &[u8], start: usize) -> Result<(), HeadError> {
    let count = u16::from_le_bytes([bytes[8], bytes[9]]);
    let mut at = start;
    for _ in 0..count {
        let Some(entry) = entry_at(bytes, at) else {
            return Err(HeadError::Length {
                expected: at + ENTRY,
                actual: bytes.len(),
            });
        };
        let (name, value) = (&bytes[entry.name], &bytes[entry.value.clone()]);
        check_header(name, value)?;
        if name.iter().any(u8::is_ascii_uppercase) {
            return Err(HeadError::HeaderName(shown(name)));
        }
        at = entry.value.end;
    }
    if at != bytes.len() {
        return Err(HeadError::Length {
            expected: at,
            actual: bytes.len(),
        });
    }
    Ok(())
}

/// Headers without a head, as trailers cross the guest boundary. What does not fit into one is left out.
pub fn encode_headers(headers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        if check_header(name.as_bytes(), value).is_err() {
            continue;
        }
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.to_ascii_lowercase().as_bytes());
        bytes.extend_from_slice(value);
    }
    bytes
}

/// Reads what [`encode_headers`] wrote, whatever its origin.
///
/// # Errors
/// [`HeadError::Length`], [`HeadError::HeaderName`] and [`HeadError::HeaderValue`].
pub fn decode_headers(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, HeadError> {
    let mut headers = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let entry = entry_at(bytes, at).ok_or(HeadError::Length {
            expected: at + ENTRY,
            actual: bytes.len(),
        })?;
        at = entry.value.end;
        let (name, value) = (&bytes[entry.name], &bytes[entry.value]);
        check_header(name, value)?;
        let name = std::str::from_utf8(name).map_err(|_| HeadError::HeaderName(shown(name)))?;
        headers.push((name.to_ascii_lowercase(), value.to_vec()));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn eight_letters_at_once_become_what_each_becomes(
            name in prop::collection::vec(prop_oneof![any::<u8>(), b'@'..=b'[', b'`'..=b'{'], 0..40),
        ) {
            let each = name.to_ascii_lowercase();
            let mut at_once = name;
            lower(&mut at_once);
            prop_assert_eq!(at_once, each);
        }
    }
}
