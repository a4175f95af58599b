//! The checks on the bytes of a library, before any of its code runs. The loader asks only for the verdict. `inspect`
//! shows everything that was learned on the way, of libraries of any platform.
//!
//! No bytes make it panic, and it trusts none of them. A verdict is for exactly these bytes. So only they may be
//! loaded afterwards, not the file that they came from.

use super::{
    extents,
    platform::{Platform, Role, Sniffed, sniff},
};
use crate::loader::{LoadError, NativeError};
use object::{
    Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol, elf,
    read::elf::{Dyn, FileHeader},
};
use std::path::Path;
use valor_abi_native::{ABI_MAJOR, ABI_MINOR};
use valor_abi_wire::metadata::{self, Metadata};

/// What was learned about a library.
#[derive(Debug)]
pub(crate) struct Examined {
    /// The platform that it is for, if it is code at all.
    pub(crate) platform: Option<Platform>,
    /// What it says about itself.
    pub(crate) metadata: Option<Metadata>,
    /// Whether it looks for its dependencies relative to its own folder.
    pub(crate) uses_origin: bool,
    /// Whether this host would open it.
    pub(crate) verdict: Result<(), LoadError>,
}

/// Examines the bytes of `file`. Only errors name the file.
pub(crate) fn examine(file: &Path, bytes: &[u8]) -> Examined {
    let mut examined = Examined {
        platform: None,
        metadata: None,
        uses_origin: false,
        verdict: Ok(()),
    };
    // `object` promises not to panic. If it panics anyway, only this file is refused.
    let verdict = valor_abi_wire::unwind::catch(|| walk(file, bytes, &mut examined));
    examined.verdict = verdict.unwrap_or_else(|panicked| {
        let reason = format!("reading it panicked: {}", panicked.message);
        Err(NativeError::Damaged { reason }.of(file))
    });
    examined
}

/// Notes what it learns in `examined`, as far as it gets. The verdict is the first thing that is wrong.
fn walk(file: &Path, bytes: &[u8], examined: &mut Examined) -> Result<(), LoadError> {
    let damaged = |reason: String| NativeError::Damaged { reason }.of(file);
    let (platform, role, bytes) = match sniff(file, bytes) {
        Sniffed::Code(platform, role, slice) => (platform, role, slice),
        Sniffed::Short(format) => {
            return Err(damaged(format!(
                "it has {} bytes and ends within its {} header",
                bytes.len(),
                format.as_str()
            )));
        }
        Sniffed::Else(found, remedy) => {
            return Err(NativeError::NotALibrary { found, remedy }.of(file));
        }
    };
    examined.platform = Some(platform);
    let is_for_host = check_platform(file, platform, role);

    if let Err(reason) = extents::check(bytes) {
        return is_for_host.and(Err(damaged(reason)));
    }
    let object = match object::File::parse(bytes) {
        Ok(object) => object,
        Err(error) => return is_for_host.and(Err(damaged(extents::said(&error)))),
    };
    if let object::File::Elf32(object) = &object {
        let role = elf_role::<elf::FileHeader32<Endianness>>(object.elf_header(), bytes, examined);
        is_for_host.clone().and(check_role(file, role))?;
    }
    if let object::File::Elf64(object) = &object {
        let role = elf_role::<elf::FileHeader64<Endianness>>(object.elf_header(), bytes, examined);
        is_for_host.clone().and(check_role(file, role))?;
    }
    let metadata = read_metadata(file, &object);
    let verdict = metadata
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|metadata| {
            fits(file, metadata)?;
            exports(file, &object, &metadata.symbol)
        });
    examined.metadata = metadata.ok();
    is_for_host.and(verdict)
}

fn check_platform(file: &Path, found: Platform, role: Role) -> Result<(), LoadError> {
    if found != Platform::HOST {
        let error = NativeError::Platform {
            found: found.to_string(),
            host: Platform::HOST.to_string(),
            target: Metadata::this_target(),
        };
        return Err(error.of(file));
    }
    check_role(file, role)
}

fn check_role(file: &Path, role: Role) -> Result<(), LoadError> {
    match role {
        Role::Library => Ok(()),
        Role::Other(found) => Err(NativeError::NotDynamic { found }.of(file)),
    }
}

/// A position-independent program has the header of a library; its dynamic section tells it apart. This also notes
/// whether the library's folder matters.
fn elf_role<H: FileHeader<Endian = Endianness>>(
    header: &H,
    bytes: &[u8],
    examined: &mut Examined,
) -> Role {
    let dynamic = || {
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, bytes).ok()?;
        let (entries, strings) = sections.dynamic(endian, bytes).ok()??;
        let strings = sections.strings(endian, bytes, strings).ok()?;
        Some((endian, entries, strings))
    };
    let Some((endian, entries, strings)) = dynamic() else {
        return Role::Library;
    };
    let mut role = Role::Library;
    for entry in entries {
        match entry.tag32(endian) {
            Some(elf::DT_FLAGS_1) if entry.d_val(endian).into() & u64::from(elf::DF_1_PIE) != 0 => {
                role = Role::Other("an executable program");
            }
            Some(elf::DT_RPATH | elf::DT_RUNPATH) => {
                let path = entry.string(endian, strings).unwrap_or_default();
                examined.uses_origin |= ["$ORIGIN", "${ORIGIN}"]
                    .iter()
                    .any(|origin| path.windows(origin.len()).any(|w| w == origin.as_bytes()));
            }
            _ => {}
        }
    }
    role
}

