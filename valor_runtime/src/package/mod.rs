//! Packages: one `.vlugin` file with a vlugin's libraries for several targets, and a manifest. The loaders and
//! `inspect` read packages, `valor_cli package` writes them. A WebAssembly module is the library for a target like
//! any other, and so is a component. Code that was compiled from these may lie beside them. A script is packaged alone,
//! bundled with its imports.
//!
//! Nothing is believed and nothing is unpacked. A [`Package`] borrows from the bytes that it was read from. Every
//! name in it is plain, the manifest names every member, and every library has the SHA-256 in the manifest. The
//! loader judges the libraries themselves.
//!
//! # Layout
//!
//! - `archive`: bytes to members and back.
//! - `manifest`: what the first member declares.
//! - `error`: why a file is not accepted as a package.
//! - `signature`: whose files are trusted.

mod archive;
mod error;
mod manifest;
mod signature;

pub use error::PackageError;
pub use manifest::{
    COMPILED_FORMAT, CompiledCode, FORMAT, Library, Manifest, SCRIPT_FORMAT, SCRIPT_TARGET,
    WASI_TARGET, WASM_TARGET,
};
pub use signature::{SignatureError, Signed, TrustedKeys, signature_of};

use sha2::{Digest, Sha256};
use std::path::Path;

/// The file extension of a package, without the dot.
pub const EXTENSION: &str = "vlugin";

/// Whether a file's name is that of a package.
///
/// ```
/// assert!(valor_runtime::package::is_package("plugins/greet.vlugin"));
/// assert!(!valor_runtime::package::is_package("libgreet.so"));
/// ```
pub fn is_package(file: impl AsRef<Path>) -> bool {
    file.as_ref().extension().is_some_and(|it| it == EXTENSION)
}

/// A package that was read and is consistent.
#[derive(Debug, Clone)]
pub struct Package<'a> {
    manifest: Manifest,
    /// The bytes of the manifest's libraries, in its order.
    libraries: Vec<&'a [u8]>,
    /// Those of the code that was compiled from them, in its order.
    compiled: Vec<&'a [u8]>,
}

/// Machine code for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code<'a> {
    /// The target of the library that it was compiled from: [`WASM_TARGET`] or [`WASI_TARGET`].
    pub of: &'a str,
    /// The target triple of the hosts that it is for.
    pub target: &'a str,
    /// What compiled it, with its version, such as `wasmtime-48.0.2`.
    pub compiler: &'a str,
    /// The code.
    pub bytes: &'a [u8],
}

