//! `plugin-template/`: for every combination of answers, renders what cargo-generate would, with the same engine,
//! builds it, and runs its tests.

mod support;

use liquid::ValueView;
use std::{
    fs,
    path::{Path, PathBuf},
};
use support::{cargo, folder, valor_abi, workspace, write};

const FORMS: [&str; 3] = ["function", "state", "typed"];

fn template() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-template")
}

/// Renders the template as cargo-generate does: a file that ends in `.liquid` loses that ending and replaces the one
/// without it; `cargo-generate.toml` is left out.
fn render(into: &Path, answers: &liquid::Object) {
    let parser = liquid::ParserBuilder::with_stdlib().build().unwrap();
    for file in files(&template()) {
        let name = file.strip_prefix(template()).unwrap().to_str().unwrap();
        let shadowed = file.with_file_name(format!(
            "{}.liquid",
            file.file_name().unwrap().to_str().unwrap()
        ));
        if name == "cargo-generate.toml" || shadowed.exists() {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let rendered = parser.parse(&text).and_then(|text| text.render(answers));
        let rendered = rendered.unwrap_or_else(|error| panic!("{name}: {error}"));
        write(&into.join(name.trim_end_matches(".liquid")), &rendered);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, mut found): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_dir());
    found.extend(folders.iter().flat_map(|folder| files(folder)));
    found
}

fn answers(form: &str, client: bool, valor: &str) -> liquid::Object {
    let name = format!(
        "greets-as-{form}-{}",
        if client { "client" } else { "alone" }
    );
    liquid::object!({
        "project-name": name,
        "crate_name": name.replace('-', "_"),
        "description": "Greets who comes",
        "kind": "native",
        "form": form,
        "client": client,
        "lean": false,
        "valor": valor,
    })
}

#[test]
fn every_answer_makes_a_crate_whose_tests_pass() {
    // Those with the client come last, so that its many crates are built once.
    for client in [false, true] {
        let folder = folder();
        let mut members = Vec::new();
        for form in FORMS {
            let answers = answers(form, client, &valor_abi());
            let name = answers["project-name"].to_kstr().to_string();
            let crate_folder = folder.path().join(&name);
            render(&crate_folder, &answers);

            let plugins = fs::read_to_string(crate_folder.join("plugins.json")).unwrap();
            let plugins: serde_json::Value = serde_json::from_str(&plugins).unwrap();
            let vlugin = &plugins["plugins"][0];
            assert_eq!(vlugin["name"], name.as_str());
            assert_eq!(vlugin["type"], "native");
            assert_eq!(vlugin.get("allow").is_some(), client);
            assert_eq!(vlugin.get("config").is_some(), form != "function");
            members.push(name);
        }
        workspace(folder.path(), &members);
        cargo(folder.path(), &["fmt", "--all", "--check"]);
        cargo(folder.path(), &["test", "--quiet", "--workspace"]);
        cargo(folder.path(), &["build", "--quiet", "--workspace"]);
    }
}

#[test]
fn a_version_is_asked_of_the_registry() {
    let folder = folder();
    render(folder.path(), &answers("function", false, "0.1"));
    let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
    let dependency = r#"valor = { package = "valor_abi", version = "0.1" }"#;
    assert!(manifest.contains(dependency), "{manifest}");
}

#[test]
fn a_module_is_small_and_one_that_is_lean_has_no_tables() {
    let manifest = |lean: bool| {
        let folder = folder();
        let mut answers = answers("function", true, "0.1");
        answers.insert("lean".into(), liquid::model::Value::scalar(lean));
        render(folder.path(), &answers);
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        manifest.parse::<toml::Table>().unwrap()
    };
    let (plain, lean) = (manifest(false), manifest(true));
    assert_eq!(plain["profile"]["release"]["opt-level"].as_str(), Some("s"));
    // A native vlugin that was built like this would be refused.
    assert!(plain["profile"]["release"].get("panic").is_none());
    assert!(plain["dependencies"].get("idna_adapter").is_none());
    assert_eq!(lean["dependencies"]["idna_adapter"].as_str(), Some("~1.0"));
}

#[test]
fn the_questions_are_those_that_are_answered_here() {
    let questions = fs::read_to_string(template().join("cargo-generate.toml")).unwrap();
    let questions: toml::Table = questions.parse().unwrap();
    let questions = questions["placeholders"].as_table().unwrap();
    let answers = answers("function", false, "0.1");
    for (name, question) in questions {
        assert!(
            answers.contains_key(name.as_str()),
            "{name} is not answered"
        );
        assert!(question["prompt"].is_str() && question.get("default").is_some());
    }
    assert_eq!(
        questions.len() + 2,
        answers.len(),
        "the name has two spellings"
    );

    let forms = questions["form"]["choices"].as_array().unwrap();
    let forms: Vec<_> = forms.iter().filter_map(|form| form.as_str()).collect();
    assert_eq!(forms, FORMS);
    let this_version = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
    assert_eq!(questions["valor"]["default"].as_str(), Some(this_version));
}

#[test]
fn nothing_is_left_to_fill_in() {
    let folder = folder();
    render(folder.path(), &answers("typed", true, "0.1"));
    for file in files(folder.path()) {
        let text = fs::read_to_string(&file).unwrap();
        for mark in ["{{project", "{{crate", "{%"] {
            assert!(!text.contains(mark), "{mark} in {}", file.display());
        }
        assert!(!text.contains("\n\n\n"), "a gap in {}", file.display());
    }
    assert!(!folder.path().join("cargo-generate.toml").exists());
    let readme = fs::read_to_string(folder.path().join("README.md")).unwrap();
    assert!(readme.starts_with("# greets-as-typed-client\n"), "{readme}");
}
