//! Writes the table of the templates that `valor_cli new` has in it: one row for each folder of `templates/`, with the
//! text of every file. `src/new/template.rs` includes it.
//!
//! `templates/crate` is a link to `plugin-template/`, which cargo-generate uses too, so that there is one source, and a
//! packaged `valor_cli` carries its files. In a checkout without symbolic links, as git makes it on Windows, a small
//! file stands in its place; then the files are read from `plugin-template/` itself.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Writes the table.
///
/// # Errors
/// If a template cannot be read, or the table cannot be written.
pub fn write(root: &Path) -> io::Result<()> {
    let templates = root.join("templates");
    let shared = root.join("../plugin-template");
    println!("cargo::rerun-if-changed={}", templates.display());
    if shared.exists() {
        println!("cargo::rerun-if-changed={}", shared.display());
    }

    let mut table = String::from("&[\n");
    for name in sorted(&templates)? {
        let folder = templates.join(&name);
        let folder = match folder.is_dir() {
            true => folder,
            false => shared.clone(),
        };
        let mut files = Vec::new();
        gather(&folder, "", &mut files)?;
        table.push_str(&format!("    ({name:?}, &[\n"));
        for (file, path) in files {
            let path = path.display().to_string();
            table.push_str(&format!("        ({file:?}, include_str!({path:?})),\n"));
        }
        table.push_str("    ]),\n");
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("templates.rs"), table)
}

/// The files in a folder, however deep: each with its name from there, with forward slashes, and its path.
fn gather(folder: &Path, within: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for name in sorted(folder)? {
        let path = folder.join(&name);
        match path.is_dir() {
            true => gather(&path, &format!("{within}{name}/"), files)?,
            false => files.push((format!("{within}{name}"), path)),
        }
    }
    Ok(())
}

/// The names in a folder, in an order that no file system decides.
fn sorted(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
