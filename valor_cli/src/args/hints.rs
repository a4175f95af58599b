//! What a wrong command line may have meant: words that other programs use, the nearest command, and what `dev` does
//! anyway. clap knows only words that are alike.

use super::Cli;
use clap::{
    CommandFactory, Error,
    error::{ContextKind, ContextValue},
};
use valor_runtime::definition::nearest;

/// Commands as other programs call them.
const COMMANDS: [(&str, &[&str]); 8] = [
    ("run", &["serve", "start", "up", "server"]),
    ("new", &["init", "create", "generate", "scaffold"]),
    ("dev", &["develop", "watch"]),
    ("build", &["make"]),
    ("check", &["test", "lint", "validate"]),
    ("package", &["pack", "publish", "bundle"]),
    ("plugins", &["list", "ls", "add", "install", "register"]),
    ("doctor", &["info", "env", "status"]),
];

/// Options as other programs call them.
const OPTIONS: [(&str, &[&str]); 3] = [
    (
        "--addr",
        &["--port", "--host", "--listen", "--bind", "--address"],
    ),
    ("--kind", &["--type", "--lang", "--language", "--template"]),
    ("--plugins", &["--config", "--file"]),
];

/// What `dev` does without being told.
const OF_DEV: [&str; 4] = ["--build", "--watch", "--keep-going", "--welcome"];

/// The same error, with a better hint if there is one. `command` is the first word behind the program's name.
pub fn hinted(mut error: Error, command: Option<&str>) -> Error {
    let wrong = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    };
    if let Some(word) = wrong(ContextKind::InvalidSubcommand) {
        hint_command(&mut error, &word);
    } else if let Some(word) = wrong(ContextKind::InvalidArg) {
        hint_option(&mut error, &word, command);
    }
    error
}

fn hint_command(error: &mut Error, word: &str) {
    if word == "version" {
        error.remove(ContextKind::SuggestedSubcommand);
        tip(error, "`valor_cli --version` says the version");
        return;
    }
    let all = Cli::command();
    let names = all.get_subcommands().map(|it| it.get_name());
    if let Some(meant) = other(&COMMANDS, word).or_else(|| nearest(word, names)) {
        let meant = ContextValue::Strings(vec![meant.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
}

fn hint_option(error: &mut Error, word: &str, command: Option<&str>) {
    if command == Some("dev") && OF_DEV.contains(&word) {
        error.remove(ContextKind::SuggestedArg);
        tip(
            error,
            &format!("`dev` does what `{word}` says anyway: leave it out"),
        );
        return;
    }
    let all = Cli::command();
    let command = command.and_then(|name| all.find_subcommand(name));
    let has = |option: &&str| {
        command.is_some_and(|it| {
            it.get_arguments()
                .any(|arg| arg.get_long() == option.strip_prefix("--"))
        })
    };
    if let Some(meant) = other(&OPTIONS, word).filter(has) {
        error.remove(ContextKind::Suggested);
        error.insert(
            ContextKind::SuggestedArg,
            ContextValue::String(meant.to_owned()),
        );
    }
}

/// What another program's word means here.
fn other(table: &[(&'static str, &[&str])], word: &str) -> Option<&'static str> {
    let row = table.iter().find(|(_, others)| others.contains(&word));
    row.map(|(meant, _)| *meant)
}

/// In place of what clap proposes.
fn tip(error: &mut Error, text: &str) {
    let text = ContextValue::StyledStrs(vec![text.to_owned().into()]);
    error.insert(ContextKind::Suggested, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn what_may_have_been_meant() {
        for (words, tip) in [
            (&["serve"][..], "subcommand exists: 'run'"),
            (&["rnu"], "subcommand exists: 'run'"),
            (&["chek"], "subcommand exists: 'check'"),
            (&["make"], "subcommand exists: 'build'"),
            (&["version"], "`valor_cli --version` says the version"),
            (&["run", "--port", "80"], "argument exists: '--addr'"),
            (&["run", "--welcom"], "argument exists: '--welcome'"),
            (&["new", "--type", "js"], "argument exists: '--kind'"),
            (&["dev", "--watch"], "`dev` does what `--watch` says anyway"),
        ] {
            let error = Cli::try_parse_from(["valor_cli"].iter().chain(words)).unwrap_err();
            let said = hinted(error, words.first().copied()).to_string();
            assert!(said.contains(tip), "{words:?}: {said}");
            assert_eq!(said.matches("tip:").count(), 1, "{words:?}: {said}");
        }
        let error = Cli::try_parse_from(["valor_cli", "xyzzy"]).unwrap_err();
        assert!(!hinted(error, Some("xyzzy")).to_string().contains("tip:"));
    }
}
