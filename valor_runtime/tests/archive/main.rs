//! Vlugins that were built when a version of the ABI was new, in today's host. Each archive beside this file holds
//! libraries and modules from several compilers. They are never built again; `make` shows how they were built.
//!
//! The conversation is that of `.ci/matrix`, which has it with libraries of today's source.

#[path = "../../matrix/src/conversation.rs"]
mod conversation;
#[path = "../../matrix/src/lines.rs"]
mod lines;

use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use valor_runtime::{Kind, inspect};

#[derive(Deserialize)]
struct Manifest {
    files: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    file: String,
    sha256: String,
    rustc: String,
    target: String,
}

const ARCHIVES: [&str; 1] = ["abi-1.0"];

fn archive(name: &str) -> (PathBuf, Vec<Row>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/archive")
        .join(name);
    let text = fs::read(folder.join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&text).unwrap();
    (folder, manifest.files)
}

/// Files that cannot be loaded on this system are inspected too.
#[test]
fn the_files_are_those_of_the_manifest() {
    for name in ARCHIVES {
        let (folder, rows) = archive(name);
        let mut listed = BTreeSet::from([PathBuf::from("manifest.json")]);
        for row in rows {
            listed.insert(PathBuf::from(&row.file));
            if row.target.starts_with("wasm") && !cfg!(feature = "wasm") {
                continue;
            }
            let found = inspect(folder.join(&row.file)).unwrap();
            assert_eq!(found.sha256, row.sha256, "{}", row.file);
            // The metadata in a file for another system is not always readable.
            let Some(metadata) = found.metadata else {
                assert_ne!(
                    row.target,
                    valor_abi_wire::metadata::Metadata::this_target()
                );
                continue;
            };
            let said = (&*metadata.target, metadata.abi_major, metadata.abi_minor);
            let (major, minor) = name.trim_start_matches("abi-").split_once('.').unwrap();
            let version = (major.parse().unwrap(), minor.parse().unwrap());
            assert_eq!(said, (&*row.target, version.0, version.1), "{}", row.file);
            assert_eq!(metadata.rustc, row.rustc, "{}", row.file);
        }
        let mut there = BTreeSet::new();
        for folder_of in fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let files = match folder_of.is_dir() {
                true => fs::read_dir(&folder_of)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect(),
                false => vec![folder_of],
            };
            there.extend(
                files
                    .into_iter()
                    .map(|file| file.strip_prefix(&folder).unwrap().to_owned()),
            );
        }
        assert_eq!(there, listed, "{name}");
    }
}

#[test]
fn libraries_of_every_compiler_hold_the_conversation() {
    let here = valor_abi_wire::metadata::Metadata::this_target();
    let held = hold_all(Kind::Native, here);
    // On other targets, there is nothing to talk to.
    let expected = match here {
        "x86_64-unknown-linux-gnu" => 3,
        "x86_64-pc-windows-gnu" => 1,
        _ => 0,
    };
    assert_eq!(held, expected * ARCHIVES.len());
}

#[cfg(feature = "wasm")]
#[test]
fn modules_of_every_compiler_hold_the_conversation() {
    assert_eq!(
        hold_all(Kind::Wasm, "wasm32-unknown-unknown"),
        ARCHIVES.len()
    );
}

/// Talks to each folder of files for a target, one at a time, and returns how many there were. One at a time, because
/// the test looks for lines in the log of the whole process.
fn hold_all(kind: Kind, target: &str) -> usize {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut held = 0;
    for name in ARCHIVES {
        let (folder, rows) = archive(name);
        let of_target = rows.iter().filter(|row| row.target == target);
        let folders: BTreeSet<_> = of_target
            .filter_map(|row| Some(folder.join(&row.file).parent()?.to_owned()))
            .collect();
        for folder in folders {
            if let Err(fault) = conversation::hold(kind, std::slice::from_ref(&folder)) {
                panic!("{}: {fault}", folder.display());
            }
            held += 1;
        }
    }
    held
}
