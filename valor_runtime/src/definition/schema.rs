//! The JSON Schema of plugins.json, made from the rows of the table.
//!
//! Editors use the file `plugins.schema.json`, which is checked in. A test compares it with this function, and
//! `valor_cli schema` prints it.

use super::{
    keys,
    kind::Kind,
    limit::{Field, Least, Limit},
    of_kind,
    rules::{Form, Rule},
    table::{Key, Needed, Object, Shape, Words, plain},
};
use serde_json::{Map, Value, json};

/// The schema of a plugins.json with these kinds.
pub(super) fn of(kinds: &[Kind]) -> Value {
    Writer { kinds }.schema()
}

/// Creates the schema for these kinds of vlugin.
struct Writer<'k> {
    kinds: &'k [Kind],
}

impl Writer<'_> {
    fn schema(&self) -> Value {
        let mut definition = self.object(keys::DEFINITION, "One vlugin.");
        let by_kind = self.kinds.iter().map(|kind| {
            let is_of_kind = json!({ "const": kind.as_str() });
            json!({
                "if": { "properties": { "type": is_of_kind }, "required": ["type"] },
                "then": self.then(*kind, keys::DEFINITION),
            })
        });
        definition.insert("allOf".into(), by_kind.collect());
        let mut defs = Map::new();
        defs.insert("Definition".into(), definition.into());
        for key in keys::DEFINITION {
            match &key.shape {
                Shape::Word(words) => defs.insert(words.name.into(), self.of_words(words)),
                Shape::Object(it) => {
                    defs.insert(it.name.into(), self.object(it.keys, it.says).into())
                }
                _ => None,
            };
        }
        let says = "What plugins.json says: the vlugins that Valor serves, and where.";
        let mut file = self.object(keys::FILE, says);
        file.insert(
            "$schema".into(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        file.insert("title".into(), "plugins.json".into());
        file.insert("$defs".into(), defs.into());
        file.into()
    }

    fn object(&self, keys: &[Key], says: &str) -> Map<String, Value> {
        let properties = keys
            .iter()
            .map(|key| (key.name.to_owned(), self.of_key(key)));
        let required = keys.iter();
        let required = required.filter(|key| matches!(key.needed, Needed::Always(_)));
        let required: Vec<_> = required.map(|key| key.name).collect();
        let mut object = Map::new();
        object.insert("type".into(), "object".into());
        object.insert("description".into(), says.into());
        object.insert(
            "properties".into(),
            Value::Object(properties.collect::<Map<_, _>>()),
        );
        if !required.is_empty() {
            object.insert("required".into(), required.into());
        }
        object.insert("additionalProperties".into(), false.into());
        object
    }

    /// What applies to only one kind: the keys that it does not have, and what differs in the others.
    fn then(&self, kind: Kind, keys: &[Key]) -> Value {
        let mut properties = Map::new();
        for key in keys {
            let of_kind = match &key.shape {
                _ if !of_kind::has(kind, key) => Some(false.into()),
                Shape::Limit(_) => {
                    let bound = of_kind::bound(kind, key.name);
                    bound.map(|bound| json!({ "minimum": bound.least as u64 }))
                }
                Shape::Object(object) => Some(self.then(kind, object.keys)),
                Shape::Config => kind.row().config.map(|config| self.or_null(config)),
                _ => None,
            };
            properties.extend(of_kind.map(|schema| (key.name.to_owned(), schema)));
        }
        let mut schema = json!({ "properties": properties });
        let required = keys.iter();
        let required = required.filter(|key| matches!(key.needed, Needed::BySome));
        let required = required.filter(|key| of_kind::needed(key, Some(kind)).is_some());
        let required: Vec<_> = required.map(|key| key.name).collect();
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        schema
    }

    fn or_null(&self, config: &Object) -> Value {
        let mut object = self.object(config.keys, config.says);
        object.insert("type".into(), json!(["object", "null"]));
        object.into()
    }

    fn of_key(&self, key: &Key) -> Value {
        let mut schema = match &key.shape {
            Shape::Word(Words { name, .. }) | Shape::Object(Object { name, .. }) => {
                json!({ "$ref": format!("#/$defs/{name}") })
            }
            Shape::Text { rule, default } => {
                let mut text = of_text(rule);
                if let Some(default) = default {
                    text["default"] = (*default).into();
                }
                text
            }
            Shape::Flag(_) => json!({ "type": "boolean" }),
            Shape::Texts { rule, .. } => json!({ "type": "array", "items": of_text(rule) }),
            Shape::Limit(limit) => of_limit(limit),
            Shape::Config => json!({}),
            Shape::Definitions => {
                json!({ "type": "array", "items": { "$ref": "#/$defs/Definition" } })
            }
        };
        schema["description"] = self.described(key).into();
        schema
    }

    fn of_words(&self, words: &Words) -> Value {
        let known = of_kind::words(words, self.kinds).into_iter();
        let known: Vec<_> = known
            .map(|word| {
                let says = sentence(word.says);
                json!({ "type": "string", "const": word.text, "description": says })
            })
            .collect();
        json!({ "description": words.says, "oneOf": known })
    }

    /// What a key says, for a person who hovers over it in an editor.
    fn described(&self, key: &Key) -> String {
        let unit = match &key.shape {
            Shape::Limit(limit) if limit.unit == "bytes" => " In bytes.",
            Shape::Limit(limit) if limit.unit == "seconds" => " In seconds.",
            _ => "",
        };
        let default = match of_kind::without(key, self.kinds) {
            Some(default) if default != "none" && default != "see below" => {
                format!(" Default: {}.", plain(&default))
            }
            _ => String::new(),
        };
        format!(
            "{}{unit}{default}",
            sentence(&of_kind::sentence(key, self.kinds))
        )
    }
}

fn of_text(rule: &Rule) -> Value {
    match rule.form {
        Form::Any => json!({ "type": "string" }),
        Form::NotEmpty => json!({ "type": "string", "minLength": 1 }),
        Form::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
    }
}

fn of_limit(limit: &Limit) -> Value {
    let (kind, format) = match limit.field {
        Field::Seconds(_) => ("number", "double"),
        Field::U64(_) => ("integer", "uint64"),
        Field::U32(_) => ("integer", "uint32"),
    };
    let number = |number: f64| match limit.field {
        Field::Seconds(_) => Value::from(number),
        Field::U64(_) | Field::U32(_) => Value::from(number as u64),
    };
    let mut schema = json!({ "type": kind, "format": format, "maximum": number(limit.most) });
    match limit.least {
        Least::Is(least) => schema["minimum"] = number(least),
        Least::Above(least) => schema["exclusiveMinimum"] = number(least),
    }
    schema
}

/// With a capital letter and a full stop, without links.
fn sentence(says: &str) -> String {
    let says = plain(says);
    let mut characters = says.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).chain(['.']).collect()
}
