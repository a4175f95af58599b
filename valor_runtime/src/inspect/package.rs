//! [`inspect_package`]: what a package and the libraries in it say about themselves, and whether this host would load
//! it. `valor_cli inspect` prints it, and so does `valor_cli package` for the package that it made.

use super::{Inspection, panic_strategy};
use crate::{
    Kind,
    escape::{Shown, one_line},
    loader::{LoadError, code, native::sha256_of, read, unpack},
    package::{Library, Manifest, Package, PackageError, WASI_TARGET},
};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use valor_abi_native::{ABI_MAJOR, ABI_MINOR};
use valor_abi_wire::metadata::Metadata;

/// What is known about a package. It is shown as lines for people, and serialised as one object.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PackageInspection {
    /// The file.
    pub file: PathBuf,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256, 64 lower-case hexadecimal digits: what `sha256` in plugins.json takes.
    pub sha256: String,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What is known about its libraries, in the order of the manifest. A script has none.
    pub libraries: Vec<Packed>,
    /// The types of definition that this host would open it for.
    pub kinds: Vec<Kind>,
    /// Whether this host would open it for any of them, and if not, why. Creating the vlugin may still fail.
    pub verdict: Result<(), LoadError>,
}

/// A library in a package.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Packed {
    /// What the manifest says about it.
    pub library: Library,
    /// What it says about itself, and whether this host would open it.
    pub inspection: Result<Inspection, LoadError>,
    /// Whether the two descriptions agree.
    pub agrees: Result<(), LoadError>,
}

/// Inspects a package. None of the code in it runs.
///
/// # Errors
/// A [`LoadError`] if the file cannot be read or is not a sound package. If something else keeps it from being loaded
/// here, its [`verdict`](PackageInspection::verdict) says so.
///
/// ```
/// let error = valor_runtime::inspect_package("Cargo.toml").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Cargo.toml is not a sound package: it is not a tar archive; \
///      copy it again, or make it again"
/// );
/// ```
pub fn inspect_package(file: impl AsRef<Path>) -> Result<PackageInspection, LoadError> {
    let file = file.as_ref();
    PackageInspection::of(file, &read(file)?)
}

impl PackageInspection {
    /// Inspects bytes that were already read. Errors and the result name the file.
    ///
    /// # Errors
    /// As [`inspect_package`].
    pub fn of(file: &Path, bytes: &[u8]) -> Result<Self, LoadError> {
        let package = Package::read(file, bytes)?;
        let manifest = package.manifest();
        let libraries: Vec<_> = package
            .libraries()
            .filter(|_| !manifest.is_script())
            .map(|(library, bytes)| Packed::of(file, manifest, library, bytes))
            .collect();
        let of_target = |target: &str| {
            let (wanted, bytes) = package.library(file, target)?;
            let misencoded = manifest
                .is_script()
                .then(|| code::encoded(&file.join(&wanted.file), bytes));
            if let Some(error) = misencoded.flatten() {
                return Err(error.into());
            }
            let packed = libraries.iter().find(|packed| packed.library == *wanted);
            packed.map_or(Ok(()), Packed::verdict)
        };
        let targets = Kind::ALL
            .iter()
            .filter_map(|kind| Some((*kind, kind.target()?)));
        let verdicts: Vec<_> = targets
            .map(|(kind, target)| (kind, of_target(target)))
            .collect();
        let well = verdicts.iter().filter(|(_, verdict)| verdict.is_ok());
        let kinds: Vec<_> = well.map(|(kind, _)| *kind).collect();
        // A package for one kind need not have anything for another.
        let is_of_another = |error: &LoadError| {
            use PackageError::{OfAnotherType, Script, WithoutIt};
            let LoadError::Package(error) = error else {
                return false;
            };
            matches!(
                error,
                OfAnotherType { .. } | WithoutIt { .. } | Script { .. }
            )
        };
        let faults = verdicts
            .into_iter()
            .filter_map(|(_, verdict)| verdict.err());
        let verdict = match faults.min_by_key(is_of_another) {
            Some(fault) if kinds.is_empty() => Err(fault),
            _ => Ok(()),
        };
        Ok(Self {
            file: file.to_owned(),
            size: bytes.len() as u64,
            sha256: sha256_of(bytes),
            manifest: manifest.clone(),
            libraries,
            kinds,
            verdict,
        })
    }

    /// Whether every library, for any target, is what the manifest says.
    ///
    /// # Errors
    /// The error of the first library that is not.
    pub fn agrees(&self) -> Result<(), LoadError> {
        let mut all = self.libraries.iter().map(|packed| packed.agrees.clone());
        all.find(Result::is_err).unwrap_or(Ok(()))
    }
}

