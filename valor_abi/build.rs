//! Tells the library which compiler and target it is built by and for, so that
//! the metadata block of a vlugin can name them without a build script of its own.
//!
//! It also puts the version of the ABI in the place of the crate's: `abi_stable` notes with each
//! type the `CARGO_PKG_VERSION` that it is compiled under, and takes types of another one for
//! other types. Two versions of the crate that speak the same ABI have to fit each other.

use std::process::Command;

/// `ABI_MAJOR`, `ABI_MINOR` and a zero; the library does not compile where they differ.
const ABI_VERSION: &str = "1.0.0";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    println!("cargo::rustc-env=CARGO_PKG_VERSION={ABI_VERSION}");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .filter(|out| out.status.success())
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .unwrap_or_default();
    let version = version.trim().trim_start_matches("rustc ").to_owned();
    println!(
        "cargo::rustc-env=VALOR_RUSTC={}",
        if version.is_empty() {
            "unknown"
        } else {
            &version
        }
    );
    let target = std::env::var("TARGET").unwrap_or_else(|_| "unknown".into());
    println!("cargo::rustc-env=VALOR_TARGET={target}");
}
