//! Code that was compiled before: made for a package, and taken out of one.
//!
//! `valor_cli package` calls [`precompile`]. The loaders of modules and of components ask a [`Precompiled`] before they
//! compile. It is machine code, which leaves the sandbox if it wants to: so it comes only out of a package that has
//! the signature of somebody whom the operator trusts. Code that this engine cannot run is no fault. The log says why,
//! and the package's module is compiled.

use super::compile::{Compilations, Compiled};
use super::config::{engine, for_target};
use crate::{
    escape::one_line,
    loader::unpack::Chosen,
    package::{TrustedKeys, WASM_TARGET},
};
use std::{path::Path, sync::Arc};
use valor_abi_wire::metadata::Metadata;
#[cfg(feature = "wasi")]
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// Why no code can be made for a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrecompileError {
    /// The target is none that code can be made for here.
    #[error(
        "no code can be compiled for {target} here ({reason}): this program compiles for {}; take another for a triple \
         such as {}, or add the code with `--precompile` on a machine like that",
        std::env::consts::ARCH,
        Metadata::this_target()
    )]
    Target {
        /// What was asked for.
        target: String,
        /// What the compiler says.
        reason: String,
    },
    /// The bytes cannot be compiled.
    #[error("it cannot be compiled: {0}")]
    Code(String),
    /// Only modules and components are compiled.
    #[error("only WebAssembly modules and components are compiled, and nothing for {0}")]
    Kind(String),
}

/// Compiles a module or a component (`of` is [`WASM_TARGET`] or [`WASI_TARGET`](crate::package::WASI_TARGET)) for hosts of a target triple. The code
/// runs on every processor of the target's architecture, and only in a Valor with the same [`compiler`].
///
/// # Errors
/// [`PrecompileError`].
pub fn precompile(of: &str, bytes: &[u8], target: &str) -> Result<Vec<u8>, PrecompileError> {
    let line = |error: wasmtime::Error| one_line(&format!("{error:#}"));
    let engine = for_target(target).map_err(|error| PrecompileError::Target {
        target: one_line(target),
        reason: line(error),
    })?;
    let code = match of {
        WASM_TARGET => engine.precompile_module(bytes),
        #[cfg(feature = "wasi")]
        crate::package::WASI_TARGET => engine.precompile_component(bytes),
        _ => return Err(PrecompileError::Kind(one_line(of))),
    };
    code.map_err(|error| PrecompileError::Code(line(error)))
}

/// What compiles here, with its version, such as `wasmtime-48.0.2`. Code of another version is not run: a later one may
/// have mended what an earlier one compiled wrongly.
pub fn compiler() -> String {
    format!("wasmtime-{}", wasmtime_environ::VERSION)
}

/// Machine code for this host out of a package that is trusted.
#[derive(Debug, Clone, Copy)]
pub(in crate::loader) struct Precompiled<'a> {
    /// The package.
    pub(in crate::loader) file: &'a Path,
    /// What compiled it, as the package says.
    pub(in crate::loader) by: &'a str,
    pub(in crate::loader) code: &'a [u8],
}

impl<'a> Precompiled<'a> {
    /// The code that the package of a module or a component has for this host, if it may run. If there is some that may
    /// not, the log says why. `trust` has the keys one of which has signed the package, if files need signatures.
    pub(in crate::loader) fn of(
        file: &'a Path,
        chosen: &'a Chosen<'_>,
        trust: Option<&TrustedKeys>,
    ) -> Option<Self> {
        let (package, library) = chosen.told.as_ref()?;
        let all = package.compiled();
        let all: Vec<_> = all.filter(|(it, _)| it.of == library.target).collect();
        let here = Metadata::this_target();
        let fits = all.iter().find(|(it, _)| is_as(&it.target, here));
        let why = match (trust, fits) {
            _ if all.is_empty() => return None,
            (Some(keys), _) if keys.compiles_all() => return None,
            (Some(_), Some((told, code))) => {
                return Some(Self {
                    file,
                    by: &told.compiler,
                    code,
                });
            }
            (None, _) => "only a trusted signature (`--trust`) lets it run".to_owned(),
            (Some(_), None) => {
                let targets: Vec<_> = all.iter().map(|(it, _)| &*it.target).collect();
                format!("it is for {}, and this host is {here}", targets.join(", "))
            }
        };
        log::info!(
            target: "valor::wasm",
            "{}: the compiled code in it is not used: {why}", file.display()
        );
        None
    }

    /// The module, if this engine can run it; the log says why not.
    #[allow(unsafe_code)] // The block states the invariant it leans on.
    pub(in crate::loader) fn module(
        &self,
        all: &Compilations<Module>,
    ) -> Option<(Module, Arc<Compiled<Module>>)> {
        self.taken(all, |engine| {
            // SAFETY: nobody can write to these bytes, and they are part of a file that a key of the operator's has
            // signed: whoever holds it may run code in this process. wasmtime itself refuses what another version, or
            // another configuration, has compiled.
            unsafe { Module::deserialize(engine, self.code) }
        })
    }

    /// The component, if this engine can run it; the log says why not.
    #[cfg(feature = "wasi")]
    #[allow(unsafe_code)] // The block states the invariant it leans on.
    pub(in crate::loader) fn component(
        &self,
        all: &Compilations<Component>,
    ) -> Option<(Component, Arc<Compiled<Component>>)> {
        self.taken(all, |engine| {
            // SAFETY: as in `module`.
            unsafe { Component::deserialize(engine, self.code) }
        })
    }

    fn taken<T: Clone + Send>(
        &self,
        all: &Compilations<T>,
        take: impl FnOnce(&Engine) -> wasmtime::Result<T>,
    ) -> Option<(T, Arc<Compiled<T>>)> {
        // Without an engine, compiling says so.
        let engine = engine().ok()?;
        let taken = match self.by == compiler() {
            true => all.take(self.code, || take(engine)),
            false => Err(format!("this is {}", compiler())),
        };
        let why = |reason: &String| {
            log::warn!(
                target: "valor::wasm",
                "{}: the code in it, compiled by {}, does not run here, so the vlugin is compiled now: {reason}; \
                 package it again with this Valor",
                self.file.display(), one_line(self.by)
            );
        };
        taken.inspect_err(why).ok()
    }
}

/// Whether code for hosts of one target runs on those of another: it has the same architecture and system. The vendor
/// and the C library make no difference to it.
fn is_as(one: &str, other: &str) -> bool {
    let parts = |triple: &str| {
        let mut parts = triple.split('-').map(str::to_owned);
        (parts.next(), parts.nth(1))
    };
    parts(one) == parts(other)
}
