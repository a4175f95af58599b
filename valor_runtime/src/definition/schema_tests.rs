//! Compares the schema with the reader: both take the same definitions and refuse the same.

use super::*;
use crate::json_schema;
use serde_json::Value;
use std::path::Path;

fn compiled_schema() -> (boon::Schemas, boon::SchemaIndex) {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("plugins", json_schema()).unwrap();
    let schema = compiler.compile("plugins", &mut schemas).unwrap();
    (schemas, schema)
}

/// The schema takes everything that the reader takes, and refuses nothing else than the reader does.
#[test]
fn the_schema_agrees() {
    let (schemas, schema) = compiled_schema();
    let entry_taken = |keys: &str| {
        let text = format!("{{\"plugins\":[{{\"type\":\"native\",{keys}}}]}}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let by_schema = schemas.validate(&value, schema).is_ok();
        (by_schema, Definitions::from_json(&text).is_ok())
    };
    for keys in [
        r#""name": "a", "prefix": "/""#,
        r#""name": "-a.b", "prefix": "/a/_b/c.d""#,
        r#""name": "a", "limits": {"timeout": 86400, "body": 1, "concurrency": 1000000}"#,
        r#""name": "a", "config": null, "optional": false, "allow": ["*"]"#,
        r#""name": "a", "path": "x", "source": "y""#,
    ] {
        assert_eq!(entry_taken(keys), (true, true), "{keys}");
    }
    for keys in [
        r#""prefix": "/a""#,
        r#""name": """#,
        r#""name": "_a""#,
        r#""name": "a b""#,
        r#""name": "a", "prefix": "a""#,
        r#""name": "a", "prefix": "/a/""#,
        r#""name": "a", "prefix": "//a""#,
        r#""name": "a", "prefix": "/_a""#,
        r#""name": "a", "prefix": null"#,
        r#""name": "a", "path": """#,
        r#""name": "a", "sha256": "ab""#,
        r#""name": "a", "allow": [""]"#,
        r#""name": "a", "allow": null"#,
        r#""name": "a", "limits": {"timeout": 0}"#,
        r#""name": "a", "limits": {"body": 0}"#,
        r#""name": "a", "limits": {"concurrency": 1000001}"#,
        r#""name": "a", "limits": {"memory": 1}"#,
        r#""name": "a", "optional": 1"#,
        r#""name": "a", "other": 1"#,
    ] {
        assert_eq!(entry_taken(keys), (false, false), "{keys}");
    }
}

#[test]
fn the_schema_agrees_about_guests() {
    let (schemas, schema) = compiled_schema();
    for (keys, taken) in [
        (
            r#""limits": {"memory": 65536, "cpu": 0.01, "instances": 1}"#,
            true,
        ),
        (
            r#""limits": {"memory": 4294967296, "cpu": 86400, "instances": 1000}"#,
            true,
        ),
        (r#""limits": {"memory": 65535}"#, false),
        (r#""limits": {"memory": 4294967297}"#, false),
        (r#""limits": {"cpu": 0.001}"#, false),
        (r#""limits": {"instances": 0}"#, false),
        (r#""limits": {"instances": 1001}"#, false),
        (r#""limits": {"compile": 1}"#, true),
        (r#""limits": {"compile": 1000000}"#, true),
        (r#""limits": {"compile": 0}"#, false),
        (r#""limits": {"compile": 1000001}"#, false),
        (
            r#""limits": {"host_memory": 1048576, "fetches": 1, "calls": 1, "timers": 1}"#,
            true,
        ),
        (
            r#""limits": {"host_memory": 1099511627776, "fetches": 1000000, "calls": 1000000, "timers": 1000000}"#,
            true,
        ),
        (r#""limits": {"host_memory": 1048575}"#, false),
        (r#""limits": {"fetches": 0}"#, false),
        (r#""limits": {"calls": 1000001}"#, false),
        (r#""limits": {"timers": 0}"#, false),
    ] {
        let text = format!("{{\"plugins\":[{{\"type\":\"wasm\",\"name\":\"a\",{keys}}}]}}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let by_schema = schemas.validate(&value, schema).is_ok();
        let read = Definitions::from_json(&text).is_ok();
        assert_eq!((by_schema, read), (taken, taken), "{keys}");
    }
}

#[test]
fn the_schema_agrees_about_files() {
    let (schemas, schema) = compiled_schema();
    for (keys, taken) in [
        (r#""path": "x""#, true),
        (r#""path": "x", "config": null"#, true),
        (
            r#""path": "x", "config": {"index": "a", "fallback": "b/c", "cache_control": "no-cache"}"#,
            true,
        ),
        (r#""prefix": "/""#, false),
        (r#""path": "x", "config": 1"#, false),
        (r#""path": "x", "config": {"other": 1}"#, false),
        (r#""path": "x", "config": {"cache_control": ""}"#, false),
        (r#""path": "x", "source": "y""#, false),
        (r#""path": "x", "allow": []"#, false),
        (r#""path": "x", "limits": {"fetches": 1}"#, false),
        (r#""path": "x", "limits": {"timers": 1}"#, false),
        (r#""path": "x", "limits": {"compile": 1}"#, false),
        (r#""path": "x", "limits": {"body": 1}"#, true),
    ] {
        let text = format!("{{\"plugins\":[{{\"type\":\"files\",\"name\":\"a\",{keys}}}]}}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let by_schema = schemas.validate(&value, schema).is_ok();
        assert_eq!(
            (by_schema, Definitions::from_json(&text).is_ok()),
            (taken, taken),
            "{keys}"
        );
    }
}

#[test]
fn the_examples_are_right() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/plugins.json");
    let definitions = Definitions::from_file(&file).unwrap();
    assert!(!definitions.is_empty());
    let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let (schemas, schema) = compiled_schema();
    if let Err(error) = schemas.validate(&value, schema) {
        panic!("{error:#}");
    };
}
