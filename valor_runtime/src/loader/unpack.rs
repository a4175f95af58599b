//! From the bytes of a file to those of the library to load: the file itself, or the one for a
//! target where it is a package. Every loader of code calls it, and `inspect`.
//!
//! What comes out goes through the same checks as a plain file. A library that says of itself
//! something else than its package does is refused.

use crate::{
    escape::one_line,
    loader::LoadError,
    package::{Library, Manifest, Package, PackageError, is_package},
};
use sha2::{Digest, Sha256};
use std::path::Path;
use valor_abi_wire::metadata::Metadata;

/// The library to load.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub(crate) bytes: &'a [u8],
    /// Its package and what that says of it, if it comes from one.
    pub(super) told: Option<(Package<'a>, Library)>,
}

/// Chooses the library for a target; `file` is what it is named after, and not read.
pub(crate) fn choose<'a>(
    file: &Path,
    bytes: &'a [u8],
    target: &str,
) -> Result<Chosen<'a>, LoadError> {
    if !is_package(file) {
        return Ok(Chosen { bytes, told: None });
    }
    let package = Package::read(file, bytes)?;
    let (library, bytes) = package.library(file, target)?;
    let library = library.clone();
    let told = Some((package, library));
    Ok(Chosen { bytes, told })
}

impl Chosen<'_> {
    /// The SHA-256 of the library, if it is not that of the whole file.
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        let digest = || Sha256::digest(self.bytes).into();
        self.told.as_ref().map(|_| digest())
    }

    /// Whether the library is what its package says, and says of itself what it is.
    pub(super) fn agrees(&self, file: &Path, metadata: Option<&Metadata>) -> Result<(), LoadError> {
        let Some((package, library)) = &self.told else {
            return Ok(());
        };
        let metadata = metadata.ok_or_else(|| LoadError::NoMetadata {
            file: file.join(&library.file),
        })?;
        Ok(agree(file, package.manifest(), library, metadata)?)
    }
}

/// Whether a library says the same of itself as its package does.
pub(crate) fn agree(
    file: &Path,
    manifest: &Manifest,
    library: &Library,
    metadata: &Metadata,
) -> Result<(), PackageError> {
    let abi = format!("{}.{}", metadata.abi_major, metadata.abi_minor);
    for (key, told, found) in [
        ("name", &manifest.name, &metadata.name),
        ("version", &manifest.version, &metadata.version),
        ("abi", &manifest.abi, &abi),
    ] {
        if told != found {
            return Err(differs(file, library, key, told, found));
        }
    }
    agree_on_target(file, library, &metadata.target)
}

/// Whether a library is for the target that its package says.
pub(crate) fn agree_on_target(
    file: &Path,
    library: &Library,
    target: &str,
) -> Result<(), PackageError> {
    match library.target == target {
        true => Ok(()),
        false => Err(differs(file, library, "target", &library.target, target)),
    }
}

fn differs(
    file: &Path,
    library: &Library,
    key: &'static str,
    told: &str,
    found: &str,
) -> PackageError {
    PackageError::Differs {
        file: file.to_owned(),
        target: library.target.clone(),
        key,
        told: told.to_owned(),
        found: one_line(found),
    }
}
