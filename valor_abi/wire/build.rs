//! Sets the names of the compiler and the target, so that a vlugin's metadata block can contain them without a build
//! script in its crate.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
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
