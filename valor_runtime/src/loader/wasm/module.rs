//! A module, checked to be a guest before any of its code runs.

use super::{
    exports::Places,
    imports,
    snapshot::{Original, State},
};
use crate::{
    Limits,
    loader::{
        GuestError,
        engine::{
            Compilations, Compiled, Precompiled, Stage, engine, judged, past_the_cache, size, sound,
        },
    },
};
use crate::{
    escape::one_line,
    loader::first_bytes::{self, First},
};
use std::{path::Path, sync::Arc};
use valor_abi_wire::metadata::Metadata;
use wasmtime::{Engine, ExternType, FuncType, InstancePre, Module, ValType};

/// The functions that every guest exports, with their parameters; `true` for those that return a number.
pub(super) const EXPORTS: [(&str, usize, bool); 11] = [
    ("valor_abi", 0, true),
    ("valor_alloc", 1, true),
    ("valor_free", 2, false),
    ("valor_init", 2, false),
    ("valor_request", 3, false),
    ("valor_body", 4, false),
    ("valor_fetch_response", 3, false),
    ("valor_writable", 2, false),
    ("valor_timer", 1, false),
    ("valor_cancel", 1, false),
    ("valor_poll", 0, false),
];

/// The functions that a guest may import, with their parameters and their result.
pub(super) const IMPORTS: [(&str, &[ValType], Option<ValType>); 12] = {
    use ValType::{F64, I32, I64};
    [
        ("log", &[I32, I32, I32, I32, I32, I32, I32, I32], None),
        ("now_ms", &[], Some(F64)),
        ("monotonic_ns", &[], Some(I64)),
        ("random", &[I32, I32], None),
        ("wake", &[], None),
        ("ready", &[I32, I32], None),
        ("respond", &[I32, I32, I32], None),
        ("write", &[I32, I32, I32, I32], None),
        ("read_more", &[I32, I32], None),
        ("fetch", &[I32, I32, I32, I32, I32], None),
        ("timer", &[I32, F64], None),
        ("abort", &[I32], None),
    ]
};

/// The bytes of one page of memory.
const PAGE: u64 = 65536;

/// A compiled module whose imports are all here, ready to be instantiated.
#[derive(Clone)]
pub(super) struct Checked {
    pub pre: InstancePre<imports::Guest>,
    pub places: Arc<Places>,
    pub metadata: Option<Metadata>,
    /// Keeps it in `COMPILED`, for others with the same bytes.
    _compiled: Arc<Compiled<Module>>,
}

/// What is compiled, or being compiled.
static COMPILED: Compilations<Module> = Compilations::new();

/// Compiles a module and checks it against the boundary. A large module takes longer. `stage` hears how far it is. If
/// there is code for it that runs here, that is used.
pub(super) fn check(
    bytes: &[u8],
    code: Option<Precompiled<'_>>,
    limits: &Limits,
    stage: &(dyn Fn(Stage) + Sync),
) -> Result<Checked, GuestError> {
    if let Some((module, taken)) = code.and_then(|it| it.module(&COMPILED)) {
        check_format(bytes)?;
        return linked(bytes, &module, taken, limits);
    }
    judge(bytes, limits)?;
    compiled(bytes, limits, stage, through_the_cache)
}

/// The same for a module whose vlugin is to be frozen once it is created, with what that takes.
pub(super) fn check_to_freeze(
    bytes: &[u8],
    limits: &Limits,
    stage: &(dyn Fn(Stage) + Sync),
) -> Result<(Checked, Original), GuestError> {
    judge(bytes, limits)?;
    let (original, prepared) = Original::prepare(bytes)?;
    let checked = compiled(&prepared, limits, stage, through_the_cache)?;
    Ok((checked, original))
}

/// Compiles the module that an instance of [`check_to_freeze`]'s has become.
pub(super) fn freeze(
    original: &Original,
    state: &State,
    limits: &Limits,
    stage: &(dyn Fn(Stage) + Sync),
) -> Result<Checked, GuestError> {
    // Its code is what was judged, and its memory is no larger than the limit.
    let frozen = original.frozen(state)?;
    compiled(&frozen, limits, stage, past_the_cache)
}

/// Whether a module is sound and small enough to be compiled.
fn judge(bytes: &[u8], limits: &Limits) -> Result<(), GuestError> {
    check_format(bytes)?;
    judged::once(bytes, limits.compile(), || {
        size::check(bytes, limits.compile())
    })
}

