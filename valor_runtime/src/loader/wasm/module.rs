//! A module, checked to be a guest before any of its code runs.

use super::{engine::engine, imports, size, sound};
use crate::{Limits, loader::GuestError};
use crate::{
    escape::one_line,
    loader::first_bytes::{self, First},
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, Weak},
};
use valor_abi_wire::{lock::locked, metadata::Metadata};
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
    pub metadata: Option<Metadata>,
    /// Keeps it in `COMPILED`, for others with the same bytes.
    _compiled: Arc<Compiled>,
}

/// The result of compiling some bytes.
type Compiled = OnceLock<Result<Module, GuestError>>;

/// What is compiled, or being compiled, by the SHA-256 of its bytes, for as long as anybody has it.
static COMPILED: Mutex<BTreeMap<[u8; 32], Weak<Compiled>>> = Mutex::new(BTreeMap::new());

/// How far the check of a module has come, for its time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits while others are compiled.
    Waits,
    /// It is being compiled.
    Compiles,
}

/// Compiles the same bytes once, however often they are mounted. A second caller waits for the first.
fn compile(
    engine: &Engine,
    bytes: &[u8],
    stage: &(dyn Fn(Stage) + Sync),
) -> Result<(Module, Arc<Compiled>), GuestError> {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let compiled = {
        let mut all = locked(&COMPILED);
        all.retain(|_, compiled| compiled.strong_count() > 0);
        let known = all.get(&hash).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let compiled = Arc::default();
            all.insert(hash, Arc::downgrade(&compiled));
            compiled
        })
    };
    stage(Stage::Waits);
    let module = compiled.get_or_init(|| {
        let module = in_the_background(|| {
            stage(Stage::Compiles);
            Module::new(engine, bytes)
        });
        // The module is sound and uses only what guests may use, so it must be too large.
        module.map_err(|error| GuestError::TooMuch(one_line(&format!("{error:#}"))))
    });
    Ok((module.clone()?, compiled))
}

/// Has wasmtime compile on threads of low priority, so that threads that serve requests lose no time to it. Compiles
/// one module at a time, so that all compiling together never takes more than `size` allows for one.
fn in_the_background<T: Send>(compile: impl FnOnce() -> T + Send) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    static THREADS: OnceLock<Option<rayon::ThreadPool>> = OnceLock::new();
    let _one = locked(&ONE);
    let threads = THREADS.get_or_init(|| {
        let threads = rayon::ThreadPoolBuilder::new()
            .thread_name(|number| format!("valor-compile-{number}"))
            .start_handler(|_| lower_priority());
        match threads.build() {
            Ok(threads) => Some(threads),
            Err(error) => {
                log::warn!(target: "valor::wasm", "no threads to compile on, so loading may delay requests: {error}");
                None
            }
        }
    });
    match threads {
        Some(threads) => threads.install(compile),
        None => compile(),
    }
}

/// Gives this thread a low priority, if the system has one for each thread.
fn lower_priority() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        log::debug!(target: "valor::wasm", "compiling has the priority of requests: {error}");
    }
}

/// Compiles a module and checks it against the boundary. A large module takes longer. `stage` hears how far it is.
pub(super) fn check(
    bytes: &[u8],
    limits: &Limits,
    stage: &(dyn Fn(Stage) + Sync),
) -> Result<Checked, GuestError> {
    let engine = engine().map_err(GuestError::Engine)?;
    check_format(bytes)?;
    size::check(bytes, limits.compile())?;
    let (module, compiled) = compile(engine, bytes, stage)?;
    check_exports(&module, limits.memory())?;
    check_imports(&module)?;
    let linker = imports::linker(engine).map_err(|e| GuestError::Engine(format!("{e:#}")))?;
    let pre = linker
        .instantiate_pre(&module)
        .map_err(|error| GuestError::Start(one_line(&format!("{error:#}"))))?;
    Ok(Checked {
        pre,
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

fn check_format(bytes: &[u8]) -> Result<(), GuestError> {
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
        None => return Err(GuestError::NoExport("memory")),
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
            None => return Err(GuestError::NoExport(name)),
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

#[cfg(test)]
mod tests {
    use super::in_the_background;
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    #[test]
    fn one_module_at_a_time_is_compiled_behind_everything_else() {
        static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
        let compile = || {
            let others = AT_ONCE.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            #[cfg(any(target_os = "linux", target_os = "android"))]
            assert_eq!(rustix::process::getpriority_process(None).unwrap(), 10);
            AT_ONCE.fetch_sub(1, Ordering::SeqCst);
            others
        };
        let threads: Vec<_> = (0..4)
            .map(|_| thread::spawn(move || in_the_background(compile)))
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 0, "others at once");
        }
    }
}
