//! [`Entry`]: one thing that a script asks of Valor, in the encoding of `asks.js`.
//!
//! `requests` reads a list of them from each answer of a worker. Valor trusts nothing in it: a script may have changed
//! the code that writes it. [`behind`] and [`cut`] are for things that go the same way: a body with a block before it,
//! and a text of bounded length.

use crate::{Body, Bytes, Chunk, ChunkStream, escape::more};
use futures_lite::{StreamExt, stream};
use valor_abi_guest::message::MessageError;

/// The bytes before an entry's name.
const FIXED: usize = 16;

/// What a script asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A request: to a server, or to the vlugin with this name.
    Ask {
        id: u32,
        callee: Option<String>,
        message: Vec<u8>,
    },
    /// Nobody waits for this request any more.
    Cancel(u32),
    /// So many lines were dropped, because too many waited.
    LeftOut(u32),
    /// The script reads the body of this request, which was held back.
    Reads(u32),
    /// A line for the log.
    Line {
        level: log::Level,
        file: String,
        line: u32,
        column: u32,
        text: String,
    },
}

/// Why bytes are not a list of entries.
#[derive(Debug, thiserror::Error)]
pub(super) enum EntryError {
    #[error("an entry is shorter than the lengths in it")]
    Length,
    #[error("an entry has the unknown kind {0}")]
    Kind(u8),
    #[error("a text in an entry is not UTF-8")]
    Text,
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Takes the first entry from the bytes.
pub(super) fn next(bytes: &mut Bytes) -> Result<Option<Entry>, EntryError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let fixed = bytes.split_off_checked(FIXED)?;
    let name = bytes.split_off_checked(number(&fixed, 8) as usize)?;
    let rest = bytes.split_off_checked(number(&fixed, 12) as usize)?;
    let id = number(&fixed, 4);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| EntryError::Text);
    Ok(Some(match fixed[0] {
        kind @ (1 | 2) => Entry::Ask {
            id,
            callee: (kind == 2).then(|| text(&name)).transpose()?,
            message: rest.into(),
        },
        3 => Entry::Cancel(id),
        4 => {
            let said = rest.get(8..).ok_or(EntryError::Length)?;
            Entry::Line {
                level: level(fixed[1]),
                file: text(&name)?,
                line: number(&rest, 0),
                column: number(&rest, 4),
                text: text(said)?,
            }
        }
        5 => Entry::LeftOut(id),
        6 => Entry::Reads(id),
        kind => return Err(EntryError::Kind(kind)),
    }))
}

trait SplitOff {
    fn split_off_checked(&mut self, len: usize) -> Result<Bytes, EntryError>;
}

impl SplitOff for Bytes {
    fn split_off_checked(&mut self, len: usize) -> Result<Bytes, EntryError> {
        match len <= self.len() {
            true => Ok(self.split_to(len)),
            false => Err(EntryError::Length),
        }
    }
}

/// The number at a place that exists.
fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|it| it.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

fn level(number: u8) -> log::Level {
    let mut levels = log::Level::iter();
    levels.nth(number.into()).unwrap_or(log::Level::Trace)
}

/// A body after these bytes, with its length if that is known.
pub(super) fn behind(front: Vec<u8>, len: Option<u64>, chunks: ChunkStream) -> Body {
    let len = len.map(|len| len.saturating_add(front.len() as u64));
    let front = stream::once(Ok(Chunk::Data(front.into())));
    Body::stream(len, front.chain(chunks))
}

/// Cuts a text to so many bytes if it is longer, with a mark that says so.
pub(super) fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = text.floor_char_boundary(most);
        let left = text.len() - end;
        text.truncate(end);
        text.push_str(&more(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, level: u8, id: u32, name: &str, rest: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, level, 0, 0];
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(rest.len() as u32).to_le_bytes());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn a_list_is_read_entry_by_entry() {
        let mut list = entry(2, 0, 7, "callee", b"message");
        list.extend(entry(1, 0, u32::MAX, "", b""));
        list.extend(entry(4, 1, 0, "a.js", b"\x05\0\0\0\x02\0\0\0said"));
        list.extend(entry(4, 250, 0, "", b"\0\0\0\0\0\0\0\0"));
        list.extend(entry(3, 0, 7, "", b""));
        list.extend(entry(5, 0, 300, "", b""));
        list.extend(entry(6, 0, 9, "", b""));
        let mut bytes = Bytes::from(list);
        let mut read = Vec::new();
        while let Some(entry) = next(&mut bytes).unwrap() {
            read.push(entry);
        }
        let ask = |id, callee: Option<&str>, message: &[u8]| Entry::Ask {
            id,
            callee: callee.map(str::to_owned),
            message: message.to_vec(),
        };
        let line = |level, file: &str, line, column, text: &str| Entry::Line {
            level,
            file: file.to_owned(),
            line,
            column,
            text: text.to_owned(),
        };
        let expected = [
            ask(7, Some("callee"), b"message"),
            ask(u32::MAX, None, b""),
            line(log::Level::Warn, "a.js", 5, 2, "said"),
            line(log::Level::Trace, "", 0, 0, ""),
            Entry::Cancel(7),
            Entry::LeftOut(300),
            Entry::Reads(9),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let whole = entry(4, 0, 1, "file", b"\0\0\0\0\0\0\0\0text");
        for len in 1..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..len]);
            assert!(
                matches!(next(&mut cut.clone()), Err(EntryError::Length)),
                "{len}"
            );
        }
        let refused = |bytes: Vec<u8>| next(&mut bytes.into()).unwrap_err().to_string();
        assert!(refused(entry(7, 0, 1, "", b"")).contains("kind 7"));
        assert!(refused(entry(4, 0, 1, "", b"short")).contains("shorter"));
        assert!(refused(entry(4, 0, 1, "", b"\0\0\0\0\0\0\0\0\xff")).contains("UTF-8"));
        let mut endless = entry(1, 0, 1, "", b"");
        endless[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(refused(endless).contains("shorter"));
    }
}
