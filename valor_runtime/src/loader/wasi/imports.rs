//! Everything that a component may import, from both versions of WASI.
//!
//! `component` links each component with it. The interfaces are wasmtime's, which follow the standard. Valor's own
//! parts stand in for whatever would run on tokio (`clocks`, `files`, `outgoing_v2`), so that a component is polled by
//! Valor alone, and for what has no bound in wasmtime (`files`, `names`).

use super::{clocks, files, guest::Guest, names, outgoing_v2};
use std::{future, sync::OnceLock};
use wasmtime::{
    Engine,
    component::{Linker, Resource},
};
use wasmtime_wasi_config::WasiConfig;
use wasmtime_wasi_http::p3::{self, bindings::http::types::ErrorCode};

/// The handler that the world `middleware` imports.
const NEXT: &str = "wasi:http/handler@0.3.0";

type Handled = Result<Resource<p3::Response>, ErrorCode>;

/// The linker, made once.
pub(super) fn linker(engine: &Engine) -> Result<&'static Linker<Guest>, String> {
    static LINKER: OnceLock<Result<Linker<Guest>, String>> = OnceLock::new();
    let linker = LINKER.get_or_init(|| made(engine).map_err(|error| format!("{error:#}")));
    linker.as_ref().map_err(Clone::clone)
}

fn made(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |guest: &mut Guest| {
        WasiConfig::new(&guest.config)
    })?;
    // What is behind a `middleware` of 0.3: nothing yet.
    linker.instance(NEXT)?.func_wrap_concurrent(
        "handle",
        |_, (_request,): (Resource<p3::Request>,)| {
            let none: Handled = Err(ErrorCode::DestinationNotFound);
            Box::pin(future::ready(Ok((none,))))
        },
    )?;
    linker.allow_shadowing(true);
    clocks::add_to_linker(&mut linker)?;
    files::add_to_linker(&mut linker)?;
    names::add_to_linker(&mut linker)?;
    outgoing_v2::add_to_linker(&mut linker)?;
    Ok(linker)
}
