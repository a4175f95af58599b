//! The table of kinds, as the host runs them: one row for each, which says where its vlugins run and makes its loader.
//! What a definition of each kind may say is in the table of `definition`.
//!
//! The runtime makes its [`Loaders`] from it. To add a kind: its row here, its row in `definition`, and a folder beside
//! this file.

#[cfg(feature = "wasm")]
use super::wasm;
use super::{Examined, LoadError, Loader, Settings, files, js, native};
#[cfg(not(feature = "wasm"))]
use super::{Loaded, Wanted};
use crate::{
    Kind,
    package::{SCRIPT_TARGET, WASM_TARGET},
};
#[cfg(not(feature = "wasm"))]
use std::path::PathBuf;
use std::{path::Path, sync::Arc};
use valor_abi_wire::metadata::Metadata;

const HERE: &str = "host process";

/// Looks at the bytes of a file, which is only named. An error if it is none of the kind.
type Examine = fn(&Path, &[u8]) -> Result<Examined, LoadError>;

/// One kind.
struct Row {
    kind: Kind,
    /// Where its vlugins run, as `/_plugins` says it.
    runs: &'static str,
    /// How the file of one gets into a page.
    in_page: InPage,
    /// What a package calls the code of such a vlugin for this host; `None` if packages have none.
    target: Option<fn() -> &'static str>,
    /// Looks at the bytes of a file. `None` if such files say nothing of themselves.
    examine: Option<Examine>,
    make: fn(&Settings) -> Arc<dyn Loader>,
}

const TABLE: &[Row] = &[
    Row {
        kind: Kind::Native,
        runs: HERE,
        in_page: InPage::Never,
        target: Some(Metadata::this_target),
        examine: Some(native::examine),
        make: |settings| Arc::new(native::NativeLoader::of(settings)),
    },
    Row {
        kind: Kind::Wasm,
        runs: HERE,
        in_page: InPage::Module,
        target: Some(|| WASM_TARGET),
        #[cfg(feature = "wasm")]
        examine: Some(wasm::examine),
        #[cfg(feature = "wasm")]
        make: |settings| Arc::new(wasm::WasmLoader::of(settings)),
        #[cfg(not(feature = "wasm"))]
        examine: None,
        #[cfg(not(feature = "wasm"))]
        make: |_| Arc::new(NoWasm),
    },
    Row {
        kind: Kind::Js,
        runs: "own process",
        in_page: InPage::Script,
        target: Some(|| SCRIPT_TARGET),
        examine: None,
        make: |settings| Arc::new(js::JsLoader::of(settings)),
    },
    Row {
        kind: Kind::Files,
        runs: HERE,
        in_page: InPage::Folder,
        target: None,
        examine: None,
        make: |settings| Arc::new(files::FilesLoader::of(settings)),
    },
];

/// How a vlugin gets into the folder that a browser is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InPage {
    /// No browser runs it.
    Never,
    /// Its file is a WebAssembly module, which goes there as it is.
    Module,
    /// Its file is a script, which goes there in one file with all that it imports.
    Script,
    /// Its folder is copied.
    Folder,
}

impl Kind {
    /// What a package calls the code of a vlugin of this kind for this host: the target triple that it is built for,
    /// or `javascript`. `None` if no package holds such vlugins.
    pub fn target(self) -> Option<&'static str> {
        row(self).target.map(|target| target())
    }

    /// How a vlugin of this kind gets into a page.
    pub fn in_page(self) -> InPage {
        row(self).in_page
    }

    /// Where vlugins of this kind run.
    pub(crate) fn runs(self) -> &'static str {
        row(self).runs
    }
}

fn row(kind: Kind) -> &'static Row {
    let row = TABLE.iter().find(|row| row.kind == kind);
    row.expect("a test holds the table to every kind")
}

/// Looks at the bytes of a file of whatever kind. None of its code runs.
///
/// # Errors
/// The file is of no kind that says what it is; the reason is that of the first kind.
pub(crate) fn examine(file: &Path, bytes: &[u8]) -> Result<Examined, LoadError> {
    let mut examined = TABLE
        .iter()
        .filter_map(|row| Some(row.examine?(file, bytes)));
    let first = examined.next().expect("the first row has one");
    match first {
        Ok(examined) => Ok(examined),
        Err(error) => examined.find_map(Result::ok).ok_or(error),
    }
}

/// A loader for each kind.
pub(crate) struct Loaders(Vec<(Kind, Arc<dyn Loader>)>);

impl Loaders {
    /// The loaders of all kinds.
    pub(crate) fn new(settings: &Settings) -> Self {
        let made = TABLE.iter().map(|row| (row.kind, (row.make)(settings)));
        Self(made.collect())
    }

    /// The loader of this kind.
    pub(crate) fn of(&self, kind: Kind) -> &dyn Loader {
        let found = self.0.iter().find(|(known, _)| *known == kind);
        &*found.expect("a test holds the table to every kind").1
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Loader> {
        self.0.iter().map(|(_, loader)| &**loader)
    }
}

/// In the place of the loader of modules, in a program that was built without it.
#[cfg(not(feature = "wasm"))]
struct NoWasm;

#[cfg(not(feature = "wasm"))]
impl Loader for NoWasm {
    fn locate(&self, _: &crate::Definition, _: bool) -> Result<Option<PathBuf>, LoadError> {
        Ok(None)
    }

    fn load<'a>(&'a self, wanted: Wanted<'a>) -> crate::BoxFuture<'a, Result<Loaded, LoadError>> {
        let name = wanted.definition.name.clone();
        Box::pin(async move { Err(LoadError::NoWasm { name }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row() {
        let kinds: Vec<_> = TABLE.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, Kind::ALL);
    }
}
