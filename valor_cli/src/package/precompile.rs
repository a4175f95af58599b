//! `package --precompile`: the code that goes beside a module or a component, compiled now, and what a package already
//! has of it. `valor_runtime::loader::precompile` compiles.

use super::{Parts, failed};
use crate::{args::PackageArgs, exit::Failure, faults::of_command_line};
use std::path::Path;
use valor_runtime::{
    loader::{compiler, precompile, read},
    package::{Code, Manifest, Package, WASI_TARGET, WASM_TARGET, is_package},
    versions::this_target,
};

/// Code for hosts of one target.
pub struct Piece {
    of: String,
    target: String,
    compiler: String,
    bytes: Vec<u8>,
}

impl Piece {
    pub fn as_code(&self) -> Code<'_> {
        Code {
            of: &self.of,
            target: &self.target,
            compiler: &self.compiler,
            bytes: &self.bytes,
        }
    }
}

/// The package that is to get more code, if the command line names one.
///
/// # Errors
/// It says something else of that package as well, which stays as it is.
pub fn package_among(args: &PackageArgs) -> Result<Option<&Path>, Failure> {
    let [file] = &*args.libraries else {
        return Ok(None);
    };
    if args.precompile.is_none() || !is_package(file) {
        return Ok(None);
    }
    for (option, is_given) in [
        ("--source", args.source.is_some()),
        ("--license", args.license.is_some()),
        ("--config-schema", args.config_schema.is_some()),
    ] {
        if is_given {
            return Err(failed(format!(
                "{option} is for a new package, and {} stays as it is but for the code: leave {option} out",
                file.display()
            )));
        }
    }
    Ok(Some(file))
}

/// What is in a package.
///
/// # Errors
/// It cannot be read.
pub fn opened(file: &Path) -> Result<Parts, Failure> {
    let bytes = read(file).map_err(|error| failed(of_command_line(&error, "a package")))?;
    let package = Package::read(file, &bytes).map_err(failed)?;
    let libraries = package.libraries();
    let compiled = package.compiled().map(|(it, bytes)| Piece {
        of: it.of.clone(),
        target: it.target.clone(),
        compiler: it.compiler.clone(),
        bytes: bytes.to_vec(),
    });
    Ok(Parts {
        manifest: package.manifest().clone(),
        contents: libraries
            .map(|(it, bytes)| (it.target.clone(), bytes.to_vec()))
            .collect(),
        compiled: compiled.collect(),
    })
}

/// Compiles what there is to compile, for each of these targets or for this machine. Older code for the same hosts
/// goes.
///
/// # Errors
/// There is nothing to compile, or it cannot be compiled for one of the targets.
pub fn add(parts: &mut Parts, targets: &[String]) -> Result<(), Failure> {
    let here = [this_target().to_owned()];
    let targets = match targets {
        [] => &here,
        targets => targets,
    };
    let guests: Vec<_> = parts
        .contents
        .iter()
        .filter(|(of, _)| [WASM_TARGET, WASI_TARGET].contains(&&**of))
        .collect();
    if guests.is_empty() {
        return Err(failed(nothing(&parts.manifest)));
    }
    let mut made = Vec::new();
    for (of, bytes) in guests {
        for target in targets {
            made.push(Piece {
                of: of.clone(),
                target: target.clone(),
                compiler: compiler(),
                bytes: precompile(of, bytes, target).map_err(failed)?,
            });
        }
    }
    let is_new = |old: &Piece| {
        made.iter()
            .any(|it| (&it.of, &it.target) == (&old.of, &old.target))
    };
    parts.compiled.retain(|old| !is_new(old));
    parts.compiled.extend(made);
    Ok(())
}

fn nothing(manifest: &Manifest) -> String {
    let has = match manifest.is_script() {
        true => "a script",
        false => "libraries alone",
    };
    format!(
        "there is nothing to compile in the package, which holds {has}: leave `--precompile` out, or add a WebAssembly \
         module or a component"
    )
}
