//! Turns a script and its imports into one JavaScript module: `web` puts it into a page, `package` into a package.
//!
//! A script that is already one module is taken as it is. esbuild bundles TypeScript and scripts that import other
//! files; it is found in the same way as Deno. The result runs in a service worker and in Deno. If there is an esbuild,
//! it reads every script, so that syntax errors show up here. `meta` has what esbuild says about the files. `text`
//! decides whether a script imports anything, if nothing better can.

mod meta;
mod text;

#[cfg(feature = "wasm")]
pub use meta::Import;
pub use meta::Input;

use crate::programs::{Stop, Unfinished, silent};
use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use valor_runtime::{loader::ScriptError, ownership::Untrusted, private_dir::PrivateDir, project};

/// The extensions of the scripts that a bare name may mean, as for the server.
#[cfg(feature = "wasm")]
pub const EXTENSIONS: [&str; 4] = ["js", "mjs", "ts", "mts"];

/// The extensions of all files that Deno runs as scripts.
pub const SCRIPTS: [&str; 8] = ["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"];

/// Whether this is a script by its name.
pub fn is_script(file: &Path) -> bool {
    let end = file.extension().and_then(|end| end.to_str());
    end.is_some_and(|end| SCRIPTS.contains(&end))
}

/// Where to look for esbuild.
#[derive(Clone, Copy)]
pub struct Bundler<'a> {
    /// A folder of the project, besides the script's own.
    pub base: &'a Path,
    /// The esbuild that the user named.
    pub esbuild: Option<&'a Path>,
    /// The imports to keep, for esbuild's `--external`.
    pub external: Option<&'a str>,
    /// Whether the module is for a service worker, which has no top-level `await`.
    pub for_page: bool,
}

/// A script and its imports, as one module.
pub struct Module {
    pub bytes: Vec<u8>,
    /// The files in it, including the script; empty if nobody has looked.
    pub inputs: Vec<Input>,
}

/// Why there is no module.
pub struct Unbundled {
    pub line: String,
    /// The files with a fault, including missing ones.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub files: Vec<PathBuf>,
    /// Whether something is not installed here, so that the script may be right.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub is_missing: bool,
}

/// Why a script must be bundled.
#[derive(Clone, Copy)]
enum Why {
    Typed,
    Other,
    Imports,
}

