//! The values of a definition that was made in code, for `check`: the same as in a text of that definition.

use super::{
    cursor::{Cursor, Entry},
    fault::shown,
    fields::Definition,
    keys,
    limit::Number,
    limit_rows,
    limits::Limits,
};
use serde_json::Value;
use std::{borrow::Cow, path::Path};

/// A value of a definition that was made in code.
#[derive(Clone)]
pub(crate) enum Made<'d> {
    Definition(&'d Definition),
    Limits(&'d Limits),
    Text(Cow<'d, str>),
    Texts(&'d [String]),
    Flag(bool),
    /// Any number, including those that JSON does not have.
    Seconds(f64),
    Whole(u64),
    Json(&'d Value),
}

impl<'d> Made<'d> {
    fn entries(&self) -> Option<Vec<(&'d str, Self)>> {
        match self {
            Self::Definition(definition) => Some(said(definition)),
            Self::Limits(limits) => {
                let said = limit_rows::said(limits).into_iter();
                Some(said.map(|(key, number)| (key, number.into())).collect())
            }
            Self::Json(Value::Object(object)) => {
                let entries = object.iter();
                Some(entries.map(|(key, it)| (&**key, Self::Json(it))).collect())
            }
            _ => None,
        }
    }
}

/// The keys of a definition that are set, as they would be in a text.
fn said(definition: &Definition) -> Vec<(&'static str, Made<'_>)> {
    let Definition {
        kind,
        name,
        prefix,
        strip,
        rewrite,
        path,
        source,
        config,
        sha256,
        allow,
        callees,
        limits,
        files,
        writable,
        instance,
        group,
        start,
        optional,
    } = definition;
    fn text(text: &Option<String>) -> Option<Made<'_>> {
        text.as_deref().map(|text| Made::Text(text.into()))
    }
    fn file(path: Option<&Path>) -> Option<Made<'_>> {
        path.map(|path| Made::Text(path.to_string_lossy()))
    }
    let flag = |value: &bool, default: bool| (*value != default).then_some(Made::Flag(*value));
    let all = [
        ("type", Some(Made::Text(kind.as_str().into()))),
        ("name", Some(Made::Text(name.into()))),
        ("prefix", text(prefix)),
        ("strip", flag(strip, const { keys::flag("strip") })),
        ("rewrite", flag(rewrite, const { keys::flag("rewrite") })),
        ("path", file(path.as_deref())),
        ("source", file(source.as_deref())),
        ("config", (!config.is_null()).then_some(Made::Json(config))),
        ("sha256", text(sha256)),
        ("allow", allow.as_deref().map(Made::Texts)),
        ("callees", callees.as_deref().map(Made::Texts)),
        (
            "limits",
            (!limits.is_empty()).then_some(Made::Limits(limits)),
        ),
        ("files", (!files.is_empty()).then_some(Made::Texts(files))),
        (
            "writable",
            (!writable.is_empty()).then_some(Made::Texts(writable)),
        ),
        (
            "instance",
            instance.map(|it| Made::Text(it.as_str().into())),
        ),
        ("group", text(group)),
        (
            "start",
            (!start.is_default()).then(|| Made::Text(start.as_str().into())),
        ),
        ("optional", flag(optional, const { keys::flag("optional") })),
    ];
    all.into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

impl Cursor for Made<'_> {
    fn at(&self) -> usize {
        0
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Definition(_) | Self::Limits(_) | Self::Json(Value::Object(_)) => "an object",
            Self::Texts(_) | Self::Json(Value::Array(_)) => "an array",
            Self::Text(_) | Self::Json(Value::String(_)) => "a string",
            Self::Flag(_) | Self::Json(Value::Bool(_)) => "a boolean",
            Self::Seconds(_) | Self::Whole(_) | Self::Json(Value::Number(_)) => "a number",
            Self::Json(Value::Null) => "null",
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Text(text) => shown(text),
            Self::Flag(flag) => flag.to_string(),
            Self::Seconds(number) => number.to_string(),
            Self::Whole(number) => number.to_string(),
            Self::Json(value) => shown(&value.to_string()),
            _ => self.kind().to_owned(),
        }
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Json(value) => value.as_str().map(Cow::Borrowed),
            _ => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Json(value) => value.as_bool(),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Seconds(number) => Some(*number),
            Self::Json(value) => value.as_f64(),
            _ => None,
        }
    }

    fn whole(&self) -> Option<u64> {
        match self {
            Self::Whole(number) => Some(*number),
            Self::Json(value) => value.as_u64(),
            _ => None,
        }
    }

    fn array(&self) -> Option<Vec<Self>> {
        match self {
            Self::Texts(texts) => {
                let texts = texts.iter();
                Some(texts.map(|text| Self::Text(text.into())).collect())
            }
            Self::Json(Value::Array(values)) => Some(values.iter().map(Self::Json).collect()),
            _ => None,
        }
    }

    fn object(&self) -> Option<Vec<Entry<Self>>> {
        let entries = self.entries()?.into_iter();
        let entries = entries.map(|(key, value)| Entry {
            key: key.to_owned(),
            key_at: 0,
            value,
        });
        Some(entries.collect())
    }
}

impl From<Number> for Made<'_> {
    fn from(number: Number) -> Self {
        match number {
            Number::Seconds(seconds) => Self::Seconds(seconds),
            Number::Whole(number) => Self::Whole(number),
        }
    }
}
