//! `valor_cli new`: writes a vlugin, with its plugins.json and a README, into a new folder, and names the commands
//! that serve it. `kind` says what each kind is made of, `template` has the texts, `name` the rules for a name,
//! `valor_abi` what a crate depends on, and `ask` the questions on a terminal. Nothing that exists is overwritten.

mod ask;
mod kind;
mod name;
mod template;
mod valor_abi;

use crate::{
    args::{Form, NewArgs, TemplateKind, word},
    exit::Failure,
    output::{print_line, print_warning},
    whole_file::{unmade, write},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use valor_runtime::file;

/// Writes the vlugin.
///
/// # Errors
/// If an answer is missing or wrong, or if the folder exists or cannot be written.
pub fn new(args: &NewArgs) -> Result<(), Failure> {
    let asks = ask::is_possible();
    let folder = match &args.name {
        Some(name) => name.clone(),
        None if asks => ask::name(|folder| accept(folder, args.kind).map(drop))?,
        None => return Err(Failure::usage("a name is missing: valor_cli new NAME")),
    };
    // Before anything is asked that would be for nothing.
    if asks {
        accept(&folder, args.kind)?;
    }
    let kind = match args.kind {
        Some(kind) => kind,
        None if asks => ask::choice("Which kind?", TemplateKind::Native)?,
        None => TemplateKind::Native,
    };
    if let Some(option) = wrong_option(args, kind) {
        return Err(Failure::usage(format!(
            "{option} is for the kinds `native` and `wasm`; leave it out for `{}`",
            word(kind)
        )));
    }
    if asks {
        accept(&folder, Some(kind))?;
    }
    let form = match args.form {
        Some(form) => form,
        None if asks && kind.has_forms() => ask::choice("Which form?", Form::Function)?,
        None => Form::Function,
    };
    let name = name::of_folder(&folder, kind).map_err(Failure::usage)?;
    let valor = match kind.has_forms() {
        true => valor_abi::asked(args.valor.as_deref()).map_err(Failure::usage)?,
        false => String::new(),
    };
    refuse_to_overwrite(&folder)?;

    let answers = liquid::object!({
        "project-name": name,
        "crate_name": name.replace('-', "_"),
        "description": args.description,
        "kind": word(kind),
        "form": word(form),
        "client": args.client,
        "lean": args.lean,
        "valor": valor,
    });
    let files = template::render(kind.template(), &answers).map_err(Failure::fault)?;
    for (file, text) in &files {
        let file = folder.join(file);
        let parent = file.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).map_err(|error| unmade(parent, &error))?;
        write(&file, text.as_bytes())?;
    }
    if kind.is_crate()
        && let Some(manifest) = workspace_above(&folder)
    {
        print_warning(&format!(
            "{} is a workspace, and cargo builds the new crate only if `members` or `exclude` there names it",
            manifest.display()
        ));
    }
    show(&folder, &name, kind);
    Ok(())
}

/// The name of a vlugin that may be written to this folder, as far as its kind is known.
///
/// # Errors
/// If the name is wrong, or the folder exists.
fn accept(folder: &Path, kind: Option<TemplateKind>) -> Result<String, Failure> {
    let name = match kind {
        Some(kind) => name::of_folder(folder, kind),
        None => name::of_vlugin(folder),
    };
    let name = name.map_err(Failure::usage)?;
    refuse_to_overwrite(folder)?;
    Ok(name)
}

/// An option that this kind does not have.
fn wrong_option(args: &NewArgs, kind: TemplateKind) -> Option<&'static str> {
    let given = [
        ("--form", args.form.is_some()),
        ("--client", args.client),
        ("--lean", args.lean),
        ("--valor", args.valor.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, given)| *given);
    match kind.has_forms() {
        true => None,
        false => given.next().map(|(option, _)| option),
    }
}

/// An empty folder is as good as none.
fn refuse_to_overwrite(folder: &Path) -> Result<(), Failure> {
    let shown = folder.display();
    let line = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_symlink() => {
            return Ok(());
        }
        Ok(mut entries) => match entries.next() {
            None => return Ok(()),
            Some(_) => format!("{shown} already exists and is not empty"),
        },
        Err(_) if !folder.is_dir() => format!("{shown} already exists and is not a folder"),
        Err(error) => format!("{shown} already exists and cannot be read: {error}"),
    };
    Err(Failure::fault(format!(
        "{line}: nothing is overwritten; give another name"
    )))
}

/// The manifest of the workspace that cargo would look for the new crate in.
fn workspace_above(folder: &Path) -> Option<PathBuf> {
    let folder = std::path::absolute(folder).ok()?;
    let mut above = folder.ancestors().skip(1).map(|it| it.join("Cargo.toml"));
    above.find(|manifest| {
        let text = file::read_text(manifest, file::TEXT);
        let table = text.ok().and_then(|text| text.parse::<toml::Table>().ok());
        table.is_some_and(|table| table.contains_key("workspace"))
    })
}

/// What was written, and what to do next.
fn show(folder: &Path, name: &str, kind: TemplateKind) {
    let request = kind.request();
    let is_here = name::is_here(folder);
    let written = match is_here {
        true => name.into(),
        false => folder.display().to_string(),
    };
    print_line(format_args!(
        "wrote {written}, a vlugin of the kind {}; to serve it, and to see each change:",
        word(kind)
    ));
    if !is_here {
        print_line(format_args!("    cd {}", quoted(folder)));
    }
    print_line("    valor_cli dev");
    print_line("and in another terminal:");
    print_line(format_args!(
        "    curl 'http://127.0.0.1:8080/{name}{request}'"
    ));
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/\\._-:+~".contains(c);
    match path.chars().all(is_plain) && !path.starts_with('~') {
        true if path.starts_with('-') => format!("./{path}"),
        true => path,
        false if cfg!(windows) => format!("\"{path}\""),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests;
