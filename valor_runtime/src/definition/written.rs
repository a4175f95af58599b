//! Files that are made from the rows of the table, and checked in: the tables of the book, `web/valor-keys.js`, which
//! valor-check.js works from, and `plugins.schema.json`. Each is held to the rows here. To write them anew:
//! `VALOR_WRITE_SCHEMA=1 cargo test -p valor_runtime --lib written`.

use super::{
    Kind, files, json_schema, keys,
    limit::{Least, Limit},
    limits,
    nearest::listed,
    table::{Key, Needed, Object, Shape, Takers, Words, words_of},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, path::PathBuf};

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text_of(path: &str) -> String {
    let text = std::fs::read_to_string(file(path)).unwrap();
    text.replace("\r\n", "\n")
}

/// Holds a file to what it should be, or writes that.
fn is_written(path: &str, text: &str) {
    if std::env::var_os("VALOR_WRITE_SCHEMA").is_some() {
        std::fs::write(file(path), text).unwrap();
    }
    let there = text_of(path);
    let mut lines = there.lines().map(Some).chain(std::iter::repeat(None));
    let differs = text.lines().enumerate();
    let mut differs = differs.filter(|(_, line)| lines.next().flatten() != Some(line));
    if there != text {
        let (number, line) = differs.next().unwrap_or((text.lines().count(), "its end"));
        panic!(
            "{path} is not what the rows of the table say. Line {} should be\n\n{line}\n\n\
             Write it anew with VALOR_WRITE_SCHEMA=1 cargo test -p valor_runtime --lib written",
            number + 1
        );
    }
}

#[test]
fn the_schema_file_is_up_to_date() {
    is_written("plugins.schema.json", &format!("{:#}\n", json_schema()));
}

#[test]
fn the_tables_of_the_book_are_up_to_date() {
    let page = "../docs/src/plugins-json.md";
    let text = between(&text_of(page), "keys", &keys_table(keys::DEFINITION));
    is_written(page, &between(&text, "limits", &limits_table()));
    let page = "../docs/src/files.md";
    is_written(
        page,
        &between(&text_of(page), "config", &keys_table(files::CONFIG.keys)),
    );
}

#[test]
fn the_browser_s_rows_are_up_to_date() {
    is_written("web/valor-keys.js", &browser());
}

/// The rules that are code are in valor-check.js by the names that the rows have, and no others.
#[test]
fn the_browser_has_every_rule() {
    let mut named = BTreeSet::new();
    rules(keys::FILE, &mut named);
    rules(keys::DEFINITION, &mut named);
    let configs = Kind::ALL.iter().filter_map(|kind| kind.row().config);
    configs.for_each(|object| rules(object.keys, &mut named));
    let check = text_of("web/valor-check.js");
    let (_, there) = check.split_once("\nconst RULES = {\n").expect("its rules");
    let (there, _) = there.split_once("\n};").expect("their end");
    // A rule begins at two spaces; what goes on has more.
    let there = there.lines().filter(|line| !line.starts_with("   "));
    let there = there.filter_map(|line| line.trim().split([':', '(', ',']).next());
    let there: BTreeSet<_> = there.filter(|name| !name.starts_with('}')).collect();
    assert_eq!(there, named);
}

fn rules(keys: &[Key], named: &mut BTreeSet<&str>) {
    for key in keys {
        match &key.shape {
            Shape::Text { rule, .. } | Shape::Texts { rule, .. } => {
                named.insert(rule.name);
            }
            Shape::Object(object) => rules(object.keys, named),
            _ => {}
        }
    }
}

/// The defaults that the service worker has are those of the rows.
#[test]
fn the_browser_has_the_same_defaults() {
    let mut count = 0;
    for path in ["web/valor-registry.js", "web/account.js"] {
        let text = text_of(path);
        let (_, defaults) = text.split_once("const DEFAULTS = { ").expect("defaults");
        let (defaults, _) = defaults.split_once(" };").expect("their end");
        for said in defaults.split(", ") {
            let (name, default) = said.split_once(": ").expect("a key and a number");
            let row = limits::rows().find(|(key, _)| *key == name);
            let (_, limit) = row.unwrap_or_else(|| panic!("{path}: no limit `{name}`"));
            assert_eq!(default, limit.default.to_string(), "{path}: {name}");
            count += 1;
        }
    }
    assert_eq!(count, 7);
}

