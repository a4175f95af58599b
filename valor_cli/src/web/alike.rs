//! [`unlike`] and [`not_alone`]: whether a server would resolve the imports of a bundle to the same files, according to
//! esbuild's output.
//!
//! `scripts` calls them. esbuild finds files that a server does not: it completes names, follows `browser` in a
//! package.json, and accepts data without a type. A file must be the same vlugin in both places, so differences are
//! refused. If there is a Deno, it has already checked the script; this makes sure that esbuild uses the same files.

use crate::bundle::{Import, Input};
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};
use valor_runtime::loader::{
    Imports,
    specifier::{self, is_path, maybe, misnamed},
};

/// Why a server would not load these files, or would load others than esbuild. What installed packages do is up to
/// them.
pub fn unlike(inputs: &[Input], may: &Imports) -> Option<String> {
    let is_own = |it: &&Input| it.file.iter().all(|part| part != "node_modules");
    inputs.iter().filter(is_own).find_map(|input| {
        let mut imports = input.imports.iter();
        imports.find_map(|import| {
            let why = differs(&input.file, import, may)?;
            Some(format!(
                "{why}{}",
                place(&input.file, &import.specifier, may)
            ))
        })
    })
}

/// Why a server would not load a checked script: it imports something.
pub fn not_alone(inputs: &[Input], may: &Imports) -> Option<String> {
    let own = inputs.iter().find(|it| it.file == may.file())?;
    let mut imports = own.imports.iter().map(|it| &it.specifier);
    let other = imports.find(|it| !it.starts_with("data:"))?;
    let name = own.file.file_name().unwrap_or_default().display();
    Some(format!(
        "`{other}` is not loaded: a script that is checked (`sha256`, a signature) or from a package is {name} \
         alone; put everything into one package"
    ))
}

fn differs(importer: &Path, import: &Import, may: &Imports) -> Option<String> {
    let specifier = import.specifier.as_str();
    if import.is_required && !is_commonjs(importer) {
        return Some(format!(
            "it calls `require(\"{specifier}\")`, and a server has no `require` in an ES module: import it"
        ));
    }
    if specifier.starts_with('#') && !may.packages() {
        return Some(format!(
            "it imports `{specifier}`, and a server reads the names of `imports` in a package.json only if that names \
             a package as well: import the file by its path"
        ));
    }
    if specifier.starts_with("data:") {
        return None;
    }
    if let Some(misnamed) = misnamed(specifier) {
        return Some(misnamed);
    }
    if !is_path(specifier) {
        let is_elsewhere = import.is_external && specifier.contains(':');
        return is_elsewhere.then(|| {
            format!(
                "it imports `{specifier}`, and nothing is loaded from elsewhere: put the module beside the script, or \
                 import a package that is installed by its name"
            )
        });
    }
    let of_server = specifier::file(importer, specifier)?;
    // A server may take a name for types, which esbuild has dropped, for one of code.
    let taken = match &import.file {
        Some(file) => file.clone(),
        None if import.is_external => of_server.clone(),
        None => return None,
    };
    let real = fs::canonicalize(&of_server).ok().filter(|it| it.is_file());
    match real {
        None => {
            let maybe = maybe(&of_server);
            Some(format!(
                "it imports `{specifier}`, which a server does not find.{maybe}"
            ))
        }
        Some(real) if real == taken || import.file.is_none() => {
            may.refusal(&of_server).or_else(|| untyped(import, &real))
        }
        Some(real) => Some(format!(
            "it imports `{specifier}`, which is {} to a server and {} to esbuild: import the file that is meant by its \
             own name",
            real.display(),
            taken.display()
        )),
    }
}

/// Data is imported as if it were code.
fn untyped(import: &Import, file: &Path) -> Option<String> {
    let specifier = &import.specifier;
    let with_type = import.with_type.as_deref();
    let needed = match file.extension().and_then(OsStr::to_str) {
        _ if import.is_required => return None,
        Some("json") => "json",
        Some("js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" | "wasm") => {
            return match with_type {
                None | Some("text") => None,
                Some(other) => Some(not_there(specifier, other)),
            };
        }
        _ => "text",
    };
    match with_type {
        Some("text") => None,
        Some("json") if needed == "json" => None,
        Some(other) => Some(not_there(specifier, other)),
        None => Some(format!(
            "it imports `{specifier}`, which is not code: add `with {{ type: \"{needed}\" }}`"
        )),
    }
}

fn not_there(specifier: &str, with_type: &str) -> String {
    format!(
        "it imports `{specifier}` with the type \"{with_type}\", which a server does not load: import it as \"text\", \
         or JSON as \"json\""
    )
}

/// Whether a server takes a file for CommonJS.
fn is_commonjs(file: &Path) -> bool {
    match file.extension().and_then(OsStr::to_str) {
        Some("cjs" | "cts") => return true,
        Some("js" | "jsx" | "ts" | "tsx") => {}
        _ => return false,
    }
    let mut manifests = file.ancestors().map(|it| it.join("package.json"));
    let manifest = manifests.find_map(|it| fs::read(it).ok());
    let manifest = manifest.and_then(|it| serde_json::from_slice::<Value>(&it).ok());
    manifest.is_some_and(|it| it["type"] == "commonjs")
}

/// Where the import is, from the script's folder.
fn place(importer: &Path, specifier: &str, may: &Imports) -> String {
    let folder = may.file().parent().unwrap_or(Path::new("/"));
    let shown: PathBuf = importer.strip_prefix(folder).unwrap_or(importer).into();
    let text = fs::read_to_string(importer).unwrap_or_default();
    let quoted = ['"', '\''].map(|quote| format!("{quote}{specifier}{quote}"));
    let at = quoted.iter().filter_map(|it| text.find(it.as_str())).min();
    let Some(at) = at else {
        return format!(" at {}", shown.display());
    };
    let (line, column) = (
        text[..at].matches('\n').count() + 1,
        text[..at].rsplit('\n').next().unwrap_or("").chars().count() + 1,
    );
    format!(" at {}:{line}:{column}", shown.display())
}
