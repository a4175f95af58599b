//! [`GuestError`]: why a WebAssembly module is not loaded. `wasm` makes them.

/// Tables that a module may have, and elements that one of them may have.
pub(super) const TABLES: (u32, usize) = (8, 100_000);

/// What is wrong with a module, in one line without its file's name, which
/// [`LoadError::Guest`](crate::loader::LoadError::Guest) puts in front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// Not WebAssembly, or cut off, or with something in it that no module has.
    #[error("is not a WebAssembly module: {0}; build it or copy it again")]
    NotAModule(String),
    /// Something else, by its first bytes.
    #[error("is not a WebAssembly module but {found}: {remedy}")]
    OtherFile {
        /// What it is instead.
        found: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A component, which another loader runs.
    #[error(
        "is a WebAssembly component, not a core module: write `\"type\": \"wasi\"`, or build it for \
         wasm32-unknown-unknown"
    )]
    Component,
    /// An import that the boundary does not have.
    #[error(
        "imports `{module}.{name}`, which no host of a vlugin has: a guest imports from `valor1` what \
         docs/guest-abi.md lists; build it for wasm32-unknown-unknown, without wasm-bindgen and without WASI"
    )]
    UnknownImport {
        /// The module that it imports from.
        module: String,
        /// What it imports.
        name: String,
    },
    /// An import of another type than the boundary's.
    #[error("imports `valor1.{name}` as {found}, but it is {expected}")]
    ImportType {
        /// The import.
        name: String,
        /// Its type there.
        found: String,
        /// Its type here.
        expected: String,
    },
    /// An export is missing.
    #[error(
        "has no export `{0}`, which every vlugin has; was it built with #[vlugin], as a cdylib?"
    )]
    NoExport(&'static str),
    /// It has no export of a vlugin's, and imports from WASI.
    #[error(
        "is not made with #[vlugin]: it is a program for WASI, as it imports from `{0}`; build it as a component that \
         exports wasi:http (`wasm32-wasip2`), and write `\"type\": \"wasi\"`"
    )]
    OfWasi(String),
    /// An export of another type than the boundary's.
    #[error("exports `{name}` as {found}, but a vlugin's is {expected}")]
    ExportType {
        /// The export.
        name: &'static str,
        /// Its type there.
        found: String,
        /// Its type here.
        expected: String,
    },
    /// An export that only another version of the boundary can have.
    #[error(
        "exports `{0}`, which this host does not know: it is of a newer Valor; use a newer host"
    )]
    UnknownExport(String),
    /// Another version of the boundary.
    #[error(
        "speaks version {found} of the guest ABI, but this host speaks version {}; build it with a valor_abi that does",
        valor_abi_guest::GUEST_ABI
    )]
    Abi {
        /// Its version.
        found: u32,
    },
    /// More memory than it may have, before it has begun.
    #[error(
        "wants {wanted} bytes of memory to begin with, but may have {limit}: raise `limits.memory`"
    )]
    Memory {
        /// What it wants, in bytes.
        wanted: u64,
        /// What it may have, in bytes.
        limit: u64,
    },
    /// A feature of WebAssembly that guests do not have.
    #[error("uses {what}, which no vlugin may: {remedy}")]
    Feature {
        /// What it is called.
        what: String,
        /// How to build without it.
        remedy: &'static str,
    },
    /// More tables than an instance has, or a longer one.
    #[error(
        "has {found} {what}, but an instance begins with at most {tables} tables of {elements} elements each: build \
         it with less code behind function pointers, or make several vlugins of it",
        tables = TABLES.0, elements = TABLES.1
    )]
    Tables {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        found: u64,
    },
    /// More of something than engines take.
    #[error(
        "has more of something than WebAssembly engines accept: {0}; make several vlugins of it, or copy it again if \
         it was damaged on its way"
    )]
    Limit(String),
    /// A sound module, but more of it than an instance may have.
    #[error(
        "needs more than an instance may have: {0}; build it with optimizations, or make several vlugins of it"
    )]
    TooMuch(String),
    /// Compiling it would take too much time or memory.
    #[error(
        "has {found} {what}, but Valor compiles at most {most}: build it with optimizations, make several vlugins of \
         it, or raise `limits.compile`{} if you know where it comes from",
        to(.enough)
    )]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is, or was when the limit was reached.
        found: u64,
        /// How much there may be.
        most: u64,
        /// A `limits.compile` that is enough, if that was soon found out.
        enough: Option<u32>,
    },
    /// Compiling it took too long.
    #[error(
        "is not compiled after {0:?}: build it with optimizations, make several vlugins of it, or raise \
         `limits.compile`"
    )]
    CompileTimedOut(std::time::Duration),
    /// Its state cannot be frozen.
    #[error(
        "cannot begin anew with each request: {0}, and its state could not be kept; write `\"instance\": \"shared\"`, \
         or build it for wasm32-unknown-unknown with its default features"
    )]
    Frozen(String),
    /// This program was built without WebAssembly, or the system does not let it run.
    #[error("cannot be run: {0}")]
    Engine(String),
    /// It could not be put into memory, or trapped while it began.
    #[error("does not begin: {0}")]
    Start(String),
}

/// What a refusal adds to "raise `limits.compile`".
pub(super) fn to(enough: &Option<u32>) -> String {
    enough.map_or_else(String::new, |it| format!(" to {it}"))
}