impl Packed {
    fn of(file: &Path, manifest: &Manifest, library: &Library, bytes: &[u8]) -> Self {
        let inspection = Inspection::of(file, bytes);
        let agrees = inspection.clone().and_then(|inspection| {
            if let Some(metadata) = &inspection.metadata {
                return Ok(unpack::agree(file, manifest, library, metadata)?);
            }
            match (inspection.target(), &inspection.verdict) {
                // A component has nothing else that a package says.
                (Some(target), _) => Ok(unpack::agree_on_target(file, library, target)?),
                // A library for another host is no fault, and that error would hide the real one.
                (None, Err(error)) if !error.is_for_another_host() => Err(error.clone()),
                (None, _) => Err(LoadError::NoMetadata {
                    file: file.join(&library.file),
                }),
            }
        });
        Self {
            library: library.clone(),
            inspection,
            agrees,
        }
    }

    fn verdict(&self) -> Result<(), LoadError> {
        self.inspection.clone()?.verdict.and(self.agrees.clone())
    }
}

impl fmt::Display for PackageInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text from a file never breaks out of its line.
        let mut line =
            |key: &str, value: &dyn fmt::Display| writeln!(f, "{key:<9}{}", Shown(value));
        let manifest = &self.manifest;
        line("file", &self.file.display())?;
        line("format", &format_args!("package {}", manifest.format))?;
        line("size", &format_args!("{} bytes", self.size))?;
        line("sha256", &self.sha256)?;
        line("name", &manifest.name)?;
        line("version", &manifest.version)?;
        let host = format_args!("(this host speaks {ABI_MAJOR}.{ABI_MINOR})").to_string();
        let speaks_it = |it: &Library| it.target != WASI_TARGET;
        if !manifest.is_script() && manifest.libraries.iter().any(speaks_it) {
            line("abi", &format_args!("{} {host}", manifest.abi))?;
        }
        if let Some(license) = &manifest.license {
            line("license", license)?;
        }
        if manifest.config_schema.is_some() {
            line("config", &"a JSON Schema is in it")?;
        }
        if let (true, [script]) = (manifest.is_script(), &*manifest.libraries) {
            line(
                "script",
                &format_args!("{}, {} bytes", script.file, script.size),
            )?;
        }
        for Packed {
            library,
            inspection,
            agrees,
        } in &self.libraries
        {
            let (target, size) = (&library.target, library.size);
            match (inspection, agrees) {
                (Ok(inspection), Ok(())) => {
                    let more = match &inspection.metadata {
                        Some(it) => format!(
                            ", form {}, rustc {}, panic {}",
                            it.form.as_str(),
                            one_line(&it.rustc),
                            panic_strategy(it)
                        ),
                        None => {
                            let worlds = inspection.interfaces.worlds.iter();
                            let worlds = worlds.map(|it| format!(", world {}", one_line(it)));
                            worlds.collect()
                        }
                    };
                    line("library", &format_args!("{target}, {size} bytes{more}"))?;
                }
                (Err(error), _) | (_, Err(error)) => {
                    line("library", &format_args!("{target}, {size} bytes: {error}"))?;
                }
            }
        }
        for code in &manifest.compiled {
            line(
                "compiled",
                &format_args!(
                    "for {}, {} bytes, from {}, by {}",
                    code.target, code.size, code.of, code.compiler
                ),
            )?;
        }
        let here = Some(Metadata::this_target());
        match &self.verdict {
            Ok(()) if self.kinds.iter().all(|it| it.target() == here) => {
                f.write_str("loads    yes")
            }
            Ok(()) => {
                let kinds: Vec<_> = self.kinds.iter().map(|it| format!("\"{it}\"")).collect();
                write!(f, "loads    yes, as {}", kinds.join(" or "))
            }
            Err(error) => write!(f, "loads    no: {}", Shown(error)),
        }
    }
}

impl Serialize for PackageInspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            target: &'a str,
            library: Option<&'a Inspection>,
            reason: Option<String>,
        }
        let libraries: Vec<_> = self
            .libraries
            .iter()
            .map(|packed| Shown {
                target: &packed.library.target,
                library: packed.inspection.as_ref().ok(),
                reason: packed.agrees.as_ref().err().map(ToString::to_string),
            })
            .collect();
        let mut object = serializer.serialize_struct("PackageInspection", 9)?;
        object.serialize_field("file", &self.file.display().to_string())?;
        object.serialize_field("format", "package")?;
        object.serialize_field("size", &self.size)?;
        object.serialize_field("sha256", &self.sha256)?;
        object.serialize_field("manifest", &self.manifest)?;
        object.serialize_field("libraries", &libraries)?;
        object.serialize_field("types", &self.kinds)?;
        object.serialize_field("loads", &self.verdict.is_ok())?;
        let reason = self.verdict.as_ref().err().map(ToString::to_string);
        object.serialize_field("reason", &reason)?;
        object.end()
    }
}
