//! Compares the rows of the table with the types that they describe: each field has a row, and the words and defaults
//! of the rows are those of serde and of definitions made in code.

use super::*;
use serde_json::Value;

/// Each field of a definition has a row, and each row a field.
#[test]
fn a_row_is_a_field() {
    let names = |keys: &[table::Key]| -> Vec<_> { keys.iter().map(|key| key.name).collect() };
    assert_eq!(fields_of::<Definition>(), names(keys::DEFINITION));
    assert_eq!(fields_of::<FilesConfig>(), names(files::CONFIG.keys));
}

/// The fields of a struct, as serde names them.
pub(super) fn fields_of<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_str::<T>(r#"{ "?": 0 }"#).err();
    let error = error.expect("no field `?`").to_string();
    let (_, fields) = error.split_once("expected ").expect("what is known");
    let fields = fields.split('`').skip(1).step_by(2);
    fields.map(str::to_owned).collect()
}

/// The rows of Valor's own kinds name keys that a row can name.
#[test]
fn the_rows_of_the_kinds_fit() {
    let none = Kinds::of(&[]);
    let all = Kind::ALL
        .iter()
        .try_fold(none, |kinds, kind| kinds.with(*kind));
    assert_eq!(all.unwrap(), Kinds::default());
}

/// The words of a row are those that serde reads and writes.
#[test]
fn words_are_read_and_written() {
    for kind in Kind::ALL {
        let word = Value::from(kind.as_str());
        assert_eq!(serde_json::to_value(kind).unwrap(), word);
        assert_eq!(serde_json::from_value::<Kind>(word).unwrap(), *kind);
    }
    for (start, word) in script::STARTS {
        let word = Value::from(word.text);
        assert_eq!(serde_json::to_value(start).unwrap(), word);
        assert_eq!(serde_json::from_value::<Start>(word).unwrap(), *start);
    }
    for (instance, word) in component::INSTANCES {
        let word = Value::from(word.text);
        assert_eq!(serde_json::to_value(instance).unwrap(), word);
        assert_eq!(serde_json::from_value::<Instance>(word).unwrap(), *instance);
    }
    for word in ["navite", "Native", ""] {
        assert!(serde_json::from_value::<Kind>(word.into()).is_err());
        assert!(serde_json::from_value::<Start>(word.into()).is_err());
    }
}

/// The defaults of the rows are those of definitions made in code and of those that serde reads.
#[test]
fn defaults_are_those_of_the_rows() {
    for kind in Kind::ALL {
        let made = Definition::new(*kind, "a");
        let read = format!(r#"{{ "type": "{kind}", "name": "a" }}"#);
        assert_eq!(made, serde_json::from_str(&read).unwrap());
        let value = serde_json::to_value(&made).unwrap();
        assert_eq!(value, serde_json::from_str::<Value>(&read).unwrap());
    }
    let made = Definition::new(Kind::Js, "a");
    for (name, flag) in [
        ("strip", made.strip),
        ("rewrite", made.rewrite),
        ("optional", made.optional),
    ] {
        assert_eq!(keys::flag(name), flag, "{name}");
    }
    let starts = keys::DEFINITION.iter().find_map(|key| match &key.shape {
        table::Shape::Word(words) => words.default,
        _ => None,
    });
    assert_eq!(starts, Some(Start::default().as_str()));
    assert_eq!(FilesConfig::default().index, "index.html");
}
