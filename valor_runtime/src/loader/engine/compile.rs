//! Compiling: the same bytes once, one file at a time, behind everything else.
//!
//! The loaders of modules and of components have [`Compilations`] each. Nothing is compiled here that was not checked
//! and counted before.

use crate::escape::one_line;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, Weak},
};
use valor_abi_wire::lock::locked;
use wasmtime::{Engine, Module};

/// The result of compiling some bytes: what they became, or why the engine refuses them.
pub(in crate::loader) type Compiled<T> = OnceLock<Result<T, String>>;

/// What is compiled, or being compiled, by the SHA-256 of its bytes, for as long as anybody has it.
pub(in crate::loader) struct Compilations<T>(Mutex<BTreeMap<[u8; 32], Weak<Compiled<T>>>>);

/// How far the check of a file has come, for its time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::loader) enum Stage {
    /// It waits while others are compiled.
    Waits,
    /// It is being compiled.
    Compiles,
}

impl<T: Clone + Send> Compilations<T> {
    pub(in crate::loader) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Compiles the same bytes once, however often they are mounted. A second caller waits for the first. Whoever has
    /// the second value keeps the first one here for others. `stage` hears how far it is.
    ///
    /// # Errors
    /// Why the engine refuses the bytes, in one line.
    pub(in crate::loader) fn compile(
        &self,
        bytes: &[u8],
        stage: &(dyn Fn(Stage) + Sync),
        compile: impl FnOnce() -> wasmtime::Result<T> + Send,
    ) -> Result<(T, Arc<Compiled<T>>), String> {
        stage(Stage::Waits);
        self.once(bytes, || {
            in_the_background(|| {
                stage(Stage::Compiles);
                compile()
            })
        })
    }

    /// Takes the same code once, however often it is mounted. This takes no time worth a place behind others.
    ///
    /// # Errors
    /// Why the engine refuses the code, in one line.
    pub(super) fn take(
        &self,
        code: &[u8],
        take: impl FnOnce() -> wasmtime::Result<T>,
    ) -> Result<(T, Arc<Compiled<T>>), String> {
        self.once(code, take)
    }

    fn once(
        &self,
        bytes: &[u8],
        make: impl FnOnce() -> wasmtime::Result<T>,
    ) -> Result<(T, Arc<Compiled<T>>), String> {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let compiled = {
            let mut all = locked(&self.0);
            all.retain(|_, compiled| compiled.strong_count() > 0);
            let known = all.get(&hash).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let compiled = Arc::default();
                all.insert(hash, Arc::downgrade(&compiled));
                compiled
            })
        };
        let made = compiled.get_or_init(|| make().map_err(|error| one_line(&format!("{error:#}"))));
        Ok((made.clone()?, compiled))
    }
}

/// Compiles a module past the `cache`. What is in it belongs to this process: the memory of a vlugin, with what its
/// configuration said, goes to no disk. It is never the same at the next start either.
#[allow(unsafe_code)] // The block states the invariant it leans on.
pub(in crate::loader) fn past_the_cache(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Module> {
    let code = engine.precompile_module(bytes)?;
    // SAFETY: these bytes are what this engine's compiler returned, unchanged. They were nowhere else in between.
    unsafe { Module::deserialize(engine, &code) }
}

/// Has wasmtime compile on threads of low priority, so that threads that serve requests lose no time to it. Compiles
/// one file at a time, so that all compiling together never takes more than `size` allows for one.
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
