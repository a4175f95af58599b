//! 100 modules in signed packages with their compiled code: how long a start takes that has seen none of them.

use crate::{
    copies,
    footprint::used_once,
    subject::{Running, Server},
    throughput::median,
    valor,
};
use minisign::KeyPair;
use std::{env, fs, io, path::Path, process::Command, time::Instant};
use tempfile::TempDir;
use valor_runtime::{
    loader::{compiler, precompile},
    package::{Code, Manifest, Package, WASM_TARGET},
    versions::this_target,
};

const VLUGINS: usize = 100;

/// The variable with the file of the key that Valor trusts.
pub const TRUST: &str = "VALOR_BENCH_TRUST";

/// From the program's start to the first answer, with an empty cache each time.
///
/// # Errors
/// If a package cannot be made, or the server does not come up.
pub fn measure() -> io::Result<()> {
    let folder = TempDir::new()?;
    let (files, key) = (folder.path().join("files"), folder.path().join("key.pub"));
    fs::create_dir(&files)?;
    let pair = KeyPair::generate_unencrypted_keypair().map_err(io::Error::other)?;
    let public = pair.pk.to_box().map_err(io::Error::other)?;
    fs::write(&key, public.to_string())?;
    packages(&files, &pair)?;
    let start = || -> io::Result<f64> {
        let cache = TempDir::new()?;
        let start = Instant::now();
        let mut command = Command::new(env::current_exe()?);
        command
            .env("VALOR_BENCH_FILES", &files)
            .env(TRUST, &key)
            .env("XDG_CACHE_HOME", cache.path());
        let running = Running::spawn(Server::ValorPackages, 2, command)?;
        drop(used_once(&running)?);
        Ok(start.elapsed().as_secs_f64())
    };
    let times = (0..5).map(|_| start()).collect::<io::Result<Vec<_>>>()?;
    let seconds = median(times.into_iter());
    println!("\n### {VLUGINS} modules in signed packages\n");
    println!(
        "From the program's start to the first answer, without a cache: {seconds:.3} s. Their code is in the packages."
    );
    Ok(())
}

fn packages(files: &Path, pair: &KeyPair) -> io::Result<()> {
    let modules = TempDir::new()?;
    copies::modules(modules.path(), &valor::module("hello_plugin")?, VLUGINS)?;
    let mut code = None;
    for (number, module) in fs::read_dir(modules.path())?.enumerate() {
        let module = fs::read(module?.path())?;
        let mut code = match &code {
            Some(code) => Vec::clone(code),
            None => {
                let made = precompile(WASM_TARGET, &module, this_target());
                code.insert(made.map_err(io::Error::other)?).clone()
            }
        };
        // The code of all of them is the same: a custom section is not compiled. Behind the last section, other bytes
        // make it another file for Valor, which would map the same code only once.
        code.extend(vec![0; 8 * number]);
        let manifest = Manifest::new("hello_plugin", env!("CARGO_PKG_VERSION"), "1.0");
        let code = Code {
            of: WASM_TARGET,
            target: this_target(),
            compiler: &compiler(),
            bytes: &code,
        };
        let package = Package::write_compiled(manifest, vec![(WASM_TARGET, &module)], vec![code]);
        let package = package.map_err(io::Error::other)?;
        let file = files.join(format!("hello_{number}.vlugin"));
        let (mut bytes, of) = (&*package, Some(&pair.pk));
        let signature = minisign::sign(of, &pair.sk, &mut bytes, None, None);
        let signature = signature.map_err(io::Error::other)?.to_string();
        fs::write(file.with_extension("vlugin.minisig"), signature)?;
        fs::write(file, package)?;
    }
    Ok(())
}
