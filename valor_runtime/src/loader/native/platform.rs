//! What a file is, judged by its first bytes: for which system and processor it is a library, or what it is instead.
//! [`library`](super::library) asks here first. Only the headers are read, so a file that was cut off is recognised
//! too.

use object::{Architecture, elf, macho, pe};
use std::fmt;

/// The formats of libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Elf,
    Pe,
    MachO,
}

/// The system and the processor that a library is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Platform {
    pub(crate) format: Format,
    /// The architecture as `std::env::consts::ARCH` calls it, if that has a name for it.
    pub(crate) architecture: &'static str,
    pub(crate) big_endian: bool,
}

/// What code in one of the formats is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Library,
    Other(&'static str),
}

/// What the first bytes reveal.
#[derive(Debug)]
pub(super) enum Sniffed<'a> {
    /// Code. If the file holds several platforms, the bytes are the part for this one.
    Code(Platform, Role, &'a [u8]),
    /// Code that ends within its own headers.
    Short(Format),
    /// Something else, and what to do about it.
    Else(String, &'static str),
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

impl Platform {
    /// What this program loads.
    pub(crate) const HOST: Self = Self {
        format: if cfg!(windows) {
            Format::Pe
        } else if cfg!(target_vendor = "apple") {
            Format::MachO
        } else {
            Format::Elf
        },
        architecture: if cfg!(all(target_arch = "x86_64", target_pointer_width = "32")) {
            X32
        } else {
            std::env::consts::ARCH
        },
        big_endian: cfg!(target_endian = "big"),
    };
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}", self.format.as_str(), self.architecture)?;
        if self.big_endian {
            f.write_str(" (big-endian)")?;
        }
        Ok(())
    }
}

const X32: &str = "x86_64 with 32-bit pointers";
const OTHER: &str = "another processor";

/// Where an ELF header gives the width of its words and their byte order.
const EI_CLASS: usize = 4;
const EI_DATA: usize = 5;

const CDYLIB: &str = "give the file that cargo builds for `crate-type = [\"cdylib\"]`";
const FOR_THIS_HOST: &str = "build it as `cdylib` for this host's own target";
const AS_WASM: &str =
    "write `\"type\": \"wasm\"`, or build it as `cdylib` for this host's own target";
const UNPACK: &str = "unpack it, and give the library inside";

/// Looks at the first bytes.
pub(super) fn sniff(bytes: &[u8]) -> Sniffed<'_> {
    match bytes {
        [0x7f, b'E', b'L', b'F', ..] => sniff_elf(bytes).unwrap_or(Sniffed::Short(Format::Elf)),
        [b'M', b'Z', ..] => sniff_pe(bytes).unwrap_or(Sniffed::Short(Format::Pe)),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => {
            sniff_macho(bytes).unwrap_or(Sniffed::Short(Format::MachO))
        }
        // A Java class begins like this too; it has a larger number here.
        [0xca, 0xfe, 0xba, 0xbe | 0xbf, 0, 0, 0, 0..=20, ..] => {
            sniff_fat(bytes).unwrap_or(Sniffed::Short(Format::MachO))
        }
        _ => sniff_else(bytes),
    }
}

fn sniff_elf(bytes: &[u8]) -> Option<Sniffed<'_>> {
    let wide = *bytes.get(EI_CLASS)? == elf::ELFCLASS64;
    let big_endian = *bytes.get(EI_DATA)? == elf::ELFDATA2MSB;
    // The whole header has to be there.
    bytes.get(..if wide { 64 } else { 52 })?;
    let role = match u16_at(bytes, 16, big_endian)? {
        elf::ET_DYN => Role::Library,
        elf::ET_EXEC => Role::Other("an executable program"),
        elf::ET_REL => Role::Other("an object file"),
        elf::ET_CORE => Role::Other("a core dump"),
        _ => Role::Other("an ELF file of unknown kind"),
    };
    let architecture = match (u16_at(bytes, 18, big_endian)?, wide) {
        (elf::EM_X86_64, true) => "x86_64",
        (elf::EM_X86_64, false) => X32,
        (elf::EM_386, _) => "x86",
        (elf::EM_AARCH64, true) => "aarch64",
        (elf::EM_ARM, _) => "arm",
        (elf::EM_RISCV, true) => "riscv64",
        (elf::EM_RISCV, false) => "riscv32",
        (elf::EM_PPC64, _) => "powerpc64",
        (elf::EM_PPC, _) => "powerpc",
        (elf::EM_S390, true) => "s390x",
        (elf::EM_LOONGARCH, true) => "loongarch64",
        (elf::EM_MIPS, true) => "mips64",
        (elf::EM_MIPS, false) => "mips",
        (elf::EM_SPARCV9, _) => "sparc64",
        _ => OTHER,
    };
    let platform = Platform {
        format: Format::Elf,
        architecture,
        big_endian,
    };
    Some(Sniffed::Code(platform, role, bytes))
}

