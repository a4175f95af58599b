//! Tells the program which commit it is built from, so that `valor_cli --version` can print it.
//!
//! The answer is the first of these:
//!
//! 1. the variable `VALOR_COMMIT`, for packages that are built without a repository;
//! 2. `.cargo_vcs_info.json`, which `cargo publish` puts next to `Cargo.toml`;
//! 3. git, if this crate is in the repository of Valor: a copy inside another repository is not that one's commit.
//!
//! Otherwise it is `unknown`. Only builds with the release profile, or one that inherits it, ask git. A debug build
//! would compile this crate and its tests again after each commit.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Tells cargo the commit, and when to ask again.
pub fn tell(folder: &Path) {
    println!("cargo::rerun-if-env-changed=VALOR_COMMIT");
    let given = env::var("VALOR_COMMIT").unwrap_or_default();
    let asks_git = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let found = commit(given.trim(), folder, asks_git);
    for file in found.follows {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    println!("cargo::rustc-env=VALOR_COMMIT={}", found.commit);
}

/// A commit, and the files that change when it does.
pub struct Found {
    /// Its hash, or `unknown`.
    pub commit: String,
    /// Empty unless git was asked.
    pub follows: Vec<PathBuf>,
}

/// The commit of the crate in `folder`. `given` comes first, unless it is empty.
pub fn commit(given: &str, folder: &Path, asks_git: bool) -> Found {
    let found = |commit: &str| Found {
        commit: commit.to_owned(),
        follows: Vec::new(),
    };
    if !given.is_empty() {
        return found(given);
    }
    if let Some(published) = published(&folder.join(".cargo_vcs_info.json")) {
        return found(&published);
    }
    match asks_git.then(|| of_git(folder)).flatten() {
        Some(of_git) => of_git,
        None => found("unknown"),
    }
}

/// What `cargo publish` noted: `{"git":{"sha1":"…"},…}`.
fn published(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, after) = text.split_once("\"sha1\"")?;
    after.split('"').nth(1).map(str::to_owned)
}

fn of_git(folder: &Path) -> Option<Found> {
    let root = git(folder, &["rev-parse", "--show-toplevel"])?;
    let workspace = folder.parent()?.canonicalize().ok()?;
    if Path::new(&root).canonicalize().ok()? != workspace {
        return None;
    }
    let commit = git(folder, &["rev-parse", "HEAD"])?;
    // A commit changes the log of HEAD. Repositories without logs have the branch in one of the others. Cargo would
    // build each time if one that it should watch did not exist.
    let branch = git(folder, &["rev-parse", "--symbolic-full-name", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"].map(str::to_owned);
    let files = names.into_iter().chain(branch).filter_map(|name| {
        let file = folder.join(git(folder, &["rev-parse", "--git-path", &name])?);
        file.is_file().then_some(file)
    });
    Some(Found {
        commit,
        follows: files.collect(),
    })
}

/// What git prints about the repository around a folder.
fn git(folder: &Path, args: &[&str]) -> Option<String> {
    let said = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .output()
        .ok()?;
    let text = String::from_utf8(said.stdout).ok()?;
    said.status.success().then(|| text.trim().to_owned())
}
