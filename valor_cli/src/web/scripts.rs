//! The file of a `js` vlugin in a form that a service worker can import: one JavaScript module. A file that is one
//! already, or comes from a package, goes into the folder unchanged; everything else is bundled (`bundle`).
//!
//! If there is a Deno, a server's check of the script comes first; `alike` makes sure that esbuild agrees.

use super::{
    alike::{not_alone, rejected, unlike},
    contents::{Contents, MODULES, sha256},
    copied::Fault,
};
use crate::{
    bundle::{Bundler, Module},
    remedies,
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition, file,
    loader::{Imports, Judge, Judged, Rejected, ScriptError, code},
    package::{Package, SCRIPT_TARGET, is_package},
    private_dir::PrivateDir,
    web::Script,
};

/// The files that scripts import, by their names.
pub type Imported = BTreeMap<String, Vec<PathBuf>>;

/// Where to look for scripts and esbuild.
pub struct Scripts<'a> {
    /// The folder of plugins.json.
    pub base: &'a Path,
    pub plugin_dirs: &'a [PathBuf],
    /// The esbuild that the user named.
    pub esbuild: Option<&'a Path>,
    /// The Deno that the user named.
    pub deno: Option<&'a Path>,
    /// Checks the scripts of a folder.
    pub judges: RefCell<BTreeMap<PathBuf, Result<Option<Judge>, ScriptError>>>,
}

