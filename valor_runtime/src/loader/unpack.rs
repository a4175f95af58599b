//! From the bytes of a file to those of the library to load: the file itself, or the one for a
//! target where it is a package. Every loader of code calls it, and `inspect`.
//!
//! What comes out goes through the same checks as a plain file. A library that says of itself
//! something else than its package does is refused. Compiled code comes out only for a caller that
//! says that the package is trusted.

#[cfg(feature = "wasm")]
use crate::loader::engine::Precompiled;
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
    /// What its package says of it, if it comes from one.
    told: Option<(Manifest, Library)>,
    /// The code that its package has beside it, for this host.
    #[cfg(feature = "wasm")]
    compiled: Option<(String, &'a [u8])>,
}

/// Whether the code in a package may be used.
#[cfg(feature = "wasm")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// Somebody signed it whom the operator trusts.
    Trusted,
    /// The operator wants everything compiled here.
    Unwanted,
    /// Anybody may have made it.
    Untrusted,
}

/// Chooses the library for a target; `file` is what it is named after, and not read.
pub(crate) fn choose<'a>(
    file: &Path,
    bytes: &'a [u8],
    target: &str,
) -> Result<Chosen<'a>, LoadError> {
    if !is_package(file) {
        return Ok(Chosen {
            bytes,
            told: None,
            #[cfg(feature = "wasm")]
            compiled: None,
        });
    }
    let package = Package::read(file, bytes)?;
    let (library, bytes) = package.library(file, target)?;
    let told = Some((package.manifest().clone(), library.clone()));
    #[cfg(feature = "wasm")]
    let compiled = {
        let here = Metadata::this_target();
        let mut all = package.compiled();
        let code = all.find(|(it, _)| it.of == target && is_as(&it.target, here));
        code.map(|(it, bytes)| (it.compiler.clone(), bytes))
    };
    Ok(Chosen {
        bytes,
        told,
        #[cfg(feature = "wasm")]
        compiled,
    })
}

/// Whether code for hosts of one target runs on those of another: it has the same architecture and system. The vendor
/// and the C library make no difference to it.
#[cfg(feature = "wasm")]
fn is_as(one: &str, other: &str) -> bool {
    let parts = |triple: &str| {
        let mut parts = triple.split('-').map(str::to_owned);
        (parts.next(), parts.nth(1))
    };
    parts(one) == parts(other)
}

impl Chosen<'_> {
    /// The code that the package has for this host. If it has some that is not used, the log says why.
    #[cfg(feature = "wasm")]
    pub(super) fn compiled<'a>(&'a self, file: &'a Path, code: Code) -> Option<Precompiled<'a>> {
        let (manifest, library) = self.told.as_ref()?;
        let mut has = manifest.compiled.iter().filter(|it| it.of == library.target);
        let first = has.next()?;
        let why = match (code, &self.compiled) {
            (Code::Trusted, Some((by, code))) => return Some(Precompiled { file, by, code }),
            (Code::Unwanted, _) => return None,
            (Code::Untrusted, _) => "only a trusted signature (`--trust`) lets it run".to_owned(),
            (Code::Trusted, None) => {
                let all = std::iter::once(first).chain(has).map(|it| &*it.target);
                let all: Vec<_> = all.collect();
                let here = Metadata::this_target();
                format!("it is for {}, and this host is {here}", all.join(", "))
            }
        };
        log::info!(
            target: "valor::wasm",
            "{}: the compiled code in it is not used: {why}", file.display()
        );
        None
    }

    /// The SHA-256 of the library, if it is not that of the whole file.
    pub(super) fn sha256(&self) -> Option<[u8; 32]> {
        let digest = || Sha256::digest(self.bytes).into();
        self.told.as_ref().map(|_| digest())
    }

    /// Whether the library is what its package says, and says of itself what it is.
    pub(super) fn agrees(&self, file: &Path, metadata: Option<&Metadata>) -> Result<(), LoadError> {
        let Some((manifest, library)) = &self.told else {
            return Ok(());
        };
        let metadata = metadata.ok_or_else(|| LoadError::NoMetadata {
            file: file.join(&library.file),
        })?;
        Ok(agree(file, manifest, library, metadata)?)
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
