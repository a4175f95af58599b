//! A script and what it imports as one JavaScript module: `web` puts that into a page, `package` into a package.
//!
//! What is one module already is taken as it is. TypeScript, and what imports other files, is bundled by esbuild,
//! which is found as Deno is. What comes out runs in a service worker and in Deno alike.

use crate::programs::{Stop, Unfinished};
use serde::{Deserialize, de::IgnoredAny};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use valor_runtime::{loader::ScriptError, ownership::Untrusted, private_dir::PrivateDir, project};

/// The ends of the names of files that can be scripts, as the server has them.
pub const EXTENSIONS: [&str; 4] = ["js", "mjs", "ts", "mts"];

/// Where esbuild is looked for.
#[derive(Clone, Copy)]
pub struct Bundler<'a> {
    /// A folder of the project, beside the script's own.
    pub base: &'a Path,
    /// The esbuild that was named.
    pub esbuild: Option<&'a Path>,
    /// What is left to be imported, for esbuild's `--external`.
    pub external: Option<&'a str>,
}

/// A script and what it imports, as one module.
pub struct Module {
    pub bytes: Vec<u8>,
    /// The other files that are in it.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub imports: Vec<PathBuf>,
}

/// Why there is no module.
pub struct Unbundled {
    pub line: String,
    /// The file that is imported and is not there, if that is why.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub unresolved: Option<PathBuf>,
    /// Whether something is not installed here, and the script may be right.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub is_missing: bool,
}

