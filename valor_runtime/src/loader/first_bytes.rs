//! What a file is by its first bytes, whatever its name says, and what to do if it is named under the wrong type. The
//! loaders of code ask here before they read the whole file, so that a large one of another kind costs nothing.

use super::{LoadError, ScriptError, code};
use std::{borrow::Cow, fmt, path::Path};

/// How many bytes are looked at.
pub(super) const FIRST: u64 = 4096;

/// The formats of libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Elf,
    Pe,
    MachO,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Elf => "ELF",
            Self::Pe => "PE",
            Self::MachO => "Mach-O",
        }
    }
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum First {
    /// Code of a system: a library, a program, an object file.
    Library(Format),
    Module,
    Component,
    Empty,
    Text,
    /// Text that names its interpreter.
    Script,
    /// `a gzip archive`.
    Archive(&'static str),
    LfsPointer,
    /// What cargo or a compiler builds besides: `a static library`.
    Built(&'static str),
    /// Something else, and its first bytes.
    Unknown(Vec<u8>),
}

/// Looks at the first bytes.
pub(super) fn of(bytes: &[u8]) -> First {
    match bytes {
        [] => First::Empty,
        [0x7f, b'E', b'L', b'F', ..] => First::Library(Format::Elf),
        [b'M', b'Z', ..] => First::Library(Format::Pe),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => {
            First::Library(Format::MachO)
        }
        // A Java class begins like this too; it has a larger number here.
        [0xca, 0xfe, 0xba, 0xbe | 0xbf, 0, 0, 0, 0..=20, ..] => First::Library(Format::MachO),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => First::Component,
        [0, b'a', b's', b'm', ..] => First::Module,
        [b'!', b'<', b'a' | b't', b'r' | b'h', ..] => First::Built("a static library"),
        [0x64, 0x86, ..] | [0x4c, 0x01, ..] => First::Built("an object file"),
        [0x1f, 0x8b, ..] => First::Archive("a gzip archive"),
        [b'P', b'K', 3, 4, ..] => First::Archive("a zip archive"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => First::Archive("an xz archive"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => First::Archive("a zstd archive"),
        [b'#', b'!', ..] => First::Script,
        _ if bytes.starts_with(b"version https://git-lfs") => First::LfsPointer,
        _ if is_text(bytes) => First::Text,
        _ => First::Unknown(bytes.iter().take(4).copied().collect()),
    }
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Library(Format::Elf) => "a library or program (ELF)",
            Self::Library(Format::Pe) => "a library or program (PE)",
            Self::Library(Format::MachO) => "a library or program (Mach-O)",
            Self::Module => "a WebAssembly module",
            Self::Component => "a WebAssembly component",
            Self::Empty => "an empty file",
            Self::Text => "a text file",
            Self::Script => "a script",
            Self::Archive(what) | Self::Built(what) => what,
            Self::LfsPointer => "a Git LFS pointer",
            Self::Unknown(first) => {
                f.write_str("something unknown that begins with the bytes")?;
                return first.iter().try_for_each(|byte| write!(f, " {byte:02x}"));
            }
        })
    }
}

pub(super) const CDYLIB: &str = "give the file that cargo builds for `crate-type = [\"cdylib\"]`";
const LFS: &str = "fetch the file with `git lfs pull`";
const AS_SCRIPT: &str = "write `\"type\": \"js\"`";
const EMPTY: &str = "build it again";

impl First {
    /// What to do if a native vlugin is wanted.
    pub(super) fn as_library(&self, file: &Path) -> &'static str {
        match self {
            Self::Component => {
                "write `\"type\": \"wasi\"`, or build it as `cdylib` for this host's own target"
            }
            Self::Module => {
                "write `\"type\": \"wasm\"`, or build it as `cdylib` for this host's own target"
            }
            Self::Archive(_) => "unpack it, and give the library inside",
            Self::LfsPointer => LFS,
            Self::Empty => EMPTY,
            Self::Text | Self::Script if code::is_script(file) => AS_SCRIPT,
            _ => CDYLIB,
        }
    }

    /// What to do if a module is wanted.
    #[allow(
        dead_code,
        reason = "only the loader of modules asks, and that is a feature"
    )]
    pub(super) fn as_module(&self, file: &Path) -> &'static str {
        match self {
            Self::Library(_) => {
                "write `\"type\": \"native\"`, or build it for wasm32-unknown-unknown"
            }
            Self::Archive(_) => "unpack it, and give the module inside",
            Self::LfsPointer => LFS,
            Self::Empty => EMPTY,
            Self::Text | Self::Script if code::is_script(file) => AS_SCRIPT,
            _ => "give the `.wasm` file that cargo builds for wasm32-unknown-unknown",
        }
    }

    /// What to do if a component is wanted.
    #[allow(
        dead_code,
        reason = "only the loader of components asks, and that is a feature"
    )]
    pub(super) fn as_component(&self, file: &Path) -> &'static str {
        match self {
            Self::Library(_) => "write `\"type\": \"native\"`, or build it for wasm32-wasip2",
            Self::Module => "write `\"type\": \"wasm\"`, or build it for wasm32-wasip2",
            Self::Archive(_) => "unpack it, and give the component inside",
            Self::LfsPointer => LFS,
            Self::Empty => EMPTY,
            Self::Text | Self::Script if code::is_script(file) => AS_SCRIPT,
            _ => "give the `.wasm` file that a toolchain for components builds",
        }
    }

    /// Whether a script may begin like this.
    ///
    /// # Errors
    /// What the file is instead, and what to do.
    pub(super) fn is_script(&self, file: &Path) -> Result<(), LoadError> {
        let remedy: Cow<'_, str> = match self {
            Self::Text | Self::Script | Self::Empty => return Ok(()),
            // Deno says what is wrong with it.
            Self::Unknown(first) if first[0] != 0 => return Ok(()),
            Self::Library(_) => "write `\"type\": \"native\"`".into(),
            Self::Module => "write `\"type\": \"wasm\"`".into(),
            Self::Component => "write `\"type\": \"wasi\"`".into(),
            Self::Archive(_) => "unpack it, and give the script inside".into(),
            Self::LfsPointer => LFS.into(),
            Self::Built(_) | Self::Unknown(_) => "give a JavaScript or TypeScript file".into(),
        };
        Err(ScriptError::Failed {
            file: file.to_owned(),
            message: format!("this is {self}: {remedy}"),
        }
        .into())
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(FIRST as usize)];
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A character may be cut off at the end.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty()
        && !text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_code_is_named() {
        for (bytes, expected) in [
            (&b""[..], "an empty file"),
            (b"\0asm\x01\0\0\0", "a WebAssembly module"),
            (b"\0asm\x0d\0\x01\0", "a WebAssembly component"),
            (b"!<arch>\n", "a static library"),
            (b"\x1f\x8b\x08", "a gzip archive"),
            (b"PK\x03\x04", "a zip archive"),
            (b"#!/bin/sh\n", "a script"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "a Git LFS pointer",
            ),
            ("Größe\n".as_bytes(), "a text file"),
            (
                b"\x01\x02\x03\x04\x05",
                "something unknown that begins with the bytes 01 02 03 04",
            ),
        ] {
            assert_eq!(of(bytes).to_string(), expected);
        }
    }

    #[test]
    fn each_wrong_pair_names_the_right_type() {
        let (native, wasm, js) = (
            "`\"type\": \"native\"`",
            "`\"type\": \"wasm\"`",
            "`\"type\": \"js\"`",
        );
        let script = Path::new("a.ts");
        let as_script = |bytes: &[u8]| of(bytes).is_script(script).unwrap_err().to_string();
        for library in [&b"\x7fELF\x02\x01"[..], b"MZ\x90", b"\xcf\xfa\xed\xfe\x07"] {
            assert!(of(library).as_module(script).contains(native));
            assert!(as_script(library).contains(native));
        }
        let module = b"\0asm\x01\0\0\0";
        assert!(of(module).as_library(script).contains(wasm));
        let line = as_script(module);
        assert!(
            line.contains("this is a WebAssembly module: write"),
            "{line}"
        );
        assert!(line.contains(wasm), "{line}");
        let text = b"export default {};";
        assert!(of(text).as_library(script).contains(js));
        assert!(of(text).as_module(script).contains(js));
        assert!(of(text).as_library(Path::new("a.cjs")).contains(js));
        assert!(!of(text).as_module(Path::new("a.wat")).contains(js));
        assert!(of(text).is_script(script).is_ok());
        // A script may have any character in it.
        assert!(of(b"// \x0b\xff").is_script(script).is_ok());
        assert!(as_script(&[0; 9]).contains("give a JavaScript"));
    }
}
