//! [`Input`]: the files that esbuild has put into a bundle, and how each imports the others, from esbuild's metafile.
//!
//! `bundle` reads it. File names are as esbuild writes them: paths from the folder where it ran, which is the script's.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// A file in a bundle.
pub struct Input {
    /// Its path, with links resolved.
    pub file: PathBuf,
    pub imports: Vec<Import>,
    /// Whether esbuild takes it for CommonJS, by what is in it.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub is_commonjs: bool,
}

/// An import, as the file writes it.
pub struct Import {
    pub specifier: String,
    /// Whether it is a call of `require`.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub is_required: bool,
    /// Whether it is an `import()`, which is rejected as the script runs if there is nothing.
    pub is_dynamic: bool,
    /// The type in `with { type: … }`.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub with_type: Option<String>,
    /// The file that esbuild resolves it to; `None` if esbuild keeps the import as it is, or makes the module itself.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub file: Option<PathBuf>,
    /// Whether esbuild keeps the import, or drops it as a type.
    pub is_external: bool,
}

#[derive(Deserialize)]
struct Meta {
    inputs: BTreeMap<String, Written>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    imports: Vec<WrittenImport>,
    format: Option<String>,
}

#[derive(Deserialize)]
struct WrittenImport {
    path: String,
    kind: String,
    #[serde(default)]
    external: bool,
    original: Option<String>,
    with: Option<BTreeMap<String, String>>,
}

/// The files of this script's bundle according to the metafile, the script itself included.
pub fn read(script: &Path, metafile: &Path) -> Result<Vec<Input>, String> {
    let meta = fs::read(metafile).map_err(|error| error.to_string())?;
    let meta: Meta = serde_json::from_slice(&meta).map_err(|error| error.to_string())?;
    let mut inputs = Vec::new();
    for (name, written) in meta.inputs {
        let files = files(script, &name);
        if files.is_empty() && !is_made(&name) {
            return Err(format!(
                "esbuild has read {name}, which is no longer a file: try again"
            ));
        }
        let imports = |it: &WrittenImport| Import {
            specifier: it.original.as_ref().unwrap_or(&it.path).clone(),
            is_required: it.kind.starts_with("require"),
            is_dynamic: it.kind == "dynamic-import",
            with_type: it.with.as_ref().and_then(|it| it.get("type").cloned()),
            file: (!it.external)
                .then(|| self::files(script, &it.path).pop())
                .flatten(),
            is_external: it.external,
        };
        inputs.extend(files.into_iter().map(|file| Input {
            file,
            imports: written.imports.iter().map(imports).collect(),
            is_commonjs: written.format.as_deref() == Some("cjs"),
        }));
    }
    Ok(inputs)
}

/// The files that a name can mean: esbuild writes it with the query and the fragment of the import, but file names can
/// contain a `?` or a `#` as well.
fn files(script: &Path, name: &str) -> Vec<PathBuf> {
    let ends = name.match_indices(['?', '#']).map(|(at, _)| at);
    let paths = ends.chain([name.len()]).map(|end| &name[..end]);
    let real = paths.filter_map(|it| fs::canonicalize(script.with_file_name(it)).ok());
    real.filter(|it| it.is_file()).collect()
}

/// Whether esbuild made this module itself: for a `data:` URL, or as an empty replacement for another.
fn is_made(name: &str) -> bool {
    (name.starts_with('<') && name.ends_with('>')) || name.starts_with("(disabled):")
}
