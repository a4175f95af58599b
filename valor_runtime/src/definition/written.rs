//! The checked-in files that are made from the rows of the table: the tables of the book, `web/valor-keys.js`, which
//! valor-check.js and valor-admin.js work from, and `plugins.schema.json`. Tests compare each with the rows. To write
//! them again: `VALOR_WRITE_SCHEMA=1 cargo test -p valor_runtime --lib written`.

use super::{
    Kind, KindRow, files, keys,
    limit::{Least, Limit},
    limit_rows,
    nearest::listed,
    of_kind,
    table::{Key, Needed, Object, Shape, Takers, Words},
};
use crate::json_schema;
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, path::PathBuf};

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text_of(path: &str) -> String {
    let text = std::fs::read_to_string(file(path)).unwrap();
    text.replace("\r\n", "\n")
}

/// Compares a file with what it should be, or writes that.
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
             Write it again with VALOR_WRITE_SCHEMA=1 cargo test -p valor_runtime --lib written",
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
    let text = between(
        &text_of(page),
        "keys",
        &keys_table(keys::DEFINITION, Kind::ALL),
    );
    is_written(page, &between(&text, "limits", &limits_table(Kind::ALL)));
    let page = "../docs/src/files.md";
    is_written(
        page,
        &between(
            &text_of(page),
            "config",
            &keys_table(files::CONFIG.keys, Kind::ALL),
        ),
    );
}

#[test]
fn the_browser_s_rows_are_up_to_date() {
    is_written("web/valor-keys.js", &browser(Kind::ALL));
}

/// The rules that need code are in valor-check.js under the names that the rows use, and no others.
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
    // A rule begins at two spaces; its further lines have more.
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

/// The defaults in the service worker are those of the rows.
#[test]
fn the_browser_has_the_same_defaults() {
    let mut count = 0;
    for path in ["web/valor-registry.js", "web/account.js"] {
        let text = text_of(path);
        let (_, defaults) = text.split_once("const DEFAULTS = { ").expect("defaults");
        let (defaults, _) = defaults.split_once(" };").expect("their end");
        for said in defaults.split(", ") {
            let (name, default) = said.split_once(": ").expect("a key and a number");
            let row = limit_rows::rows().find(|(key, _)| *key == name);
            let (_, limit) = row.unwrap_or_else(|| panic!("{path}: no limit `{name}`"));
            assert_eq!(default, limit.default.to_string(), "{path}: {name}");
            count += 1;
        }
    }
    assert_eq!(count, 7);
}

