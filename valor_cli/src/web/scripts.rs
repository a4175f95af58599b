//! The file of a `js` vlugin, as a service worker can import it: one module, in JavaScript. What is that
//! already, or comes from a package, goes into the folder as it is; the rest is bundled (`bundle`).

use super::{
    contents::{Contents, MODULES, sha256},
    copied::Fault,
};
use crate::{
    bundle::{Bundler, EXTENSIONS},
    remedies,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use valor_runtime::{
    Definition, file,
    loader::Imports,
    package::{Package, SCRIPT_TARGET, is_package},
    web::Script,
};

/// The files that scripts import, by their names.
pub type Imported = BTreeMap<String, Vec<PathBuf>>;

/// Where scripts and esbuild are looked for.
pub struct Scripts<'a> {
    /// The folder of plugins.json.
    pub base: &'a Path,
    pub plugin_dirs: &'a [PathBuf],
    /// The esbuild that was named.
    pub esbuild: Option<&'a Path>,
}

impl Scripts<'_> {
    /// Puts a script into the folder; gives the definition that names it there, and what imports it. The files that it
    /// imports are noted in `imports`, also if one of them is not there.
    ///
    /// # Errors
    /// That there is no such file, that it cannot be bundled, or that it imports what it may not; if it lacks esbuild
    /// or of a package, it is missing.
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
        // What a server holds it to, so that both run the same files.
        let may = Imports::of(&file, definition, self.base);
        let may = may.map_err(|error| fault("files", error.to_string()))?;
        let bytes = match is_package(&file) {
            true => packed(&file, &source)?,
            false => {
                let bundler = Bundler {
                    base: self.base,
                    esbuild: self.esbuild,
                    external: None,
                };
                let module = bundler.module(&file, source).map_err(|error| {
                    // What was imported before is watched until all of it is there again.
                    let noted = imports.entry(definition.name.clone()).or_default();
                    noted.extend(error.unresolved);
                    Fault {
                        is_missing: error.is_missing,
                        ..fault("path", error.line)
                    }
                })?;
                let is_own = |it: &&PathBuf| it.iter().all(|part| part != "node_modules");
                let own = module.imports.iter().filter(is_own).cloned();
                imports.insert(definition.name.clone(), own.collect());
                if let Some(refusal) = module.imports.iter().find_map(|it| may.refusal(it)) {
                    return Err(fault("path", format!("{shown} is not bundled: {refusal}")));
                }
                module.bytes
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

/// How much of a file is read.
fn most(file: &Path) -> u64 {
    match is_package(file) {
        true => 1 << 30,
        false => file::TEXT,
    }
}
