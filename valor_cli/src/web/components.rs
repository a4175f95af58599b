//! [`Components`]: `wasi` vlugins in the folder, each as the modules that `component` makes of it.
//!
//! `made` calls it. It promises that the page's plugins.json has the SHA-256 of the component itself, which is that of
//! the server.

use super::{
    component::modules,
    contents::{Contents, MODULES},
    copied::Fault,
};
use std::{collections::BTreeMap, path::PathBuf};
use valor_runtime::{Definition, escape::one_line, web::Component};

/// Those that were made already.
#[derive(Default)]
pub struct Components {
    /// By the SHA-256 of the component.
    pub made: BTreeMap<String, Component>,
}

impl Components {
    /// Puts the modules of a component with this SHA-256 into the folder, and returns the definition that names them
    /// there.
    ///
    /// # Errors
    /// If it cannot run in a page, or imports what a page does not have.
    pub fn put(
        &mut self,
        definition: &Definition,
        (bytes, found): (Vec<u8>, String),
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
        // One component may be mounted several times.
        let path = match self.made.get(&found) {
            Some(made) => made.path.clone(),
            None => {
                let refused = |why: String| {
                    let line =
                        format!("the component of `{}`: {}", definition.name, one_line(&why));
                    Fault::new("path", line)
                };
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
}
