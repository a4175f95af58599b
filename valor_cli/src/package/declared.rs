//! What a package says of its vlugin without its libraries showing it: the licence, and the schema of its config.
//! `package` and `script` ask. Whoever reads a package finds an SPDX expression and a JSON Schema there, and needs no
//! other file to understand them.

use crate::{
    exit::{FAULTS, Failure},
    faults::unread,
};
use boon::{CompileError, Compiler, Schemas, SchemeUrlLoader, ValidationError};
use serde_json::Value;
use spdx::{Expression, ParseMode};
use std::path::Path;
use valor_runtime::{definition, file};

/// Where a schema without an `$id` is, for its references.
const BASE: &str = "schema:///";

/// A licence, held to what an SPDX expression is. `of` says whose it is: `--license`.
///
/// # Errors
/// It is not one.
pub fn license(of: &str, text: &str) -> Result<String, Failure> {
    expression(text).map_err(|reason| Failure::fault(format!("{of} is {reason}")))
}

fn expression(text: &str) -> Result<String, String> {
    // Cargo still takes `MIT/Apache-2.0`. SPDX does not.
    let written = text.replace('/', " OR ");
    let mode = ParseMode {
        allow_deprecated: true,
        ..ParseMode::STRICT
    };
    let Err(error) = Expression::parse_mode(&written, mode) else {
        return Ok(written);
    };
    let what = error.original.get(error.span.clone()).unwrap_or_default();
    let what = match what.trim() {
        "" => String::new(),
        what => format!(" at `{}`", what.escape_debug()),
    };
    let meant = Expression::canonicalize(text).ok().flatten();
    let meant = meant.filter(|it| Expression::parse_mode(it, mode).is_ok());
    let remedy = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "write one such as `MIT OR Apache-2.0`, or `LicenseRef-NAME` for a licence that SPDX does not list"
            .to_owned(),
    };
    Err(format!(
        "`{}`, which is no SPDX expression: {}{what}; {remedy}",
        text.escape_debug(),
        error.reason
    ))
}

/// The schema of a config, which must be a JSON Schema.
///
/// # Errors
/// It cannot be read, is not a JSON Schema, or refers to something outside of its file.
pub fn schema(file: &Path) -> Result<Value, Failure> {
    let text = file::read_given_text(file, file::TEXT)
        .map_err(|error| Failure::fault(unread("the schema ", file, &error)))?;
    let schema = definition::json(&text).map_err(|mut faults| {
        faults.file = Some(file.to_owned());
        Failure::new(FAULTS, [faults.on_one_line()])
    })?;
    match misfit(&schema) {
        None => Ok(schema),
        Some(reason) => Err(Failure::fault(format!(
            "{} is not a JSON Schema for a package: {reason}",
            file.display()
        ))),
    }
}

/// Why a value is not a JSON Schema that is complete in itself.
fn misfit(schema: &Value) -> Option<String> {
    if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
        return Some("a JSON Schema is an object, or true or false".to_owned());
    }
    let mut compiler = Compiler::new();
    // What it refers to is not in the package.
    compiler.use_loader(Box::new(SchemeUrlLoader::new()));
    let added = compiler.add_resource(BASE, schema.clone()).err();
    let compiled = || compiler.compile(BASE, &mut Schemas::new()).err();
    added.or_else(compiled).map(|error| reason(schema, &error))
}

fn reason(schema: &Value, error: &CompileError) -> String {
    let shown = |it: &str| it.replace(BASE, "").escape_debug().to_string();
    match error {
        CompileError::ValidationError { src, .. } => {
            let (at, kind) = deepest(src);
            match at.as_str() {
                "" => kind,
                at => format!("at {}, {kind}", shown(at)),
            }
        }
        CompileError::LoadUrlError { url, .. } | CompileError::UnsupportedDraft { url } => {
            let named = schema["$schema"].as_str().unwrap_or_default();
            let named = named.split('#').next().unwrap_or_default();
            match named == url {
                true => format!(
                    "its `$schema` is `{}`, which is no version of JSON Schema; write \
                     https://json-schema.org/draft/2020-12/schema",
                    shown(url)
                ),
                false => format!(
                    "it refers to `{}`, which is not in it; put that into its `$defs`",
                    shown(url)
                ),
            }
        }
        error => shown(&format!("{error:#}")),
    }
}

/// The innermost fault, which says most: where it is, and what is wrong there.
fn deepest(error: &ValidationError<'_, '_>) -> (String, String) {
    match error.causes.first() {
        Some(cause) => deepest(cause),
        None => (error.instance_location.to_string(), error.kind.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_a_schema_that_stands_by_itself() {
        for sound in [
            json!(true),
            json!({}),
            json!({ "type": "string" }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": ["object", "null"] } } }),
            json!({ "$id": "https://a.example/b", "$ref": "https://a.example/b#/$defs/c", "$defs": { "c": true } }),
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "items": [{}] }),
            json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }),
        ] {
            assert_eq!(misfit(&sound), None, "{sound}");
        }
        for (broken, part) in [
            (json!([]), "a JSON Schema is an object, or true or false"),
            (json!({ "type": "strnig" }), "at /type, "),
            (
                json!({ "properties": { "a": { "minimum": "1" } } }),
                "at /properties/a/minimum, ",
            ),
            (json!({ "pattern": "(" }), "regex"),
            (json!({ "$ref": "#/$defs/a" }), "#/$defs/a not found"),
            (
                json!({ "$ref": "a.json" }),
                "it refers to `a.json`, which is not in it; put that into its `$defs`",
            ),
            (
                json!({ "$ref": "https://a.example/b" }),
                "it refers to `https://a.example/b`, which is not in it",
            ),
            (
                json!({ "$schema": "https://a.example/b#" }),
                "its `$schema` is `https://a.example/b`, which is no version",
            ),
        ] {
            let reason = misfit(&broken).unwrap_or_default();
            assert!(reason.contains(part), "{broken}: {reason}");
            assert!(!reason.contains(BASE), "{reason}");
        }
    }

    #[test]
    fn what_is_an_expression_of_spdx() {
        for (text, written) in [
            ("MIT", "MIT"),
            (
                "(MIT OR Apache-2.0) AND BSD-3-Clause",
                "(MIT OR Apache-2.0) AND BSD-3-Clause",
            ),
            (
                "Apache-2.0 WITH LLVM-exception",
                "Apache-2.0 WITH LLVM-exception",
            ),
            ("GPL-3.0", "GPL-3.0"),
            ("LicenseRef-Ours", "LicenseRef-Ours"),
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
        ] {
            assert_eq!(expression(text).unwrap(), written);
        }
        for (text, part) in [
            (
                "FOO BAR",
                "`FOO BAR`, which is no SPDX expression: unknown term at `FOO`; write one such as ",
            ),
            (
                "",
                "``, which is no SPDX expression: empty expression; write one such as ",
            ),
            ("apache2", "; did you mean `Apache-2.0`?"),
            ("MIT OR", "is no SPDX expression: "),
            ("a\nb", "`a\\nb`, which is no SPDX expression: "),
        ] {
            let line = expression(text).unwrap_err();
            assert!(line.contains(part), "{line}");
        }
    }
}
