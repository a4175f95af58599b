//! The JSON Schema of plugins.json, made from the types that it is read into.
//!
//! Editors take it from the file `plugins.schema.json`, which is checked in; a test holds that
//! file to this function, and `valor_cli schema` prints it.

use super::{Definition, FilesConfig, limits::MIN_HEAP};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::{Value, json};

/// What plugins.json says: the vlugins that Valor serves, and where.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "plugins.json")]
#[expect(dead_code, reason = "only its shape is looked at")]
struct Plugins {
    /// The JSON Schema of this file, for editors.
    #[schemars(
        rename = "$schema",
        with = "String",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    schema: Option<String>,
    /// The vlugins.
    plugins: Vec<Definition>,
}

/// The JSON Schema (draft 2020-12) of plugins.json.
///
/// A file that the schema refuses is refused by [`Definitions`](super::Definitions) too; that
/// one also finds what a schema cannot say, such as a name that is there twice.
pub fn json_schema() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Plugins>()
        .to_value()
}

/// Adds to the schema of a definition what holds for one type alone.
pub(super) fn by_kind(schema: &mut Schema) {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut config = generator.into_root_schema_for::<FilesConfig>();
    config.remove("$schema");
    config.remove("title");
    config.insert("type".into(), json!(["object", "null"]));
    let files = json!({
        "if": { "properties": { "type": { "const": "files" } }, "required": ["type"] },
        "then": {
            "properties": {
                "config": config, "strip": false, "rewrite": false, "source": false, "sha256": false, "allow": false,
                "limits": { "properties": { "host_memory": false, "fetches": false, "calls": false } },
            },
            "required": ["path"],
        },
    });
    let kinds = |kinds: &[&str]| json!({ "properties": { "type": { "enum": kinds } }, "required": ["type"] });
    let held = json!({ "properties": { "memory": false, "cpu": false } });
    let held =
        json!({ "if": kinds(&["wasm", "js"]), "else": { "properties": { "limits": held } } });
    let guests = json!({ "properties": { "instances": false, "compile": false } });
    let guests = json!({ "if": kinds(&["wasm"]), "else": { "properties": { "limits": guests } } });
    let timers = json!({ "properties": { "timers": false } });
    let timers =
        json!({ "if": kinds(&["native", "wasm"]), "else": { "properties": { "limits": timers } } });
    let least = json!({ "properties": { "memory": { "minimum": MIN_HEAP } } });
    let scripts = json!({
        "if": kinds(&["js"]),
        "then": { "properties": { "source": false, "limits": least } },
        "else": { "properties": { "files": false, "group": false, "start": false } },
    });
    schema.insert(
        "allOf".into(),
        json!([files, held, guests, timers, scripts]),
    );
}
