//! Strict JSON whose values know their position in the text.
//!
//! `serde_json` checks the whole text first, so everything after [`parse`] is well-formed and of bounded depth. Objects
//! and arrays are then opened one level at a time through [`RawValue`], which borrows from the text, so that an offset
//! is a difference of addresses.

use super::{
    cursor::{Cursor, Entry},
    fault::{DefinitionFault, Position, shown},
};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, value::RawValue};
use std::{borrow::Cow, fmt};

/// A value of a text.
#[derive(Clone, Copy)]
pub(super) struct Node<'t> {
    /// The byte where it begins.
    pub at: usize,
    text: &'t str,
}

/// How deeply arrays and objects may be nested, as in `serde_json`.
const DEEPEST: usize = 127;

/// The value of the text. `least` is what to write if it is empty.
pub(super) fn parse<'t>(text: &'t str, least: &str) -> Result<Node<'t>, DefinitionFault> {
    if let Err(error) = serde_json::from_str::<Value>(text) {
        return Err(syntax_fault(text, least, &error));
    }
    let inner = text.trim_matches([' ', '\t', '\r', '\n']);
    Ok(Node {
        at: offset_in(text, inner),
        text: inner,
    })
}

/// Some editors put a byte order mark first; RFC 8259, section 8.1, lets readers skip it.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The fault of such a text.
pub(super) const WIDE: &str = "this is UTF-16 or UTF-32; save it as UTF-8";

/// Whether these bytes are a JSON text in UTF-16 or UTF-32: it has a byte order mark, or a zero among the bytes of its
/// first character, which is one of ASCII. In UTF-8, JSON has no zeros.
pub(super) fn is_wide(bytes: &[u8]) -> bool {
    let is_marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    is_marked || matches!(bytes, [0, ..] | [_, 0, ..])
}

/// Where the lines of a text begin, and how many characters precede each block of it. Finding a position costs the same
/// everywhere, even in a text of one line.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    before: Vec<usize>,
}

/// Bytes of a block.
const BLOCK: usize = 256;

impl<'t> Lines<'t> {
    pub fn of(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let mut characters = 0;
        let blocks = text.as_bytes().chunks(BLOCK).map(|block| {
            let before = characters;
            characters += begun_in(block);
            before
        });
        Self {
            text,
            before: blocks.collect(),
            starts: std::iter::once(0)
                .chain(breaks.map(|(at, _)| at + 1))
                .collect(),
        }
    }

    /// The position of a byte.
    pub fn position(&self, at: usize) -> Position {
        let at = at.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= at);
        Position {
            line,
            column: self.characters_before(at) - self.characters_before(self.starts[line - 1]) + 1,
        }
    }

    fn characters_before(&self, at: usize) -> usize {
        let block = at / BLOCK;
        let rest = &self.text.as_bytes()[block * BLOCK..at];
        // Right after a last block that is full, there is none.
        match self.before.get(block) {
            Some(before) => before + begun_in(rest),
            None => self.before.last().map_or(0, |before| {
                before + begun_in(&self.text.as_bytes()[(block - 1) * BLOCK..])
            }),
        }
    }
}

/// How many characters begin in these bytes.
fn begun_in(bytes: &[u8]) -> usize {
    let is_begin = |byte: &&u8| **byte & 0xc0 != 0x80;
    bytes.iter().filter(is_begin).count()
}

impl<'t> Node<'t> {
    /// The value that it means.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.text)
    }

    /// The byte after it.
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    fn value(&self) -> Value {
        self.read().unwrap_or_default()
    }

    fn child(&self, value: &'t RawValue) -> Node<'t> {
        let text = value.get();
        Node {
            at: self.at + offset_in(self.text, text),
            text,
        }
    }
}

impl<'t> Cursor for Node<'t> {
    fn at(&self) -> usize {
        self.at
    }

    fn kind(&self) -> &'static str {
        match self.text.as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a boolean",
            Some(b'n') => "null",
            _ => "a number",
        }
    }

    /// Its text, cut short.
    fn shown(&self) -> String {
        shown(self.text)
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        match self.value() {
            Value::String(text) => Some(text.into()),
            _ => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        self.value().as_bool()
    }

    fn number(&self) -> Option<f64> {
        self.value().as_f64()
    }

    fn whole(&self) -> Option<u64> {
        self.value().as_u64()
    }

    fn array(&self) -> Option<Vec<Self>> {
        if !self.text.starts_with('[') {
            return None;
        }
        let values: Vec<&'t RawValue> = serde_json::from_str(self.text).ok()?;
        Some(values.into_iter().map(|value| self.child(value)).collect())
    }

    fn object(&self) -> Option<Vec<Entry<Self>>> {
        if !self.text.starts_with('{') {
            return None;
        }
        let Entries(entries) = serde_json::from_str(self.text).ok()?;
        let mut end = 1;
        let entries = entries.into_iter().map(|(key, value)| {
            // Between two entries there is only a comma and white space.
            let gap = self.text.as_bytes()[end..]
                .iter()
                .take_while(|byte| **byte != b'"')
                .count();
            let key_at = self.at + end + gap;
            let value = self.child(value);
            end = value.at - self.at + value.text.len();
            Entry { key, key_at, value }
        });
        Some(entries.collect())
    }
}

