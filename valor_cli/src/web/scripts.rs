//! The file of a `js` vlugin in a form that a service worker can import: one JavaScript module. A file that is one
//! already, or comes from a package, goes into the folder unchanged; everything else is bundled (`bundle`).
//!
//! If there is a Deno, a server's check of the script comes first; `alike` makes sure that esbuild agrees.

use super::{
    alike::{not_alone, unlike},
    contents::{Contents, MODULES, sha256},
    copied::Fault,
};
use crate::{
    bundle::{Bundler, EXTENSIONS},
    remedies,
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition, file,
    loader::{Imports, Judge, Judged, ScriptError},
    package::{Package, SCRIPT_TARGET, is_package},
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
            true => packed(&file, &source)?,
            false => self.module(definition, &file, source, &may, imports)?,
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

    /// The one module of a script, if a server would load it as well. Notes the files that it consists of.
    fn module(
        &self,
        definition: &Definition,
        file: &Path,
        source: Vec<u8>,
        may: &Imports,
        noted: &mut Imported,
    ) -> Result<Vec<u8>, Fault> {
        let shown = file.display();
        let is_own = |it: &PathBuf| it.iter().all(|part| part != "node_modules");
        let noted = noted.entry(definition.name.clone()).or_default();
        let judged = self.judged(file, may)?;
        if let Some(judged) = &judged {
            noted.clone_from(&judged.files);
            if let Some(refusal) = &judged.refusal {
                noted.extend(refusal.mended_by());
                return Err(Fault {
                    is_missing: refusal.is_of_this_machine(),
                    ..Fault::new("path", refusal.to_string())
                });
            }
        }
        let bundler = Bundler {
            base: self.base,
            esbuild: self.esbuild,
            external: None,
            for_page: true,
        };
        let imports = judged.as_ref().map(|it| it.imports);
        let module = bundler.module(file, source, imports).map_err(|error| {
            // The earlier imports are watched until all of it is there again.
            noted.extend(error.files.into_iter().filter(is_own));
            Fault {
                is_missing: error.is_missing,
                ..Fault::new("path", error.line)
            }
        })?;
        let files = module.inputs.iter().map(|it| &it.file);
        let others: Vec<_> = files.filter(|it| *it != may.file()).collect();
        if judged.is_none() {
            noted.clear();
        }
        noted.extend(others.iter().copied().filter(|it| is_own(it)).cloned());
        // A server runs a checked script from its bytes, and only those bytes were checked.
        let checked = definition
            .sha256
            .as_ref()
            .and_then(|_| not_alone(&module.inputs, may));
        let refusal = checked.or_else(|| others.iter().find_map(|it| may.refusal(it)));
        let refusal = refusal.or_else(|| unlike(&module.inputs, may));
        match refusal {
            Some(refusal) => Err(Fault::new(
                "path",
                format!("{shown} is not bundled: {refusal}"),
            )),
            None => Ok(module.bytes),
        }
    }

    /// A server's verdict on a script; `None` if there is no Deno to ask.
    fn judged(&self, file: &Path, may: &Imports) -> Result<Option<Judged>, Fault> {
        let mut judges = self.judges.borrow_mut();
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        let judge = judges.entry(folder);
        let judge =
            judge.or_insert_with(|| smol::block_on(Judge::find(self.deno, self.base, file)));
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
            .flat_map(|dir| EXTENSIONS.map(|end| dir.join(format!("{name}.{end}"))));
        files.into_iter().find(|file| file.is_file()).ok_or_else(|| {
            let line = format!(
                "there is no {name}.js, .mjs, .ts or .mts in a --plugin-dir or beside plugins.json"
            );
            Fault::new("path", line)
        })
    }
}

/// The script in a package.
fn packed(file: &Path, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let fault = |error: valor_runtime::package::PackageError| {
        Fault::new("path", remedies::of_package(&error))
    };
    let package = Package::read(file, bytes).map_err(fault)?;
    let (_, script) = package.library(file, SCRIPT_TARGET).map_err(fault)?;
    Ok(script.to_vec())
}

/// The most bytes that are read of a file.
fn most(file: &Path) -> u64 {
    match is_package(file) {
        true => 1 << 30,
        false => file::TEXT,
    }
}
