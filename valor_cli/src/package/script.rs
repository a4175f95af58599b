//! `valor_cli package SCRIPT.js`: turns a script and its imports into the one module of a package.
//!
//! `package` writes and signs it. If `--source` names a folder, its package.json describes the script.

use super::declared;
use crate::{
    args::PackageArgs,
    bundle::Bundler,
    exit::{FAULTS, Failure},
    faults::unread,
};
use serde::Deserialize;
use std::path::Path;
use valor_runtime::{file, loader::code, package::Manifest};

/// The keys of a package.json that go into a package.
#[derive(Default, Deserialize)]
struct Source {
    name: Option<String>,
    version: Option<String>,
    license: Option<String>,
}

/// The manifest, without libraries, and the module.
///
/// # Errors
/// Everything that prevents packaging it.
pub fn read(args: &PackageArgs) -> Result<(Manifest, Vec<u8>), Failure> {
    let [script] = &*args.libraries else {
        return Err(failed(
            "a package holds one script and nothing else: its imports are included automatically",
        ));
    };
    let text =
        file::read(script, file::TEXT).map_err(|error| failed(unread("", script, &error)))?;
    if let Some(refusal) = code::refusal(script, &text) {
        return Err(failed(refusal));
    }
    let source = args.source.as_deref().map(source).transpose()?;
    let source = source.unwrap_or_default();
    let bundler = Bundler {
        base: script.parent().unwrap_or(Path::new("")),
        esbuild: args.esbuild.as_deref(),
        beside: script,
        external: Some("node:*"),
        for_page: false,
    };
    let module = bundler
        .module(script, text, None, &[])
        .map_err(|error| failed(error.line))?
        .bytes;
    let stem = script.file_stem().unwrap_or_default().to_string_lossy();
    // A package of npm's may have a scope, which is not part of a vlugin's name.
    let name = source
        .name
        .as_deref()
        .map(|name| name.rsplit('/').next().unwrap_or(name));
    let mut manifest = Manifest::script(
        name.unwrap_or(&stem),
        source.version.as_deref().unwrap_or("0.0.0"),
    );
    manifest.license = match (&args.license, &source.license, &args.source) {
        (Some(text), ..) => Some(declared::license("--license", text)?),
        (None, Some(text), Some(folder)) => {
            let of = format!("`license` in the package.json of {}", folder.display());
            Some(declared::license(&of, text)?)
        }
        _ => None,
    };
    Ok((manifest, module))
}

fn source(folder: &Path) -> Result<Source, Failure> {
    let shown = folder.display();
    let text = file::read(folder.join("package.json"), file::TEXT).map_err(|error| {
        failed(format!(
            "{shown} has no package.json that can be read ({error}): give the script's folder in --source"
        ))
    })?;
    serde_json::from_slice(&text).map_err(|error| {
        failed(format!(
            "the package.json of {shown} cannot be read: {error}"
        ))
    })
}

fn failed(error: impl ToString) -> Failure {
    Failure::new(FAULTS, [error.to_string()])
}