/// The offset in `whole` where its part begins.
fn offset_in(whole: &str, part: &str) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

struct Entries<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(serde::de::Error::custom("an array"))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn syntax_fault(text: &str, least: &str, error: &serde_json::Error) -> DefinitionFault {
    // serde_json counts columns in bytes, from 1, and reports 0 right after a line break.
    let lines = Lines::of(text);
    let line = error.line().clamp(1, lines.starts.len());
    let at = match error.is_eof() {
        true => text.trim_end().len(),
        false => lines.starts[line - 1] + error.column().saturating_sub(1),
    };
    let full = error.to_string();
    let end = full.rfind(" at line ").unwrap_or(full.len());
    let said = &full[..end];
    let (at, message) = match beyond(text, at, said) {
        Some(found) => found,
        None if text.trim().is_empty() => (at, format!("the text is empty{least}")),
        None => {
            let hint = hint(text, at, error);
            (
                at,
                hint.unwrap_or_else(|| format!("not valid JSON: {said}")),
            )
        }
    };
    DefinitionFault {
        position: Some(lines.position(at)),
        key: String::new(),
        message,
    }
}

/// JSON that is more than a program can take: where it begins, and what is wrong.
fn beyond(text: &str, at: usize, said: &str) -> Option<(usize, String)> {
    let in_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    if said == "number out of range" {
        let end = (at + 1).min(text.len());
        let before = text.as_bytes()[..end].iter().rev();
        let start = end - before.take_while(|byte| in_number(byte)).count();
        let number = shown(text.get(start..end)?);
        let line = format!(
            "`{number}` is out of range: a number is at most about 1.8e308 in either direction"
        );
        return Some((start, line));
    }
    if said == "recursion limit exceeded" {
        let line = format!("arrays and objects are nested more than {DEEPEST} deep; remove levels");
        return Some((at, line));
    }
    if said == "lone leading surrogate in hex escape" || said == "unexpected end of hex escape" {
        let line = "an escape such as `\\ud800` is half of a character; write the character itself";
        return Some((at, line.to_owned()));
    }
    None
}

fn hint(text: &str, at: usize, error: &serde_json::Error) -> Option<String> {
    if is_wide(text.as_bytes()) {
        return Some(WIDE.into());
    }
    if error.is_eof() {
        return Some("the text ends too early: a bracket, brace or quote is never closed".into());
    }
    let rest = text.get(at..)?;
    if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        return Some("JSON has no comments; take this one out".into());
    }
    if rest.starts_with('\'') {
        return Some("JSON strings need double quotes".into());
    }
    let full = error.to_string();
    if full.starts_with("trailing comma") {
        return Some("JSON allows no comma after the last element; take it out".into());
    }
    if full.starts_with("key must be a string") {
        return Some("a key needs double quotes".into());
    }
    if full.starts_with("expected value") || full.starts_with("expected ident") {
        return Some(
            "not valid JSON: expected a string in double quotes, a number, true, false, null, \
             an object or an array"
                .into(),
        );
    }
    if full.starts_with("expected `,`") {
        return Some(format!(
            "not valid JSON: expected a comma or a closing bracket, found `{}`",
            shown(rest.chars().next()?.encode_utf8(&mut [0; 4]))
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_wherever_they_stand() {
        let texts = [
            String::new(),
            "a\nä\n".into(),
            "x".repeat(BLOCK),
            "ä".repeat(3 * BLOCK),
            "ab\n".repeat(BLOCK),
            format!("{}\n{}", "€".repeat(BLOCK), "x".repeat(2 * BLOCK)),
        ];
        for text in texts {
            let lines = Lines::of(&text);
            for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let before = &text[..at];
                let line = before.rsplit('\n').next().unwrap_or_default();
                let position = Position {
                    line: before.matches('\n').count() + 1,
                    column: line.chars().count() + 1,
                };
                assert_eq!(lines.position(at), position, "byte {at} of {text:.20}");
            }
        }
    }
}
