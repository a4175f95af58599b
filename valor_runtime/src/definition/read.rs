//! From a text to definitions.
//!
//! `check` compares each definition with the rows of the table; serde then reads those without a fault. [`Definitions`]
//! only come out if there is no fault at all.

use super::{
    check::Checker,
    cursor::Cursor,
    document::{Definitions, Faulty, Positions},
    duplicates::Duplicates,
    fault::{DefinitionFault, Faults, Position},
    fields::Definition,
    json::{self, Node, without_mark},
    keys,
    kind::Kind,
    of_kind,
    twice::{self, Twice},
};
use serde_json::{Map, Value};
use std::{iter::Peekable, vec};

/// The definitions without a fault, and the faults of the others and of the text.
pub(super) fn all(text: &str, kinds: &[Kind]) -> (Definitions, Faults) {
    let text = without_mark(text);
    let root = match json::parse(text, "; write { \"plugins\": [] } at least") {
        Ok(root) => root,
        Err(fault) => return (Definitions::default(), Faults::one(fault)),
    };
    let mut reader = Reader::of(text, kinds);
    let (entries, faulty) = reader.plugins(root);
    let definitions = Definitions {
        file: None,
        entries,
        faulty,
    };
    (definitions, reader.checker.faults)
}

/// A value of any kind, in which no key is there twice.
pub(super) fn value(text: &str) -> Result<Value, Faults> {
    let text = without_mark(text);
    let root = json::parse(text, "").map_err(Faults::one)?;
    let mut reader = Reader::of(text, &[]);
    reader.note_twice(text.len());
    match reader.checker.faults {
        faults if faults.is_empty() => root.read().map_err(|error| {
            // It was read before, in the same way.
            let message = error.to_string();
            Faults::one(DefinitionFault {
                position: None,
                key: String::new(),
                message,
            })
        }),
        faults => Err(faults),
    }
}

/// A definition, and where its parts stand.
pub(super) fn one(text: &str, kinds: &[Kind]) -> Result<(Definition, Positions), Faults> {
    let text = without_mark(text);
    let root = json::parse(text, &format!("; write {}", keys::EXAMPLE)).map_err(Faults::one)?;
    let mut reader = Reader::of(text, kinds);
    let read = reader.definition(root, "");
    let positions = Positions {
        key: String::new(),
        whole: reader.position(root),
        values: read.values,
    };
    match (read.definition, reader.checker.faults) {
        (Some(definition), faults) if faults.is_empty() => Ok((definition, positions)),
        (_, faults) => Err(faults),
    }
}

/// The fields of a definition that keeps all rules. serde knows the first kinds, but not those that a program adds.
fn filled(node: Node<'_>, kind: Option<Kind>, kinds: &[Kind]) -> serde_json::Result<Definition> {
    let mut object: Map<String, Value> = node.read()?;
    let known = kinds.first().map(|kind| kind.as_str());
    object.insert("type".into(), known.into());
    let definition: Definition = serde_json::from_value(object.into())?;
    Ok(Definition {
        kind: kind.unwrap_or(definition.kind),
        ..definition
    })
}

/// What was read of one entry. Name and prefix are there for the search for duplicates, even if the rest has faults.
#[derive(Default)]
struct ReadEntry {
    definition: Option<Definition>,
    name: Option<(String, usize)>,
    prefix: Option<(String, usize)>,
    values: Vec<(String, Position)>,
}

struct Reader<'t> {
    checker: Checker<'t>,
    kinds: &'t [Kind],
    /// Those that are not noted yet.
    twice: Peekable<vec::IntoIter<Twice>>,
}

impl<'t> Reader<'t> {
    fn of(text: &'t str, kinds: &'t [Kind]) -> Self {
        Self {
            checker: Checker::of(Some(text), kinds),
            kinds,
            twice: twice::of(text).into_iter().peekable(),
        }
    }

    /// Notes the keys before this byte that are there twice.
    fn note_twice(&mut self, end: usize) {
        while let Some(twice) = self.twice.next_if(|it| it.at < end) {
            let first = self.checker.position(twice.first);
            let message = format!("this key is there already at {first}; take one of them out");
            self.checker.fault(twice.at, twice.key, message);
        }
    }

    fn position(&self, node: Node<'t>) -> Position {
        self.checker.position(node.at)
    }

