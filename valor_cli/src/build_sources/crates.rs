//! What cargo knows about the crates that definitions name as `source`: the workspace of each, the name of its library,
//! and the folders that it is built from. `build_sources` needs it to build, and `watch` to watch.

use super::{
    fault::{BuildFault, cannot_run, fault},
    memory,
    recipe::{Product, Recipe},
};
use crate::programs::{Stop, silent};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use valor_runtime::{
    escape::one_line,
    file::{self, ReadError},
    project,
};

/// The name of the library that the crate in a folder becomes: the one to look for if a definition has a `source` and
/// no `path`. `None` if the folder cannot be read.
pub fn library_name(source: &Path, product: Product) -> Option<String> {
    let manifest = file::read_text(source.join("Cargo.toml"), file::TEXT).ok()?;
    let manifest: toml::Table = manifest.parse().ok()?;
    let name_in = |table: &str| manifest.get(table)?.get("name")?.as_str();
    let name = name_in("lib").or_else(|| name_in("package"))?;
    match product {
        // That of a program keeps its `-`, and with one in it both are looked for.
        Product::Component => Some(name.to_owned()),
        Product::Library | Product::Module => Some(name.replace('-', "_")),
    }
}

/// What cargo has said about the workspaces so far; asking it takes a while.
pub struct Workspaces<'a> {
    known: Vec<Metadata>,
    stop: &'a Stop,
}

/// What a crate's library is built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The crate's own folder, and those of its path dependencies.
    pub folders: Vec<PathBuf>,
    /// The manifest of its workspace, if cargo can read it.
    pub manifest: Option<PathBuf>,
    /// The packages in the folders, as far as cargo can read them.
    pub packages: BTreeMap<PathBuf, PackageId>,
}

impl<'a> Workspaces<'a> {
    /// Knows nothing yet. It asks cargo until `stop` ends that.
    pub fn new(stop: &'a Stop) -> Self {
        Self {
            known: Vec::new(),
            stop,
        }
    }

    /// The package in this folder, the root of its workspace, and how this is built of it.
    pub(super) fn package(
        &mut self,
        source: &Path,
        product: Product,
    ) -> Result<(PathBuf, Package, Recipe), BuildFault> {
        let shown = source.display();
        let manifest = manifest(source).map_err(|error| match error {
            error if error.is_absent() => fault(format!(
                "its source {shown} has no Cargo.toml; `source` names a crate's folder, relative to plugins.json"
            )),
            error => fault(format!(
                "the Cargo.toml of its source {shown} cannot be read: {error}; {}",
                error.remedy()
            )),
        })?;
        if self.find(&manifest).is_none() {
            let metadata = metadata("its source", source, &manifest, self.stop)?;
            self.known.push(metadata);
        }
        let (workspace, package) = self.find(&manifest).ok_or_else(|| {
            fault(format!(
                "its source {shown} is a workspace; name the folder of a crate in it"
            ))
        })?;
        let recipe = Recipe::of(product, &package).ok_or_else(|| {
            fault(format!(
                "its source {shown} does not build a {}; add to its Cargo.toml: [lib] crate-type = [\"cdylib\"]",
                product.what()
            ))
        })?;
        Ok((workspace, package, recipe))
    }

    /// What the library of the crate in this folder is built from. If cargo cannot read the crate, that is only its
    /// folder.
    pub fn inputs(&mut self, source: &Path) -> Inputs {
        let mut inputs = Inputs {
            folders: vec![source.to_owned()],
            manifest: None,
            packages: BTreeMap::new(),
        };
        let mut at = 0;
        while let Some(folder) = inputs.folders.get(at).cloned() {
            at += 1;
            let Ok(manifest) = manifest(&folder) else {
                continue;
            };
            if self.find(&manifest).is_none() {
                match metadata("its source", &folder, &manifest, self.stop) {
                    Ok(metadata) => self.known.push(metadata),
                    Err(_) => continue,
                }
            }
            let Some((workspace, package)) = self.find(&manifest) else {
                continue;
            };
            inputs
                .manifest
                .get_or_insert_with(|| workspace.join("Cargo.toml"));
            inputs.packages.insert(folder, package.id);
            let needed = package.dependencies.into_iter();
            let needed = needed.filter(|it| it.kind != DependencyKind::Development);
            for path in needed.filter_map(|it| it.path) {
                if !inputs.folders.iter().any(|it| it == path.as_std_path()) {
                    inputs.folders.push(path.into());
                }
            }
        }
        inputs
    }

