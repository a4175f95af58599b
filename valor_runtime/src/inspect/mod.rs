//! [`inspect`]: what a library file says about itself, and whether this host would load it. `valor_cli inspect` prints
//! it. The file may be for any platform; none of its code runs. [`inspect_package`] does the same for a package.

#[cfg(feature = "fuzzing")]
mod fuzzing;
mod package;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use fuzzing::check;
pub use package::{PackageInspection, Packed, inspect_package};

use crate::escape::Shown;
use crate::loader::{Interfaces, LoadError, Producer, examine, native::sha256_of, read};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use valor_abi_native::{ABI_MAJOR, ABI_MINOR};
use valor_abi_wire::metadata::Metadata;

/// What is known about a library file. It is shown as lines for people, and serialised as one object.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// The file.
    pub file: PathBuf,
    /// `ELF`, `PE`, `Mach-O` or `WebAssembly`.
    pub format: &'static str,
    /// The processor, as Rust's target triples call it, if they have a name for it.
    pub architecture: &'static str,
    /// The size in bytes.
    pub size: u64,
    /// The SHA-256, 64 lower-case hexadecimal digits: what `sha256` in plugins.json takes.
    pub sha256: String,
    /// What it says about itself; `None` if it is not a vlugin, or not readable as one.
    pub metadata: Option<Metadata>,
    /// See [`Inspection::target`].
    target: Option<&'static str>,
    /// What it imports and exports by name, and what made it; empty if its format has no names for that.
    pub interfaces: Interfaces,
    /// Whether this host would open it, and if not, why. Creating the vlugin may still fail.
    pub verdict: Result<(), LoadError>,
}

/// Inspects a library file.
///
/// # Errors
/// A [`LoadError`] if the file cannot be read or is not a library for any platform. If something else keeps it from
/// being loaded here, its [`verdict`](Inspection::verdict) says so.
///
/// ```
/// let error = valor_runtime::inspect("Cargo.toml").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "Cargo.toml is not a library but a text file: \
///      give the file that cargo builds for `crate-type = [\"cdylib\"]`"
/// );
/// ```
pub fn inspect(file: impl AsRef<Path>) -> Result<Inspection, LoadError> {
    let file = file.as_ref();
    Inspection::of(file, &read(file)?)
}

impl Inspection {
    /// Inspects bytes that were already read. Errors and the result name the file.
    ///
    /// # Errors
    /// As [`inspect`].
    pub fn of(file: &Path, bytes: &[u8]) -> Result<Self, LoadError> {
        let examined = examine(file, bytes)?;
        Ok(Self {
            file: file.to_owned(),
            format: examined.format,
            architecture: examined.architecture,
            size: bytes.len() as u64,
            sha256: sha256_of(bytes),
            metadata: examined.metadata,
            target: examined.target,
            interfaces: examined.interfaces,
            verdict: examined.verdict,
        })
    }

    /// What a package calls its target: what it says about itself, or what all components have. `None` if it is no
    /// vlugin.
    pub fn target(&self) -> Option<&str> {
        let said = self.metadata.as_ref().map(|it| &*it.target);
        said.or(self.target)
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A text from a file never breaks out of its line.
        let mut line =
            |key: &str, value: &dyn fmt::Display| writeln!(f, "{key:<9}{}", Shown(value));
        line("file", &self.file.display())?;
        line(
            "format",
            &format_args!("{} for {}", self.format, self.architecture),
        )?;
        line("size", &format_args!("{} bytes", self.size))?;
        line("sha256", &self.sha256)?;
        if let Some(metadata) = &self.metadata {
            line("name", &metadata.name)?;
            line("version", &metadata.version)?;
            line(
                "abi",
                &format_args!(
                    "{} (this host speaks {ABI_MAJOR}.{ABI_MINOR})",
                    abi(metadata)
                ),
            )?;
            line("form", &metadata.form.as_str())?;
            line("target", &metadata.target)?;
            line("rustc", &metadata.rustc)?;
            line("panic", &panic_strategy(metadata))?;
        }
        let said = &self.interfaces;
        for (key, all) in [
            ("world", &said.worlds),
            ("exports", &said.exports),
            ("imports", &said.imports),
        ] {
            for one in all {
                line(key, one)?;
            }
        }
        for Producer {
            field,
            name,
            version,
        } in &said.producers
        {
            line("made by", &format_args!("{name} {version} ({field})"))?;
        }
        if said.modules > 0 {
            line("modules", &said.modules)?;
        }
        match &self.verdict {
            Ok(()) => f.write_str("loads    yes"),
            Err(error) => write!(f, "loads    no: {}", Shown(error)),
        }
    }
}

impl Serialize for Inspection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct About<'a> {
            name: &'a str,
            version: &'a str,
            abi: String,
            form: &'a str,
            target: &'a str,
            rustc: &'a str,
            panic: &'a str,
        }
        let about = self.metadata.as_ref().map(|metadata| About {
            name: &metadata.name,
            version: &metadata.version,
            abi: abi(metadata),
            form: metadata.form.as_str(),
            target: &metadata.target,
            rustc: &metadata.rustc,
            panic: panic_strategy(metadata),
        });
        let mut object = serializer.serialize_struct("Inspection", 9)?;
        object.serialize_field("file", &self.file.display().to_string())?;
        object.serialize_field("format", self.format)?;
        object.serialize_field("architecture", self.architecture)?;
        object.serialize_field("size", &self.size)?;
        object.serialize_field("sha256", &self.sha256)?;
        object.serialize_field("vlugin", &about)?;
        let said = (!self.interfaces.is_empty()).then_some(&self.interfaces);
        object.serialize_field("interfaces", &said)?;
        object.serialize_field("loads", &self.verdict.is_ok())?;
        let reason = self.verdict.as_ref().err().map(ToString::to_string);
        object.serialize_field("reason", &reason)?;
        object.end()
    }
}

fn abi(metadata: &Metadata) -> String {
    format!("{}.{}", metadata.abi_major, metadata.abi_minor)
}

fn panic_strategy(metadata: &Metadata) -> &'static str {
    if metadata.unwinds { "unwind" } else { "abort" }
}