fn read_metadata(file: &Path, object: &object::File<'_>) -> Result<Metadata, LoadError> {
    // On Mach-O, `object` looks for `__valor` under this name.
    let Some(section) = object.section_by_name(metadata::SECTION) else {
        let file = file.to_owned();
        return Err(LoadError::NoMetadata { file });
    };
    let Ok(section) = section.data() else {
        let reason = "its section is not in the file";
        return Err(NativeError::BadMetadata { reason }.of(file));
    };
    match read_blocks(section) {
        Ok(mut blocks) if blocks.len() == 1 => Ok(blocks.remove(0)),
        Ok(blocks) => {
            let names = blocks.into_iter().map(|block| block.name).collect();
            Err(NativeError::SeveralVlugins { names }.of(file))
        }
        Err(reason) => Err(NativeError::BadMetadata { reason }.of(file)),
    }
}

/// The distinct blocks of a section, at least one. Linkers may put zeros between blocks, and behind the last one.
fn read_blocks(section: &[u8]) -> Result<Vec<Metadata>, &'static str> {
    let mut blocks = Vec::new();
    let mut rest = section;
    while let Some(at) = position(rest, &metadata::MAGIC) {
        rest = &rest[at..];
        let block = Metadata::parse(rest).ok_or("its block is cut off")?;
        let size = Metadata::size_of_first(rest).unwrap_or(rest.len());
        rest = rest.get(size.max(1)..).unwrap_or_default();
        if !blocks.contains(&block) {
            blocks.push(block);
        }
    }
    if blocks.is_empty() {
        return Err("its section has no block in it");
    }
    Ok(blocks)
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}

/// Whether a library with this metadata fits this host.
///
/// A newer minor version of the ABI is fine. A minor version only adds things, and a library checks for what its host
/// may lack.
fn fits(file: &Path, metadata: &Metadata) -> Result<(), LoadError> {
    let error = if metadata.abi_major != ABI_MAJOR {
        NativeError::AbiVersion {
            found: format!("{}.{}", metadata.abi_major, metadata.abi_minor),
            ours: format!("{ABI_MAJOR}.{ABI_MINOR}"),
        }
    } else if !metadata.unwinds {
        NativeError::PanicAborts
    } else if metadata.target != Metadata::this_target() {
        NativeError::Target {
            found: metadata.target.clone(),
            ours: Metadata::this_target(),
        }
    } else {
        return Ok(());
    };
    Err(error.of(file))
}

/// The size of the start of a root module's header: 32 bytes that say what it is, and two version numbers.
const HEADER_SIZE: u64 = 40;

/// Whether the library exports this symbol as data that lies in one of its segments.
fn exports(file: &Path, object: &object::File<'_>, symbol: &str) -> Result<(), LoadError> {
    let address = match object.format() {
        // ELF says more about a symbol. No header can be read from one that is a function, or that the system's loader
        // would call to learn an address.
        object::BinaryFormat::Elf => object
            .dynamic_symbols()
            .find(|s| s.name_bytes() == Ok(symbol.as_bytes()))
            .filter(|s| s.is_definition() && s.kind() == object::SymbolKind::Data)
            .map(|s| s.address()),
        format => {
            let prefix = if format == object::BinaryFormat::MachO {
                "_"
            } else {
                ""
            };
            let name = [prefix, symbol].concat();
            let exports = object.exports().unwrap_or_default();
            exports
                .iter()
                .find(|export| export.name() == name.as_bytes())
                .map(|export| export.address())
        }
    };
    let is_mapped = |address: u64| {
        object.segments().any(|segment| {
            let within = address.checked_sub(segment.address());
            within
                .and_then(|within| within.checked_add(HEADER_SIZE))
                .is_some_and(|end| end <= segment.size())
        })
    };
    match address {
        Some(address) if address != 0 && is_mapped(address) => Ok(()),
        _ => {
            let symbol = symbol.to_owned();
            Err(NativeError::NoSymbol { symbol }.of(file))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(name: &str) -> Vec<u8> {
        let mut block = metadata::MAGIC.to_vec();
        let size = metadata::MetadataBlock::SIZE;
        block.extend((size as u32).to_le_bytes());
        block.extend([1, 0, 0, 0, 1, 1]);
        block.resize(size, 0);
        block[32..][..name.len()].copy_from_slice(name.as_bytes());
        block
    }

    fn names(section: &[&[u8]]) -> Result<Vec<String>, &'static str> {
        let blocks = read_blocks(&section.concat())?;
        Ok(blocks.into_iter().map(|block| block.name).collect())
    }

    #[test]
    fn a_section_may_have_padding_and_copies_but_not_two_vlugins() {
        let (a, b) = (&*block("a"), &*block("b"));
        let zeros = &[0; 100][..];
        assert_eq!(names(&[a]), Ok(vec!["a".into()]));
        assert_eq!(names(&[zeros, a, zeros, a, zeros]), Ok(vec!["a".into()]));
        assert_eq!(names(&[a, zeros, b]), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(names(&[a, &b[..50]]), Err("its block is cut off"));
        assert_eq!(names(&[zeros]), Err("its section has no block in it"));
        assert_eq!(names(&[]), Err("its section has no block in it"));
    }
}