    fn find(&self, manifest: &Path) -> Option<(PathBuf, Package)> {
        self.known.iter().find_map(|metadata| {
            let package = metadata.packages.iter().find(|package| {
                let path = package.manifest_path.as_std_path();
                path == manifest || path.canonicalize().is_ok_and(|path| path == manifest)
            })?;
            Some((metadata.workspace_root.clone().into(), package.clone()))
        })
    }
}

/// The Cargo.toml in a folder, if it can be read.
///
/// # Errors
/// If it does not exist or cannot be read.
pub fn manifest(folder: &Path) -> Result<PathBuf, ReadError> {
    let manifest = folder.join("Cargo.toml");
    file::open_regular(&manifest)?;
    Ok(manifest.canonicalize()?)
}

/// What cargo says about the crate in this folder, and about its workspace. An error calls the folder `what`.
///
/// # Errors
/// If cargo is missing, cannot be run, or cannot read it.
pub fn metadata(
    what: &str,
    source: &Path,
    manifest: &Path,
    stop: &Stop,
) -> Result<Metadata, BuildFault> {
    if let Some(known) = memory::recall(manifest) {
        return Ok(known);
    }
    let shown = format!("{what} {}", source.display());
    project::obeyed_by_cargo(source).map_err(|error| {
        fault(format!(
            "cargo is not run in {shown}, because it would obey the files there: {error}"
        ))
    })?;
    let mut cargo = MetadataCommand::new()
        .current_dir(source)
        .manifest_path(manifest)
        .no_deps()
        .cargo_command();
    let asked = stop.output(&mut cargo).map_err(cannot_run)?;
    let unread = |why: &str| fault(format!("cargo cannot read {shown}: {}", on_one_line(why)));
    let (said, errors) = (
        String::from_utf8_lossy(&asked.stdout),
        String::from_utf8_lossy(&asked.stderr),
    );
    let word = match asked.status.success() {
        true => &said,
        false => &errors,
    };
    if word.trim().is_empty() {
        let silent = silent(cargo.get_program().display(), asked.status);
        return Err(unread(&format!("{silent}; see that it is cargo")));
    }
    if !asked.status.success() {
        return Err(unread(&errors));
    }
    let metadata = MetadataCommand::parse(said).map_err(|error| unread(&error.to_string()))?;
    memory::note(manifest, &metadata);
    Ok(metadata)
}

/// cargo's `error: …` and its `Caused by:` lines.
fn on_one_line(stderr: &str) -> String {
    let line = one_line(stderr);
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_library() {
        let dir = tempfile::tempdir().unwrap();
        let name = |manifest: &str| {
            std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
            library_name(dir.path(), Product::Library)
        };
        assert_eq!(name("[package]\nname = \"a-b\"").as_deref(), Some("a_b"));
        assert_eq!(
            name("[package]\nname = \"a\"\n[lib]\nname = \"c\"").as_deref(),
            Some("c")
        );
        assert_eq!(
            name("[package]\nname = \"a\"\n[lib]\ncrate-type = []").as_deref(),
            Some("a")
        );
        assert_eq!(name("[workspace]"), None);
        assert_eq!(name("no toml"), None);
        let nowhere = dir.path().join("nowhere");
        assert_eq!(library_name(&nowhere, Product::Library), None);
    }

    #[test]
    fn an_answer_holds_while_cargo_would_give_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let manifest = folder.join("Cargo.toml");
        let write = |version: &str| {
            let text = format!("[package]\nname = \"it\"\nversion = \"{version}\"\n[workspace]\n");
            std::fs::write(&manifest, text).unwrap();
        };
        std::fs::create_dir(folder.join("src")).unwrap();
        std::fs::write(folder.join("src/lib.rs"), "").unwrap();
        write("0.1.0");
        assert!(memory::recall(&manifest).is_none());
        let ask = || metadata("its source", &folder, &manifest, &Stop::default()).unwrap();
        assert_eq!(ask().packages[0].targets.len(), 1);
        assert!(memory::recall(&manifest).is_some());
        // An edit of a source changes nothing.
        std::fs::write(folder.join("src/lib.rs"), "// edited").unwrap();
        assert!(memory::recall(&manifest).is_some());

        std::fs::write(folder.join("src/main.rs"), "").unwrap();
        assert!(memory::recall(&manifest).is_none());
        assert_eq!(ask().packages[0].targets.len(), 2);
        write("0.2.0");
        assert!(memory::recall(&manifest).is_none());
        assert_eq!(ask().packages[0].version.to_string(), "0.2.0");
        std::fs::remove_file(&manifest).unwrap();
        assert!(memory::recall(&manifest).is_none());
    }
}
