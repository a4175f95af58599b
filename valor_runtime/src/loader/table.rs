//! The table of kinds: one row for each, with what a definition of the kind may say, where its vlugins run, what looks
//! at its files and what makes its loader. All that depends on the kind is made from its row.
//!
//! The runtime makes its [`Loaders`] from it. To add a kind: its row here, and a folder beside this file.

#[cfg(feature = "wasi")]
use super::wasi;
#[cfg(feature = "wasm")]
use super::wasm;
use super::{Examined, LoadError, Loader, Settings, files, js, native};
#[cfg(not(feature = "wasi"))]
use super::{Loaded, Wanted};
use crate::{
    Kind, KindRow,
    definition::{Bound, Kinds, MIB, files::CONFIG},
    package::{SCRIPT_TARGET, WASI_TARGET, WASM_TARGET},
};
#[cfg(not(feature = "wasi"))]
use std::path::PathBuf;
use std::{fmt, path::Path, sync::Arc};
use valor_abi_wire::metadata::Metadata;

#[cfg(feature = "wasm")]
pub use super::engine::{PrecompileError, compiler, keeps_code, precompile};
#[cfg(feature = "wasi")]
pub use super::wasi::WasiLoader;
#[cfg(feature = "wasm")]
pub use super::wasm::WasmLoader;
pub use crate::definition::InPage;

/// The version of the wasmtime that runs modules and components.
#[cfg(feature = "wasm")]
pub(crate) const WASMTIME: Option<&str> = Some(wasmtime_environ::VERSION);
#[cfg(not(feature = "wasm"))]
pub(crate) const WASMTIME: Option<&str> = None;

/// Why a folder has no use for a key, and what to do.
const PART_OF_VALOR: &str = "which is part of Valor; take it out";

/// Looks at the bytes of a file, which is only named. An error if it is none of the kind.
type Examine = fn(&Path, &[u8]) -> Result<Examined, LoadError>;

/// One kind.
struct Row {
    kind: KindRow,
    /// Looks at the bytes of a file. `None` if such files say nothing of themselves.
    examine: Option<Examine>,
    make: fn(&Settings) -> Arc<dyn Loader>,
}

const TABLE: &[Row] = &[
    Row {
        kind: KindRow {
            takes: &["host_memory", "fetches", "calls", "timers"],
            reaches_every_host: true,
            target: Some(Metadata::this_target),
            ..KindRow::new("native", "a shared library")
                .elsewhere(&["rust", "cdylib", "library", "so", "dll", "dylib"])
        },
        examine: Some(native::examine),
        make: |settings| Arc::new(native::NativeLoader::of(settings)),
    },
    Row {
        kind: KindRow {
            takes: &[
                "instance",
                "memory",
                "cpu",
                "instances",
                "host_memory",
                "fetches",
                "calls",
                "timers",
                "compile",
            ],
            in_page: InPage::Module,
            target: Some(|| WASM_TARGET),
            ..KindRow::new("wasm", "[a WebAssembly module](wasm.md)")
                .elsewhere(&["webassembly", "module"])
        },
        #[cfg(feature = "wasm")]
        examine: Some(wasm::examine),
        #[cfg(feature = "wasm")]
        make: |settings| Arc::new(wasm::WasmLoader::of(settings)),
        #[cfg(not(feature = "wasm"))]
        examine: None,
        #[cfg(not(feature = "wasm"))]
        make: |_| Arc::new(NotHere),
    },
    Row {
        kind: KindRow {
            takes: &[
                "files",
                "writable",
                "instance",
                "memory",
                "cpu",
                "instances",
                "host_memory",
                "fetches",
                "calls",
                "timers",
                "compile",
            ],
            in_page: InPage::Component,
            target: Some(|| WASI_TARGET),
            ..KindRow::new("wasi", "[a WebAssembly component](wasi.md)").elsewhere(&["component"])
        },
        #[cfg(feature = "wasi")]
        examine: Some(wasi::examine),
        #[cfg(feature = "wasi")]
        make: |settings| Arc::new(wasi::WasiLoader::of(settings)),
        #[cfg(not(feature = "wasi"))]
        examine: None,
        #[cfg(not(feature = "wasi"))]
        make: |_| Arc::new(NotHere),
    },
    Row {
        kind: KindRow {
            takes: &[
                "files",
                "group",
                "start",
                "memory",
                "cpu",
                "host_memory",
                "fetches",
                "calls",
            ],
            lacks: &[("source", "which is not built; give its file in `path`")],
            bounds: &[Bound {
                limit: "memory",
                // What a script and what runs it need.
                least: (16 * MIB) as f64,
                says: "a script has at least {least} of memory",
                default: (256 * MIB) as f64,
            }],
            runs: "own process",
            in_page: InPage::Script,
            target: Some(|| SCRIPT_TARGET),
            ..KindRow::new(
                "js",
                "[a JavaScript or TypeScript file](js.md), run by Deno",
            )
            .elsewhere(&[
                "javascript",
                "typescript",
                "ts",
                "mjs",
                "deno",
                "node",
                "script",
            ])
        },
        examine: None,
        make: |settings| Arc::new(js::JsLoader::of(settings)),
    },
    Row {
        kind: KindRow {
            // It is no code that is built, named, or kept from servers.
            lacks: &[
                ("strip", PART_OF_VALOR),
                ("rewrite", PART_OF_VALOR),
                ("source", PART_OF_VALOR),
                ("sha256", PART_OF_VALOR),
                ("allow", PART_OF_VALOR),
                ("callees", PART_OF_VALOR),
            ],
            needs: &[("path", "the folder to serve, \"path\": \"public\"")],
            config: Some(CONFIG),
            in_page: InPage::Folder,
            ..KindRow::new(
                "files",
                "[a folder of files](files.md), served by Valor itself",
            )
            .elsewhere(&["static", "folder", "dir", "directory"])
        },
        examine: None,
        make: |settings| Arc::new(files::FilesLoader::of(settings)),
    },
];

