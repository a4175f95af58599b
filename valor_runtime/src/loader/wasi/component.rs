//! A component, checked and compiled before any of its code runs.

use super::{
    guest::Guest,
    imports, stray,
    world::{self, Version},
};
use crate::{
    Limits,
    escape::one_line,
    loader::{
        ComponentError,
        engine::{Compilations, Compiled, Precompiled, Stage, engine},
        first_bytes::{self, First},
    },
};
use std::{path::Path, sync::Arc};
use wasmtime::{Engine, component::Component};
use wasmtime_wasi_http::{p2, p3};

/// What is compiled, or being compiled.
static COMPILED: Compilations<Component> = Compilations::new();

/// A compiled component whose imports are all here, ready to be instantiated.
#[derive(Clone)]
pub(super) struct Checked {
    pub pre: Arc<Pre>,
    /// Keeps it in `COMPILED`, for others with the same bytes.
    _compiled: Arc<Compiled<Component>>,
}

/// What it exports.
pub(super) enum Pre {
    /// `wasi:http/incoming-handler@0.2`.
    V2(p2::bindings::ProxyPre<Guest>),
    /// `wasi:http/handler@0.3`.
    V3(p3::bindings::ServicePre<Guest>),
}

impl Pre {
    /// The engine that compiled it.
    pub fn engine(&self) -> &Engine {
        match self {
            Self::V2(pre) => pre.engine(),
            Self::V3(pre) => pre.engine(),
        }
    }

    /// Whether an instance takes several requests at once.
    pub fn is_concurrent(&self) -> bool {
        matches!(self, Self::V3(_))
    }
}

/// Whether `file` may be a component by its first bytes. For a core module, only all of its bytes say what it is.
///
/// # Errors
/// What the file is instead, and what to do.
pub(super) fn check_first(file: &Path, first: &[u8]) -> Result<(), ComponentError> {
    match first_bytes::of(first) {
        First::Module => Ok(()),
        _ => check_start(file, first),
    }
}

/// Whether the bytes of `file` begin like a component. A core module is read further, to say what it is.
///
/// # Errors
/// What the file is instead, and what to do.
pub(super) fn check_start(file: &Path, bytes: &[u8]) -> Result<(), ComponentError> {
    match first_bytes::of(bytes) {
        First::Component => Ok(()),
        First::Module => Err(stray::judge(bytes)),
        first => Err(ComponentError::OtherFile {
            found: first.to_string(),
            remedy: first.as_component(file),
        }),
    }
}

/// Checks a component and compiles it. A large one takes longer. `stage` hears how far it is. If there is code for it
/// that runs here, that is used.
pub(super) fn check(
    bytes: &[u8],
    code: Option<Precompiled<'_>>,
    limits: &Limits,
    stage: &(dyn Fn(Stage) + Sync),
) -> Result<Checked, ComponentError> {
    let engine = engine().map_err(ComponentError::Engine)?;
    let (world, (component, compiled)) = match code.and_then(|it| it.component(&COMPILED)) {
        Some(taken) => (world::read_compiled(bytes, limits)?, taken),
        None => {
            let world = world::read_again(bytes, limits)?;
            let compiled = COMPILED.compile(bytes, stage, || Component::new(engine, bytes));
            (world, compiled.map_err(ComponentError::TooMuch)?)
        }
    };
    let linker = imports::linker(engine).map_err(ComponentError::Engine)?;
    let start = |error: wasmtime::Error| ComponentError::Start(one_line(&format!("{error:#}")));
    let pre = linker.instantiate_pre(&component).map_err(start)?;
    log::debug!(
        target: "valor::wasi",
        "a component that exports `{}`: {} core modules, and an instance has {} of them and begins with {} bytes in {} \
         memories",
        world.handler, world.modules, world.instances, world.memory, world.memories
    );
    let pre = match world.version {
        Version::P3 => Pre::V3(p3::bindings::ServicePre::new(pre).map_err(start)?),
        Version::P2 => Pre::V2(p2::bindings::ProxyPre::new(pre).map_err(start)?),
    };
    Ok(Checked {
        pre: Arc::new(pre),
        _compiled: compiled,
    })
}
