//! Makes text from outside safe to show to people: names of files, messages of vlugins, answers of servers.
//!
//! The log, errors, tables and `inspect` send all such text through here, so that none of it can drive a terminal,
//! forge a line or look like something else. Dangerous characters are written as in a Rust string: `\n`, `\u{1b}`,
//! `\u{202e}`; in JSON as `\u001b`. All other text stays as it is, in every language.

use std::{
    borrow::Cow,
    fmt::{self, Write},
};

/// How many bytes one text may have in a line of the log. The code that writes such a line cuts the text and
/// [marks](more) it.
pub const LONGEST: usize = 16 << 10;

/// How many characters a message of a vlugin, a library or a program may have. The rest is cut off.
const LINE: usize = 2000;

/// The mark behind a text that was cut, with the number of bytes that were left out.
///
/// ```
/// assert_eq!(valor_runtime::escape::more(31), "… (31 more bytes)");
/// ```
pub fn more(bytes: usize) -> String {
    format!("… ({bytes} more bytes)")
}

/// A text without the mark of an earlier cut, and how many bytes that cut left out.
fn unmarked(text: &str) -> (&str, usize) {
    let marked = || {
        let (text, number) = text.strip_suffix(" more bytes)")?.rsplit_once("… (")?;
        Some((text, number.parse().ok()?))
    };
    marked().unwrap_or((text, 0))
}

/// Whether a character is written as an escape. That is so for controls (C0, DEL, C1), for line breaks (U+2028,
/// U+2029), for characters that change the direction of writing (Unicode Standard Annex #9, section 2), and for
/// invisible ones: the code points with the property `Default_Ignorable_Code_Point` (Annex #44), without variation
/// selectors, which only choose the form of the character before them.
const fn is_strange(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e00ff}'
            | '\u{e01f0}'..='\u{e0fff}'
    )
}

/// Whether nothing in it needs a second look. Most text is plain.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..0x7f).contains(&byte))
}

/// The text, with escapes for everything that is unsafe to show. Nothing in it breaks a line.
///
/// ```
/// use valor_runtime::escape::escaped;
///
/// assert_eq!(escaped("größe.wasm"), "größe.wasm");
/// assert_eq!(escaped("a\u{1b}[2J\nb\u{202e}"), r"a\u{1b}[2J\nb\u{202e}");
/// ```
pub fn escaped(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.contains(is_strange) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 16);
    // Writing into a String cannot fail.
    let _ = Escaped(&mut line).write_str(text);
    line.into()
}

/// The same for JSON. Strings in it are escaped in JSON's form, so that the value stays the same. Everything between
/// its values is left alone.
///
/// ```
/// use valor_runtime::escape::escaped_json;
///
/// let json = "{ \"name\": \"a\u{202e}b\" }";
/// assert_eq!(escaped_json(json), r#"{ "name": "a\u202eb" }"#);
/// ```
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    // ASCII controls are already escaped in a string, and line breaks outside a string belong to JSON.
    let is_strange = |c| is_strange(c) && c > '\x1f';
    if !json.contains(is_strange) {
        return json.into();
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_strange(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        } else {
            text.push(c);
        }
    }
    text.into()
}

/// How many bytes a text takes in a log at most, as a line for people or as a string of JSON.
pub(crate) fn written(text: &str) -> usize {
    let of_character = |c: char| match c {
        // JSON has an escape for these; the controls of ASCII are `\u{1b}` in the one and `\u001b` in the other.
        '"' | '\\' => 2,
        '\0'..='\x1f' | '\x7f' => 6,
        _ if !is_strange(c) => c.len_utf8(),
        _ => c.escape_default().len().max(6 * c.len_utf16()),
    };
    text.chars().map(of_character).sum()
}

/// A writer that escapes what is written through it, as [`escaped`] does.
pub struct Escaped<W>(pub W);

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_plain(text) {
            return self.0.write_str(text);
        }
        let mut rest = text;
        while let Some(at) = rest.find(is_strange) {
            self.0.write_str(&rest[..at])?;
            let mut behind = rest[at..].chars();
            for c in behind.next().into_iter().flat_map(char::escape_default) {
                self.0.write_char(c)?;
            }
            rest = behind.as_str();
        }
        self.0.write_str(rest)
    }
}

