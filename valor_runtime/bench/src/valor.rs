//! Valor as it is measured: the same vlugins in libraries, in WebAssembly modules or components, in scripts, or linked
//! into the program, or none at all.

use crate::{
    many::MOUNTS,
    neighbours,
    packaged::TRUST,
    programs,
    subject::{BLOB, HELLO, Server as Subject, UPSTREAM},
};
use std::{
    error::Error,
    future::pending,
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use valor_runtime::{
    Body, Definition, Response, Runtime, Vlugin,
    definition::Instance,
    from_fn,
    package::{TrustedKeys, is_package},
    server::{Server, ServerConfig},
};

/// Serves on any port, and prints its address.
///
/// # Errors
/// If a vlugin cannot be loaded.
pub fn serve(subject: Subject, threads: usize) -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        let listen = "127.0.0.1:0".parse()?;
        let config = ServerConfig {
            max_connections: 100_000,
            ..ServerConfig::default()
        };
        let server = Server::bind(&[listen], config).await?;
        let vlugin = vlugin(subject).await?;
        println!("{}", server.local_addrs()[0]);
        server.run(vlugin, threads, pending()).await?;
        Ok(())
    })
}

/// The vlugin that answers the requests of a subject.
///
/// # Errors
/// If a vlugin cannot be loaded.
pub async fn vlugin(subject: Subject) -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    match subject {
        Subject::ValorBare => Ok(alone()),
        Subject::ValorNative => native().await,
        Subject::ValorWasm => guests().await,
        Subject::ValorWasmFresh => fresh().await,
        Subject::ValorPackages => packages().await,
        Subject::ValorWasi2 => components(&component()?).await,
        Subject::ValorWasi3 => components(&component_v3()?).await,
        Subject::ValorJs => script().await,
        Subject::ValorProxy => proxy().await,
        Subject::ValorNeighbours => neighbours::vlugin().await,
        _ => compiled().await,
    }
}

/// The server in front of a closure, as with hyper.
fn alone() -> Arc<dyn Vlugin> {
    from_fn(|request| async move {
        let mut response = Response::new(200);
        let _ = response
            .head
            .push("content-type", b"text/plain;charset=utf-8");
        response.body = match request.head.path() {
            "/hello" => HELLO.into(),
            "/blob" => blob(),
            _ => request.body,
        };
        Ok(response)
    })
}

fn blob() -> Body {
    Body::Bytes(BLOB.into())
}

async fn runtime() -> Result<Arc<Runtime>, Box<dyn Error>> {
    let limits = serde_json::json!({ "body": 1_u64 << 31 });
    let runtime = Runtime::builder()
        .plugin_dir(library_dir()?)
        .limits(serde_json::from_value(limits)?)
        .build()?;
    let blob = from_fn(|_| async {
        let mut response = Response::new(200);
        response.body = blob();
        Ok(response)
    });
    runtime.add("blob", blob)?;
    for route in 0..number("VALOR_BENCH_ROUTES")? {
        runtime.add(format!("route_{route}").as_str(), alone())?;
    }
    Ok(runtime)
}

async fn compiled() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let runtime = runtime().await?;
    let none = serde_json::Value::Null;
    runtime
        .add_entry("hello", hello_plugin::VLUGIN, none.clone())
        .await?;
    runtime
        .add_entry("echo", echo::VLUGIN, none.clone())
        .await?;
    runtime.add_entry("reads", reads::VLUGIN, none).await?;
    Ok(runtime)
}

async fn native() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let runtime = runtime().await?;
    let mut definitions = vec![
        definition("native", "hello", Path::new("hello_plugin"))?,
        definition("native", "echo", Path::new("echo"))?,
        definition("native", "reads", Path::new("reads"))?,
    ];
    definitions.extend(many("native", Path::new("hello_plugin"))?);
    for loaded in runtime.load_all(&definitions).await {
        loaded?;
    }
    Ok(runtime)
}

async fn guests() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let runtime = runtime().await?;
    let mut definitions = vec![
        definition("wasm", "hello", &module("hello_plugin")?)?,
        definition("wasm", "reads", &module("reads")?)?,
    ];
    definitions.extend(many("wasm", &module("hello_plugin")?)?);
    for loaded in runtime.load_all(&definitions).await {
        loaded?;
    }
    Ok(runtime)
}

/// A component as the hello and as the echo.
async fn components(file: &Path) -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let runtime = runtime().await?;
    let mut definitions = Vec::new();
    for name in ["hello", "echo"] {
        let mut definition = definition("wasi", name, file)?;
        // It sees the same path as the other servers.
        definition.strip = false;
        definitions.push(definition);
    }
    definitions.extend(many("wasi", file)?);
    for loaded in runtime.load_all(&definitions).await {
        loaded?;
    }
    Ok(runtime)
}

/// The hello in JavaScript.
async fn script() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let deno = programs::find("deno").ok_or("there is no Deno")?;
    let runtime = Runtime::builder().deno(deno).build()?;
    let mut definitions = vec![definition("js", "hello", &programs::script())?];
    definitions.extend(many("js", &programs::script())?);
    for loaded in runtime.load_all(&definitions).await {
        loaded?;
    }
    Ok(runtime)
}

