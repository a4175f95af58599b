//! The templates in the program: that they are the repository's, that each is filled in completely, and that the
//! command line offers what they ask.

use super::{template::TEMPLATES, *};
use crate::args::Cli;
use clap::{Parser, ValueEnum};
use serde_json::Value;

/// The text of a file in a template.
fn text(template: &str, file: &str) -> &'static str {
    let (_, files) = TEMPLATES
        .iter()
        .find(|(name, _)| *name == template)
        .unwrap();
    files.iter().find(|(name, _)| *name == file).unwrap().1
}

/// The command line of `new`, without any options.
fn args() -> NewArgs {
    match Cli::try_parse_from(["valor_cli", "new", "greet"])
        .unwrap()
        .command
    {
        crate::args::Command::New(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_crate_is_what_cargo_generate_gets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-template");
    let (_, files) = TEMPLATES.iter().find(|(name, _)| *name == "crate").unwrap();
    for (name, text) in *files {
        assert_eq!(
            fs::read_to_string(root.join(name)).unwrap(),
            *text,
            "{name}"
        );
    }
    let all = walkdir::WalkDir::new(&root).into_iter();
    let all = all.filter(|entry| entry.as_ref().unwrap().file_type().is_file());
    assert_eq!(all.count(), files.len());
}

#[test]
fn the_command_line_offers_what_the_template_asks() {
    let settings: toml::Table = text("crate", "cargo-generate.toml").parse().unwrap();
    let questions = settings["placeholders"].as_table().unwrap();
    let mut names: Vec<_> = questions.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["client", "description", "form", "kind", "lean", "valor"]
    );
    let choices = |name: &str| -> Vec<_> {
        let choices = questions[name]["choices"].as_array().unwrap();
        choices
            .iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect()
    };
    let forms: Vec<_> = Form::value_variants().iter().map(|it| word(*it)).collect();
    assert_eq!(choices("form"), forms);
    let kinds = TemplateKind::value_variants()
        .iter()
        .filter(|it| it.has_forms());
    assert_eq!(
        choices("kind"),
        kinds.map(|it| word(*it)).collect::<Vec<_>>()
    );
    let preset = |name: &str| questions[name]["default"].as_str().unwrap().to_owned();
    assert_eq!(preset("form"), word(Form::Function));
    assert_eq!(preset("kind"), word(TemplateKind::Native));
    assert_eq!(preset("description"), args().description);
    assert_eq!(preset("valor"), valor_abi::version());
}

#[test]
fn every_kind_is_filled_in_and_its_plugins_json_names_it() {
    for kind in TemplateKind::value_variants() {
        let answers = liquid::object!({
            "project-name": "my-vlugin", "crate_name": "my_vlugin", "description": "It does this",
            "kind": word(*kind), "form": "typed", "client": true, "lean": true, "valor": "/valor_abi",
        });
        let files = template::render(kind.template(), &answers).unwrap();
        for (name, text) in &files {
            for mark in ["{{", "{%", ".liquid"] {
                let found = name.contains(mark) || text.contains(mark);
                assert!(!found, "{kind:?}: {mark} in {name}");
            }
            assert!(!text.contains("\n\n\n"), "{kind:?}: a gap in {name}");
            assert!(
                text.ends_with('\n') && !text.ends_with("\n\n"),
                "{kind:?}: the end of {name}"
            );
        }
        let of = |name: &str| &files.iter().find(|(it, _)| it == name).unwrap().1;
        assert!(
            of("README.md").starts_with("# my-vlugin\n\nIt does this\n"),
            "{}",
            of("README.md")
        );
        let plugins: Value = serde_json::from_str(of("plugins.json")).unwrap();
        let vlugin = &plugins["plugins"][0];
        assert_eq!(vlugin["name"], "my-vlugin");
        let expected = match kind {
            TemplateKind::Ts => "js".to_owned(),
            kind => word(*kind),
        };
        assert_eq!(vlugin["type"], *expected);
        if let Some(path) = vlugin["path"].as_str().filter(|path| path.contains('.')) {
            assert!(
                files.iter().any(|(name, _)| name == path),
                "{kind:?}: {path}"
            );
        }
    }
}

#[test]
fn a_path_is_quoted_if_a_shell_would_not_take_it_as_it_is() {
    assert_eq!(quoted(Path::new("../some/greet-2")), "../some/greet-2");
    if cfg!(unix) {
        assert_eq!(quoted(Path::new("my folder/it's")), r"'my folder/it'\''s'");
        assert_eq!(quoted(Path::new("~/greet")), "'~/greet'");
        assert_eq!(quoted(Path::new("-greet")), "./-greet");
    }
}