impl Bundler<'_> {
    /// The module of this script, whose text was read already.
    ///
    /// # Errors
    /// That it cannot be bundled; for want of esbuild or of a package, that it is missing.
    pub fn module(&self, file: &Path, source: Vec<u8>) -> Result<Module, Unbundled> {
        let is_typed = file
            .extension()
            .is_some_and(|end| end == "ts" || end == "mts");
        match is_typed || imports(&String::from_utf8_lossy(&source)) {
            true => self.bundle(file, is_typed),
            false => Ok(Module {
                bytes: source,
                imports: Vec::new(),
            }),
        }
    }

    /// The script and all that it imports, as one module.
    fn bundle(&self, file: &Path, is_typed: bool) -> Result<Module, Unbundled> {
        let shown = file.display();
        let why = match is_typed {
            true => "is TypeScript",
            false => "imports other files",
        };
        let unbundled = |line, is_missing| Unbundled {
            line,
            unresolved: None,
            is_missing,
        };
        let fault = |line| unbundled(line, false);
        let missing = |line| unbundled(line, true);
        let without = |reason: &str| {
            missing(format!(
                "{shown} {why}, which esbuild makes one JavaScript file of, and {reason}: \
                 `npm install esbuild` beside plugins.json, or name it with --esbuild or VALOR_ESBUILD"
            ))
        };
        let program = self.esbuild(file);
        let program = program.map_err(|error| {
            missing(format!(
                "esbuild is not run: {error}, or name it with --esbuild or VALOR_ESBUILD"
            ))
        })?;
        let program = program.ok_or_else(|| without("it is not found"))?;
        // Run in the file's folder: what it says of paths is then the same everywhere.
        let file = fs::canonicalize(file).map_err(|error| fault(format!("{shown}: {error}")))?;
        let (folder, name) = (file.parent(), file.file_name().unwrap_or_default());
        let folder = folder.unwrap_or(Path::new("."));
        let dir = PrivateDir::create("valor-bundle-");
        let dir = dir.map_err(|error| fault(format!("{shown} cannot be bundled: {error}")))?;
        let (module, inputs) = (dir.path().join("module.js"), dir.path().join("inputs"));
        let option = |name: &str, file: &Path| {
            let mut option = OsString::from(name);
            option.push(file);
            option
        };
        let mut command = Command::new(&program);
        command
            .current_dir(folder)
            .arg(option("--outfile=", &module))
            .arg(option("--metafile=", &inputs))
            .arg(Path::new(".").join(name))
            .args(["--bundle", "--format=esm", "--platform=browser"])
            .args(["--conditions=worker", "--charset=utf8"])
            // A service worker has none at the top of a module; `create` is there for that.
            .args(["--supported:top-level-await=false"])
            .args(["--log-level=error", "--color=false"])
            .args(self.external.map(|what| format!("--external:{what}")));
        let output = Stop::default().output(&mut command).map_err(|error| {
            let line = format!("{} {error}", program.display());
            match error {
                Unfinished::System(_) => without(&line),
                Unfinished::Fifo(_) => fault(format!("{shown} cannot be bundled: {line}")),
            }
        })?;
        if output.status.success() {
            let made = read(&file, &module, &inputs);
            return made.map_err(|why| fault(format!("{shown} cannot be bundled: {why}")));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.trim().is_empty() {
            return Err(fault(format!(
                "{shown} cannot be bundled: {} ends with {} and says nothing; see that it is esbuild",
                program.display(),
                output.status
            )));
        }
        let (place, message) = first(&said);
        if let Some(error) = not_installed(&file, place, message, &said) {
            return Err(missing(error.to_string()));
        }
        let unresolved = unresolved(folder, place, message);
        let place = place.map_or(String::new(), |place| format!("{place} "));
        Err(Unbundled {
            unresolved,
            ..fault(format!("{shown} cannot be bundled: {place}{message}"))
        })
    }

    /// The esbuild that was named, or else of the project of plugins.json, of the script's, or of the `PATH`.
    fn esbuild(&self, script: &Path) -> Result<Option<PathBuf>, Untrusted> {
        let variable = env::var_os("VALOR_ESBUILD").filter(|it| !it.is_empty());
        let named = self.esbuild.map(Path::to_owned);
        if let Some(named) = named.or_else(|| variable.map(PathBuf::from)) {
            return Ok(std::path::absolute(named).ok());
        }
        let names: &[&str] = match cfg!(windows) {
            true => &["esbuild.cmd", "esbuild.exe"],
            false => &["esbuild"],
        };
        let in_modules: &[&str] = match cfg!(windows) {
            true => &[".bin/esbuild.cmd", ".bin/esbuild.exe"],
            false => &[".bin/esbuild"],
        };
        for folder in [self.base, script.parent().unwrap_or(self.base)] {
            if let Some(found) = project::program(folder, in_modules)? {
                return Ok(Some(found));
            }
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let mut path =
            env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
        Ok(path.find(|file| file.is_file()))
    }
}

/// What esbuild has written of this file.
fn read(file: &Path, module: &Path, inputs: &Path) -> Result<Module, String> {
    #[derive(Deserialize)]
    struct Meta {
        inputs: BTreeMap<String, IgnoredAny>,
    }
    let meta = fs::read(inputs).map_err(|error| error.to_string())?;
    let meta: Meta = serde_json::from_slice(&meta).map_err(|error| error.to_string())?;
    let mut imports = Vec::new();
    for input in meta.inputs.keys() {
        let files = files(file, input);
        if files.is_empty() && !is_made(input) {
            return Err(format!(
                "esbuild has read {input}, which is no file now: try again"
            ));
        }
        imports.extend(files);
    }
    imports.retain(|it| it != file);
    Ok(Module {
        bytes: fs::read(module).map_err(|error| error.to_string())?,
        imports,
    })
}

/// The files that an input can be, which esbuild names by a path from where it ran, with the query and the fragment
/// that it is imported with. Names of files can have a `?` or a `#` in them as well.
fn files(file: &Path, input: &str) -> Vec<PathBuf> {
    let ends = input.match_indices(['?', '#']).map(|(at, _)| at);
    let paths = ends.chain([input.len()]).map(|end| &input[..end]);
    let real = paths.filter_map(|it| fs::canonicalize(file.with_file_name(it)).ok());
    real.filter(|it| it.is_file()).collect()
}

/// Whether esbuild has made this itself: the module of a `data:` URL, and an empty one in the place of another.
fn is_made(input: &str) -> bool {
    (input.starts_with('<') && input.ends_with('>')) || input.starts_with("(disabled):")
}

/// The file that an import of another file leads to, of which esbuild says that it is not there.
fn unresolved(folder: &Path, place: Option<&str>, message: &str) -> Option<PathBuf> {
    let specifier = specifier(message)?;
    let is_relative = specifier.starts_with("./") || specifier.starts_with("../");
    let importer = folder.join(importer(place?)?);
    is_relative.then(|| importer.parent().map(|it| it.join(specifier)))?
}

/// What is imported in vain.
fn specifier(message: &str) -> Option<&str> {
    let specifier = message.strip_prefix("Could not resolve \"")?;
    specifier.strip_suffix('"')
}

/// The file of `PATH:LINE:COLUMN:`, relative to the script's folder.
fn importer(place: &str) -> Option<&str> {
    place.rsplitn(4, ':').nth(3)
}

/// What esbuild says first: the place, which stands on a line of its own and ends in a colon, and a message.
fn first(said: &str) -> (Option<&str>, &str) {
    let mut lines = said.lines().map(str::trim);
    let message = lines.find_map(|line| line.split_once("[ERROR] "));
    let message = message.map_or(said.trim(), |(_, message)| message);
    let place = lines.find(|line| !line.is_empty());
    (place.filter(|place| place.ends_with(':')), message)
}

/// The package that is not there, if that is what esbuild says first.
fn not_installed(
    file: &Path,
    place: Option<&str>,
    message: &str,
    said: &str,
) -> Option<ScriptError> {
    let specifier = specifier(message)?;
    let importer = importer(place?)?;
    let is_nodes_own = said.contains(&format!(
        "The package \"{specifier}\" wasn't found on the file system but is built into node"
    ));
    match is_nodes_own {
        true => None,
        false => ScriptError::not_installed(&file.with_file_name(importer), specifier),
    }
}

/// Whether a text may import other files, or re-export what is in them. It errs on the side of yes: what is
/// bundled in vain is the same module.
fn imports(text: &str) -> bool {
    text.lines().any(|line| {
        let start = line.trim_start();
        let comment = start.starts_with("//") || (start.starts_with('*') && !line.contains("*/"));
        !comment && (words(line, "import").any(begins_import) || words(line, "from").any(is_quoted))
    })
}

/// What follows a word, wherever it stands by itself.
fn words<'a>(line: &'a str, word: &'static str) -> impl Iterator<Item = &'a str> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '#');
    line.match_indices(word).filter_map(move |(at, _)| {
        let rest = &line[at + word.len()..];
        let alone = !line[..at].ends_with(in_name)
            && !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '$'));
        alone.then(|| rest.trim_start())
    })
}

