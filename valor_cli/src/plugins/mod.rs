//! `valor_cli plugins`: a client of `/_plugins`.
//!
//! The server's answer is printed as a table, as lines, or unchanged with `--json`. A refusal is one line: the server's
//! reason, and what to do about it if the reason does not say.

mod ask;

use crate::{
    args::{DefinitionArgs, PluginsArgs, PluginsCommand, RegistryAddr},
    exit::{FAULTS, Failure, NO_TOKEN, USAGE},
    faults::{no_token, unread},
    output::{print, print_json, print_line, print_warning},
    table::{HEADS, Row, RowState, lines, table},
};
use ask::RegistryRequest;
use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::{io::IsTerminal, path::Path};
use valor_runtime::{
    Token, definition,
    escape::escaped,
    file::{Readers, SECRET, TEXT, as_text, read_given_text, read_input, strange_readers},
};

/// Sends the command line's request to the server.
///
/// # Errors
/// If it cannot be reached, or refuses.
pub fn plugins(args: &PluginsArgs) -> Result<(), Failure> {
    check_ca_file(args)?;
    let (method, name, body) = match &args.command {
        PluginsCommand::List => (Method::GET, None, None),
        PluginsCommand::Show { name } => (Method::GET, Some(name.clone()), None),
        PluginsCommand::Remove { name } => (Method::DELETE, Some(name.clone()), None),
        PluginsCommand::Add(definition) => {
            (Method::POST, None, Some(definition_text(definition, true)?))
        }
        PluginsCommand::Replace(definition) => {
            let text = definition_text(definition, false)?;
            // What the command line does not give stays as it is; a file replaces everything.
            let method = match definition.definition {
                Some(_) => Method::PUT,
                None => Method::PATCH,
            };
            (method, Some(name_in(definition, &text)?), Some(text))
        }
    };
    let path = match &name {
        Some(name) => format!("/_plugins/{}", encoded(name)),
        None => "/_plugins".to_owned(),
    };
    let asked = RegistryRequest {
        addr: &args.addr,
        roots: ask::roots(args.ca_file.as_deref())?,
        token: token(args)?,
        method,
        path,
        body: body.unwrap_or_default(),
    };
    let (status, text) = smol::block_on(asked.send())?;
    if !status.is_success() {
        return Err(refused(args, status, &text));
    }
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    match &args.command {
        _ if args.json => {
            if !answer.is_null() {
                let _ = print_json(&answer);
            }
        }
        PluginsCommand::List => list(&answer),
        PluginsCommand::Remove { name } => print_line(format_args!("`{name}` is taken out")),
        _ => show(&answer),
    }
    Ok(())
}

fn fault(line: String) -> Failure {
    Failure::new(FAULTS, [line])
}

/// Refuses roots of trust for a server without a certificate: a user who gives some believes that they are used.
fn check_ca_file(args: &PluginsArgs) -> Result<(), Failure> {
    let is_tls = matches!(&args.addr, RegistryAddr::Url(url) if url.starts_with("https:"));
    match &args.ca_file {
        Some(_) if !is_tls => {
            let addr = &args.addr;
            let line = format!(
                "--ca-file is for TLS, but {addr} is asked over plain HTTP: give --addr as an https:// URL, or leave \
                 --ca-file out"
            );
            Err(Failure::new(USAGE, [line]))
        }
        _ => Ok(()),
    }
}

/// The definition that the command line describes, or the unchanged text of the file that it names, so that the
/// server's lines and columns are those of the file.
fn definition_text(args: &DefinitionArgs, is_new: bool) -> Result<String, Failure> {
    if let Some(file) = &args.definition {
        let text = match file == Path::new("-") {
            true => read_input(TEXT).and_then(as_text),
            false => read_given_text(file, TEXT),
        };
        return text.map_err(|error| fault(unread("", shown(file), &error)));
    }
    let mut definition = Map::new();
    definition.insert("name".into(), json!(args.name));
    let kind = match &args.kind {
        None if is_new => Some("native".to_owned()),
        kind => kind.clone(),
    };
    let texts = [
        ("type", &kind),
        ("path", &args.path),
        ("prefix", &args.prefix),
        ("sha256", &args.sha256),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            definition.insert(key.into(), json!(value));
        }
    }
    if let Some(config) = &args.config {
        definition.insert("config".into(), config.clone());
    }
    for (key, list) in [("allow", &args.allow), ("callees", &args.callees)] {
        if !list.is_empty() {
            definition.insert(key.into(), json!(list));
        }
    }
    Ok(Value::from(definition).to_string())
}

/// The name of a definition's file in messages.
fn shown(file: &Path) -> &Path {
    match file == Path::new("-") {
        true => Path::new("standard input"),
        false => file,
    }
}

/// The name of the vlugin that a definition replaces.
fn name_in(args: &DefinitionArgs, text: &str) -> Result<String, Failure> {
    let shown = || shown(args.definition.as_deref().unwrap_or(Path::new("-"))).display();
    let definition = definition::json(text).map_err(|mut faults| {
        faults.file = Some(shown().to_string().into());
        fault(faults.on_one_line())
    })?;
    match definition["name"].as_str() {
        Some(name) => match definition::broken_name(name) {
            Some(line) => Err(fault(format!("{}: name: {line}", shown()))),
            None => Ok(name.to_owned()),
        },
        None => Err(fault(format!(
            "{} has no `name`, which says what to replace: write a definition such as {{ \"type\": \"native\", \
             \"name\": \"hello\" }}",
            shown()
        ))),
    }
}