impl<'a> Package<'a> {
    /// Reads the bytes of `file`, which is only named in errors.
    ///
    /// # Errors
    /// A [`PackageError`] if the bytes are no package, are cut off, hold what the manifest does not name, or differ
    /// from what it says.
    ///
    /// ```
    /// use valor_runtime::package::{Manifest, Package};
    /// use std::path::Path;
    ///
    /// let manifest = Manifest::new("greet", "0.1.0", "1.0");
    /// let bytes = Package::write(manifest, vec![("x86_64-unknown-linux-gnu", b"\x7fELF")])?;
    /// let package = Package::read(Path::new("greet.vlugin"), &bytes)?;
    /// assert_eq!(package.manifest().name, "greet");
    /// assert_eq!(package.manifest().libraries[0].file, "x86_64-unknown-linux-gnu/libgreet.so");
    ///
    /// let error = Package::read(Path::new("greet.vlugin"), &bytes[..700]).unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "greet.vlugin is not a sound package: it is cut off within `manifest.json`; \
    ///      copy it again, or make it again"
    /// );
    /// # Ok::<(), valor_runtime::package::PackageError>(())
    /// ```
    pub fn read(file: &Path, bytes: &'a [u8]) -> Result<Self, PackageError> {
        Self::parse(bytes).map_err(|reason| PackageError::Unsound {
            file: file.to_owned(),
            reason,
        })
    }

    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let mut members = archive::read(bytes)?.into_iter();
        let manifest = match members.next() {
            Some(first) if first.name == manifest::MEMBER => Manifest::parse(first.bytes)?,
            _ => return Err(format!("`{}` is not its first member", manifest::MEMBER)),
        };
        let mut members: Vec<_> = members.collect();
        let mut take = |name: &str, size: u64, said: &str| {
            let Some(at) = members.iter().position(|it| it.name == name) else {
                return Err(format!("its manifest names `{name}`, which is not in it"));
            };
            let bytes = members.swap_remove(at).bytes;
            if bytes.len() as u64 != size {
                return Err(format!(
                    "`{name}` has {} bytes, but its manifest says {size}",
                    bytes.len()
                ));
            }
            let sha256 = format!("{:x}", Sha256::digest(bytes));
            if sha256 != said {
                return Err(format!(
                    "`{name}` has the SHA-256 {sha256}, but its manifest says {said}"
                ));
            }
            Ok(bytes)
        };
        let all = manifest.libraries.iter();
        let libraries = all.map(|it| take(&it.file, it.size, &it.sha256));
        let libraries = libraries.collect::<Result<_, _>>()?;
        let all = manifest.compiled.iter();
        let compiled = all.map(|it| take(&it.file, it.size, &it.sha256));
        let compiled = compiled.collect::<Result<_, _>>()?;
        match members.first() {
            Some(member) => Err(format!(
                "it holds `{}`, which its manifest does not name",
                member.name
            )),
            None => Ok(Self {
                manifest,
                libraries,
                compiled,
            }),
        }
    }

    /// What it declares about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its libraries with their bytes, in the manifest's order.
    pub fn libraries(&self) -> impl ExactSizeIterator<Item = (&Library, &'a [u8])> {
        let bytes = self.libraries.iter().copied();
        self.manifest.libraries.iter().zip(bytes)
    }

    /// The code that was compiled from them, with its bytes, in the manifest's order.
    pub fn compiled(&self) -> impl ExactSizeIterator<Item = (&CompiledCode, &'a [u8])> {
        let bytes = self.compiled.iter().copied();
        self.manifest.compiled.iter().zip(bytes)
    }

    /// The library for a target.
    ///
    /// # Errors
    /// [`PackageError::NoTarget`], with the targets that it has libraries for; [`PackageError::OfAnotherType`] if one
    /// of them runs on any host; [`PackageError::WithoutIt`] if a component or a script is wanted, and it has libraries
    /// alone; [`PackageError::Script`] if it holds a script.
    pub fn library(&self, file: &Path, target: &str) -> Result<(&Library, &'a [u8]), PackageError> {
        let mut libraries = self.libraries();
        if let Some(found) = libraries.find(|(library, _)| library.target == target) {
            return Ok(found);
        }
        let has: Vec<_> = self.libraries().map(|(it, _)| it.target.clone()).collect();
        let mut anywhere = [
            (WASM_TARGET, "module", "wasm"),
            (WASI_TARGET, "component", "wasi"),
        ]
        .into_iter();
        let anywhere = anywhere.find(|(it, ..)| has.iter().any(|target| target == it));
        let (file, target) = (file.to_owned(), target.to_owned());
        let without = |what, file, has| PackageError::WithoutIt { file, what, has };
        Err(match (&*target, anywhere) {
            _ if self.manifest.is_script() => PackageError::Script { file },
            (SCRIPT_TARGET, _) => without("script", file, has),
            (WASI_TARGET, _) => without("component", file, has),
            (_, Some((_, what, kind))) => PackageError::OfAnotherType {
                file,
                target,
                what,
                kind,
            },
            (_, None) => PackageError::NoTarget { file, target, has },
        })
    }

    /// The bytes of a package with these libraries, each with its target. It fills in the manifest's list of
    /// libraries. The same input gives the same bytes, whatever its order.
    ///
    /// # Errors
    /// [`PackageError::Unwritable`] if [`read`](Self::read) would not accept the result.
    pub fn write(
        manifest: Manifest,
        libraries: Vec<(&str, &[u8])>,
    ) -> Result<Vec<u8>, PackageError> {
        Self::write_compiled(manifest, libraries, Vec::new())
    }

    /// The same with code that was compiled from them.
    ///
    /// # Errors
    /// [`PackageError::Unwritable`].
    pub fn write_compiled(
        mut manifest: Manifest,
        mut libraries: Vec<(&str, &[u8])>,
        mut compiled: Vec<Code<'_>>,
    ) -> Result<Vec<u8>, PackageError> {
        let sha256 = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
        libraries.sort_by_key(|(target, _)| target.to_owned());
        compiled.sort();
        let all = libraries.iter().map(|(target, bytes)| Library {
            target: (*target).to_owned(),
            file: manifest::member_of(target, &manifest.name),
            size: bytes.len() as u64,
            sha256: sha256(bytes),
        });
        manifest.libraries = all.collect();
        let all = compiled.iter().map(|code| CompiledCode {
            of: code.of.to_owned(),
            target: code.target.to_owned(),
            compiler: code.compiler.to_owned(),
            file: manifest::compiled_member(code.of, code.target),
            size: code.bytes.len() as u64,
            sha256: sha256(code.bytes),
        });
        manifest.compiled = all.collect();
        if !manifest.is_script() {
            manifest.format = match compiled.is_empty() {
                true => FORMAT,
                false => COMPILED_FORMAT,
            };
        }
        let unwritable = |reason| PackageError::Unwritable { reason };
        let text = manifest.to_text().map_err(unwritable)?;
        let mut members = vec![(manifest::MEMBER, text.as_bytes())];
        let names = manifest.libraries.iter().map(|library| &*library.file);
        members.extend(names.zip(libraries.iter().map(|(_, bytes)| *bytes)));
        let names = manifest.compiled.iter().map(|code| &*code.file);
        members.extend(names.zip(compiled.iter().map(|code| code.bytes)));
        archive::write(&members).map_err(unwritable)
    }
}