const ALL: [Kind; TABLE.len()] = {
    let mut all = [Kind::new(&TABLE[0].kind); TABLE.len()];
    let mut index = 0;
    while index < all.len() {
        all[index] = Kind::new(&TABLE[index].kind);
        index += 1;
    }
    all
};

/// Names for those that programs put into definitions themselves.
#[expect(
    non_upper_case_globals,
    reason = "a kind is written as the variant of an enum is, though no `match` can have it as a case"
)]
impl Kind {
    /// Each of Valor's own kinds.
    pub const ALL: &'static [Self] = &ALL;

    /// A shared library.
    pub const Native: Self = of("native");
    /// A WebAssembly module.
    pub const Wasm: Self = of("wasm");
    /// A JavaScript or TypeScript file, run by Deno.
    pub const Js: Self = of("js");
    /// A WebAssembly component.
    pub const Wasi: Self = of("wasi");
    /// A folder of files, served by Valor itself.
    pub const Files: Self = of("files");
}

/// The kind of this word, found when the program is compiled.
const fn of(word: &str) -> Kind {
    let word = word.as_bytes();
    let mut index = 0;
    while index < ALL.len() {
        let known = ALL[index].as_str().as_bytes();
        let mut at = 0;
        while at < word.len() && at < known.len() && word[at] == known[at] {
            at += 1;
        }
        if at == word.len() && at == known.len() {
            return ALL[index];
        }
        index += 1;
    }
    panic!("there is no kind of this word")
}

impl Default for Kinds {
    /// Valor's own.
    fn default() -> Self {
        Self::of(Kind::ALL)
    }
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

/// A kind that a program brings, and its loader.
#[derive(Clone)]
pub(crate) struct Brought {
    pub(crate) kind: Kind,
    pub(crate) loader: Arc<dyn Loader>,
}

impl fmt::Debug for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// A loader for each kind.
pub(crate) struct Loaders(Vec<Brought>);

impl Loaders {
    /// The loaders of all kinds, those that the program brings among them.
    pub(crate) fn new(settings: &Settings, brought: Vec<Brought>) -> Self {
        let made = TABLE.iter().map(|row| Brought {
            kind: Kind::new(&row.kind),
            loader: (row.make)(settings),
        });
        Self(made.chain(brought).collect())
    }

    /// The loader of this kind, which is one of those that definitions were checked with.
    pub(crate) fn of(&self, kind: Kind) -> Option<&dyn Loader> {
        let found = self.0.iter().find(|known| known.kind == kind)?;
        Some(&*found.loader)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn Loader> {
        self.0.iter().map(|known| &*known.loader)
    }
}

/// In the place of a loader that this program does not have.
#[cfg(not(feature = "wasi"))]
struct NotHere;

#[cfg(not(feature = "wasi"))]
impl Loader for NotHere {
    fn locate(&self, _: &crate::Definition, _: bool) -> Result<Option<PathBuf>, LoadError> {
        Ok(None)
    }

    fn load<'a>(&'a self, wanted: Wanted<'a>) -> crate::BoxFuture<'a, Result<Loaded, LoadError>> {
        let name = wanted.definition.name.clone();
        Box::pin(async move { Err(LoadError::NoWasm { name }) })
    }
}