    fn plugins(&mut self, root: Node<'t>) -> (Vec<(Definition, Positions)>, Vec<Faulty>) {
        let wrap = "write { \"plugins\": [ … ] }";
        let Some(entries) = root.object() else {
            let message = format!("expected an object, found {}; {wrap}", root.kind());
            self.checker.fault(root.at, "", message);
            return Default::default();
        };
        let known = self.checker.known(entries, "", keys::FILE, &[]);
        self.checker.rows(&root, &known, "", keys::FILE, None);
        let Some(plugins) = known.get("plugins") else {
            return Default::default();
        };
        let Some(elements) = plugins.array() else {
            let message = format!("expected an array, found {}", plugins.kind());
            self.checker.fault(plugins.at, "plugins", message);
            return Default::default();
        };
        let mut duplicates = Duplicates::default();
        let (mut entries, mut faulty) = (Vec::new(), Vec::new());
        for (index, element) in elements.into_iter().enumerate() {
            let key = format!("plugins[{index}]");
            self.note_twice(element.at);
            let before = self.checker.faults.count();
            let read = self.definition(element, &key);
            let in_itself = self.checker.faults.count();
            duplicates.note(
                &mut self.checker,
                &key,
                read.name.as_ref(),
                read.prefix.as_ref(),
            );
            let is_alone = self.checker.faults.count() == in_itself;
            if let (Some((name, _)), Some((prefix, _))) = (&read.name, &read.prefix)
                && in_itself > before
                && is_alone
            {
                faulty.push(Faulty {
                    key: key.clone(),
                    name: name.clone(),
                    prefix: prefix.clone(),
                });
            }
            let positions = Positions {
                key,
                whole: self.position(element),
                values: read.values,
            };
            if self.checker.faults.count() == before {
                entries.extend(read.definition.map(|definition| (definition, positions)));
            }
        }
        self.note_twice(usize::MAX);
        (entries, faulty)
    }

    fn definition(&mut self, node: Node<'t>, key: &str) -> ReadEntry {
        let mut read = ReadEntry::default();
        let before = self.checker.faults.count();
        self.note_twice(node.end());
        let Some((known, sound)) = self.checker.definition(&node, key) else {
            return read;
        };
        let values = known.iter();
        read.values = values
            .map(|(key, value)| (key.to_owned(), self.position(*value)))
            .collect();
        // The configuration comes last: of a long one, not every value is noted.
        let (config, others): (Vec<_>, Vec<_>) =
            known.iter().partition(|(key, _)| *key == "config");
        for (key, value) in others.into_iter().chain(config) {
            self.inside(*value, key, &mut read.values);
        }
        let text = |name| {
            let node: &Node<'_> = sound.get(name)?;
            Some((node.text()?.into_owned(), node.at))
        };
        read.name = text("name");
        if let Some((name, at)) = &read.name {
            read.prefix = match known.get("prefix") {
                Some(_) => text("prefix"),
                None => Some((format!("/{name}"), *at)),
            };
        }
        if self.checker.faults.count() == before {
            let kind = text("type").and_then(|(word, _)| of_kind::named(self.kinds, &word));
            match filled(node, kind, self.kinds) {
                Ok(mut definition) => {
                    // One spelling, so that it can be compared as text.
                    if let Some(sha256) = &mut definition.sha256 {
                        sha256.make_ascii_lowercase();
                    }
                    read.definition = Some(definition);
                }
                // The rows and the fields agree, so this is for keys that neither knows.
                Err(error) => self.checker.fault(node.at, key, error.to_string()),
            }
        }
        read
    }

    /// Notes the positions of the values in a value, for faults that come to light later: those that a vlugin finds in
    /// its configuration, or a host in `callees`. At most so many, which no definition written by a person has.
    fn inside(&self, node: Node<'t>, key: &str, values: &mut Vec<(String, Position)>) {
        const MANY: usize = 1000;
        let entries = node.object().into_iter().flatten();
        let of_object = entries.map(|entry| (format!("{key}.{}", entry.key), entry.value));
        let elements = node.array().into_iter().flatten().enumerate();
        let of_array = elements.map(|(index, value)| (format!("{key}[{index}]"), value));
        for (key, value) in of_object.chain(of_array) {
            if values.len() > MANY {
                return;
            }
            values.push((key.clone(), self.position(value)));
            self.inside(value, &key, values);
        }
    }
}