/// The page with another text between two comments.
fn between(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (
        format!("<!-- {name}: made from the rows in valor_runtime/src/definition -->\n\n"),
        "\n<!-- end -->",
    );
    let (before, rest) = page.split_once(&begin).expect("where the table begins");
    let (_, after) = rest.split_once(end).expect("where the table ends");
    format!("{before}{begin}{table}{end}{after}")
}

fn keys_table(keys: &[Key]) -> String {
    let rows = keys.iter().map(|key| {
        let default = key.default().unwrap_or_else(|| "has to be there".into());
        let mut says = key.sentence();
        if let Shape::Word(words) = &key.shape {
            let words = (words.words)().into_iter();
            let words: Vec<_> = words
                .map(|it| format!("`\"{}\"`, {}", it.text, it.says))
                .collect();
            says = format!("{says}: {}", words.join("; "));
        }
        format!("| `{}` | {} | {default} | {says} |\n", key.name, of(key))
    });
    let head = "| key | type | default | what it says |\n|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

fn limits_table() -> String {
    let rows = limits::KEYS.iter().filter_map(|key| {
        let Shape::Limit(limit) = &key.shape else {
            return None;
        };
        let name = limit.range_name().map(|name| format!(" ({name})"));
        let of = limit.of.as_ref().map(|of| {
            let kind = words_of(&[of.kind]);
            format!(", for {kind} at least {}", of.least)
        });
        Some(format!(
            "| `{}` | {} | {} | {}{}{} | {} |\n",
            key.name,
            of_limit(limit),
            limit.defaults(),
            limit.range(),
            name.unwrap_or_default(),
            of.unwrap_or_default(),
            key.sentence()
        ))
    });
    let head = "| key | type | default | range | what it says |\n|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

/// The type of a key's value.
fn of(key: &Key) -> String {
    match &key.shape {
        Shape::Word(words) => {
            let words = (words.words)().into_iter();
            let words: Vec<_> = words.map(|it| format!("\"{}\"", it.text)).collect();
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            listed(&words).replace(" and ", " or ")
        }
        Shape::Text { .. } => "text".into(),
        Shape::Flag(_) => "true or false".into(),
        Shape::Texts { .. } => "array of text".into(),
        Shape::Limit(limit) => of_limit(limit).into(),
        Shape::Object(_) => "object".into(),
        Shape::Config => "any JSON".into(),
        Shape::Definitions => "array".into(),
    }
}

fn of_limit(limit: &Limit) -> &'static str {
    match limit.unit {
        "seconds" | "bytes" => limit.unit,
        _ => "number",
    }
}

/// The text of valor-keys.js.
fn browser() -> String {
    let definition = Value::from_iter(keys::DEFINITION.iter().map(row));
    let file = Value::from_iter(keys::FILE.iter().map(row));
    let mut text = String::from(
        "// What valor-check.js works from. A test in valor_runtime/src/definition makes it from the rows there.\n",
    );
    for (name, value) in [
        ("FILE", file),
        ("DEFINITION", definition),
        ("LATER", json!(keys::LATER)),
        ("EXAMPLE", json!(keys::EXAMPLE)),
    ] {
        text.push_str(&format!("\nexport const {name} = "));
        print(&value, 0, &mut text);
        text.push_str(";\n");
    }
    text
}

/// A row as the browser has it; what is not there does not hold.
fn row(key: &Key) -> Value {
    let mut row = Map::new();
    row.insert("name".into(), key.name.into());
    let (shape, value) = match &key.shape {
        Shape::Word(words) => ("words", of_words(words)),
        Shape::Text { rule, .. } => ("text", rule.name.into()),
        Shape::Flag(_) => ("flag", true.into()),
        Shape::Texts { what, rule } => ("texts", json!([what, rule.name])),
        Shape::Limit(limit) => ("limit", of_number(limit)),
        Shape::Object(object) => ("object", of_object(object)),
        Shape::Config => {
            let kinds = Kind::ALL.iter();
            let configs = kinds
                .filter_map(|kind| Some((kind.as_str(), of_object(kind.row().config?))))
                .map(|(kind, object)| (kind.to_owned(), object));
            ("config", configs.collect::<Map<_, _>>().into())
        }
        Shape::Definitions => ("definitions", true.into()),
    };
    row.insert(shape.into(), value);
    match key.needed {
        Needed::No => {}
        Needed::Always(write) => {
            row.insert("needed".into(), json!({ "write": write }));
        }
        Needed::By(kinds, write) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
            row.insert("needed".into(), json!({ "kinds": kinds, "write": write }));
        }
    }
    match &key.takers {
        Takers::All => {}
        Takers::Only(kinds, _) => {
            let takers = kinds.iter().map(|kind| kind.as_str());
            let others = Kind::ALL.iter().find_map(|it| key.takers.refusal(*it));
            row.insert("only".into(), Value::from_iter(takers));
            row.insert("why".into(), others.into());
        }
        Takers::AllBut(others) => {
            let others = others.iter().filter_map(|(kind, _)| {
                Some((kind.as_str().to_owned(), key.takers.refusal(*kind)?.into()))
            });
            row.insert("without".into(), others.collect::<Map<_, _>>().into());
        }
    }
    if let Some(against) = &key.against {
        row.insert("against".into(), json!([against.key, against.says]));
    }
    row.into()
}

