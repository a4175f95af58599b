//! The folders of the library path (`LD_LIBRARY_PATH`) that the user of this program set. `run` grants them to the
//! registry for bare names.
//!
//! `cargo run` puts its own folders in front: its target folder and those of the toolchain, rustup's included. The user
//! did not choose them, and they contain everything that was ever built. So under cargo, only the folders after the
//! toolchain's count: that is the path that was set when cargo was started.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The variable. On Windows, libraries are found on the PATH, which is set for other reasons, so it grants nothing.
pub const VARIABLE: &str = match cfg!(target_vendor = "apple") {
    true => "DYLD_LIBRARY_PATH",
    false => "LD_LIBRARY_PATH",
};

/// The folders, as absolute paths: a vlugin may change the working directory.
pub fn set_by_user() -> Vec<PathBuf> {
    if cfg!(windows) {
        return Vec::new();
    }
    let value = env::var_os(VARIABLE).unwrap_or_default();
    // Cargo sets it for the programs that it runs.
    chosen(&value, env::var_os("CARGO_MANIFEST_DIR").is_some())
}

fn chosen(value: &OsStr, under_cargo: bool) -> Vec<PathBuf> {
    let all: Vec<_> = env::split_paths(value).collect();
    let own = match under_cargo {
        true => all
            .iter()
            .rposition(|dir| is_toolchain(dir))
            .map_or(0, |last| last + 1),
        false => 0,
    };
    // An empty entry would be the current folder, which nobody means.
    let set = all
        .into_iter()
        .skip(own)
        .filter(|dir| !dir.as_os_str().is_empty());
    let mut folders: Vec<PathBuf> = Vec::new();
    for dir in set {
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        if !folders.contains(&dir) {
            folders.push(dir);
        }
    }
    folders
}

/// `…/lib/rustlib/TARGET/lib`, or a `lib` with a `rustlib` in it.
fn is_toolchain(dir: &Path) -> bool {
    let below = dir.ends_with("lib")
        && dir
            .parent()
            .and_then(Path::parent)
            .is_some_and(|it| it.ends_with("rustlib"));
    below || dir.ends_with("lib") && dir.join("rustlib").is_dir()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_adds_is_not_what_its_user_set() {
        let toolchain = tempfile::tempdir().unwrap();
        let lib = toolchain.path().join("lib");
        std::fs::create_dir_all(lib.join("rustlib/x86_64/lib")).unwrap();
        let (lib, target_lib) = (lib.display(), lib.join("rustlib/x86_64/lib"));
        let cargos = format!(
            "/w/target/debug/deps:/w/target/debug:{}:{lib}",
            target_lib.display()
        );
        let of = |value: &str, under_cargo| chosen(OsStr::new(value), under_cargo);
        assert_eq!(of(&cargos, true), Vec::<PathBuf>::new());
        let both = format!("{cargos}:/w/plugins:/w/target/debug");
        assert_eq!(
            of(&both, true),
            ["/w/plugins", "/w/target/debug"].map(PathBuf::from)
        );
        assert_eq!(of("/w/plugins", true), ["/w/plugins"].map(PathBuf::from));
        // Without cargo, the user meant every folder.
        assert_eq!(of(&cargos, false).len(), 4);
    }

    #[test]
    fn folders_are_absolute_and_none_is_empty() {
        let here = env::current_dir().unwrap();
        assert_eq!(
            chosen(OsStr::new("plugins/::plugins:"), false),
            [here.join("plugins")]
        );
        assert_eq!(chosen(OsStr::new(""), false), Vec::<PathBuf>::new());
    }
}