/// `import "x"`, `import x from`, `import { x }`, `import * as x` and `import("x")`, not `import.meta`.
fn begins_import(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(|c: char| c.is_alphabetic() || "\"'`{*($_/".contains(c))
}

fn is_quoted(rest: &str) -> bool {
    rest.starts_with(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::{first, imports};

    #[test]
    fn what_may_import() {
        for (text, may) in [
            ("import \"./a.js\"", true),
            ("import{a}from'./a.js'", true),
            ("  import * as a from './a.js'", true),
            ("let a; import b from './b.js'", true),
            ("const a = await import(\"./a.js\")", true),
            ("import\n  a from './a.js'", true),
            ("export { a } from \"./a.js\"", true),
            ("export * from './a.js'", true),
            ("/* a */ import './a.js'", true),
            (" */ import './a.js'", true),
            ("// import './a.js'", false),
            (" * import './a.js'", false),
            ("export default { fetch() {} }", false),
            ("new URL('a', import.meta.url)", false),
            ("Array.from('abc')", false),
            ("const important = 1, imports = from(1)", false),
        ] {
            assert_eq!(imports(text), may, "{text}");
        }
    }

    #[test]
    fn what_esbuild_says() {
        let said =
            "✘ [ERROR] Could not resolve \"none\"\n\n    a.ts:1:7:\n      1 │ import \"none\"\n";
        assert_eq!(
            first(said),
            (Some("a.ts:1:7:"), "Could not resolve \"none\"")
        );
        assert_eq!(first("it broke\n"), (None, "it broke"));
    }
}