fn token(args: &PluginsArgs) -> Result<Option<String>, Failure> {
    let Some(file) = &args.token_file else {
        let variable = std::env::var("VALOR_TOKEN").ok();
        let Some(text) = variable.filter(|it| !it.is_empty()) else {
            return Ok(None);
        };
        return word("$VALOR_TOKEN", &text).map(Some);
    };
    let text = read_given_text(file, SECRET).map_err(|error| fault(no_token(file, &error)))?;
    if let Some(line) = strange_readers(file, "the registry's token", Readers::Owner) {
        print_warning(&line);
    }
    word(&file.display().to_string(), &text).map(Some)
}

/// The token in a text, if a server would accept it.
fn word(of: &str, text: &str) -> Result<String, Failure> {
    match Token::new(text) {
        Some(_) => Ok(text.trim().to_owned()),
        None => Err(fault(format!("{of}: {NO_TOKEN}"))),
    }
}

/// A name, encoded for a path. No valid name needs that. So the server refuses an invalid one, and does not take it for
/// something else.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// A server's answer to plain HTTP on its TLS port.
const HTTPS_ALONE: &str = "this port speaks HTTPS";

/// The server's refusal in one line.
fn refused(args: &PluginsArgs, status: StatusCode, text: &str) -> Failure {
    let problem: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let reason = problem["detail"].as_str().unwrap_or(text).trim();
    let is_registry = !reason.contains("no vlugin is mounted");
    let remedy = match status.as_u16() {
        400 if reason.contains(HTTPS_ALONE) => {
            "; give --addr as an https:// URL, with --ca-file if its authority is your own"
        }
        401 => "; give the token with --token-file, or in $VALOR_TOKEN",
        404 if !is_registry => "; start the server with -w (--with-registry)",
        404 => "; `valor_cli plugins list` shows what there is",
        409 if matches!(args.command, PluginsCommand::Add(_)) => {
            "; `valor_cli plugins replace` replaces it"
        }
        _ => "",
    };
    let reason = placed(&args.command, &as_option(&args.command, reason));
    fault(format!("{} {reason}{remedy}", status.as_u16()))
}

/// A reason that names the `type` to write, for a user who wrote no definition: the option that does it.
fn as_option(command: &PluginsCommand, reason: &str) -> String {
    let (PluginsCommand::Add(args) | PluginsCommand::Replace(args)) = command else {
        return reason.to_owned();
    };
    let found = reason.split_once("write `\"type\": \"");
    let found = found.and_then(|(before, rest)| Some((before, rest.split_once("\"`")?)));
    match found {
        Some((before, (kind, rest))) if args.definition.is_none() => {
            format!("{before}give `--type {kind}`{rest}")
        }
        _ => reason.to_owned(),
    }
}

/// A reason whose faults begin with a line and a column: those of a file, or of a text that the user has not seen.
fn placed(command: &PluginsCommand, reason: &str) -> String {
    let (PluginsCommand::Add(args) | PluginsCommand::Replace(args)) = command else {
        return reason.to_owned();
    };
    let faults = reason.split("; ").map(|fault| {
        let mut parts = fault.splitn(3, ':');
        let mut is_number = || parts.next().is_some_and(|it| it.parse::<u32>().is_ok());
        match (is_number() && is_number(), &args.definition) {
            (true, Some(file)) => format!("{}:{fault}", shown(file).display()),
            (true, None) => parts.next().unwrap_or_default().trim().to_owned(),
            (false, _) => fault.to_owned(),
        }
    });
    faults.collect::<Vec<_>>().join("; ")
}

fn list(answer: &Value) {
    let vlugins = answer["plugins"].as_array().cloned().unwrap_or_default();
    let rows: Vec<_> = vlugins.iter().map(row).collect();
    print(&match std::io::stdout().is_terminal() {
        true => table(&HEADS, &rows),
        false => lines(&rows),
    });
}

fn row(vlugin: &Value) -> Row {
    let cell = |key: &str| vlugin[key].as_str().unwrap_or("-").to_owned();
    Row {
        cells: ["name", "type", "prefix", "file"].map(cell).to_vec(),
        state: match vlugin["reason"].as_str() {
            Some(reason) => RowState::Missing(reason.to_owned()),
            None => RowState::Good(cell("state")),
        },
    }
}

fn show(vlugin: &Value) {
    let Some(vlugin) = vlugin.as_object() else {
        return;
    };
    let line = |key: &str, value: &str| print_line(format_args!("{:<11}{value}", escaped(key)));
    for (key, value) in vlugin {
        match value {
            Value::Null => {}
            Value::String(text) => line(key, text),
            Value::Object(keys) => {
                let each: Vec<_> = keys.iter().map(|(key, it)| format!("{key} {it}")).collect();
                line(key, &each.join(", "));
            }
            Value::Array(items) => {
                let each: Vec<_> = items
                    .iter()
                    .map(|it| it.as_str().unwrap_or_default())
                    .collect();
                line(
                    key,
                    &match each.is_empty() {
                        true => "none".to_owned(),
                        false => each.join(", "),
                    },
                );
            }
            other => line(key, &other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlugin_that_is_not_there_is_told_of_once_in_either_form() {
        let vlugin = json!({
            "name": "a", "type": "wasm", "prefix": "/a", "file": null,
            "state": "unavailable", "reason": "no luck",
        });
        let rows = [row(&vlugin)];
        assert_eq!(lines(&rows), "a\twasm\t/a\t-\tunavailable: no luck\n");
        let table = table(&HEADS, &rows);
        let table = anstream::adapter::strip_str(&table).to_string();
        assert!(
            table.ends_with("/a      -     unavailable: no luck\n"),
            "{table}"
        );
    }
}