/// Its row alone brings another kind into all of it.
#[test]
fn another_kind_is_in_all_of_it() {
    static ROW: KindRow = KindRow::new("probe", "a text, for tests")
        .elsewhere(&["text"])
        .takes(&["calls"])
        .lacks(&[("source", "which is not built")]);
    let kinds: Vec<_> = Kind::ALL.iter().copied().chain([Kind::new(&ROW)]).collect();
    let keys = keys_table(keys::DEFINITION, &kinds);
    assert!(keys.contains("`\"probe\"`, a text, for tests"), "{keys}");
    assert!(
        keys.contains("none for `wasm`, `wasi`, `js` and `probe`"),
        "{keys}"
    );
    let limits = limits_table(&kinds);
    let calls = limits.lines().find(|line| line.starts_with("| `calls`"));
    assert!(calls.unwrap().contains("not for `files`: "), "{limits}");
    let fetches = limits.lines().find(|line| line.starts_with("| `fetches`"));
    assert!(
        fetches
            .unwrap()
            .contains("for `native`, `wasm`, `wasi` and `js`: ")
    );
    let browser = browser(&kinds);
    for part in [
        r#"["probe", ["text"]]"#,
        r#"only: ["native", "wasm", "wasi", "js", "probe"]"#,
        r#"probe: ", which is not built""#,
    ] {
        assert!(browser.contains(part), "{part} is not in\n{browser}");
    }
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

fn keys_table(keys: &[Key], kinds: &[Kind]) -> String {
    let rows = keys.iter().map(|key| {
        let default = of_kind::without(key, kinds).unwrap_or_else(|| "has to be there".into());
        let mut says = of_kind::sentence(key, kinds);
        if let Shape::Word(words) = &key.shape {
            let words = of_kind::words(words, kinds).into_iter();
            let words: Vec<_> = words
                .map(|it| format!("`\"{}\"`, {}", it.text, it.says))
                .collect();
            says = format!("{says}: {}", words.join("; "));
        }
        format!(
            "| `{}` | {} | {default} | {says} |\n",
            key.name,
            of(key, kinds)
        )
    });
    let head = "| key | type | default | what it says |\n|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

fn limits_table(kinds: &[Kind]) -> String {
    let rows = limit_rows::KEYS.iter().filter_map(|key| {
        let Shape::Limit(limit) = &key.shape else {
            return None;
        };
        let name = limit.range_name().map(|name| format!(" ({name})"));
        let of = kinds.iter().filter_map(|kind| {
            let bound = of_kind::bound(*kind, key.name)?;
            Some(format!(", for `{kind}` at least {}", bound.least))
        });
        Some(format!(
            "| `{}` | {} | {} | {}{}{} | {} |\n",
            key.name,
            of_limit(limit),
            of_kind::without(key, kinds).unwrap_or_default(),
            limit.range(),
            name.unwrap_or_default(),
            of.collect::<String>(),
            of_kind::sentence(key, kinds)
        ))
    });
    let head = "| key | type | default | range | what it says |\n|---|---|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
}

/// The type of a key's value.
fn of(key: &Key, kinds: &[Kind]) -> String {
    match &key.shape {
        Shape::Word(words) => {
            let words = of_kind::words(words, kinds).into_iter();
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
fn browser(kinds: &[Kind]) -> String {
    let definition = Value::from_iter(keys::DEFINITION.iter().map(|key| row(key, kinds)));
    let file = Value::from_iter(keys::FILE.iter().map(|key| row(key, kinds)));
    let mut text = String::from(
        "// What valor-check.js and valor-admin.js work from. A test in valor_runtime/src/definition makes it from its \
         rows.\n",
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

/// A row for the browser; properties that do not apply are left out.
fn row(key: &Key, kinds: &[Kind]) -> Value {
    let mut row = Map::new();
    row.insert("name".into(), key.name.into());
    let (shape, value) = match &key.shape {
        Shape::Word(words) => ("words", of_words(words, kinds)),
        Shape::Text { rule, .. } => ("text", rule.name.into()),
        Shape::Flag(_) => ("flag", true.into()),
        Shape::Texts { what, rule } => ("texts", json!([what, rule.name])),
        Shape::Limit(limit) => ("limit", of_number(key.name, limit, kinds)),
        Shape::Object(object) => ("object", of_object(object, kinds)),
        Shape::Config => {
            let configs = kinds.iter();
            let configs = configs
                .filter_map(|kind| Some((kind.as_str(), of_object(kind.row().config?, kinds))))
                .map(|(kind, object)| (kind.to_owned(), object));
            ("config", configs.collect::<Map<_, _>>().into())
        }
        Shape::Definitions => ("definitions", true.into()),
    };
    row.insert(shape.into(), value);
    let default = match &key.shape {
        Shape::Flag(default) => Some(Value::from(*default)),
        Shape::Word(words) => words.default.map(Value::from),
        Shape::Limit(limit) => Some(number(limit.default)),
        _ => None,
    };
    if let Some(default) = default {
        row.insert("default".into(), default);
    }
    if !key.is_listed {
        row.insert("hidden".into(), true.into());
    }
    match key.needed {
        Needed::No => {}
        Needed::Always(write) => {
            row.insert("needed".into(), json!({ "write": write }));
        }
        Needed::BySome => {
            let needing = |kind: &Kind| Some((kind.as_str(), of_kind::needed(key, Some(*kind))?));
            let needing = kinds.iter().filter_map(needing);
            let (needing, write): (Vec<_>, BTreeSet<_>) = needing.unzip();
            assert_eq!(
                write.len(),
                1,
                "the browser's check has one text for {}",
                key.name
            );
            let write = write.first();
            row.insert("needed".into(), json!({ "kinds": needing, "write": write }));
        }
    }
    match &key.takers {
        Takers::All => {}
        Takers::Only(_) => {
            let takers = of_kind::takers(key, kinds).into_iter();
            let takers = takers.map(Kind::as_str);
            let refusal = |kind: &Kind| of_kind::refusal(key, *kind, kinds);
            row.insert("only".into(), Value::from_iter(takers));
            row.insert("why".into(), kinds.iter().find_map(refusal).into());
        }
        Takers::Most => {
            let others = kinds.iter().filter_map(|kind| {
                let refusal = of_kind::refusal(key, *kind, kinds)?;
                Some((kind.as_str().to_owned(), refusal.into()))
            });
            row.insert("without".into(), others.collect::<Map<_, _>>().into());
        }
    }
    if let Some(against) = &key.against {
        row.insert("against".into(), json!([against.key, against.says]));
    }
    row.into()
}

fn of_words(words: &Words, kinds: &[Kind]) -> Value {
    let known = of_kind::words(words, kinds).into_iter();
    let known: Vec<_> = known.map(|it| json!([it.text, it.elsewhere])).collect();
    json!({ "what": words.what, "known": known, "later": words.later })
}

fn of_object(object: &Object, kinds: &[Kind]) -> Value {
    json!({ "example": object.example, "keys": Value::from_iter(object.keys.iter().map(|key| row(key, kinds))) })
}

fn number(number: f64) -> Value {
    match number.fract() == 0.0 {
        true => Value::from(number as u64),
        false => Value::from(number),
    }
}

fn of_number(name: &str, limit: &Limit, kinds: &[Kind]) -> Value {
    let mut value = json!({
        "unit": limit.unit, "most": number(limit.most), "says": limit.sentence("{}"),
    });
    match limit.least {
        Least::Is(least) => value["least"] = number(least),
        Least::Above(least) => value["above"] = number(least),
    }
    let bounds = kinds.iter().filter_map(|kind| {
        let bound = of_kind::bound(*kind, name)?;
        let says = limit.sentence_of(bound);
        let bound = json!([number(bound.least), says, number(bound.default)]);
        Some((kind.as_str().to_owned(), bound))
    });
    let bounds: Map<_, _> = bounds.collect();
    if !bounds.is_empty() {
        value["of"] = bounds.into();
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
