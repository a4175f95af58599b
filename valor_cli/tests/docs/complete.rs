//! The reference pages name everything that exists.

use crate::page::root;
use serde_json::Value;
use std::{collections::BTreeSet, process::Command};

fn text(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

#[test]
fn every_option_of_run_is_on_its_page() {
    let help = Command::new(env!("CARGO_BIN_EXE_valor_cli"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options: BTreeSet<_> = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| {
            line.split([' ', ',', '['])
                .find(|word| word.starts_with("--"))
        })
        .collect();
    assert!(
        options.contains("--plugins"),
        "the options are not read from\n{help}"
    );
    let page = text("docs/src/options.md");
    for option in options
        .iter()
        .filter(|option| !["--help", "--version"].contains(option))
    {
        let named = [' ', '`', '[']
            .iter()
            .any(|end| page.contains(&format!("`{option}{end}")));
        assert!(named, "options.md does not name {option}");
    }
}

#[test]
fn every_key_of_plugins_json_is_on_its_page() {
    let schema = valor_runtime::json_schema();
    let mut keys = BTreeSet::new();
    gather(&schema, &mut keys);
    assert!(
        keys.contains("concurrency"),
        "the keys are not read: {keys:?}"
    );
    let page = text("docs/src/plugins-json.md");
    for key in keys {
        assert!(
            page.contains(&format!("`{key}`")),
            "plugins-json.md does not name `{key}`"
        );
    }
}

/// The names of all properties in a schema.
fn gather<'s>(schema: &'s Value, keys: &mut BTreeSet<&'s str>) {
    let Some(object) = schema.as_object() else {
        return;
    };
    for (word, value) in object {
        if let ("properties", Some(properties)) = (word.as_str(), value.as_object()) {
            keys.extend(properties.keys().map(String::as_str));
        }
        gather(value, keys);
    }
}

#[test]
fn every_example_is_mounted() {
    let mounted: Value = serde_json::from_str(&text("examples/plugins.json")).unwrap();
    let sources: BTreeSet<_> = mounted["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|definition| definition["source"].as_str())
        .collect();
    // Programs that embed the host are not vlugins.
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(manifest) = std::fs::read_to_string(path.join("Cargo.toml")) else {
            continue;
        };
        let name = path.file_name().unwrap().to_str().unwrap();
        // `.ci/postgres` serves it: it needs a database.
        if name == "postgres" {
            continue;
        }
        let mounted = sources.contains(name);
        assert_eq!(manifest.contains("cdylib"), mounted, "examples/{name}");
    }
    for script in ["board/board.js", "hono/hono.js"] {
        assert!(text("examples/plugins.json").contains(&format!("{script:?}")));
    }
}

/// The page of components shows it as a crate of the reader's.
#[test]
fn the_example_of_a_component_is_on_its_page() {
    let example = text("examples/wasi_hello/src/lib.rs");
    let (_, code) = example.split_once("\n\n").unwrap();
    assert!(text("docs/src/wasi.md").contains(code), "{code}");
    let manifest = text("examples/wasi_hello/Cargo.toml");
    let needed = manifest.lines().find(|line| line.starts_with("wstd = "));
    assert!(text("docs/src/wasi.md").contains(needed.unwrap()));
}

#[test]
fn every_promise_names_tests_that_exist() {
    let page = text("docs/src/security.md");
    let lines = page
        .lines()
        .skip_while(|line| *line != "## Promises and the tests that hold them")
        .skip_while(|line| !line.starts_with("- "))
        .take_while(|line| !line.starts_with('#'));
    // A promise begins with "- ", its proof with "  - "; any other line continues the one above.
    let mut items: Vec<String> = Vec::new();
    for line in lines {
        match items.last_mut() {
            Some(item) if !line.trim_start().starts_with("- ") => item.push_str(line),
            _ => items.push(line.to_owned()),
        }
    }
    let (mut promises, mut unheld) = (0, None);
    for item in &items {
        let Some(test) = item.strip_prefix("  - ") else {
            assert!(item.starts_with("- "), "{item}");
            assert_eq!(unheld.replace(item), None, "no test");
            promises += 1;
            continue;
        };
        unheld = None;
        let mut words = item.split('`').skip(1).step_by(2);
        let first = words.next().expect(item);
        if test.starts_with("the fuzz target ") {
            text(&format!("valor_runtime/fuzz/fuzz_targets/{first}.rs"));
            continue;
        }
        assert!(test.starts_with('`'), "no file comes first: {item}");
        let file = text(first);
        assert!(
            !first.ends_with(".rs") || file.contains("#[test]"),
            "{item}"
        );
        for name in words {
            assert!(file.contains(&format!("fn {name}()")), "`{name}`: {item}");
        }
    }
    assert_eq!(unheld, None, "no test");
    assert!(promises > 40, "{promises} promises");
}
