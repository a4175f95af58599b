//! [`ComponentError`]: why a WebAssembly component is not loaded. `wasi` makes them.

use super::{
    GuestError,
    guest_error::{TABLES, to},
};

/// How a component that answers requests is built.
const BUILD: &str = "build a component that exports wasi:http/incoming-handler@0.2 or wasi:http/handler@0.3 (Rust: for \
                     wasm32-wasip2 with the crate `wstd` or `wasip3`; Python: componentize-py; JavaScript: \
                     componentize-js)";

/// What is wrong with a component, in one line without its file's name, which
/// [`LoadError::Component`](crate::loader::LoadError::Component) puts in front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// Not a component, or cut off, or with something in it that no component has.
    #[error(
        "is not a sound WebAssembly component, so its wasi:http is not read: {0}; build it or copy it again"
    )]
    NotAComponent(String),
    /// Something else, by its first bytes.
    #[error("is not a WebAssembly component that exports wasi:http but {found}: {remedy}")]
    OtherFile {
        /// What it is instead.
        found: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A module that Valor's macro made.
    #[error(
        "is a core module made by #[vlugin], not a component that exports wasi:http: write `\"type\": \"wasm\"`"
    )]
    ValorModule,
    /// The module inside of a component, without the component around it.
    #[error(
        "is a core module with the bindings of a component, but the component that exports wasi:http is not around \
         it: `wasm-tools component new FILE -o COMPONENT` makes it"
    )]
    NotWrapped,
    /// The same, of a program that uses WASI 0.1 besides.
    #[error(
        "is a core module with the bindings of a component, and imports `{0}`; the component that exports wasi:http is \
         not around it: `wasm-tools component new FILE --adapt {0}=ADAPTER -o COMPONENT` makes it, with the ADAPTER \
         `wasi_snapshot_preview1.reactor.wasm` of wasmtime's releases"
    )]
    NotAdapted(String),
    /// A core module of WASI 0.1, which has no requests.
    #[error(
        "is a core module that imports `{0}` (WASI 0.1), which has no wasi:http: `wasm-tools component new FILE \
         --adapt …` makes a component of it, but not one that handles requests; {BUILD}"
    )]
    Preview1(String),
    /// Any other core module.
    #[error("is a core module, not a component that exports wasi:http: {BUILD}")]
    CoreModule,
    /// A program that runs once.
    #[error(
        "exports `{0}`, so it is a command that runs once, and no handler of wasi:http: {BUILD}"
    )]
    Command(String),
    /// No handler among its exports.
    #[error(
        "exports {exports}, but no handler of wasi:http: {}",
        meant.as_ref().map_or_else(|| BUILD.to_owned(), |meant| format!("did you mean `{meant}`?"))
    )]
    NoHandler {
        /// What it exports: `nothing`, or some names.
        exports: String,
        /// The handler whose name is nearest to one of them.
        meant: Option<&'static str>,
    },
    /// A handler of a version that this host does not have.
    #[error(
        "exports `{0}`, a version that this host does not have: it has wasi:http/incoming-handler@0.2.0 up to @0.2.12 \
         and wasi:http/handler@0.3.0; build it with a toolchain for one of them"
    )]
    HandlerVersion(String),
    /// A handler that is no instance, or one without its function.
    #[error(
        "exports `{interface}` {found}, but the interface has `{expected}`: build it with the WIT of wasi:http"
    )]
    Handler {
        /// The interface.
        interface: String,
        /// What is there instead.
        found: String,
        /// What should be there.
        expected: &'static str,
    },
    /// An import that is not of an interface of this host.
    #[error(
        "imports `{import}`, which this host does not have: {remedy}, or compose it with a component that exports \
         it (`wac plug`)"
    )]
    UnknownImport {
        /// What it imports.
        import: String,
        /// What this host has instead, and what to do.
        remedy: String,
    },
    /// A function or a resource that its interface does not have here.
    #[error(
        "imports `{item}` of `{interface}`, which this host's `{ours}` does not have: {remedy}"
    )]
    UnknownItem {
        /// The interface.
        interface: String,
        /// The interface of this host.
        ours: String,
        /// The function or resource.
        item: String,
        /// What to do.
        remedy: String,
    },
    /// A function of another type than this host's.
    #[error(
        "{verb} `{function}` of `{interface}` with {found} in its type where this host's `{ours}` has {expected}: \
         build it with the WIT of that version"
    )]
    FunctionType {
        /// `imports` or `exports`.
        verb: &'static str,
        /// The interface.
        interface: String,
        /// The interface of this host.
        ours: String,
        /// The function.
        function: String,
        /// The first part of its type that differs.
        found: Box<str>,
        /// That part here.
        expected: Box<str>,
    },
    /// More memory than it may have, before it has begun.
    #[error(
        "wants {wanted} bytes of memory to begin with, before wasi:http calls it, but may have {limit}: raise \
         `limits.memory`, or build it with a smaller initial memory"
    )]
    Memory {
        /// What all of its modules together want, in bytes.
        wanted: u64,
        /// What it may have, in bytes.
        limit: u64,
    },
    /// A feature of WebAssembly that guests do not have.
    #[error("uses {what}, which no vlugin may, with or without wasi:http: {remedy}")]
    Feature {
        /// What it is called.
        what: String,
        /// How to build without it.
        remedy: &'static str,
    },
    /// More tables than an instance has, or a longer one.
    #[error(
        "has a core module with {found} {what}, but one has at most {tables} tables of {elements} elements each, \
         whatever it uses of wasi:http: build it with less code behind function pointers",
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
        "has more of something than WebAssembly engines accept, whatever it uses of wasi:http: {0}; make several \
         vlugins of it, or copy it again if it was damaged on its way"
    )]
    Limit(String),
    /// A folder that its definition grants and that it cannot have.
    #[error("is not loaded: {0}")]
    Folder(String),
    /// A sound component, but more of it than an instance may have.
    #[error(
        "needs more than an instance may have, whatever it uses of wasi:http: {0}; build it with optimizations, or \
         make several vlugins of it"
    )]
    TooMuch(String),
    /// Compiling it would take too much time or memory.
    #[error(
        "has {found} {what}, but Valor compiles at most {most} in a component, whatever it uses of wasi:http: build it \
         with optimizations, make several vlugins of it, or raise `limits.compile`{} if you know where it comes from",
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
    /// This program was built without WebAssembly, or the system does not let it run.
    #[error("cannot be run: {0}")]
    Engine(String),
    /// It could not be put into memory, or trapped while it began.
    #[error("does not begin: {0}")]
    Start(String),
}