impl Scripts<'_> {
    /// Puts a script into the folder; returns the definition that names it there, and what imports it. Notes the files
    /// that it consists of in `imports`, even if one of them is missing.
    ///
    /// # Errors
    /// If the file does not exist, cannot be bundled, or imports what it may not. If esbuild or a package is not
    /// installed, the error says that it is missing.
    pub fn put(
        &self,
        definition: &Definition,
        contents: &mut Contents,
        imports: &mut Imported,
    ) -> Result<(Definition, Script), Fault> {
        let file = self.locate(definition)?;
        let fault = Fault::new;
        let shown = file.display();
        let source = file::read(&file, most(&file)).map_err(|error| {
            let line = format!("{shown} cannot be read: {error}; give a file that may be read");
            fault("path", line)
        })?;
        let found = sha256(&source);
        let wanted = definition.sha256.as_ref();
        if let Some(wanted) = wanted.filter(|wanted| !wanted.eq_ignore_ascii_case(&found)) {
            let line = format!("{shown} has the SHA-256 {found}, and not {wanted}");
            return Err(fault("sha256", line));
        }
        // The rules of a server, so that both run the same files.
        let may = Imports::of(&file, definition, self.base);
        let may = may.map_err(|error| fault("files", error.to_string()))?;
        let bytes = match is_package(&file) {
            true => self.packed(definition, &file, &source)?,
            false => {
                let refusal = code::refusal(may.file(), &source);
                if let Some(refusal) = refusal {
                    return Err(fault("path", refusal.to_string()));
                }
                let script = Named {
                    definition,
                    file: &file,
                    origin: &file,
                    is_alone: definition.sha256.is_some(),
                };
                self.module(&script, source, &may, imports)?
            }
        };
        let digest = sha256(&bytes);
        // One file may be mounted several times.
        let path = contents.named(&digest).unwrap_or_else(|| {
            let path = format!("{MODULES}/{}.js", definition.name);
            contents.module(&path, bytes, &digest);
            path
        });
        let script = Script {
            name: definition.name.clone(),
            path: path.clone(),
            sha256: digest.clone(),
        };
        let definition = Definition {
            path: Some(PathBuf::from(path)),
            sha256: Some(digest),
            ..definition.clone()
        };
        Ok((definition, script))
    }

    /// The script in a package, which is judged as a file of these bytes alone.
    fn packed(
        &self,
        definition: &Definition,
        package: &Path,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let fault = |error: valor_runtime::package::PackageError| {
            Fault::new("path", remedies::of_package(&error))
        };
        let read = Package::read(package, bytes).map_err(fault)?;
        let (_, source) = read.library(package, SCRIPT_TARGET).map_err(fault)?;
        let shown = package.display().to_string();
        let temporary = |error: std::io::Error| {
            let line =
                format!("{shown} cannot be unpacked: {error}; see that TMPDIR may be written to");
            Fault::new("path", line)
        };
        let dir = PrivateDir::create("valor-script-").map_err(temporary)?;
        let name = format!("{}.js", read.manifest().name);
        let file = dir.write(&name, source).map_err(temporary)?;
        let file = std::fs::canonicalize(file).map_err(temporary)?;
        let lone = Definition::new(definition.kind, &definition.name);
        let may = Imports::of(&file, &lone, dir.path());
        let may = may.map_err(|error| Fault::new("path", error.to_string()))?;
        let script = Named {
            definition,
            file: &file,
            origin: package,
            is_alone: true,
        };
        let judged = match code::refusal(&file, source) {
            Some(refusal) => Err(Fault::new("path", refusal.to_string())),
            None => self.module(&script, source.to_vec(), &may, &mut Imported::new()),
        };
        let module = judged.map_err(|fault| Fault {
            line: fault.line.replace(&file.display().to_string(), &shown),
            ..fault
        })?;
        // What was signed goes into the page.
        drop(module);
        Ok(source.to_vec())
    }

    /// The one module of a script, if a server would load it as well. Notes the files that it consists of.
    fn module(
        &self,
        script: &Named,
        source: Vec<u8>,
        may: &Imports,
        noted: &mut Imported,
    ) -> Result<Vec<u8>, Fault> {
        let Named {
            definition,
            file,
            origin,
            is_alone,
        } = *script;
        let shown = file.display();
        let noted = noted.entry(definition.name.clone()).or_default();
        let judged = self.judged(origin, may)?;
        if let Some(judged) = &judged {
            noted.clone_from(&judged.files);
            // A server runs one that is checked from its bytes, and nothing else was checked.
            if let Some(other) = judged.others.first().filter(|_| is_alone) {
                return Err(not_loaded(file, other));
            }
            if let Some(refusal) = &judged.refusal {
                noted.extend(refusal.mended_by());
                return Err(Fault {
                    is_missing: refusal.is_of_this_machine(),
                    ..Fault::new("path", refusal.to_string())
                });
            }
        }
        let (module, rejected) = self.bundled(script, source, may, judged.as_ref(), noted)?;
        let files = module.inputs.iter().map(|it| &it.file);
        let others: Vec<_> = files.filter(|it| *it != may.file()).collect();
        if judged.is_none() {
            noted.clear();
        }
        noted.extend(others.iter().copied().filter(|it| is_own(it)).cloned());
        let checked = is_alone.then(|| not_alone(&module.inputs, may)).flatten();
        let refusal = checked.or_else(|| others.iter().find_map(|it| may.refusal(it)));
        let refusal = refusal.or_else(|| misencoded(&others));
        let refusal = refusal.or_else(|| unlike(&module.inputs, may));
        if let Some(refusal) = refusal {
            let line = format!("{shown} is not bundled: {refusal}");
            return Err(Fault::new("path", line));
        }
        let name = definition.name.as_str();
        for it in rejected {
            log::warn!(target: "valor", vlugin = name; "{}", it.foretold(name));
        }
        Ok(module.bytes)
    }

    /// A script as one module, and each `import()` in it that is left as it is, to be rejected as it is on a server.
    fn bundled(
        &self,
        script: &Named,
        source: Vec<u8>,
        may: &Imports,
        judged: Option<&Judged>,
        noted: &mut Vec<PathBuf>,
    ) -> Result<(Module, Vec<Rejected>), Fault> {
        let bundler = Bundler {
            base: self.base,
            esbuild: self.esbuild,
            beside: script.origin,
            external: None,
            for_page: true,
        };
        let imports = judged.map(|it| it.imports);
        let mut known = judged.map_or_else(Vec::new, |it| it.rejected.clone());
        loop {
            let module = bundler.module(script.file, source.clone(), imports, &known);
            let module = module.map_err(|error| {
                if let Some(absent) = error.absent.filter(|_| script.is_alone) {
                    return not_loaded(script.file, &absent);
                }
                // What was imported before is watched until all of it is there again.
                noted.extend(error.files.into_iter().filter(|it| is_own(it)));
                Fault {
                    is_missing: error.is_missing,
                    shared: error.shared,
                    ..Fault::new("path", error.line)
                }
            })?;
            let mut found = rejected(&module.inputs, may, script.is_alone);
            let is_known =
                |it: &Rejected| known.iter().any(|known| known.specifier == it.specifier);
            found.retain(|(it, _)| !is_known(it));
            // What esbuild has put in its place is taken out again.
            let is_in_it = found.iter().any(|(_, is_in_it)| *is_in_it);
            known.extend(found.into_iter().map(|(it, _)| it));
            if !is_in_it {
                return Ok((module, known));
            }
        }
    }

    /// A server's verdict on a script; `None` if there is no Deno to ask.
    fn judged(&self, origin: &Path, may: &Imports) -> Result<Option<Judged>, Fault> {
        let mut judges = self.judges.borrow_mut();
        // One that is named is asked once, wherever the scripts are.
        let folder = origin.parent().filter(|_| !Judge::is_named(self.deno));
        let judge = judges.entry(folder.unwrap_or(Path::new("")).to_owned());
        let judge =
            judge.or_insert_with(|| smol::block_on(Judge::find(self.deno, self.base, origin)));
        match judge {
            Ok(judge) => Ok(judge.as_ref().map(|judge| smol::block_on(judge.judge(may)))),
            Err(error) => Err(Fault {
                is_missing: error.is_of_this_machine(),
                ..Fault::new("type", error.to_string())
            }),
        }
    }

    fn locate(&self, definition: &Definition) -> Result<PathBuf, Fault> {
        let name = match &definition.path {
            Some(path) => path.to_string_lossy().into_owned(),
            None => definition.name.clone(),
        };
        let is_bare = definition.path.is_none() || !name.contains(['/', '\\', '.']);
        if !is_bare {
            return Ok(self.base.join(name));
        }
        let dirs = self.plugin_dirs.iter().map(PathBuf::as_path);
        let files = dirs
            .chain([self.base])
            .flat_map(|dir| code::BARE.map(|end| dir.join(format!("{name}.{end}"))));
        files.into_iter().find(|file| file.is_file()).ok_or_else(|| {
            let line = format!(
                "there is no {name}.js, .mjs, .ts or .mts in a --plugin-dir or beside plugins.json"
            );
            Fault::new("path", line)
        })
    }
}

/// A script to be put into a page.
struct Named<'a> {
    definition: &'a Definition,
    /// The file, as it is called in errors.
    file: &'a Path,
    /// The file that tools are looked for beside.
    origin: &'a Path,
    /// Whether a server runs it from bytes that were checked, so that it imports nothing.
    is_alone: bool,
}

/// That a script which was checked imports something.
fn not_loaded(file: &Path, specifier: &str) -> Fault {
    let line = code::not_alone(specifier, file);
    Fault::new("path", format!("{} is not loaded: {line}", file.display()))
}

fn is_own(file: &Path) -> bool {
    file.iter().all(|part| part != "node_modules")
}

/// Why the first of these files that is not saved as it has to be is refused.
fn misencoded(files: &[&PathBuf]) -> Option<String> {
    let mut own = files.iter().filter(|it| is_own(it));
    own.find_map(|it| code::misencoded(it, &file::read(it, most(it)).ok()?))
}

/// The most bytes that are read of a file.
fn most(file: &Path) -> u64 {
    match is_package(file) {
        true => 1 << 30,
        false => file::TEXT,
    }
}
