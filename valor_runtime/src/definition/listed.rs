//! What `/_plugins` says of a definition: the keys whose rows say `is_listed`, with the defaults filled in. `runtime`
//! calls it; `valor-admin.js` does the same from the same rows. No secret is in it: neither `config`, nor the folder of
//! the sources.

use super::{
    fields::Definition,
    kind::Kind,
    limit::{Field, Number},
    limit_rows,
    limits::Limits,
    of_kind,
    table::{Key, Shape},
};
use crate::definition::keys;
use serde_json::{Map, Value};

/// The keys of a definition by name. `limits` are its own, and the runtime's for those that it does not set. A key that
/// is not set and has no default in its row is `null`.
pub(crate) fn listed(definition: &Definition, limits: &Limits) -> Map<String, Value> {
    let kind = definition.kind;
    let mut said = match serde_json::to_value(definition) {
        Ok(Value::Object(said)) => said,
        _ => Map::new(),
    };
    let rows = keys::DEFINITION.iter();
    let rows = rows.filter(|key| key.is_listed && of_kind::has(kind, key));
    rows.map(|key| {
        let value = match &key.shape {
            Shape::Object(_) => limits_of(kind, limits).into(),
            shape => said.remove(key.name).unwrap_or_else(|| default(shape)),
        };
        (key.name.to_owned(), value)
    })
    .collect()
}

fn default(shape: &Shape) -> Value {
    match shape {
        Shape::Flag(default) => (*default).into(),
        Shape::Word(words) => words.default.into(),
        Shape::Text { default, .. } => (*default).into(),
        _ => Value::Null,
    }
}

fn limits_of(kind: Kind, limits: &Limits) -> Map<String, Value> {
    let said = limit_rows::said(limits);
    let rows = limit_rows::KEYS.iter();
    let rows = rows.filter(|key| key.is_listed && of_kind::has(kind, key));
    rows.filter_map(|key| {
        let given = said.iter().find(|(name, _)| *name == key.name);
        let value = match given {
            Some((_, Number::Seconds(seconds))) => Value::from(*seconds),
            Some((_, Number::Whole(number))) => Value::from(*number),
            None => default_of(kind, key)?,
        };
        Some((key.name.to_owned(), value))
    })
    .collect()
}

fn default_of(kind: Kind, key: &Key) -> Option<Value> {
    let Shape::Limit(limit) = &key.shape else {
        return None;
    };
    let default = of_kind::default(kind, key.name, limit);
    Some(match limit.field {
        Field::Seconds(_) => default.into(),
        _ => (default as u64).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(text: &str, defaults: &Limits) -> Value {
        let definition = Definition::from_json(text).unwrap();
        listed(&definition, &definition.limits.clone().or(defaults)).into()
    }

    #[test]
    fn every_key_is_listed_but_those_that_may_be_secret() {
        let said = of(
            r#"{ "type": "js", "name": "a", "path": "a.js", "config": { "password": "x" }, "strip": false,
                 "allow": ["a.org"], "callees": [], "files": ["data"], "group": "g", "start": "lazy",
                 "limits": { "cpu": 2 }, "optional": true, "prefix": "/b" }"#,
            &Limits {
                timeout: Some(7.0),
                ..Limits::default()
            },
        );
        assert_eq!(
            said,
            json!({
                "type": "js", "name": "a", "prefix": "/b", "strip": false, "rewrite": false, "sha256": null,
                "allow": ["a.org"], "callees": [], "files": ["data"], "group": "g", "start": "lazy",
                "optional": true,
                "limits": {
                    "timeout": 7.0, "body": 10_485_760, "concurrency": 1024, "memory": 268_435_456, "cpu": 2.0,
                    "host_memory": 67_108_864, "fetches": 128, "calls": 128,
                },
            })
        );
    }

    #[test]
    fn a_key_that_the_kind_does_not_have_is_not_listed() {
        let said = of(
            r#"{ "type": "files", "name": "a", "path": "a" }"#,
            &Limits::default(),
        );
        let limits = json!({ "timeout": 30.0, "body": 10_485_760, "concurrency": 1024 });
        assert_eq!(
            said,
            json!({ "type": "files", "name": "a", "prefix": null, "limits": limits, "optional": false })
        );
        let said = of(r#"{ "type": "wasm", "name": "a" }"#, &Limits::default());
        assert_eq!(
            (&said["start"], &said["strip"]),
            (&Value::Null, &true.into())
        );
        assert_eq!(said["limits"]["instances"], 1);
        assert_eq!(said["limits"]["memory"], 67_108_864);
    }
}
