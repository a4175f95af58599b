//! `-V`, `--version`, and the commit that the build script finds.

use crate::support::run;
use std::{fs, path::Path, process::Command};

#[path = "../../build/commit.rs"]
#[allow(dead_code, reason = "the build script tells cargo with it")]
mod build_script;

use build_script::commit;

#[test]
fn the_short_version_is_one_line_and_the_long_one_is_for_reports() {
    let short = run(&["-V"]);
    let line = concat!("valor_cli ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((short.code, &*short.out), (Some(0), line));

    let long = run(&["--version"]);
    assert_eq!(long.code, Some(0));
    assert!(long.out.starts_with(line), "{}", long.out);
    let said = |name: &str| {
        let row = long.out.lines().find_map(|line| line.strip_prefix(name));
        row.unwrap_or_else(|| panic!("no {name} in {}", long.out))
            .trim()
    };
    assert_eq!(said("commit"), env!("VALOR_COMMIT"));
    assert_eq!(said("target"), env!("VALOR_TARGET"));
    assert_eq!(said("ABI"), "native 1.0, guest 1");
    assert_eq!(said("Deno"), "2.9 or later, for scripts");
    if cfg!(feature = "wasm") {
        assert_eq!(said("features"), "wasm");
        let locked =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
        let (_, after) = locked
            .split_once("name = \"wasmtime\"\nversion = \"")
            .unwrap();
        assert_eq!(Some(said("wasmtime")), after.split('"').next());
    } else {
        assert_eq!((said("features"), said("wasmtime")), ("none", "none"));
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let who = ["-c", "user.name=Zoe", "-c", "user.email=zoe@example.com"];
    let said = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(who)
        .args(args)
        .output()
        .unwrap();
    assert!(said.status.success(), "git {args:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_commit_is_that_of_the_repository_the_crate_belongs_to() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let krate = root.join("valor_cli");
    fs::create_dir_all(krate.join("inside")).unwrap();
    assert_eq!(commit("", &krate, true).commit, "unknown");

    git(root, &["init", "--quiet"]);
    assert_eq!(
        commit("", &krate, true).commit,
        "unknown",
        "there is none yet"
    );
    git(
        root,
        &["commit", "--quiet", "--allow-empty", "--message", "first"],
    );
    let first = git(root, &["rev-parse", "HEAD"]);
    let found = commit("", &krate, true);
    assert_eq!(found.commit, first);
    assert!(!found.follows.is_empty() && found.follows.iter().all(|file| file.is_file()));
    assert_eq!(
        commit("", &krate, false).commit,
        "unknown",
        "a debug build does not ask"
    );
    assert_eq!(commit("packaged", &krate, true).commit, "packaged");
    let deeper = krate.join("inside");
    assert_eq!(
        commit("", &deeper, true).commit,
        "unknown",
        "it is another's repository"
    );

    // A commit changes one of the files that cargo watches, even if all branches are in one file.
    git(root, &["pack-refs", "--all"]);
    let before = commit("", &krate, true);
    let contents = |files: &[_]| {
        files
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect::<Vec<_>>()
    };
    let was = contents(&before.follows);
    git(
        root,
        &["commit", "--quiet", "--allow-empty", "--message", "second"],
    );
    assert_ne!(contents(&before.follows), was);

    let info =
        "{\n  \"git\": {\n    \"sha1\": \"abc123\"\n  },\n  \"path_in_vcs\": \"valor_cli\"\n}";
    fs::write(krate.join(".cargo_vcs_info.json"), info).unwrap();
    assert_eq!(commit("", &krate, true).commit, "abc123");
}
