//! The folders that a definition grants a component in `files` and `writable`: where they may be, and opening them.
//!
//! [`WasiLoader`](super::WasiLoader) opens them once, when the vlugin is loaded, and every instance has the same folders
//! then, whatever stands at their paths later.

use crate::{
    Definition,
    escape::one_line,
    loader::{ComponentError, paths},
};
use std::path::{Path, PathBuf};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, filesystem::WasiFilesystemCtx};

/// Where the folders may be.
pub(super) struct Bounds<'a> {
    /// The component's file.
    pub file: &'a Path,
    /// The folder of plugins.json.
    pub base: &'a Path,
    /// The plugin directories.
    pub dirs: &'a [PathBuf],
    /// Whether the definition came over the network, so that everything has to be in a plugin directory.
    pub is_restricted: bool,
}

/// The folders that a definition grants, opened. `None` if there are none.
///
/// # Errors
/// One of them is no folder, leads out of the component's folder, or is where Valor finds code.
pub(super) fn granted(
    definition: &Definition,
    bounds: &Bounds<'_>,
) -> Result<Option<WasiFilesystemCtx>, ComponentError> {
    if definition.files.is_empty() && definition.writable.is_empty() {
        return Ok(None);
    }
    if bounds.is_restricted && !definition.writable.is_empty() {
        return Err(ComponentError::Folder(
            "`writable` is not for a vlugin that is registered over HTTP, which can only read its folders: name them \
             in `files`, or write the vlugin into plugins.json"
                .to_owned(),
        ));
    }
    let folder = match &definition.source {
        Some(source) => bounds.base.join(source),
        None => bounds.file.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    let folder = dunce::canonicalize(&folder).unwrap_or(folder);
    let mut wasi = WasiCtx::builder();
    wasi.allow_blocking_current_thread(true);
    let mut changed: Vec<PathBuf> = Vec::new();
    for named in &definition.writable {
        let path = find("writable", named, &folder, bounds)?;
        if let Some(dir) = dir_around(&folder, bounds) {
            return Err(ComponentError::Folder(format!(
                "`writable` names `{}`, and all of its folder is in the plugin directory {}: what is run from there, \
                 nobody but you should change; keep the component in another folder, and give its path",
                one_line(named),
                dir.display()
            )));
        }
        if let Some(code) = code_in(&path, bounds) {
            return Err(ComponentError::Folder(format!(
                "`writable` names `{}`, {code}: what is run from there, nobody but you should change; name another \
                 folder",
                one_line(named)
            )));
        }
        if let Some(other) = changed.iter().find(|other| meet(other, &path)) {
            return Err(nested(named, other, &folder));
        }
        open(&mut wasi, "writable", named, &path, FsPerms::ReadWrite)?;
        changed.push(path);
    }
    for named in &definition.files {
        let path = find("files", named, &folder, bounds)?;
        if let Some(other) = changed.iter().find(|other| meet(other, &path)) {
            return Err(nested(named, other, &folder));
        }
        open(&mut wasi, "files", named, &path, FsPerms::ReadOnly)?;
    }
    Ok(Some(wasi.build().filesystem().clone()))
}

/// Whether one of two folders is in the other.
fn meet(one: &Path, other: &Path) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn nested(named: &str, other: &Path, folder: &Path) -> ComponentError {
    let other = other.strip_prefix(folder).unwrap_or(other);
    ComponentError::Folder(format!(
        "its definition grants `{}` and, in the same place, `{}` in `writable`: take one of them out",
        one_line(named),
        one_line(&other.display().to_string())
    ))
}

/// A folder that a definition names, with its links resolved.
fn find(
    key: &str,
    named: &str,
    folder: &Path,
    bounds: &Bounds<'_>,
) -> Result<PathBuf, ComponentError> {
    let fault =
        |why: String| ComponentError::Folder(format!("`{key}` names `{}`, {why}", one_line(named)));
    let path = match named {
        "." => folder.to_owned(),
        named => folder.join(named),
    };
    if bounds.is_restricted && paths::inside(bounds.dirs, path.clone()).is_err() {
        return Err(fault(
            "which is not inside a plugin directory, as everything is that a vlugin registered over HTTP has: put the \
             folder there"
                .to_owned(),
        ));
    }
    match dunce::canonicalize(&path) {
        Ok(real) if !real.starts_with(folder) => Err(fault(format!(
            "a link that leads out of its folder {}: name a folder that is in it",
            folder.display()
        ))),
        Ok(real) if !real.is_dir() => Err(fault(
            "which is not a folder: name the folder that it is in".to_owned(),
        )),
        Ok(real) => Ok(real),
        Err(error) if paths::is_absent(&error) => Err(fault(format!(
            "which is not in its folder {}: create it, or correct `{key}`",
            folder.display()
        ))),
        Err(error) => Err(fault(format!("which cannot be opened: {error}"))),
    }
}

/// The plugin directory that a folder is in.
fn dir_around(folder: &Path, bounds: &Bounds<'_>) -> Option<PathBuf> {
    let real = |path: &PathBuf| dunce::canonicalize(path).unwrap_or_else(|_| path.clone());
    let mut dirs = bounds.dirs.iter().map(real);
    dirs.find(|dir| folder.starts_with(dir))
}

/// What of Valor's own is in a folder, or around it: where it looks for code.
fn code_in(path: &Path, bounds: &Bounds<'_>) -> Option<String> {
    let real = |path: &Path| dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if real(bounds.file).starts_with(path) {
        return Some("where the component itself is".to_owned());
    }
    if real(bounds.base).starts_with(path) {
        return Some("where plugins.json is".to_owned());
    }
    let mut dirs = bounds.dirs.iter().map(|dir| real(dir));
    let dir = dirs.find(|dir| meet(dir, path))?;
    Some(format!(
        "in or around the plugin directory {}",
        dir.display()
    ))
}

fn open(
    wasi: &mut WasiCtxBuilder,
    key: &str,
    named: &str,
    path: &Path,
    perms: FsPerms,
) -> Result<(), ComponentError> {
    let inside = match named {
        "." => "/".to_owned(),
        named => format!("/{}", named.trim_end_matches('/')),
    };
    match wasi.preopened_dir(path, inside, perms) {
        Ok(_) => Ok(()),
        Err(error) => Err(ComponentError::Folder(format!(
            "`{key}` names `{}`, which cannot be opened: {}",
            one_line(named),
            one_line(&error.root_cause().to_string())
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, private_dir::PrivateDir};

    /// Each refusal can be mended as it says: neither sends its reader to the other one.
    #[test]
    fn nothing_in_a_plugin_directory_is_writable() {
        let place = PrivateDir::create("valor-test-").unwrap();
        let dir = place.folder("plug").unwrap();
        std::fs::create_dir(dir.join("out")).unwrap();
        let mut definition = Definition::new(Kind::Wasi, "it");
        definition.writable = vec!["out".to_owned()];
        let refused = |is_restricted| {
            let bounds = Bounds {
                file: &dir.join("it.wasm"),
                base: place.path(),
                dirs: std::slice::from_ref(&dir),
                is_restricted,
            };
            match granted(&definition, &bounds) {
                Err(error) => error.to_string(),
                Ok(_) => panic!("it is granted"),
            }
        };
        let said = refused(true);
        assert!(said.contains("registered over HTTP"), "{said}");
        let said = refused(false);
        assert!(
            said.contains("keep the component in another folder"),
            "{said}"
        );
    }
}
