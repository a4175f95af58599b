//! From a text to definitions.
//!
//! Nothing stops at the first fault: a value of the wrong shape is noted and left out, and the
//! rest is still looked at, so that one run tells all. [`Definitions`] come out only where there
//! is no fault at all.

pub(super) use super::json::Node;
use super::{
    Definition, DefinitionFault, Definitions, Kind, Position,
    fault::{Faults, shown},
    files,
    json::{self, Entry, Lines},
    limits,
    nearest::suggestion,
    rules, script,
    taken::Taken,
    text::without_mark,
};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

const ROOT_KEYS: &[&str] = &["$schema", "plugins"];
const KEYS: &[&str] = &[
    "type", "name", "prefix", "strip", "rewrite", "path", "source", "config", "sha256", "allow",
    "limits", "files", "group", "start", "optional",
];

/// Types that other versions of Valor know; not a slip of the pen.
const LATER_KINDS: &[&str] = &["wasi"];
/// Keys that only vlugins of those types have.
const LATER_KEYS: &[&str] = &["url"];

/// Where the parts of one definition stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Positions {
    /// From the root: `plugins[2]`.
    key: String,
    whole: Position,
    values: Vec<(String, Position)>,
}

impl Positions {
    /// A fault of the value of one of its keys, such as `path` or `config.limits[2]`; of all of it, if it has no such
    /// key.
    pub fn fault(&self, key: &str, message: String) -> DefinitionFault {
        let mut key = key;
        let found = loop {
            match self.values.iter().find(|(known, _)| known == key) {
                Some((_, position)) => break Some(*position),
                // Of a key inside of `config` that is not there, what it should be in.
                None => match key.rfind(['.', '[']) {
                    Some(end) => key = &key[..end],
                    None => break None,
                },
            }
        };
        let (position, key) = match found {
            Some(position) => (position, join(&self.key, key)),
            None => (self.whole, self.key.clone()),
        };
        DefinitionFault {
            position: Some(position),
            key,
            message,
        }
    }
}

/// The definitions that have no fault, and the faults of the others and of the text.
pub(super) fn all(text: &str) -> (Definitions, Faults) {
    let text = without_mark(text);
    let root = match json::parse(text) {
        Ok(root) => root,
        Err(fault) => return (Definitions::default(), Faults::one(fault)),
    };
    let mut reader = Reader::of(text);
    let entries = reader.plugins(root);
    let definitions = Definitions {
        file: None,
        entries,
    };
    (definitions, reader.faults)
}

pub(super) fn one(text: &str) -> Result<Definition, Faults> {
    let text = without_mark(text);
    let root = json::parse(text).map_err(Faults::one)?;
    let mut reader = Reader::of(text);
    let read = reader.definition(root, "");
    match (read.definition, reader.faults) {
        (Some(definition), faults) if faults.is_empty() => Ok(definition),
        (_, faults) => Err(faults),
    }
}

/// The values of an object by those of its keys that are known.
pub(super) type Keys<'t> = BTreeMap<&'static str, Node<'t>>;

/// What was read of one entry; name and prefix are there for the search for duplicates even
/// where the rest has faults.
#[derive(Default)]
pub(super) struct ReadEntry {
    definition: Option<Definition>,
    pub name: Option<(String, usize)>,
    pub prefix: Option<(String, usize)>,
    values: Vec<(String, Position)>,
}

pub(super) struct Reader<'t> {
    pub lines: Lines<'t>,
    faults: Faults,
}