fn of_words(words: &Words) -> Value {
    let known = (words.words)().into_iter();
    let known: Vec<_> = known.map(|it| json!([it.text, it.elsewhere])).collect();
    json!({ "what": words.what, "known": known, "later": words.later })
}

fn of_object(object: &Object) -> Value {
    json!({ "example": object.example, "keys": Value::from_iter(object.keys.iter().map(row)) })
}

fn of_number(limit: &Limit) -> Value {
    let number = |number: f64| match number.fract() == 0.0 {
        true => Value::from(number as u64),
        false => Value::from(number),
    };
    let mut value = json!({
        "unit": limit.unit, "most": number(limit.most), "says": limit.sentence("{}"),
    });
    match limit.least {
        Least::Is(least) => value["least"] = number(least),
        Least::Above(least) => value["above"] = number(least),
    }
    if let Some(of) = &limit.of {
        let says = limit.sentence_of(of);
        value["of"] = json!({ of.kind.as_str(): [number(of.least), says] });
    }
    value
}

/// A value as JavaScript, on one line if there is room.
fn print(value: &Value, indent: usize, text: &mut String) {
    const WIDTH: usize = 118;
    let line = on_a_line(value);
    let parts: Vec<(Option<&String>, &Value)> = match value {
        Value::Array(values) if indent + line.len() > WIDTH => {
            values.iter().map(|value| (None, value)).collect()
        }
        Value::Object(object) if indent + line.len() > WIDTH => {
            entries(object).map(|(key, it)| (Some(key), it)).collect()
        }
        _ => return text.push_str(&line),
    };
    let (open, close) = if value.is_array() {
        ('[', ']')
    } else {
        ('{', '}')
    };
    text.push(open);
    for (key, value) in parts {
        text.push('\n');
        text.push_str(&" ".repeat(indent + 2));
        if let Some(key) = key {
            text.push_str(&format!("{key}: "));
        }
        print(value, indent + 2, text);
        text.push(',');
    }
    text.push('\n');
    text.push_str(&" ".repeat(indent));
    text.push(close);
}

fn on_a_line(value: &Value) -> String {
    match value {
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(on_a_line).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(object) => {
            let entries = entries(object).map(|(key, it)| format!("{key}: {}", on_a_line(it)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// The entries of an object, its name first.
fn entries(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let (name, others): (Vec<_>, Vec<_>) = object.iter().partition(|(key, _)| *key == "name");
    name.into_iter().chain(others)
}
