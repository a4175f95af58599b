//! What a file is, judged by its first bytes: for which system and processor it is a library, or what it is instead.
//! [`library`](super::library) asks here first. Only the headers are read, so a file that was cut off is recognised
//! too.

pub(crate) use crate::loader::first_bytes::Format;

use crate::loader::{
    LoadError, NativeError,
    first_bytes::{self, First},
};
use object::{Architecture, elf, macho, pe};
use std::{fmt, path::Path};

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

/// Looks at the first bytes of `file`.
pub(super) fn sniff<'a>(file: &Path, bytes: &'a [u8]) -> Sniffed<'a> {
    let first = first_bytes::of(bytes);
    let First::Library(format) = first else {
        return Sniffed::Else(first.to_string(), first.as_library(file));
    };
    let sniffed = match format {
        Format::Elf => sniff_elf(bytes),
        Format::Pe => sniff_pe(bytes),
        Format::MachO if bytes[0] == 0xca => sniff_fat(bytes),
        Format::MachO => sniff_macho(bytes),
    };
    sniffed.unwrap_or(Sniffed::Short(format))
}

/// Whether a library may begin like this.
pub(super) fn begins(file: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    match first_bytes::of(bytes) {
        First::Library(_) => Ok(()),
        first => Err(NativeError::NotALibrary {
            found: first.to_string(),
            remedy: first.as_library(file),
        }
        .of(file)),
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
        return Some(Sniffed::Else(
            "a program for DOS".into(),
            first_bytes::CDYLIB,
        ));
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
    fn code_that_ends_in_its_header_is_cut_off() {
        let it = Path::new("it");
        assert!(matches!(
            sniff(it, b"\x7fELF\x02\x01\x01"),
            Sniffed::Short(Format::Elf)
        ));
        assert!(matches!(sniff(it, b"MZ\x90"), Sniffed::Short(Format::Pe)));
        assert!(matches!(
            sniff(it, b"\xcf\xfa\xed\xfe\x07"),
            Sniffed::Short(Format::MachO)
        ));
    }
}
