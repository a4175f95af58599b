//! [`unlike`], [`not_alone`] and [`rejected`]: whether a server would resolve the imports of a bundle to the same
//! files, according to esbuild's output.
//!
//! `scripts` calls them. esbuild finds files that a server does not: it completes names, follows `browser` in a
//! package.json, and accepts data without a type. A file must be the same vlugin in both places, so differences are
//! refused, except for an `import()`, which is rejected when the script runs. If there is a Deno, it has already
//! checked the script; this makes sure that esbuild uses the same files.

use crate::bundle::{Import, Input};
use std::{
    fs,
    path::{Path, PathBuf},
};
use valor_runtime::loader::{
    Imports, Rejected, code,
    specifier::{self, is_path, maybe, misnamed},
};

/// Why a server would not load these files, or would load others than esbuild. What installed packages do is up to
/// them.
pub fn unlike(inputs: &[Input], may: &Imports) -> Option<String> {
    inputs.iter().filter(is_own).find_map(|input| {
        if let Some(refusal) = not_a_module(input, may) {
            return Some(refusal);
        }
        let mut imports = input.imports.iter().filter(|it| !it.is_dynamic);
        imports.find_map(|import| {
            let why = differs(&input.file, import, may)?;
            Some(why + &place(&input.file, &import.specifier, may))
        })
    })
}

/// Each `import()` that a server rejects, with whether esbuild has put something in its place. With `alone` each of
/// them is, since the script is checked.
pub fn rejected(inputs: &[Input], may: &Imports, alone: bool) -> Vec<(Rejected, bool)> {
    let own = inputs.iter().filter(is_own);
    let imports = own.flat_map(|input| input.imports.iter().map(move |it| (input, it)));
    let is_made = |it: &str| ["node:", "data:"].iter().any(|start| it.starts_with(start));
    let dynamic = imports.filter(|(_, it)| it.is_dynamic && !is_made(&it.specifier));
    let rejected = dynamic.filter_map(|(input, import)| {
        let specifier = &import.specifier;
        let why = match alone {
            true => Some(code::not_alone(specifier, may.file())),
            false => differs(&input.file, import, may),
        };
        let absent = || {
            let is_left = import.is_external;
            is_left.then(|| format!("it imports `{specifier}`, which is not found"))
        };
        let message = why.or_else(absent)? + &place(&input.file, specifier, may);
        let it = Rejected {
            importer: input.file.clone(),
            specifier: specifier.clone(),
            message,
        };
        Some((it, !import.is_external))
    });
    rejected.collect()
}

fn is_own(input: &&Input) -> bool {
    input.file.iter().all(|part| part != "node_modules")
}

/// That a file is CommonJS to esbuild, and none to a server.
fn not_a_module(input: &Input, may: &Imports) -> Option<String> {
    let is_refused =
        input.is_commonjs && code::is_script(&input.file) && !code::is_commonjs(&input.file);
    is_refused.then(|| {
        format!(
            "{} is CommonJS, which a server runs only if a file ends in .cjs: rename it, or write `export default`",
            shown(&input.file, may).display()
        )
    })
}

/// Why a server would not load a checked script: it imports something.
pub fn not_alone(inputs: &[Input], may: &Imports) -> Option<String> {
    let own = inputs.iter().find(|it| it.file == may.file())?;
    let named = own.imports.iter().filter(|it| !it.is_dynamic);
    let mut named = named.map(|it| &it.specifier);
    let other = named.find(|it| !it.starts_with("data:"))?;
    Some(code::not_alone(other, may.file()))
}

fn differs(importer: &Path, import: &Import, may: &Imports) -> Option<String> {
    let specifier = import.specifier.as_str();
    if import.is_required && !code::is_commonjs(importer) {
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
    if import.is_required
        && let Some(unread) = unread(importer, specifier, may)
    {
        return Some(unread);
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
            may.refusal(&of_server).or_else(|| {
                let with_type = import.with_type.as_deref();
                code::mistyped(specifier, with_type, Some(&real)).filter(|_| !import.is_required)
            })
        }
        Some(real) => Some(format!(
            "it imports `{specifier}`, which is {} to a server and {} to esbuild: import the file that is meant by its \
             own name",
            real.display(),
            taken.display()
        )),
    }
}

/// Says that a server does not read the folder of a file, which its `require` of a path does.
fn unread(importer: &Path, specifier: &str, may: &Imports) -> Option<String> {
    let folder = importer.parent()?;
    let mut granted = may.files().iter();
    let is_granted =
        granted.any(|it| fs::canonicalize(it).is_ok_and(|real| folder.starts_with(real)));
    if is_granted {
        return None;
    }
    let calls = format!("it calls `require(\"{specifier}\")`, which reads the folder of its file");
    let inside = folder.strip_prefix(may.file().parent()?);
    Some(match inside {
        Ok(inside) if inside.as_os_str().is_empty() => {
            format!("{calls}: name that folder in its definition, \"files\": [\".\"]")
        }
        Ok(inside) => {
            let inside = inside.display().to_string().replace('\\', "/");
            format!("{calls}: name that folder in its definition, \"files\": [\"{inside}\"]")
        }
        Err(_) => format!("{calls}, and that is outside of the script's: import the file instead"),
    })
}

/// Where the import is, from the script's folder.
fn place(importer: &Path, specifier: &str, may: &Imports) -> String {
    let shown = shown(importer, may);
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

/// A file as it is seen from the script's folder.
fn shown(file: &Path, may: &Imports) -> PathBuf {
    let folder = may.file().parent().unwrap_or(Path::new("/"));
    file.strip_prefix(folder).unwrap_or(file).into()
}