/// A library that passes requests on to the server that the bench names.
async fn proxy() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let runtime = runtime().await?;
    let upstream = std::env::var(UPSTREAM)?;
    let mut proxy = definition("native", "hello", Path::new("proxy"))?;
    // What is behind it sees the same path as the other servers.
    proxy.strip = false;
    proxy.config = serde_json::json!({ "upstream": format!("http://{upstream}") });
    proxy.allow = Some(vec![upstream]);
    runtime.load(&proxy).await?;
    Ok(runtime)
}

/// A guest whose every request gets an instance that was created before.
async fn fresh() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let runtime = runtime().await?;
    let mut hello = definition("wasm", "hello", &module("hello_plugin")?)?;
    hello.instance = Some(Instance::Request);
    runtime.load(&hello).await?;
    Ok(runtime)
}

/// Modules in packages, whose signatures are asked for. The first of them is the hello.
async fn packages() -> Result<Arc<dyn Vlugin>, Box<dyn Error>> {
    let keys = TrustedKeys::read(std::env::var_os(TRUST))?;
    let runtime = Runtime::builder().trust(keys).build()?;
    let mut definitions = many("wasm", Path::new(""))?;
    definitions.retain(|it| it.path.as_deref().is_some_and(is_package));
    if let Some(first) = definitions.first_mut() {
        first.name = "hello".to_owned();
    }
    for loaded in runtime.load_all(&definitions).await {
        loaded?;
    }
    Ok(runtime)
}

/// As many as the bench asks for: each of a file in the folder that it names, or all of one file.
fn many(kind: &str, file: &Path) -> Result<Vec<Definition>, Box<dyn Error>> {
    let files: Vec<PathBuf> = match std::env::var_os("VALOR_BENCH_FILES") {
        Some(folder) => std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()?,
        None => vec![file.to_owned(); number(MOUNTS)?],
    };
    let files = files.iter().enumerate();
    files
        .map(|(number, file)| definition(kind, &format!("a{number}"), file))
        .collect()
}

/// The number in a variable, or 0.
fn number(variable: &str) -> Result<usize, Box<dyn Error>> {
    match std::env::var(variable) {
        Ok(number) => Ok(number.parse()?),
        Err(_) => Ok(0),
    }
}

fn definition(kind: &str, name: &str, path: &Path) -> Result<Definition, Box<dyn Error>> {
    let definition = serde_json::json!({ "type": kind, "name": name, "path": path });
    Ok(serde_json::from_value(definition)?)
}

/// The module of a crate that is measured.
///
/// # Errors
/// If the program does not know where it is itself.
pub fn module(name: &str) -> io::Result<PathBuf> {
    let folder = target_dir()?.join(WASM).join(PROFILE);
    Ok(folder.join(name).with_extension("wasm"))
}

const WASM: &str = "wasm32-unknown-unknown";

/// The profile of the program and of its vlugins.
const PROFILE: &str = "measure";

/// The component of WASI 0.2, which is built if necessary.
///
/// # Errors
/// If it does not build.
pub fn component() -> io::Result<PathBuf> {
    Ok(built_components()?.join("component.wasm"))
}

/// The same for WASI 0.3.
///
/// # Errors
/// If it does not build.
pub fn component_v3() -> io::Result<PathBuf> {
    Ok(built_components()?.join("component_v3.wasm"))
}

fn built_components() -> io::Result<PathBuf> {
    let (target_dir, target) = (target_dir()?, "wasm32-wasip2");
    let built = cargo()
        .args([
            "build",
            "--quiet",
            "--release",
            "--locked",
            "--target",
            target,
        ])
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/component"))
        .status()?;
    match built.success() {
        true => Ok(target_dir.join(target).join("release")),
        false => Err(io::Error::other(
            "the components do not build: `rustup target add wasm32-wasip2` adds their target",
        )),
    }
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// The folder of the examples' libraries.
///
/// # Errors
/// If the program does not know where it is itself.
pub fn library_dir() -> io::Result<PathBuf> {
    Ok(target_dir()?.join(PROFILE))
}

/// What the vlugins are built in, next to the program. In its own target folder, cargo would choose other features for
/// crates that both have, and build each of them again at every turn.
fn target_dir() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.with_file_name("measured_vlugins"))
}

/// Builds the vlugins that are measured.
///
/// # Errors
/// If cargo fails.
pub fn build() -> io::Result<()> {
    cargo_build(&["-p", "hello_plugin", "-p", "echo", "-p", "reads"])?;
    cargo_build(&["-p", "hello_plugin", "-p", "reads", "--target", WASM])?;
    // On its own: the client that it needs would be in every other library too.
    cargo_build(&["-p", "proxy"])
}

fn cargo_build(what: &[&str]) -> io::Result<()> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let built = cargo()
        .args(["build", "--quiet", "--profile", PROFILE])
        .args(["--manifest-path", manifest])
        .args(what)
        .arg("--target-dir")
        .arg(target_dir()?)
        .status()?;
    match built.success() {
        true => Ok(()),
        false => Err(io::Error::other("the vlugins to be measured do not build")),
    }
}