/// A path, or anything else with a `Display`, as [`escaped`] shows it.
///
/// ```
/// use valor_runtime::escape::Shown;
///
/// let file = std::path::Path::new("a\nb.wasm");
/// assert_eq!(Shown(file.display()).to_string(), r"a\nb.wasm");
/// ```
pub struct Shown<T>(pub T);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaped(f), "{}", self.0)
    }
}

/// A message from outside, as one line of at most 2000 characters and a [mark](more). White space of any kind becomes
/// one space.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LINE) + 32);
    let mut left = LINE;
    for word in text.split_whitespace() {
        let kept = match word.char_indices().nth(left) {
            Some((end, _)) => &word[..end],
            None => word,
        };
        if !line.is_empty() && !kept.is_empty() {
            line.push(' ');
        }
        // Writing into a String cannot fail.
        let _ = Escaped(&mut line).write_str(kept);
        if kept.len() < word.len() {
            let (text, before) = unmarked(text.trim_end());
            let at = kept.as_ptr().addr() + kept.len() - text.as_ptr().addr();
            line.push_str(&more(text.len().saturating_sub(at) + before));
            break;
        }
        left = left.saturating_sub(word.chars().count() + 1);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_or_hides_is_an_escape() {
        for (text, shown) in [
            ("plain", "plain"),
            ("größe, 名前, ❤\u{fe0f}", "größe, 名前, ❤\u{fe0f}"),
            ("\u{1b}[31m\r\n\t\0", r"\u{1b}[31m\r\n\t\u{0}"),
            ("\u{7f}\u{85}\u{9b}31m", r"\u{7f}\u{85}\u{9b}31m"),
            (
                "\u{202e}\u{2066}\u{200f}\u{61c}",
                r"\u{202e}\u{2066}\u{200f}\u{61c}",
            ),
            (
                "\u{200b}\u{200d}\u{feff}\u{ad}",
                r"\u{200b}\u{200d}\u{feff}\u{ad}",
            ),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{e0041}", r"\u{e0041}"),
        ] {
            assert_eq!(escaped(text), shown);
            assert_eq!(Shown(text).to_string(), shown);
            let json = serde_json::to_string(text).unwrap();
            let safe = escaped_json(&json);
            assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
            assert!(!safe.contains(is_strange), "{safe}");
        }
        assert_eq!(escaped_json("{\n\t\"a\": 1\n}"), "{\n\t\"a\": 1\n}");
    }

    #[test]
    fn what_is_written_is_no_longer_than_it_is_counted() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let json = serde_json::to_string(&text).unwrap();
            let json = escaped_json(&json).len() - 2;
            let longer = escaped(&text).len().max(json);
            assert!((longer..longer + 5).contains(&written(&text)), "{c:?}");
        }
        assert_eq!(written("größe \u{1b}\n\""), 6 + 2 + 6 + 6 + 2);
    }

    #[test]
    fn a_message_is_one_line_with_an_end() {
        assert_eq!(
            one_line("no\n  such \x1b[31mtable\r\n"),
            "no such \\u{1b}[31mtable"
        );
        assert_eq!(one_line(&"a".repeat(LINE)), "a".repeat(LINE));
        let long = "ä".repeat(4 << 20);
        let left_out = more(2 * ((4 << 20) - LINE));
        assert_eq!(one_line(&long), "ä".repeat(LINE) + &left_out);
        let words = "a ".repeat(1 << 20);
        let expected = format!("{}a", "a ".repeat(LINE / 2 - 1));
        assert_eq!(one_line(&words), expected + &more((2 << 20) - 1 - LINE));
        // The bytes that an earlier cut left out are added.
        let cut = "b".repeat(LINE + 5) + &more(7);
        assert_eq!(one_line(&cut), "b".repeat(LINE) + &more(12));
        let exact = "b".repeat(LINE - 30) + &more(7);
        assert_eq!(one_line(&exact), exact);
    }
}
