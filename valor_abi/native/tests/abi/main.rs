//! The ABI stays what it is: the layout of everything that crosses the native boundary is in `abi/MAJOR.MINOR.txt`, and
//! differs from it only if the version was raised as the rules require.
//!
//! The file of a version is written once and never changed. A missing one is written if `VALOR_FREEZE_ABI` is set.

// The layouts are those of 64 bits.
#![cfg(target_pointer_width = "64")]

mod layout;
mod rules;

use rules::{Raise, Version, changes, check};
use std::{collections::BTreeMap, fs, path::Path};
use valor_abi_native::{ABI_MAJOR, ABI_MINOR};

const CURRENT: Version = (ABI_MAJOR, ABI_MINOR);

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../abi"))
}

fn frozen() -> BTreeMap<Version, String> {
    let entries = fs::read_dir(folder()).unwrap();
    let files = entries.map(|entry| entry.unwrap().path());
    // `valor_runtime` tests the guest's table.
    let native = files.filter(|file| {
        !file
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("guest-")
    });
    let files = native.map(|file| {
        let version = file.file_stem().unwrap().to_str().unwrap();
        let (major, minor) = version.split_once('.').expect("the name of a version");
        let version = (major.parse().unwrap(), minor.parse().unwrap());
        // Git may have written it with Windows' line ends.
        (version, fs::read_to_string(file).unwrap().replace('\r', ""))
    });
    files.collect()
}

#[test]
fn what_crosses_is_what_the_version_says() {
    let layout = layout::print();
    if std::env::var_os("VALOR_FREEZE_ABI").is_some() && !frozen().contains_key(&CURRENT) {
        let file = folder().join(format!("{ABI_MAJOR}.{ABI_MINOR}.txt"));
        fs::write(file, &layout).unwrap();
    }
    if let Err(broken) = check(&frozen(), CURRENT, &layout) {
        panic!("{broken}");
    }
}

#[test]
fn minor_versions_only_add() {
    let frozen: Vec<_> = frozen().into_iter().collect();
    for pair in frozen.windows(2) {
        let [(old, before), (new, after)] = pair else {
            unreachable!()
        };
        let breaks: Vec<_> = changes(before, after)
            .into_iter()
            .filter(|(raise, _)| *raise == Raise::Major && old.0 == new.0)
            .collect();
        assert!(breaks.is_empty(), "{old:?} to {new:?}: {breaks:#?}");
    }
}

/// The current layout, with one text replaced by another.
fn with(before: &str, after: &str) -> String {
    let layout = layout::print();
    assert_eq!(layout.matches(before).count(), 1, "{before}");
    layout.replace(before, after)
}

/// Adds to the host's table, the last of whose functions is `random` before `drop`.
fn grown() -> String {
    with(
        "usize) -> RVec<u8>\n    at 64 drop: unsafe fn(data: *const ())\n",
        "usize) -> RVec<u8>\n    at 64 drop: unsafe fn(data: *const ())\n    at 72 added: u64\n",
    )
}

#[test]
fn each_rule_is_told_by_what_breaks_it() {
    let one = BTreeMap::from([((1, 0), layout::print())]);
    assert_eq!(check(&one, (1, 0), &layout::print()), Ok(()));

    let grown = grown();
    let broken = check(&one, (1, 0), &grown).unwrap_err();
    for part in [
        "at the end of FfiHostVtable of valor_abi 1 (prefix type) stands `at 72 added: u64`",
        "a field at the end of a prefix type makes a new minor version",
        "set the version of valor_abi_native to 1.1.0",
    ] {
        assert!(broken.contains(part), "{broken}");
    }

    let breaking = [
        (
            with("at 2 status: u16", "at 4 status: u32"),
            "had `at 2 status: u16`, and has `at 4",
        ),
        (
            with(
                "size 72, align 8\n    at 0 kind",
                "size 80, align 8\n    at 0 kind",
            ),
            "size 80",
        ),
        (
            with("at 0 on_request:", "at 0 answer:"),
            "and has `at 0 answer:",
        ),
        (
            with("    0 Error\n    1 Panic", "    0 Panic\n    1 Error"),
            "had `0 Error`",
        ),
        (
            with("RStr<'a> of abi_stable 0.11", "RStr<'a> of abi_stable 0.12"),
            "not cross any more",
        ),
        (
            with("    at 64 drop: unsafe fn(data: *const ())\n", ""),
            "and has `nothing`",
        ),
    ];
    for (layout, part) in breaking {
        for minor in [0, 1] {
            let broken = check(&one, (1, minor), &layout).unwrap_err();
            assert!(broken.contains(part), "{broken}");
            assert!(broken.contains("makes a new major version"), "{broken}");
            assert!(
                broken.contains("set the version of valor_abi_native to 2.0.0"),
                "{broken}"
            );
        }
        let raised = check(&one, (2, 0), &layout).unwrap_err();
        assert!(raised.starts_with("abi/2.0.txt is not there"), "{raised}");
    }
}

#[test]
fn a_version_that_was_raised_is_frozen_in_its_turn() {
    let grown = grown();
    let mut frozen = BTreeMap::from([((1, 0), layout::print())]);
    let missing = check(&frozen, (1, 1), &grown).unwrap_err();
    assert!(missing.starts_with("abi/1.1.txt is not there"), "{missing}");
    frozen.insert((1, 1), grown.clone());
    assert_eq!(check(&frozen, (1, 1), &grown), Ok(()));
    // It cannot be taken back.
    let taken_back = check(&frozen, (1, 0), &layout::print()).unwrap_err();
    assert!(
        taken_back.starts_with("abi/1.1.txt is there, but this is ABI 1.0"),
        "{taken_back}"
    );
    let shrunk = check(&frozen, (1, 1), &layout::print()).unwrap_err();
    assert!(shrunk.contains("makes a new major version"), "{shrunk}");
}
