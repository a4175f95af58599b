//! Turns a script and its imports into one JavaScript module: `web` puts it into a page, `package` into a package.
//!
//! A script that is already one module is taken as it is. esbuild bundles TypeScript and scripts that import other
//! files; it is found in the same way as Deno. The result runs in a service worker and in Deno. If there is an esbuild,
//! it reads every script, so that syntax errors show up here. `meta` has what esbuild says about the files, `said` its
//! errors. `text` decides whether a script imports anything, if nothing better can.
//!
//! For a page, an `import()` of a missing file stays as it is: it is rejected when the script runs, as on a server.

mod meta;
mod said;
mod text;

#[cfg(feature = "wasm")]
pub use meta::Import;
pub use meta::Input;

use crate::programs::{Stop, Unfinished, silent};
use said::Said;
use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};
use valor_runtime::{
    loader::{Lack, Rejected, specifier},
    ownership::Untrusted,
    private_dir::PrivateDir,
    project,
};

/// Where to look for esbuild.
#[derive(Clone, Copy)]
pub struct Bundler<'a> {
    /// A folder of the project, besides the script's own.
    pub base: &'a Path,
    /// The script, or what it was unpacked from.
    pub beside: &'a Path,
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
    /// The import that was not found, if that is what is wrong.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub absent: Option<String>,
    /// Whether something is not installed here, so that the script may be right.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub is_missing: bool,
    /// The end of the line, if it is the same for other scripts: what is wrong with esbuild.
    #[cfg_attr(not(feature = "wasm"), expect(dead_code, reason = "`web` asks"))]
    pub shared: Option<String>,
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
    /// known, and `rejected` what an `import()` of it gets nothing for.
    ///
    /// # Errors
    /// If it cannot be bundled. If esbuild or a package is not installed, the error says that it is missing.
    pub fn module(
        &self,
        file: &Path,
        source: Vec<u8>,
        imports: Option<bool>,
        rejected: &[Rejected],
    ) -> Result<Module, Unbundled> {
        let end = file.extension().unwrap_or_default().to_str();
        // A service worker imports only these as they are: not JSX, not CommonJS.
        let is_plain = end.is_some_and(|end| ["js", "mjs"].contains(&end));
        let is_typed = end.is_some_and(|end| ["ts", "mts", "cts"].contains(&end));
        let program = self.program();
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
            (Ok(None), Some(why)) => {
                return Err(without(file, why, "esbuild is not found", INSTALL));
            }
            (Err(line), Some(_)) => return Err(missing(line)),
        };
        let for_page = why.is_some() || self.for_page;
        let bundled = match self.bundle(&program, file, for_page, rejected) {
            Err(Failed::Unbundled { why, .. }) => return Err(*why),
            Err(Failed::Unrun { line, remedy }) => match why {
                None if imports.is_none() && may_import() => {
                    return Err(without(file, Why::Imports, &line, remedy));
                }
                // Whoever names it wants it to be run.
                None if self.named().is_some() => {
                    let shown = file.display();
                    let line = format!(
                        "esbuild does not look at {shown}: {line}; name another with --esbuild or VALOR_ESBUILD, or \
                         none"
                    );
                    return Err(fault(line));
                }
                None => return Ok(plain(source)),
                Some(why) => return Err(without(file, why, &line, remedy)),
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

    /// The script and everything that it imports, as one module, except for an `import()` whose file does not exist.
    fn bundle(
        &self,
        program: &Path,
        file: &Path,
        for_page: bool,
        rejected: &[Rejected],
    ) -> Result<Module, Failed> {
        let known: Vec<_> = rejected.iter().map(|it| it.specifier.clone()).collect();
        let first = match self.bundle_without(program, file, for_page, &known) {
            Ok(module) if is_left_to_run(&module, &known, rejected) => return Ok(module),
            // Something else imports that as well.
            Ok(_) => return self.bundle_without(program, file, for_page, &[]),
            Err(first) => first,
        };
        let Failed::Unbundled { unresolved, .. } = &first else {
            return Err(first);
        };
        // A package has everything, or it is not made.
        if unresolved.is_empty() || !self.for_page {
            return Err(first);
        }
        let left = [&known[..], unresolved].concat();
        match self.bundle_without(program, file, for_page, &left) {
            Ok(module) if is_left_to_run(&module, &left, rejected) => Ok(module),
            Ok(_) => Err(first),
            // What is wrong besides.
            Err(error) => Err(error),
        }
    }

    /// The script and everything that it imports, as one module, except for these names.
    fn bundle_without(
        &self,
        program: &Path,
        file: &Path,
        for_page: bool,
        left: &[String],
    ) -> Result<Module, Failed> {
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
                .args(self.external.map(|what| format!("--external:{what}")))
                // A star would stand for other names.
                .args(
                    left.iter()
                        .filter(|it| !it.contains('*'))
                        .map(|it| format!("--external:{it}")),
                );
            if for_page {
                // A service worker has no top-level `await`; use `create` instead.
                command.arg("--supported:top-level-await=false");
            }
            if has_pragma {
                command.arg("--jsx=automatic");
            }
            let output = Stop::of_program().output(&mut command).map_err(|error| {
                let line = format!("{} {error}", program.display());
                match error {
                    Unfinished::System(error) => Failed::Unrun {
                        line,
                        remedy: to_run(&error),
                    },
                    Unfinished::Fifo(_) | Unfinished::Endless => {
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
                return Err(unbundled(&file, &shown.to_string(), &said, self.for_page));
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

    /// The esbuild that the user named, or else the one of plugins.json's project, of the script's project, or on the
    /// `PATH`.
    ///
    /// # Errors
    /// If somebody else could have put it there.
    pub fn program(&self) -> Result<Option<PathBuf>, Untrusted> {
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
        for folder in [self.base, self.beside.parent().unwrap_or(self.base)] {
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
    Unrun { line: String, remedy: &'static str },
    Unbundled {
        why: Box<Unbundled>,
        /// The import that was not found.
        unresolved: Vec<String>,
    },
}

impl From<Unbundled> for Failed {
    fn from(why: Unbundled) -> Self {
        Self::Unbundled {
            why: Box::new(why),
            unresolved: Vec::new(),
        }
    }
}

fn fault(line: String) -> Unbundled {
    Unbundled {
        line,
        files: Vec::new(),
        absent: None,
        is_missing: false,
        shared: None,
    }
}

fn missing(line: String) -> Unbundled {
    Unbundled {
        is_missing: true,
        ..fault(line)
    }
}

/// What to do if there is no esbuild.
const INSTALL: &str =
    "`npm install esbuild` beside plugins.json, or name it with --esbuild or VALOR_ESBUILD";

/// What to do about an esbuild that the system does not start.
fn to_run(error: &io::Error) -> &'static str {
    match (Lack::of(error), error.kind()) {
        (Some(lack), _) => lack.remedy(),
        (None, io::ErrorKind::NotFound) => INSTALL,
        _ => "see that it runs here, or name another one with --esbuild or VALOR_ESBUILD",
    }
}

fn without(file: &Path, why: Why, reason: &str, remedy: &str) -> Unbundled {
    let why = match why {
        Why::Typed => "is TypeScript",
        Why::Other => "is neither .js nor .mjs",
        Why::Imports => "imports other files",
    };
    let shared = format!("{reason}: {remedy}");
    let line = format!(
        "{} {why}, which esbuild turns into one JavaScript file, and {shared}",
        file.display()
    );
    Unbundled {
        shared: Some(shared),
        ..missing(line)
    }
}

/// Whether a file says how to compile its JSX. That is the project's decision.
fn has_jsx_pragma(file: &Path) -> bool {
    let end = file.extension();
    end.is_some_and(|end| end == "jsx" || end == "tsx")
        && file.iter().all(|part| part != "node_modules")
        && fs::read_to_string(file).is_ok_and(|text| text.contains("@jsxImportSource"))
}

/// The fault, from esbuild's output.
fn unbundled(file: &Path, shown: &str, said: &str, for_page: bool) -> Failed {
    let folder = file.parent().unwrap_or(Path::new("."));
    let said = Said::of(folder, said);
    let absent = said.missing().map(str::to_owned);
    let why = match said.not_installed() {
        Some(error) => Unbundled {
            files: said
                .importer()
                .into_iter()
                .chain(error.mended_by())
                .collect(),
            absent,
            ..missing(error.to_string())
        },
        None => Unbundled {
            files: said.importer().into_iter().chain(said.absent()).collect(),
            absent,
            ..fault(format!(
                "{shown} cannot be bundled: {}",
                said.line(for_page)
            ))
        },
    };
    Failed::Unbundled {
        why: Box::new(why),
        unresolved: said.unresolved(),
    }
}

/// Whether nothing but an `import()` is left as it is of these names, and only if it is rejected: since there is no
/// such file, or as it is known. Files in other folders may mean another one by the same name.
fn is_left_to_run(module: &Module, left: &[String], rejected: &[Rejected]) -> bool {
    module.inputs.iter().all(|input| {
        let mut imports = input.imports.iter();
        imports.all(|it| {
            let is_absent = || {
                let file = specifier::file(&input.file, &it.specifier);
                let file = file.filter(|_| specifier::is_path(&it.specifier));
                file.is_none_or(|file| !file.is_file())
            };
            let is_known = || {
                let mut known = rejected
                    .iter()
                    .filter(|known| known.specifier == it.specifier);
                known.any(|it| fs::canonicalize(&it.importer).is_ok_and(|it| it == input.file))
            };
            let is_left = it.is_external && left.contains(&it.specifier);
            !is_left || (it.is_dynamic && (is_absent() || is_known()))
        })
    })
}
