//! Packages against the loader: good ones, and every kind of bad one. Bad ones are made from a good one, byte by byte,
//! with the test's own tar headers.

#[cfg(feature = "wasi")]
mod components;
#[path = "../fixture/mod.rs"]
mod fixture;
mod loading;
#[cfg(feature = "wasm")]
mod modules;
mod refusing;

use fixture::{definition, hello_plugin};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use valor_abi_wire::metadata::Metadata;
use valor_runtime::package::{Manifest, Package};

const WINDOWS: &str = "x86_64-pc-windows-gnu";

fn temp() -> TempDir {
    tempfile::Builder::new()
        .prefix("package-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
}

/// The manifest of a package of `hello_plugin`.
fn manifest() -> Manifest {
    Manifest::new("hello_plugin", env!("CARGO_PKG_VERSION"), "1.0")
}

/// A package of `hello_plugin` for this host, and of `others` for other targets.
fn packed(others: &[(&str, &[u8])]) -> Vec<u8> {
    let library = fs::read(hello_plugin()).unwrap();
    let mut libraries = vec![(Metadata::this_target(), &*library)];
    libraries.extend(others);
    Package::write(manifest(), libraries).unwrap()
}

fn write(dir: &TempDir, bytes: &[u8]) -> PathBuf {
    let file = dir.path().join("hello.vlugin");
    fs::write(&file, bytes).unwrap();
    file
}

/// The line that refuses these bytes as `x.vlugin`.
#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    let line = Package::read(Path::new("x.vlugin"), bytes)
        .map(|package| package.manifest().clone())
        .unwrap_err()
        .to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// The line that refuses an unsound package for this reason.
fn unsound(reason: &str) -> String {
    format!("x.vlugin is not a sound package: {reason}; copy it again, or make it again")
}