/// What is wrong with a core module in a component is wrong with the component.
impl From<GuestError> for ComponentError {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::Feature { what, remedy } => Self::Feature {
                remedy: match remedy.contains("wasm32-unknown-unknown") {
                    true if what.contains("memory64") => {
                        "build it for a target of 32 bits, as wasm32-wasip2 is (clang: without `-mwasm64`)"
                    }
                    true if what.contains("externref") => {
                        "build it from a language that manages its own memory"
                    }
                    true => "build it for wasm32-wasip2 with its default features",
                    false => remedy,
                },
                what,
            },
            GuestError::Tables { what, found } => Self::Tables { what, found },
            GuestError::TooLarge {
                what,
                found,
                most,
                enough,
            } => Self::TooLarge {
                what,
                found,
                most,
                enough,
            },
            GuestError::Limit(why) => Self::Limit(why),
            GuestError::TooMuch(why) => Self::TooMuch(why),
            GuestError::CompileTimedOut(after) => Self::CompileTimedOut(after),
            GuestError::Engine(why) => Self::Engine(why),
            GuestError::Start(why) => Self::Start(why),
            GuestError::NotAModule(why) => {
                Self::NotAComponent(format!("one of its core modules is not sound: {why}"))
            }
            other => Self::NotAComponent(format!("one of its core modules {other}")),
        }
    }
}
