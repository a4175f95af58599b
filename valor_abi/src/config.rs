//! A vlugin's configuration, which is parsed on demand. [`Context`](crate::Context) has one, and the glue turns it into
//! a vlugin's `Config`.
//!
//! A module gets it as a text. If it never asks for it, it links nothing that reads JSON.

use serde::{
    Deserializer,
    de::{DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};
use serde_json::{Error, Value};
use std::{fmt, sync::OnceLock};

/// A configuration, as a value or as the text of one.
#[derive(Debug, Default)]
pub struct Config {
    text: Box<str>,
    value: OnceLock<Value>,
}

impl From<Value> for Config {
    fn from(value: Value) -> Self {
        Self {
            text: Box::default(),
            value: value.into(),
        }
    }
}

#[cfg(target_family = "wasm")]
impl From<valor_abi_guest::export::Config<'_>> for Config {
    fn from(config: valor_abi_guest::export::Config<'_>) -> Self {
        match config.0 {
            "null" => Value::Null.into(),
            text => Self::of_text(text),
        }
    }
}

impl Config {
    /// One that is JSON.
    #[cfg(any(target_family = "wasm", test))]
    pub(crate) fn of_text(text: &str) -> Self {
        Self {
            text: text.into(),
            value: OnceLock::new(),
        }
    }

    /// The value.
    ///
    /// # Errors
    /// If the text is not JSON.
    pub(crate) fn read(&self) -> Result<&Value, Error> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = serde_json::from_str(&self.text)?;
        Ok(self.value.get_or_init(|| value))
    }
}

/// Why a configuration does not have the requested shape: which of its keys is wrong, and how.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// `config`, `config.limits.max` or `config[2]`.
    key: String,
    error: Error,
}

impl Misfit {
    /// What is wrong there.
    pub(crate) fn why(&self) -> String {
        self.error.to_string()
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host looks for this key in plugins.json, to report its line.
        write!(f, "`{}` does not fit: {}", self.key, self.error)
    }
}

impl Config {
    /// The configuration as a `T`.
    ///
    /// # Errors
    /// The first key that does not fit.
    pub(crate) fn fit<T: DeserializeOwned>(&self) -> Result<T, Misfit> {
        serde_path_to_error::deserialize(self).map_err(|error| {
            let path = error.path().to_string();
            let key = match path.as_str() {
                "." => "config".to_owned(),
                path if path.starts_with('[') => format!("config{path}"),
                path => format!("config.{path}"),
            };
            Misfit {
                key,
                error: error.into_inner(),
            }
        })
    }
}

impl<'de> Deserializer<'de> for &'de Config {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.read()?.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.read()?.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read()?.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.read()?.deserialize_enum(name, variants, visitor)
    }

    /// Whatever it is, nobody looks at it.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{
        Deserialize,
        de::{DeserializeOwned, IgnoredAny},
    };
    use std::{collections::BTreeMap, fmt::Debug};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Newtype(String);

    #[derive(Debug, PartialEq, Deserialize)]
    enum Choice {
        None,
        Some(u8),
        Named { of: bool },
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Fields {
        who: String,
        #[serde(default)]
        often: Option<f32>,
    }

    /// What a type makes of a text and of a value, and what `serde_json` makes of it; or the errors.
    fn check<T: DeserializeOwned + PartialEq + Debug>(text: &str) {
        let said = |read: Result<T, Error>| read.map_err(|error| error.to_string());
        let value: Value = serde_json::from_str(text).unwrap();
        let expected = said(serde_json::from_value(value.clone()));
        assert_eq!(said(T::deserialize(&Config::of_text(text))), expected);
        assert_eq!(said(T::deserialize(&Config::from(value))), expected);
    }

    #[test]
    fn it_is_to_every_type_what_serde_json_is() {
        for text in [
            "null",
            "true",
            "7",
            "-7.5",
            "300",
            "\"a\"",
            "\"None\"",
            "[]",
            "[1, 2]",
            "{}",
            r#"{"who": "Zoe"}"#,
            r#"{"who": "Zoe", "often": 2, "x": []}"#,
            r#"{"Some": 1}"#,
            r#"{"Named": {"of": true}}"#,
            r#"{"Other": 1}"#,
        ] {
            check::<Value>(text);
            check::<()>(text);
            check::<bool>(text);
            check::<u8>(text);
            check::<i128>(text);
            check::<f64>(text);
            check::<char>(text);
            check::<String>(text);
            check::<Option<String>>(text);
            check::<Newtype>(text);
            check::<Option<Newtype>>(text);
            check::<Choice>(text);
            check::<Fields>(text);
            check::<Option<Fields>>(text);
            check::<(u8, u8)>(text);
            check::<Vec<u8>>(text);
            check::<BTreeMap<String, Value>>(text);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let misfit = |text: &str| Config::of_text(text).fit::<BTreeMap<String, Vec<Fields>>>();
        let line = |text| misfit(text).unwrap_err().to_string();
        assert_eq!(
            line(r#"{"a": [{"who": "Zoe"}, {"who": 7}]}"#),
            "`config.a[1].who` does not fit: invalid type: integer `7`, expected a string"
        );
        assert_eq!(
            line(r#"{"a": [{}]}"#),
            "`config.a[0]` does not fit: missing field `who`"
        );
        assert_eq!(
            line("7"),
            "`config` does not fit: invalid type: integer `7`, expected a map"
        );
        let list = Config::of_text("[1, true]").fit::<Vec<u8>>().unwrap_err();
        assert_eq!(
            list.to_string(),
            "`config[1]` does not fit: invalid type: boolean `true`, expected u8"
        );
    }

    #[test]
    fn it_is_not_looked_at_where_nobody_asks() {
        let config = Config::of_text("no JSON");
        assert!(IgnoredAny::deserialize(&config).is_ok());
        assert!(Value::deserialize(&config).is_err());
        assert!(config.read().is_err());
    }
}
