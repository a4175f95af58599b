//! Compares values with the rows of the table: those of a text, and those of a definition made in code.
//!
//! A fault stops nothing: a value of the wrong shape is noted, and the rest is still checked, so that one run lists
//! every fault. `read` calls it for texts, and `kinds` for definitions made in code.

use super::{
    cursor::{Cursor, Entry},
    fault::{DefinitionFault, DefinitionFaults, Faults, Position, join, shown},
    fields::Definition,
    json::Lines,
    keys,
    kind::Kind,
    made::Made,
    nearest::suggestion,
    of_kind::{self, words},
    rules::Rule,
    table::{Key, Object, Shape},
};
use std::collections::HashSet;

/// The longest text of a definition, in units of UTF-16, as the browser counts them. No path, host or prefix needs
/// more, and looking up a path of a megabyte takes minutes.
const MAX_TEXT: usize = 4096;

/// The values of an object that have a row, in the rows' order.
pub(super) struct Known<C>(Vec<(&'static Key, C)>);

impl<C> Known<C> {
    /// The value of a key.
    pub fn get(&self, name: &str) -> Option<&C> {
        let found = self.0.iter().find(|(key, _)| key.name == name);
        found.map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &C)> {
        self.0.iter().map(|(key, value)| (key.name, value))
    }
}

/// Checks a definition that was made in code.
pub(super) fn made(definition: &Definition, kinds: &[Kind]) -> Result<(), DefinitionFaults> {
    let mut checker = Checker::of(None, kinds);
    checker.definition(&Made::Definition(definition), "");
    match checker.faults {
        faults if faults.is_empty() => Ok(()),
        faults => Err(faults.of(None)),
    }
}

/// Collects faults.
pub(super) struct Checker<'t> {
    /// The lines of the text, if there is a text.
    lines: Option<Lines<'t>>,
    /// The known kinds of vlugin.
    kinds: &'t [Kind],
    pub faults: Faults,
}

impl<'t> Checker<'t> {
    /// For the values of a text, or without a text.
    pub fn of(text: Option<&'t str>, kinds: &'t [Kind]) -> Self {
        Self {
            lines: text.map(Lines::of),
            kinds,
            faults: Faults::default(),
        }
    }

    /// The position of a byte of the text; the start, if there is no text.
    pub fn position(&self, at: usize) -> Position {
        let start = Position { line: 1, column: 1 };
        let lines = self.lines.as_ref();
        lines.map_or(start, |lines| lines.position(at))
    }

    /// Notes a fault.
    pub fn fault(&mut self, at: usize, key: impl Into<String>, message: impl Into<String>) {
        let lines = self.lines.as_ref();
        self.faults.note(|| DefinitionFault {
            position: lines.map(|lines| lines.position(at)),
            key: key.into(),
            message: message.into(),
        });
    }

    /// Checks a definition, and returns its keys that have a row, and those of them without a fault.
    pub fn definition<C: Cursor>(&mut self, node: &C, key: &str) -> Option<(Known<C>, Known<C>)> {
        let Some(entries) = node.object() else {
            let (example, found) = (keys::EXAMPLE, node.kind());
            let message = format!("expected an object such as {example}, found {found}");
            self.fault(node.at(), key, message);
            return None;
        };
        let known = self.known(entries, key, keys::DEFINITION, keys::LATER);
        let kind = known.get("type").and_then(C::text);
        let kind = kind.and_then(|word| of_kind::named(self.kinds, &word));
        let sound = self.rows(node, &known, key, keys::DEFINITION, kind);
        Some((known, sound))
    }

    /// The entries that have a row; unknown keys are faults. If a key is there twice, the first one counts: `twice`
    /// reports the others.
    pub fn known<C: Cursor>(
        &mut self,
        entries: Vec<Entry<C>>,
        key: &str,
        keys: &'static [Key],
        later: &[&str],
    ) -> Known<C> {
        let mut found: Vec<(&'static Key, C)> = Vec::new();
        let mut seen = HashSet::new();
        for Entry {
            key: name,
            key_at,
            value,
        } in entries
        {
            if !seen.insert(name.clone()) {
                continue;
            }
            let sub = join(key, &shown(&name));
            if let Some(row) = keys.iter().find(|row| row.name == name) {
                found.push((row, value));
            } else if later.contains(&&*name) {
                let message =
                    "this key has no meaning for the types of vlugins that this version runs";
                self.fault(key_at, sub, message);
            } else {
                // The search for the intended word takes longest, so it is only done for faults that are shown.
                let message = match self.faults.are_all_told() {
                    true => {
                        let known: Vec<_> = keys.iter().map(|row| row.name).collect();
                        format!("unknown key; {}", suggestion(&name, &known))
                    }
                    false => String::new(),
                };
                self.fault(key_at, sub, message);
            }
        }
        Known(found)
    }

    /// Checks an object against its rows, for this kind of vlugin if it is known; returns the entries without a fault.
    pub fn rows<C: Cursor>(
        &mut self,
        node: &C,
        known: &Known<C>,
        key: &str,
        keys: &'static [Key],
        kind: Option<Kind>,
    ) -> Known<C> {
        for row in keys {
            if let (Some(write), None) = (of_kind::needed(row, kind), known.get(row.name)) {
                let message = format!("`{}` is missing; write {write}", row.name);
                // In a text, a missing key has no position but the object's.
                let key = match self.lines {
                    Some(_) => key.to_owned(),
                    None => join(key, row.name),
                };
                self.fault(node.at(), key, message);
            }
        }
        let mut sound = Vec::new();
        for (row, value) in &known.0 {
            let key = join(key, row.name);
            let before = self.faults.count();
            let strange = kind.and_then(|kind| of_kind::without_meaning(row, kind, self.kinds));
            if strange.is_none() || !matches!(row.shape, Shape::Limit(_)) {
                self.value(row, value, &key, kind);
            }
            if let Some(against) = &row.against
                && value.flag() == Some(true)
                && known.get(against.key).and_then(C::flag) == Some(false)
            {
                self.fault(value.at(), &key, against.says);
            }
            if let Some(message) = strange {
                self.fault(value.at(), &key, message);
            }
            if self.faults.count() == before {
                sound.push((*row, value.clone()));
            }
        }
        Known(sound)
    }

    /// Checks a value against its row.
    fn value<C: Cursor>(&mut self, row: &Key, value: &C, key: &str, kind: Option<Kind>) {
        match &row.shape {
            Shape::Word(row) => {
                let words = words(row, self.kinds);
                self.checked(value, key, |text| row.broken(text, &words));
            }
            Shape::Text { rule, .. } => self.checked(value, key, rule.broken),
            Shape::Flag(_) => {
                if value.flag().is_none() {
                    self.expected(value, key, "true or false");
                }
            }
            Shape::Texts { what, rule } => self.texts(value, key, what, rule),
            Shape::Limit(limit) => match limit.number(value) {
                Some((number, shown)) => {
                    if let Some(message) = of_kind::broken(row.name, limit, number, &shown, kind) {
                        self.fault(value.at(), key, message);
                    }
                }
                None => {
                    let meant = value.text().and_then(|text| limit.meant(&text));
                    let meant = meant.map_or(String::new(), |it| format!("; write {it}"));
                    self.found(value, key, &limit.expected(), &meant);
                }
            },
            Shape::Object(object) => self.object(value, key, object, kind),
            Shape::Config => {
                if let Some(object) = kind.and_then(|kind| kind.row().config)
                    && value.kind() != "null"
                {
                    self.object(value, key, object, kind);
                }
            }
            // Each is checked separately.
            Shape::Definitions => {}
        }
    }

    fn object<C: Cursor>(&mut self, value: &C, key: &str, object: &Object, kind: Option<Kind>) {
        let Some(entries) = value.object() else {
            let what = format!("an object such as {}", object.example);
            return self.expected(value, key, &what);
        };
        let known = self.known(entries, key, object.keys, &[]);
        self.rows(value, &known, key, object.keys, kind);
    }

    fn texts<C: Cursor>(&mut self, value: &C, key: &str, what: &str, rule: &Rule) {
        let Some(items) = value.array() else {
            return self.expected(value, key, what);
        };
        for (index, item) in items.iter().enumerate() {
            self.checked(item, &format!("{key}[{index}]"), rule.broken);
        }
    }

    fn checked<C: Cursor>(
        &mut self,
        value: &C,
        key: &str,
        rule: impl FnOnce(&str) -> Option<String>,
    ) {
        match value.text() {
            Some(text) => {
                let too_long = text.len() > MAX_TEXT && text.encode_utf16().count() > MAX_TEXT;
                let message = match too_long {
                    true => Some(format!("a text has at most {MAX_TEXT} characters")),
                    false => rule(&text),
                };
                if let Some(message) = message {
                    self.fault(value.at(), key, message);
                }
            }
            None => self.expected(value, key, "a string"),
        }
    }

    fn expected<C: Cursor>(&mut self, value: &C, key: &str, what: &str) {
        self.found(value, key, what, "");
    }

    /// The same, with what to write instead.
    fn found<C: Cursor>(&mut self, value: &C, key: &str, what: &str, remedy: &str) {
        let found = match value.kind() {
            "a number" | "a boolean" => value.shown(),
            kind => kind.to_owned(),
        };
        self.fault(
            value.at(),
            key,
            format!("expected {what}, found {found}{remedy}"),
        );
    }
}
