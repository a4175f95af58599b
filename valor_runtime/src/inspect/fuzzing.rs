//! One check, for any bytes, of what reading libraries and packages promises: no panic, one short line for a refusal,
//! and nothing accepted under a false description. The fuzz target `files` (`valor_runtime/fuzz`) calls [`check`], and
//! a test runs it on the corpus.

use super::{Inspection, PackageInspection};
use crate::{
    loader::unpack,
    package::{Manifest, Package, PackageError},
};
use serde_json::Value;
use std::{
    fmt::{Debug, Display},
    path::Path,
};
use tar::{Builder, Header};
use valor_abi_native::ABI_MAJOR;
use valor_abi_wire::metadata::Metadata;

/// The headers of tar and their contents are padded to this.
const BLOCK: usize = 512;

/// Checks every promise against these bytes: as a library, as a package, as the manifest of one, and as the libraries
/// in one.
///
/// # Panics
/// If a promise is broken.
pub fn check(bytes: &[u8]) {
    library(bytes);
    package(bytes);
    // With a wrong checksum, no change in a header would be read any further.
    package(&with_checksums(bytes));
    package(&with_manifest(bytes));
    packed(bytes);
}

fn library(bytes: &[u8]) {
    let file = Path::new("some.lib");
    let shown = match Inspection::of(file, bytes) {
        Ok(shown) => shown,
        Err(error) => return is_line(file, &error),
    };
    let json = serde_json::to_value(&shown).expect("an inspection is JSON");
    is_shown(&shown.to_string(), &json, shown.verdict.is_ok());
    match (&shown.verdict, &shown.metadata) {
        // A module need not describe itself: its exports show what it is.
        (Ok(()), _) if shown.format == "WebAssembly" => {}
        (Err(error), _) => is_line(file, error),
        (Ok(()), Some(said)) => {
            assert!(said.unwinds && said.abi_major == ABI_MAJOR, "{said:?}");
            assert_eq!(said.target, Metadata::this_target());
        }
        (Ok(()), None) => panic!("it says nothing of itself, and would be loaded"),
    }
}

fn package(bytes: &[u8]) {
    let file = Path::new("some.vlugin");
    let package = match Package::read(file, bytes) {
        Ok(package) => package,
        Err(error) => {
            is_line(file, &error);
            let error = PackageInspection::of(file, bytes).map(drop).unwrap_err();
            return is_line(file, &error);
        }
    };
    // Nothing unpacks to more than the package itself.
    let size: usize = package.libraries().map(|(_, bytes)| bytes.len()).sum();
    assert!(
        size < bytes.len(),
        "{size} bytes come out of {}",
        bytes.len()
    );

    let shown = PackageInspection::of(file, bytes).expect("what is read is shown");
    let json = serde_json::to_value(&shown).expect("an inspection is JSON");
    is_shown(&shown.to_string(), &json, shown.verdict.is_ok());
    for error in [shown.verdict.as_ref().err(), shown.agrees().as_ref().err()] {
        error.into_iter().for_each(|error| is_line(file, error));
    }
    match unpack::choose(file, bytes, Metadata::this_target()) {
        Err(error) => is_line(file, &error),
        Ok(chosen) => assert!(package.libraries().any(|(_, it)| it == chosen.bytes)),
    }

    // A package that was read can be written, and is the same then.
    let libraries = package.libraries();
    let libraries: Vec<_> = libraries.map(|(it, bytes)| (&*it.target, bytes)).collect();
    let again = match Package::write(package.manifest().clone(), libraries) {
        Ok(again) => again,
        // This schema was written more tersely.
        Err(PackageError::Unwritable { reason }) if reason.contains("smaller schema") => return,
        Err(error) => panic!("{error}"),
    };
    let again = Package::read(file, &again).expect("what is written is read");
    assert_eq!(of_package(&again), of_package(&package));
}

/// The contents of a package, in a fixed order.
fn of_package<'a>(package: &'a Package<'_>) -> (Manifest, Vec<(&'a str, &'a [u8])>) {
    let mut manifest = package.manifest().clone();
    manifest.libraries.sort_by(|a, b| a.target.cmp(&b.target));
    let libraries = package.libraries();
    let mut libraries: Vec<_> = libraries.map(|(it, bytes)| (&*it.target, bytes)).collect();
    libraries.sort();
    (manifest, libraries)
}

/// Any bytes can go into a sound package and be read from it.
fn packed(bytes: &[u8]) {
    let manifest = Manifest::new("hello_plugin", "0.1.0", "1.0");
    let targets = [Metadata::this_target(), "some-other-target"];
    let written = Package::write(manifest, targets.map(|target| (target, bytes)).to_vec());
    let written = written.expect("a sound package");
    let file = Path::new("some.vlugin");
    let read = Package::read(file, &written).expect("what is written is read");
    assert!(read.libraries().all(|(_, library)| library == bytes));
    package(&written);
}

/// The bytes, with the checksum of each header corrected.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..).and_then(|it| it.get_mut(..BLOCK)) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|it| usize::from_str_radix(it, 8).ok());
        at += BLOCK + size.unwrap_or(0).next_multiple_of(BLOCK);
    }
    bytes
}

/// An archive with these bytes as its manifest, and one library.
fn with_manifest(bytes: &[u8]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (name, bytes) in [("manifest.json", bytes), ("t/liba.so", b"a")] {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        archive
            .append_data(&mut header, name, bytes)
            .expect("memory takes it");
    }
    archive.into_inner().expect("memory takes it")
}

/// Whether an error is one line of bounded length that names the file.
fn is_line(file: &Path, error: &(impl Display + Debug)) {
    let line = error.to_string();
    assert!(line.starts_with(&*file.to_string_lossy()), "{line}");
    assert!(!line.contains(char::is_control), "{line:?}");
    assert!(!line.contains("panicked"), "{line}");
    assert!(line.len() < 2000, "{} bytes: {line}", line.len());
}

/// Checks that people and programs are shown the same, and that lines are lines.
fn is_shown(text: &str, json: &Value, loads: bool) {
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
    assert_eq!(text.ends_with("\nloads    yes"), loads, "{text}");
    assert_eq!(json["loads"], loads);
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    #[test]
    fn the_corpus_keeps_the_promises() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/files");
        // Nearly sound files lead furthest.
        if super::Metadata::this_target() == "x86_64-unknown-linux-gnu" {
            let shown = crate::inspect(corpus.join("elf")).unwrap();
            shown.verdict.unwrap();
        }
        let mut count = 0;
        for entry in fs::read_dir(corpus).unwrap() {
            let file = entry.unwrap().path();
            super::check(&fs::read(&file).unwrap());
            count += 1;
        }
        assert!(count >= 20, "{count} files are no corpus");
    }
}
