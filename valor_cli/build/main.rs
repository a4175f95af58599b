//! The build script of the program: `templates` puts the templates of `valor_cli new` in it, `commit` and this file
//! what `valor_cli --version` prints, and where the clone is.

mod commit;
mod templates;

use std::{
    env, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=build");
    println!(
        "cargo::rustc-env=VALOR_TARGET={}",
        env::var("TARGET").expect("cargo sets it")
    );
    println!("cargo::rustc-env=VALOR_CLONE={}", clone(&root));
    commit::tell(&root);
    templates::write(&root)
}

/// The folder that the program is built in, for a program that stays on this machine. One that is built for others,
/// with a given commit, names no folder of it.
fn clone(folder: &Path) -> String {
    match env::var("VALOR_COMMIT").unwrap_or_default().trim() {
        "" => folder.display().to_string(),
        _ => String::new(),
    }
}