fn through_the_cache(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Module> {
    Module::new(engine, bytes)
}

fn compiled(
    bytes: &[u8],
    limits: &Limits,
    stage: &(dyn Fn(Stage) + Sync),
    compile: fn(&Engine, &[u8]) -> wasmtime::Result<Module>,
) -> Result<Checked, GuestError> {
    let engine = engine().map_err(GuestError::Engine)?;
    let (module, compiled) = COMPILED
        .compile(bytes, stage, || compile(engine, bytes))
        // The module is sound and uses only what guests may use, so it must be too large.
        .map_err(GuestError::TooMuch)?;
    linked(bytes, &module, compiled, limits)
}

/// A compiled module of these bytes, checked against the boundary.
fn linked(
    bytes: &[u8],
    module: &Module,
    compiled: Arc<Compiled<Module>>,
    limits: &Limits,
) -> Result<Checked, GuestError> {
    check_exports(module, limits.memory())?;
    check_imports(module)?;
    let places = Places::of(module).ok_or(GuestError::NoExport("memory"))?;
    let linker = imports::linker(module.engine());
    let linker = linker.map_err(|e| GuestError::Engine(format!("{e:#}")))?;
    let pre = linker
        .instantiate_pre(module)
        .map_err(|error| GuestError::Start(one_line(&format!("{error:#}"))))?;
    Ok(Checked {
        pre,
        places: Arc::new(places),
        metadata: metadata(bytes),
        _compiled: compiled,
    })
}

/// Whether the bytes of `file` are a sound module, without compiling it. This takes a moment; [`check`] takes its time.
pub(super) fn validate(file: &Path, bytes: &[u8]) -> Result<(), GuestError> {
    check_start(file, bytes)?;
    check_format(bytes)?;
    sound::check(bytes)
}

/// Whether the bytes of `file` begin like WebAssembly.
pub(super) fn check_start(file: &Path, bytes: &[u8]) -> Result<(), GuestError> {
    match first_bytes::of(bytes) {
        First::Module | First::Component => Ok(()),
        first => Err(GuestError::OtherFile {
            found: first.to_string(),
            remedy: first.as_module(file),
        }),
    }
}

/// Whether the bytes are in the format of modules, not in that of components.
pub(super) fn check_format(bytes: &[u8]) -> Result<(), GuestError> {
    // Version 1 of layer 1: the binary format of components.
    if bytes.starts_with(b"\0asm") && bytes.get(6) == Some(&1) {
        return Err(GuestError::Component);
    }
    if !bytes.starts_with(b"\0asm") {
        return Err(GuestError::NotAModule(
            "its first four bytes are not `\\0asm`".into(),
        ));
    }
    Ok(())
}

fn check_exports(module: &Module, memory_limit: u64) -> Result<(), GuestError> {
    match module.get_export("memory") {
        Some(ExternType::Memory(memory)) => {
            let wanted = memory.minimum().saturating_mul(PAGE);
            if wanted > memory_limit {
                return Err(GuestError::Memory {
                    wanted,
                    limit: memory_limit,
                });
            }
        }
        Some(other) => {
            return Err(GuestError::ExportType {
                name: "memory",
                found: shape(&other),
                expected: "a memory".into(),
            });
        }
        None => return Err(no_export(module, "memory")),
    }
    for (name, params, returns) in EXPORTS {
        let expected = FuncType::new(
            module.engine(),
            std::iter::repeat_n(ValType::I32, params),
            returns.then_some(ValType::I32),
        );
        match module.get_export(name) {
            Some(ExternType::Func(found)) if found.matches(&expected) => {}
            Some(other) => {
                return Err(GuestError::ExportType {
                    name,
                    found: shape(&other),
                    expected: shape(&ExternType::Func(expected)),
                });
            }
            None => return Err(no_export(module, name)),
        }
    }
    let unknown = module.exports().find(|export| {
        export.name().starts_with("valor_")
            && EXPORTS.iter().all(|(name, ..)| *name != export.name())
    });
    match unknown {
        Some(export) => Err(GuestError::UnknownExport(one_line(export.name()))),
        None => Ok(()),
    }
}

/// What a module is that lacks this export: perhaps a program for WASI, by what it imports.
fn no_export(module: &Module, name: &'static str) -> GuestError {
    let mut modules = module.imports().map(|import| import.module());
    match modules.find(|from| from.starts_with("wasi")) {
        Some(from) => GuestError::OfWasi(one_line(from)),
        None => GuestError::NoExport(name),
    }
}

fn check_imports(module: &Module) -> Result<(), GuestError> {
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let ours = IMPORTS.iter().find(|(known, ..)| *known == name);
        let Some((_, params, result)) = ours.filter(|_| from == imports::MODULE) else {
            return Err(GuestError::UnknownImport {
                module: one_line(from),
                name: one_line(name),
            });
        };
        let types = params.iter().cloned();
        let ours = FuncType::new(module.engine(), types, result.clone());
        match import.ty() {
            ExternType::Func(theirs) if ours.matches(&theirs) => {}
            theirs => {
                return Err(GuestError::ImportType {
                    name: name.to_owned(),
                    found: shape(&theirs),
                    expected: shape(&ExternType::Func(ours)),
                });
            }
        }
    }
    Ok(())
}

/// A type as docs/guest-abi.md writes it.
fn shape(ty: &ExternType) -> String {
    match ty {
        ExternType::Func(func) => {
            let list = |types: &mut dyn Iterator<Item = ValType>| {
                types
                    .map(|ty| ty.to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            format!(
                "({}) -> ({})",
                list(&mut func.params()),
                list(&mut func.results())
            )
        }
        ExternType::Memory(_) => "a memory".into(),
        ExternType::Table(_) => "a table".into(),
        ExternType::Global(_) => "a global".into(),
        _ => "something else".into(),
    }
}

/// What a module says about itself, read without running it.
pub(super) fn metadata(bytes: &[u8]) -> Option<Metadata> {
    custom_section(bytes, valor_abi_wire::metadata::SECTION).and_then(Metadata::parse)
}

/// The bytes of the first custom section of this name. Trusts no length.
pub(super) fn custom_section<'a>(module: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let mut rest = module.get(8..)?;
    while let Some((&id, after)) = rest.split_first() {
        let (len, after) = leb128(after)?;
        let (section, after) = after.split_at_checked(len)?;
        rest = after;
        if id != 0 {
            continue;
        }
        let (len, after) = leb128(section)?;
        let (name, content) = after.split_at_checked(len)?;
        if name == wanted.as_bytes() {
            return Some(content);
        }
    }
    None
}

/// An unsigned number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let number = u32::try_from(number).ok()?;
            return Some((number as usize, &bytes[at + 1..]));
        }
    }
    None
}