impl Bundler<'_> {
    /// The module of this script, whose text has been read. `imports` says whether it imports anything, if that is
    /// known.
    ///
    /// # Errors
    /// If it cannot be bundled. If esbuild or a package is not installed, the error says that it is missing.
    pub fn module(
        &self,
        file: &Path,
        source: Vec<u8>,
        imports: Option<bool>,
    ) -> Result<Module, Unbundled> {
        let end = file.extension().unwrap_or_default().to_str();
        // A service worker imports only these as they are: not JSX, not CommonJS.
        let is_plain = end.is_some_and(|end| ["", "js", "mjs"].contains(&end));
        let is_typed = end.is_some_and(|end| ["ts", "mts", "cts"].contains(&end));
        let program = self.esbuild(file);
        let may_import = || text::may_import(&String::from_utf8_lossy(&source));
        let why = match imports {
            _ if is_typed => Some(Why::Typed),
            _ if !is_plain => Some(Why::Other),
            Some(imports) => imports.then_some(Why::Imports),
            // The bundler knows.
            None if matches!(program, Ok(Some(_))) => None,
            None => may_import().then_some(Why::Imports),
        };
        let program = program.map_err(|error| {
            format!("esbuild is not run: {error}, or name it with --esbuild or VALOR_ESBUILD")
        });
        let plain = |bytes| Module {
            bytes,
            inputs: Vec::new(),
        };
        let program = match (program, why) {
            (Ok(Some(program)), _) => program,
            (Ok(None) | Err(_), None) => return Ok(plain(source)),
            (Ok(None), Some(why)) => return Err(missing(without(file, why, "it is not found"))),
            (Err(line), Some(_)) => return Err(missing(line)),
        };
        let bundled = match self.bundle(&program, file, why.is_some() || self.for_page) {
            Err(Failed::Unbundled(unbundled)) => return Err(unbundled),
            Err(Failed::Unrun(reason)) => match why {
                None if imports.is_none() && may_import() => {
                    return Err(missing(without(file, Why::Imports, &reason)));
                }
                // Whoever names it wants it to be run.
                None if self.named().is_some() => {
                    let shown = file.display();
                    let line = format!(
                        "esbuild does not look at {shown}: {reason}; name another with --esbuild or VALOR_ESBUILD, or \
                         none"
                    );
                    return Err(fault(line));
                }
                None => return Ok(plain(source)),
                Some(why) => return Err(missing(without(file, why, &reason))),
            },
            Ok(bundled) => bundled,
        };
        let is_whole = bundled.inputs.iter().all(|it| it.imports.is_empty());
        Ok(match why {
            None if is_whole => Module {
                bytes: source,
                ..bundled
            },
            _ => bundled,
        })
    }

    /// The script and everything that it imports, as one module.
    fn bundle(&self, program: &Path, file: &Path, for_page: bool) -> Result<Module, Failed> {
        let shown = file.display();
        // It runs in the file's folder, so that its paths are the same everywhere.
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
        let mut has_pragma = false;
        loop {
            let mut command = Command::new(program);
            command
                .current_dir(folder)
                .arg(option("--outfile=", &module))
                .arg(option("--metafile=", &inputs))
                .arg(Path::new(".").join(name))
                .args(["--bundle", "--format=esm", "--platform=browser"])
                .args(["--conditions=worker", "--charset=utf8"])
                // A server reads none either.
                .arg("--tsconfig-raw={}")
                .args(["--log-level=error", "--color=false"])
                .args(self.external.map(|what| format!("--external:{what}")));
            if for_page {
                // A service worker has no top-level `await`; use `create` instead.
                command.arg("--supported:top-level-await=false");
            }
            if has_pragma {
                command.arg("--jsx=automatic");
            }
            let output = Stop::default().output(&mut command).map_err(|error| {
                let line = format!("{} {error}", program.display());
                match error {
                    Unfinished::System(_) => Failed::Unrun(line),
                    Unfinished::Fifo(_) => {
                        Failed::from(fault(format!("{shown} cannot be bundled: {line}")))
                    }
                }
            })?;
            let said = String::from_utf8_lossy(&output.stderr);
            let broken = |why| fault(format!("{shown} cannot be bundled: {why}"));
            // esbuild never does either.
            if said.trim().is_empty() && !(output.status.success() && inputs.is_file()) {
                let silent = silent(program.display(), output.status);
                return Err(broken(format!("{silent}; see that it is esbuild")).into());
            }
            if !output.status.success() {
                return Err(unbundled(&file, &shown.to_string(), &said).into());
            }
            let inputs = meta::read(&file, &inputs).map_err(broken)?;
            // Deno only looks at this; esbuild needs an option as well.
            if !has_pragma && inputs.iter().any(|it| has_jsx_pragma(&it.file)) {
                has_pragma = true;
                continue;
            }
            let bytes = fs::read(&module).map_err(|error| broken(error.to_string()))?;
            return Ok(Module { bytes, inputs });
        }
    }

    /// The esbuild that the user named.
    fn named(&self) -> Option<PathBuf> {
        let variable = env::var_os("VALOR_ESBUILD").filter(|it| !it.is_empty());
        let named = self.esbuild.map(Path::to_owned);
        named.or_else(|| variable.map(PathBuf::from))
    }

    /// The esbuild that was named, or else of the project of plugins.json, of the script's, or of the `PATH`.
    fn esbuild(&self, script: &Path) -> Result<Option<PathBuf>, Untrusted> {
        if let Some(named) = self.named() {
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

/// Why there is no bundle.
enum Failed {
    /// esbuild cannot be run.
    Unrun(String),
    Unbundled(Unbundled),
}

impl From<Unbundled> for Failed {
    fn from(unbundled: Unbundled) -> Self {
        Self::Unbundled(unbundled)
    }
}

fn fault(line: String) -> Unbundled {
    Unbundled {
        line,
        files: Vec::new(),
        is_missing: false,
    }
}

fn missing(line: String) -> Unbundled {
    Unbundled {
        is_missing: true,
        ..fault(line)
    }
}

fn without(file: &Path, why: Why, reason: &str) -> String {
    let why = match why {
        Why::Typed => "is TypeScript",
        Why::Other => "is neither .js nor .mjs",
        Why::Imports => "imports other files",
    };
    format!(
        "{} {why}, which esbuild turns into one JavaScript file, and {reason}: `npm install esbuild` beside \
         plugins.json, or name it with --esbuild or VALOR_ESBUILD",
        file.display()
    )
}

/// Whether a file says how to compile its JSX. That is the project's decision.
fn has_jsx_pragma(file: &Path) -> bool {
    let end = file.extension();
    end.is_some_and(|end| end == "jsx" || end == "tsx")
        && file.iter().all(|part| part != "node_modules")
        && fs::read_to_string(file).is_ok_and(|text| text.contains("@jsxImportSource"))
}

/// The fault, from esbuild's output.
fn unbundled(file: &Path, shown: &str, said: &str) -> Unbundled {
    let folder = file.parent().unwrap_or(Path::new("."));
    let (place, message) = first(said);
    let importer = place.and_then(importer).map(|it| folder.join(it));
    if let Some(error) = not_installed(file, place, message, said) {
        return Unbundled {
            files: importer.into_iter().chain(error.mended_by()).collect(),
            ..missing(error.to_string())
        };
    }
    let unresolved = unresolved(folder, place, message);
    let place = place.map_or(String::new(), |place| format!("{place} "));
    Unbundled {
        files: importer.into_iter().chain(unresolved).collect(),
        ..fault(format!("{shown} cannot be bundled: {place}{message}"))
    }
}

/// The file that an import of another file leads to, if esbuild says that it does not exist.
fn unresolved(folder: &Path, place: Option<&str>, message: &str) -> Option<PathBuf> {
    let specifier = specifier(message)?;
    let is_relative = specifier.starts_with("./") || specifier.starts_with("../");
    let importer = folder.join(importer(place?)?);
    is_relative.then(|| importer.parent().map(|it| it.join(specifier)))?
}

/// An import that cannot be resolved.
fn specifier(message: &str) -> Option<&str> {
    let specifier = message.strip_prefix("Could not resolve \"")?;
    specifier.strip_suffix('"')
}

/// The file of `PATH:LINE:COLUMN:`, relative to the script's folder.
fn importer(place: &str) -> Option<&str> {
    place.rsplitn(4, ':').nth(3)
}

/// esbuild's first message: the place, which is on a separate line and ends in a colon, and the text.
fn first(said: &str) -> (Option<&str>, &str) {
    let mut lines = said.lines().map(str::trim);
    let message = lines.find_map(|line| line.split_once("[ERROR] "));
    let message = message.map_or(said.trim(), |(_, message)| message);
    let place = lines.find(|line| !line.is_empty());
    (place.filter(|place| place.ends_with(':')), message)
}

/// The missing package, if esbuild's first message is about one.
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

#[cfg(test)]
mod tests {
    use super::first;

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
