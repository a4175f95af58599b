//! Crates that a test writes, builds and tests, as their authors would.
#![allow(dead_code)] // Not every test needs all of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of `valor_abi`, with forward slashes.
pub fn valor_abi() -> String {
    env!("CARGO_MANIFEST_DIR").replace('\\', "/")
}

/// An empty folder outside the workspace, which is removed with the value.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// Writes a file, and the folders that it is in.
pub fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Makes a folder with crates a workspace, so that one run of cargo builds all of them at once.
pub fn workspace(folder: &Path, members: &[String]) {
    let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n");
    write(&folder.join("Cargo.toml"), &manifest);
}

/// Runs cargo in a crate or a workspace, offline, with the versions of Valor's lock file and with what Valor's
/// workspace has already built.
pub fn cargo(crate_folder: &Path, arguments: &[&str]) {
    let (succeeded, said) = run(crate_folder, arguments);
    assert!(
        succeeded,
        "cargo {} failed in {}:\n{said}",
        arguments.join(" "),
        crate_folder.display(),
    );
}

/// The same for a command that has to fail; what it says.
pub fn cargo_fails(crate_folder: &Path, arguments: &[&str]) -> String {
    let (succeeded, said) = run(crate_folder, arguments);
    assert!(
        !succeeded,
        "cargo {} succeeded:\n{said}",
        arguments.join(" ")
    );
    said
}

fn run(crate_folder: &Path, arguments: &[&str]) -> (bool, String) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lock = crate_folder.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(workspace.join("Cargo.lock"), lock).unwrap();
    }
    let out = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(crate_folder)
        .env("CARGO_TARGET_DIR", target())
        .env("CARGO_NET_OFFLINE", "true")
        // As in the workspace, so that what it has built is not built again.
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .env("CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG", "line-tables-only")
        .output()
        .expect("cargo runs");
    let said = [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    (out.status.success(), said.concat())
}

/// Where the crates are built: one folder for all of them, kept between runs.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .to_owned()
}
