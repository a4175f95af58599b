//! The loader against real libraries: good ones, and every kind of bad one. Each test that ends also shows that the
//! process survived.

mod another_abi;
mod copies;
mod creating;
mod finding;
#[path = "../fixture/mod.rs"]
mod fixture;
mod hundred;
mod refusing;

#[cfg(target_os = "linux")]
use fixture::beside;
use fixture::{TestHost, definition, file_name, get, hello_plugin, misbehaving, misbehaving_abort};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use valor_abi_wire::metadata::MAGIC;
use valor_runtime::{
    Definition, Vlugin,
    loader::{LoadError, Loaded, NativeError, NativeLoader, images_mapped},
};

fn temp() -> TempDir {
    tempfile::Builder::new()
        .prefix("loader-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
}

fn load(loader: &NativeLoader, definition: &Definition) -> Result<Loaded, LoadError> {
    let host = TestHost::new(&definition.name);
    smol::block_on(loader.load(definition, false, host))
}

/// A loader that looks only into this folder.
fn loader_in(dir: &Path) -> NativeLoader {
    NativeLoader::new(dir).library_path::<&Path>([])
}

/// The line that refuses this file, with `DIR` for its folder. Then a good vlugin is loaded and answers.
#[track_caller]
fn refused(dir: &Path, definition: &Definition) -> String {
    let error = load(&loader_in(dir), definition).unwrap_err();
    let line = error.to_string();
    assert!(!line.contains('\n'), "{line}");
    let good = load(&loader_in(dir), &definition_of(hello_plugin())).unwrap();
    assert_eq!(text(&good.vlugin, "/"), "OK response from a plugin");
    line.replace(&*dir.to_string_lossy(), "DIR")
}

fn definition_of(path: &Path) -> Definition {
    definition("tested", path)
}

#[track_caller]
fn text(vlugin: &Arc<dyn Vlugin>, target: &str) -> String {
    smol::block_on(get(vlugin, target)).unwrap().1
}

/// A misbehaving vlugin, created with this config.
fn misbehaving_with(config: &str) -> Definition {
    Definition {
        config: Value::from(config),
        ..definition("tested", misbehaving())
    }
}

/// Writes `bytes` as a library of this name.
fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let file = dir.path().join(file_name(name));
    fs::write(&file, bytes).unwrap();
    file
}

/// The bytes of a library with part of its metadata block overwritten.
fn patched(library: &Path, at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(library).unwrap();
    // The block has a separate section. The reader of blocks has the magic as well.
    let mut patches = 0;
    for block in 0..bytes.len() - 384 {
        if bytes[block..].starts_with(&MAGIC) && bytes[block + 16..][..4] == 384u32.to_le_bytes() {
            bytes[block + at..][..with.len()].copy_from_slice(with);
            patches += 1;
        }
    }
    assert_eq!(patches, 1, "one block is in {}", library.display());
    bytes
}

const ABI_MAJOR: usize = 20;
const ABI_MINOR: usize = 22;
const SIZE: usize = 16;
const TARGET: usize = 192;
const SYMBOL: usize = 256;

/// Runs one test of this file again in a separate process, with a changed environment.
#[track_caller]
fn in_a_process_of_its_own(test: &str, change: (&str, &Path)) -> bool {
    const CHILD: &str = "VALOR_TEST_CHILD";
    if std::env::var_os(CHILD).is_some_and(|child| child == test) {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, test)
        .env(change.0, change.1)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}
