//! What cargo has said about workspaces, as long as it would say the same. `crates` asks here first: with `--watch`,
//! cargo would be asked twice for each change of a source, which takes longer than compiling a small crate.
//!
//! The answer follows from the manifests of the workspace, and from which of the files exist that cargo takes for
//! targets without being told. So an answer holds while those are as they were before cargo was asked.

use cargo_metadata::Metadata;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};
use valor_runtime::lock::locked;

/// Files that are targets if they exist.
const TARGETS: [&str; 3] = ["src/lib.rs", "src/main.rs", "src/bin"];

static KNOWN: Mutex<BTreeMap<PathBuf, Known>> = Mutex::new(BTreeMap::new());

struct Known {
    metadata: Metadata,
    /// The manifests with their texts.
    manifests: Vec<(PathBuf, Option<String>)>,
    targets: Vec<(PathBuf, bool)>,
}

/// What cargo has said about the crate of this manifest, unless it may say something else now.
pub fn recall(manifest: &Path) -> Option<Metadata> {
    let known = locked(&KNOWN);
    let known = known.get(manifest)?;
    let is_same = known
        .manifests
        .iter()
        .all(|(file, text)| read(file) == *text)
        && known
            .targets
            .iter()
            .all(|(file, was)| file.exists() == *was);
    is_same.then(|| known.metadata.clone())
}

/// Notes what cargo has just said.
pub fn note(manifest: &Path, metadata: &Metadata) {
    let root = metadata.workspace_root.join("Cargo.toml");
    let own = metadata.packages.iter().map(|it| it.manifest_path.clone());
    let manifests: Vec<PathBuf> = own.chain([root]).map(Into::into).collect();
    let folders = manifests.iter().filter_map(|it| it.parent());
    let targets = folders.flat_map(|folder| TARGETS.map(|it| folder.join(it)));
    let known = Known {
        targets: targets.map(|it| (it.clone(), it.exists())).collect(),
        manifests: manifests
            .into_iter()
            .map(|it| (it.clone(), read(&it)))
            .collect(),
        metadata: metadata.clone(),
    };
    locked(&KNOWN).insert(manifest.to_owned(), known);
}

fn read(manifest: &Path) -> Option<String> {
    fs::read_to_string(manifest).ok()
}