fn sniff_pe(bytes: &[u8]) -> Option<Sniffed<'_>> {
    let header = u32_at(bytes, 0x3c, false)? as usize;
    let signature = bytes.get(header..)?.get(..4)?;
    if signature != b"PE\0\0" {
        return Some(Sniffed::Else("a program for DOS".into(), CDYLIB));
    }
    let machine = u16_at(bytes, header.checked_add(4)?, false)?;
    let characteristics = u16_at(bytes, header.checked_add(22)?, false)?;
    let architecture = match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => "x86_64",
        pe::IMAGE_FILE_MACHINE_I386 => "x86",
        pe::IMAGE_FILE_MACHINE_ARM64 => "aarch64",
        pe::IMAGE_FILE_MACHINE_ARMNT => "arm",
        _ => OTHER,
    };
    let platform = Platform {
        format: Format::Pe,
        architecture,
        big_endian: false,
    };
    let role = if characteristics & pe::IMAGE_FILE_DLL == 0 {
        Role::Other("an executable program")
    } else {
        Role::Library
    };
    Some(Sniffed::Code(platform, role, bytes))
}

fn sniff_macho(bytes: &[u8]) -> Option<Sniffed<'_>> {
    let big_endian = bytes[0] == 0xfe;
    bytes.get(
        ..if bytes[0] == 0xcf || bytes[3] == 0xcf {
            32
        } else {
            28
        },
    )?;
    let architecture = match u32_at(bytes, 4, big_endian)? {
        macho::CPU_TYPE_X86_64 => "x86_64",
        macho::CPU_TYPE_ARM64 => "aarch64",
        macho::CPU_TYPE_X86 => "x86",
        macho::CPU_TYPE_ARM => "arm",
        _ => OTHER,
    };
    let role = match u32_at(bytes, 12, big_endian)? {
        macho::MH_DYLIB | macho::MH_BUNDLE => Role::Library,
        macho::MH_EXECUTE => Role::Other("an executable program"),
        macho::MH_OBJECT => Role::Other("an object file"),
        macho::MH_DSYM => Role::Other("a file of debug information"),
        _ => Role::Other("a Mach-O file of unknown kind"),
    };
    let platform = Platform {
        format: Format::MachO,
        architecture,
        big_endian,
    };
    Some(Sniffed::Code(platform, role, bytes))
}

/// A universal file holds a library for each of several processors. Chooses this host's if it is there, otherwise the
/// first one.
fn sniff_fat(bytes: &[u8]) -> Option<Sniffed<'_>> {
    use object::read::macho::{FatArch, MachOFatFile, MachOFatFile32, MachOFatFile64};
    fn slice<'a, F: FatArch>(file: &MachOFatFile<'a, F>, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let host = |arch: &&F| match arch.architecture() {
            Architecture::X86_64 => cfg!(target_arch = "x86_64"),
            Architecture::Aarch64 => cfg!(target_arch = "aarch64"),
            _ => false,
        };
        let arches = file.arches();
        let arch = arches.iter().find(host).or(arches.first())?;
        arch.data(bytes).ok()
    }
    let slice = if bytes[3] == 0xbe {
        slice(&MachOFatFile32::parse(bytes).ok()?, bytes)?
    } else {
        slice(&MachOFatFile64::parse(bytes).ok()?, bytes)?
    };
    match slice {
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => {
            sniff_macho(slice)
        }
        _ => None,
    }
}

fn sniff_else(bytes: &[u8]) -> Sniffed<'_> {
    let (found, remedy) = match bytes {
        [] => ("an empty file", "build it again"),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => ("a WebAssembly component", FOR_THIS_HOST),
        [0, b'a', b's', b'm', ..] => ("a WebAssembly module", AS_WASM),
        [b'!', b'<', b'a' | b't', b'r' | b'h', ..] => ("a static library", CDYLIB),
        [0x64, 0x86, ..] | [0x4c, 0x01, ..] => ("an object file", CDYLIB),
        [0x1f, 0x8b, ..] => ("a gzip archive", UNPACK),
        [b'P', b'K', 3, 4, ..] => ("a zip archive", UNPACK),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ("an xz archive", UNPACK),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("a zstd archive", UNPACK),
        [b'#', b'!', ..] => ("a script", CDYLIB),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            ("a Git LFS pointer", "fetch the file with `git lfs pull`")
        }
        _ if is_text(bytes) => ("a text file", CDYLIB),
        _ => {
            let first: Vec<_> = bytes.iter().take(4).map(|b| format!("{b:02x}")).collect();
            let found = format!(
                "something unknown that begins with the bytes {}",
                first.join(" ")
            );
            return Sniffed::Else(found, CDYLIB);
        }
    };
    Sniffed::Else(found.into(), remedy)
}

fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(4096)];
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

fn u16_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u16> {
    let field = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian {
        u16::from_be_bytes(field)
    } else {
        u16::from_le_bytes(field)
    })
}

fn u32_at(bytes: &[u8], at: usize, big_endian: bool) -> Option<u32> {
    let field = *bytes.get(at..)?.first_chunk()?;
    Some(if big_endian {
        u32::from_be_bytes(field)
    } else {
        u32::from_le_bytes(field)
    })
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
            match sniff(bytes) {
                Sniffed::Else(found, _) => assert_eq!(found, expected),
                other => panic!("{bytes:?} is {other:?}"),
            }
        }
    }

    #[test]
    fn code_that_ends_in_its_header_is_cut_off() {
        assert!(matches!(
            sniff(b"\x7fELF\x02\x01\x01"),
            Sniffed::Short(Format::Elf)
        ));
        assert!(matches!(sniff(b"MZ\x90"), Sniffed::Short(Format::Pe)));
        assert!(matches!(
            sniff(b"\xcf\xfa\xed\xfe\x07"),
            Sniffed::Short(Format::MachO)
        ));
    }
}
