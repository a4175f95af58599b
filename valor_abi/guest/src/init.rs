//! Reads what `valor_init` receives, for `export`: three keys of a JSON object. The configuration is kept as text for
//! whoever asks for it; so if a vlugin never does, its module contains no JSON parser.

/// What a vlugin is created with.
#[derive(Debug, PartialEq)]
pub struct Init<'a> {
    /// The vlugin's name.
    pub name: String,
    /// The most verbose level that the log keeps.
    pub level: Option<usize>,
    /// The configuration's JSON.
    pub config: &'a str,
}

/// Reads it; `None` if it is not an object. Unknown keys are ignored, and if a key is there twice, the last one counts.
pub fn read(block: &[u8]) -> Option<Init<'_>> {
    let text = std::str::from_utf8(block).ok()?;
    let mut init = Init {
        name: String::new(),
        level: None,
        config: "null",
    };
    let mut rest = Rest { text, at: 0 };
    rest.next(b'{')?;
    if rest.next(b'}').is_some() {
        return rest.ended().then_some(init);
    }
    loop {
        let key = unescaped(rest.value()?)?;
        rest.next(b':')?;
        let value = rest.value()?;
        match &*key {
            "name" => init.name = unescaped(value).unwrap_or_default(),
            "level" => init.level = number(value),
            "config" => init.config = value,
            _ => {}
        }
        if rest.next(b',').is_none() {
            rest.next(b'}')?;
            return rest.ended().then_some(init);
        }
    }
}

/// A text, and how much of it was read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let white = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().position(|byte| !white(byte))?;
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips this byte, if it is the next one.
    fn next(&mut self, byte: u8) -> Option<()> {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next.then_some(())
    }

    fn ended(&mut self) -> bool {
        self.peek().is_none()
    }

    /// The text of a value. It is only scanned for its end.
    fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let from = self.at;
        let (mut depth, mut in_text) = (0usize, false);
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => in_text = !in_text,
                // What follows it does not end a text.
                b'\\' => self.at += 1,
                _ if in_text => {}
                b'[' | b'{' => depth += 1,
                b']' | b'}' if depth > 0 => depth -= 1,
                b']' | b'}' | b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && !in_text && matches!(byte, b'"' | b']' | b'}') {
                break;
            }
        }
        let whole = depth == 0 && !in_text && self.at > from;
        self.text.get(from..self.at).filter(|_| whole)
    }
}

/// A number of digits only.
fn number(text: &str) -> Option<usize> {
    text.parse().ok()
}

/// The content of a JSON text.
fn unescaped(value: &str) -> Option<String> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            text.push(char);
            continue;
        }
        text.push(match chars.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => match unit(&mut chars)? {
                first @ 0xd800..0xdc00 => {
                    let second = (chars.next()? == '\\' && chars.next()? == 'u')
                        .then(|| unit(&mut chars))??;
                    let second = second.checked_sub(0xdc00).filter(|it| *it < 0x400)?;
                    char::from_u32(0x10000 + ((first - 0xd800) << 10) + second)?
                }
                unit => char::from_u32(unit)?,
            },
            itself @ ('"' | '\\' | '/') => itself,
            _ => return None,
        });
    }
    Some(text)
}

/// Four hexadecimal digits.
fn unit(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit << 4 | chars.next()?.to_digit(16)?;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Any JSON, including texts of all kinds.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\[\\]{}\",:\\\\ ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            name in "[\\x00-\\x7f]{0,20}|\\PC{0,9}",
            config in value(),
            other in value(),
            level in 0usize..9,
            pretty: bool,
        ) {
            let said = json!({ "config": config, "a": other, "level": level, "name": name, "z": other });
            let text = if pretty { format!(" {said:#}\n") } else { said.to_string() };
            let init = read(text.as_bytes()).unwrap();
            prop_assert_eq!((&init.name, init.level), (&name, Some(level)));
            // Through the same parser, which rounds the last digit of some numbers.
            let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
            prop_assert_eq!(parsed(init.config), parsed(&config.to_string()));
            // As JavaScript's hosts may write it, and others.
            let escaped: String = name.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            prop_assert_eq!(unescaped(&format!("\"{escaped}\"")), Some(name));
        }

        #[test]
        fn what_is_cut_off_is_refused(config in value(), cut: prop::sample::Index) {
            let text = json!({ "name": "a", "config": config }).to_string();
            prop_assert_eq!(read(&text.as_bytes()[..cut.index(text.len())]), None);
        }

        #[test]
        fn no_bytes_make_it_panic(text in "[{}\\[\\]\":,\\\\ua0 ]{0,40}", bytes: Vec<u8>) {
            let _ = (read(text.as_bytes()), read(&bytes));
        }
    }

    #[test]
    fn what_is_missing_has_a_value_of_its_own() {
        let init = read(b" { } ").unwrap();
        assert_eq!((&*init.name, init.level, init.config), ("", None, "null"));
        let odd = br#"{"name":1,"level":"x","level":2.5,"x":1,"name":"\ud800"}"#;
        let init = read(odd).unwrap();
        assert_eq!((&*init.name, init.level, init.config), ("", None, "null"));
        for wrong in [
            "", "null", "[]", "{} x", "{\"a\"}", "{\"a\":}", "{a:1}", "{,}",
        ] {
            assert_eq!(read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
