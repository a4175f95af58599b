//! Everything that a component may import, from both versions of WASI.
//!
//! `component` links each component with it. The interfaces are wasmtime's, which follow the standard. Valor's own
//! parts stand in for whatever would run on tokio (`clocks`, `files`, `outgoing_v2`), so that a component is polled by
//! Valor alone, for what has no bound in wasmtime (`files`, `names`), and for what no vlugin has (`sockets`).

use super::{clocks, files, guest::Guest, names, outgoing_v2, sockets};
use std::{future, sync::OnceLock};
use wasmtime::{
    Engine,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    cli::{WasiCli, WasiCliView},
    filesystem::{WasiFilesystem, WasiFilesystemView},
    random::{WasiRandom, WasiRandomView},
};
use wasmtime_wasi_config::WasiConfig;
use wasmtime_wasi_http::p3::{self, bindings::http::types::ErrorCode};

/// The handler that the world `middleware` imports.
const NEXT: &str = "wasi:http/handler@0.3.0";

type Handled = Result<Resource<p3::Response>, ErrorCode>;

/// What wasmtime has of WASI 0.2, without sockets.
fn add_v2(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p2::bindings::{cli, filesystem, random};

    // Streams, clocks, random numbers, standard input and output.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, Guest::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, Guest::random)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::environment::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)
}

/// What wasmtime has of WASI 0.3, without sockets.
fn add_v3(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use wasmtime_wasi::p3::{cli, clocks, filesystem, random};

    cli::add_to_linker(linker)?;
    clocks::add_to_linker(linker)?;
    filesystem::add_to_linker(linker)?;
    random::add_to_linker(linker)
}

/// The linker, made once.
pub(super) fn linker(engine: &Engine) -> Result<&'static Linker<Guest>, String> {
    static LINKER: OnceLock<Result<Linker<Guest>, String>> = OnceLock::new();
    let linker = LINKER.get_or_init(|| made(engine).map_err(|error| format!("{error:#}")));
    linker.as_ref().map_err(Clone::clone)
}

fn made(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    add_v2(&mut linker)?;
    add_v3(&mut linker)?;
    sockets::add_to_linker(&mut linker)?;
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
