//! The build script of the program: `templates` puts the templates of `valor_cli new` in it, `commit` and this file
//! what `valor_cli --version` prints.

mod commit;
mod templates;

use std::{env, io, path::PathBuf};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=build");
    println!(
        "cargo::rustc-env=VALOR_TARGET={}",
        env::var("TARGET").expect("cargo sets it")
    );
    commit::tell(&root);
    templates::write(&root)
}