impl<'t> Reader<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            lines: Lines::of(text),
            faults: Faults::default(),
        }
    }

    pub fn fault(&mut self, at: usize, key: impl Into<String>, message: impl Into<String>) {
        let position = || Some(self.lines.position(at));
        self.faults.note(|| DefinitionFault {
            position: position(),
            key: key.into(),
            message: message.into(),
        });
    }

    fn plugins(&mut self, root: Node<'t>) -> Vec<(Definition, Positions)> {
        let wrap = "write { \"plugins\": [ … ] }";
        if root.object().is_none() {
            let found = root.kind();
            self.fault(
                root.at,
                "",
                format!("expected an object, found {found}; {wrap}"),
            );
            return Vec::new();
        }
        let mut keys = self.keys(root, "", ROOT_KEYS, &[]);
        if let Some(schema) = keys.remove("$schema") {
            self.text(schema, "$schema");
        }
        let Some(plugins) = keys.remove("plugins") else {
            self.fault(root.at, "", format!("`plugins` is missing; {wrap}"));
            return Vec::new();
        };
        let Some(elements) = plugins.array() else {
            let found = plugins.kind();
            self.fault(
                plugins.at,
                "plugins",
                format!("expected an array, found {found}"),
            );
            return Vec::new();
        };
        let mut taken = Taken::default();
        let mut entries = Vec::new();
        for (index, element) in elements.into_iter().enumerate() {
            let key = format!("plugins[{index}]");
            let before = self.faults.count();
            let read = self.definition(element, &key);
            taken.note(self, &key, &read);
            let positions = Positions {
                key,
                whole: self.lines.position(element.at),
                values: read.values,
            };
            if self.faults.count() == before {
                entries.extend(read.definition.map(|definition| (definition, positions)));
            }
        }
        entries
    }

    fn definition(&mut self, node: Node<'t>, key: &str) -> ReadEntry {
        let mut read = ReadEntry::default();
        if node.object().is_none() {
            let found = node.kind();
            self.fault(
                node.at,
                key,
                format!("expected an object such as {{ \"type\": \"native\", \"name\": \"hello\" }}, found {found}"),
            );
            return read;
        }
        let keys = self.keys(node, key, KEYS, LATER_KEYS);
        read.values = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), self.lines.position(value.at)))
            .collect();
        if let Some(config) = keys.get("config") {
            self.inside(*config, "config", &mut read.values);
        }
        let sub = |name: &str| join(key, name);

        let kind = match keys.get("type") {
            Some(value) => self.kind(*value, &sub("type")),
            None => self.missing(node, key, "type", "native"),
        };
        let name = match keys.get("name") {
            Some(value) => self.checked(*value, &sub("name"), rules::name),
            None => self.missing(node, key, "name", "hello"),
        };
        let prefix = self.optional(&keys, "prefix", key, |this, value, key| {
            this.checked(value, key, rules::prefix)
        });
        let strip = self.optional(&keys, "strip", key, Self::boolean);
        let rewrite = self.optional(&keys, "rewrite", key, Self::boolean);
        if let (Some(value), Some(message)) = (
            keys.get("rewrite"),
            rules::rewrite(strip.unwrap_or(true), rewrite.unwrap_or_default()),
        ) {
            self.fault(value.at, sub("rewrite"), message);
        }
        let path = self.optional(&keys, "path", key, |this, value, key| {
            this.checked(value, key, rules::path)
        });
        let source = self.optional(&keys, "source", key, |this, value, key| {
            this.checked(value, key, rules::path)
        });
        let sha256 = self.optional(&keys, "sha256", key, |this, value, key| {
            this.checked(value, key, rules::sha256)
        });
        let allow = self.optional(&keys, "allow", key, |this, value, key| {
            this.list(value, key, "an array of hosts", rules::allow)
        });
        let limits = self.optional(&keys, "limits", key, |this, value, key| {
            limits::read(this, value, key, kind)
        });
        let files = self.optional(&keys, "files", key, |this, value, key| {
            let what = "an array of files and folders";
            this.list(value, key, what, script::file)
        });
        let group = self.optional(&keys, "group", key, |this, value, key| {
            this.checked(value, key, rules::group)
        });
        let start = self.optional(&keys, "start", key, script::read_start);
        for name in ["source", "files", "group", "start"] {
            let strange = kind.and_then(|kind| script::without_meaning(name, kind));
            if let (Some(value), Some(message)) = (keys.get(name), strange) {
                self.fault(value.at, sub(name), message);
            }
        }
        let optional = self.optional(&keys, "optional", key, Self::boolean);
        if kind == Some(Kind::Files) {
            self.of_files(node, &keys, key);
        }

        if let (Some(name), Some(node)) = (&name, keys.get("name")) {
            read.name = Some((name.clone(), node.at));
            read.prefix = match keys.get("prefix") {
                Some(node) => prefix.clone().map(|prefix| (prefix, node.at)),
                None => Some((format!("/{name}"), node.at)),
            };
        }
        if let (Some(kind), Some(name)) = (kind, name) {
            read.definition = Some(Definition {
                kind,
                name,
                prefix,
                strip: strip.unwrap_or(true),
                rewrite: rewrite.unwrap_or_default(),
                path: path.map(PathBuf::from),
                source: source.map(PathBuf::from),
                config: keys.get("config").map_or(Value::Null, Node::value),
                // One spelling, so that it can be compared as text.
                sha256: sha256.map(|digest| digest.to_ascii_lowercase()),
                allow,
                limits: limits.unwrap_or_default(),
                files: files.unwrap_or_default(),
                group,
                start: start.unwrap_or_default(),
                optional: optional.unwrap_or_default(),
            });
        }
        read
    }

    /// Notes where the values of a configuration stand, for faults that the vlugin finds in them; so many at most,
    /// which no configuration that a person writes has.
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
            values.push((key.clone(), self.lines.position(value.at)));
            self.inside(value, &key, values);
        }
    }

    /// What holds for `files` alone.
    fn of_files(&mut self, node: Node<'t>, keys: &Keys<'t>, key: &str) {
        if !keys.contains_key("path") {
            self.fault(node.at, key, files::missing_path());
        }
        for name in ["strip", "rewrite", "source", "sha256", "allow"] {
            if let Some(value) = keys.get(name) {
                self.fault(value.at, join(key, name), files::without_meaning(name));
            }
        }
        if let Some(config) = keys.get("config") {
            files::read_config(self, *config, &join(key, "config"));
        }
    }

    /// The entries of an object by key; unknown keys and those that are there twice are faults.
    pub(super) fn keys(
        &mut self,
        node: Node<'t>,
        key: &str,
        known: &[&'static str],
        later: &[&'static str],
    ) -> Keys<'t> {
        let mut found: BTreeMap<&'static str, (Node<'t>, usize)> = BTreeMap::new();
        for entry in node.object().unwrap_or_default() {
            let Entry { key_at, value, .. } = entry;
            let sub = join(key, &shown(&entry.key));
            if let Some(known) = known.iter().find(|known| **known == entry.key) {
                if let Some((_, first)) = found.get(known) {
                    let first = self.lines.position(*first);
                    self.fault(
                        key_at,
                        sub,
                        format!("this key is there already, at {first}"),
                    );
                } else {
                    found.insert(known, (value, key_at));
                }
            } else if later.contains(&&*entry.key) {
                self.fault(
                    key_at,
                    sub,
                    "this key has no meaning for the types of vlugins that this version runs",
                );
            } else {
                let message = format!("unknown key; {}", suggestion(&entry.key, known));
                self.fault(key_at, sub, message);
            }
        }
        found
            .into_iter()
            .map(|(key, (value, _))| (key, value))
            .collect()
    }

    pub(super) fn optional<T>(
        &mut self,
        keys: &Keys<'t>,
        name: &str,
        key: &str,
        read: impl FnOnce(&mut Self, Node<'t>, &str) -> Option<T>,
    ) -> Option<T> {
        let value = keys.get(name)?;
        read(self, *value, &join(key, name))
    }

    fn missing<T>(&mut self, node: Node<'t>, key: &str, name: &str, example: &str) -> Option<T> {
        self.fault(
            node.at,
            key,
            format!("`{name}` is missing; write \"{name}\": \"{example}\""),
        );
        None
    }

    pub(super) fn expected(&mut self, node: Node<'t>, key: &str, what: &str) {
        let found = match node.kind() {
            "a number" | "a boolean" => node.shown(),
            kind => kind.to_owned(),
        };
        self.fault(node.at, key, format!("expected {what}, found {found}"));
    }

    pub(super) fn text(&mut self, node: Node<'t>, key: &str) -> Option<String> {
        match node.value() {
            Value::String(text) => Some(text),
            _ => {
                self.expected(node, key, "a string");
                None
            }
        }
    }

    pub(super) fn checked(
        &mut self,
        node: Node<'t>,
        key: &str,
        rule: impl FnOnce(&str) -> Option<String>,
    ) -> Option<String> {
        let text = self.text(node, key)?;
        self.rule(node, key, rule(&text))?;
        Some(text)
    }

    /// Notes what a rule says; `None` where it says something.
    fn rule(&mut self, node: Node<'t>, key: &str, broken: Option<String>) -> Option<()> {
        let Some(message) = broken else {
            return Some(());
        };
        self.fault(node.at, key, message);
        None
    }

    fn kind(&mut self, node: Node<'t>, key: &str) -> Option<Kind> {
        let word = self.text(node, key)?;
        if let Some(kind) = Kind::ALL.iter().find(|kind| kind.as_str() == word) {
            return Some(*kind);
        }
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let message = if LATER_KINDS.contains(&&*word) {
            format!(
                "vlugins of type `{word}` are not supported by this version of Valor, which runs `native`, `wasm`, `js` and `files` ones; take the entry out"
            )
        } else {
            let hint = match Kind::called_elsewhere(&word) {
                Some(kind) => format!("did you mean `{kind}`?"),
                None => suggestion(&word, &known),
            };
            format!("`{}` is not a type of vlugin; {hint}", shown(&word))
        };
        self.fault(node.at, key, message);
        None
    }

    fn boolean(&mut self, node: Node<'t>, key: &str) -> Option<bool> {
        let value = node.value().as_bool();
        if value.is_none() {
            self.expected(node, key, "true or false");
        }
        value
    }

    /// An array of texts, each of which keeps this rule.
    fn list(
        &mut self,
        node: Node<'t>,
        key: &str,
        what: &str,
        rule: fn(&str) -> Option<String>,
    ) -> Option<Vec<String>> {
        let Some(items) = node.array() else {
            self.expected(node, key, what);
            return None;
        };
        let read = items
            .into_iter()
            .enumerate()
            .map(|(index, item)| self.checked(item, &format!("{key}[{index}]"), rule));
        let read: Vec<_> = read.collect();
        read.into_iter().collect()
    }

    pub(super) fn seconds(
        &mut self,
        node: Node<'t>,
        key: &str,
        rule: impl FnOnce(f64) -> Option<String>,
    ) -> Option<f64> {
        let Some(seconds) = node.value().as_f64() else {
            self.expected(node, key, "a number of seconds");
            return None;
        };
        self.rule(node, key, rule(seconds))?;
        Some(seconds)
    }

    pub(super) fn whole(
        &mut self,
        node: Node<'t>,
        key: &str,
        unit: &str,
        rule: impl FnOnce(u64) -> Option<String>,
    ) -> Option<u64> {
        let Some(number) = node.value().as_u64() else {
            self.expected(node, key, &format!("a whole number of {unit}, at least 1"));
            return None;
        };
        self.rule(node, key, rule(number))?;
        Some(number)
    }
}

pub(super) fn join(key: &str, name: &str) -> String {
    if key.is_empty() {
        return name.to_owned();
    }
    format!("{key}.{name}")
}
