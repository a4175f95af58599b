//! [`Components`]: `wasi` vlugins in the folder, each as the modules that `component` makes of it.
//!
//! `made` calls it. It promises that the page's plugins.json has the SHA-256 of the component itself, which is that of
//! the server.

use super::{
    component::modules,
    contents::{Contents, MODULES, sha256},
    copied::Fault,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use valor_runtime::{Definition, escape::one_line, file, web::Component};

/// The largest component that is read.
const MOST: u64 = 1 << 30;

/// Where to look for components, and those that were made already.
pub struct Components<'a> {
    /// The folder of plugins.json.
    pub base: &'a Path,
    pub plugin_dirs: &'a [PathBuf],
    /// By the SHA-256 of the component.
    pub made: BTreeMap<String, Component>,
}

impl Components<'_> {
    /// Puts the modules of a component into the folder, and returns the definition that names them there.
    ///
    /// # Errors
    /// If the file does not exist, cannot run in a page, or imports what a page does not have.
    pub fn put(
        &mut self,
        definition: &Definition,
        contents: &mut Contents,
    ) -> Result<Definition, Fault> {
        for (key, folders) in [
            ("files", &definition.files),
            ("writable", &definition.writable),
        ] {
            if !folders.is_empty() {
                let line = format!(
                    "`{}` is granted folders, and a page has none: leave the vlugin to a server, or take `{key}` out",
                    definition.name
                );
                return Err(Fault::new(key, line));
            }
        }
        let file = self.locate(definition)?;
        let shown = file.display();
        let bytes = file::read(&file, MOST).map_err(|error| {
            let line = format!("{shown} cannot be read: {error}; give a file that may be read");
            Fault::new("path", line)
        })?;
        let found = sha256(&bytes);
        let wanted = definition.sha256.as_ref();
        if let Some(wanted) = wanted.filter(|wanted| !wanted.eq_ignore_ascii_case(&found)) {
            let line = format!("{shown} has the SHA-256 {found}, and not {wanted}");
            return Err(Fault::new("sha256", line));
        }
        // One component may be mounted several times.
        let path = match self.made.get(&found) {
            Some(made) => made.path.clone(),
            None => {
                let refused =
                    |why: String| Fault::new("path", format!("{shown}: {}", one_line(&why)));
                let modules = modules(&bytes).map_err(refused)?;
                let folder = format!("{MODULES}/{}", definition.name);
                let (made, files) = modules.placed(&folder, &found);
                for (path, bytes) in files {
                    contents.bytes(&path, bytes, "a component's module");
                }
                let path = made.path.clone();
                self.made.insert(found.clone(), made);
                path
            }
        };
        Ok(Definition {
            path: Some(PathBuf::from(path)),
            source: None,
            sha256: Some(found),
            ..definition.clone()
        })
    }

    fn locate(&self, definition: &Definition) -> Result<PathBuf, Fault> {
        let name = match &definition.path {
            Some(path) => path.to_string_lossy().into_owned(),
            None => definition.name.clone(),
        };
        if definition.path.is_some() && name.contains(['/', '\\', '.']) {
            return Ok(self.base.join(name));
        }
        let dirs = self.plugin_dirs.iter().map(PathBuf::as_path);
        let mut files = dirs
            .chain([self.base])
            .map(|dir| dir.join(format!("{name}.wasm")));
        files.find(|file| file.is_file()).ok_or_else(|| {
            let line = format!("there is no {name}.wasm in a --plugin-dir or beside plugins.json");
            Fault::new("path", line)
        })
    }
}
