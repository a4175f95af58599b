//! Whether a library is complete: every table, segment and section that its headers name lies within the file.
//!
//! This check is essential. The system's loader maps the file and reads where the headers point. Reading beyond the
//! end of a file is a SIGBUS, and no code can catch that.

use object::{
    Endianness, elf, macho,
    read::{
        elf::{FileHeader, ProgramHeader, SectionHeader},
        macho::MachHeader,
        pe::{ImageNtHeaders, ImageOptionalHeader},
    },
};

/// Why a library is incomplete.
pub(super) type Damage = String;

/// Checks that everything the headers name lies within the bytes.
pub(super) fn check(bytes: &[u8]) -> Result<(), Damage> {
    use object::FileKind;
    let file = Extent {
        len: bytes.len() as u64,
    };
    match FileKind::parse(bytes).map_err(|e| said(&e))? {
        FileKind::Elf32 => check_elf::<elf::FileHeader32<Endianness>>(bytes, file),
        FileKind::Elf64 => check_elf::<elf::FileHeader64<Endianness>>(bytes, file),
        FileKind::Pe32 => check_pe::<object::pe::ImageNtHeaders32>(bytes, file),
        FileKind::Pe64 => check_pe::<object::pe::ImageNtHeaders64>(bytes, file),
        FileKind::MachO32 => check_macho::<macho::MachHeader32<Endianness>>(bytes, file),
        FileKind::MachO64 => check_macho::<macho::MachHeader64<Endianness>>(bytes, file),
        _ => Err("its headers do not say what it is".into()),
    }
}

/// An error of `object`, as the end of a sentence.
pub(super) fn said(error: &object::Error) -> Damage {
    format!("a reader of libraries says \"{error}\"")
}

#[derive(Clone, Copy)]
struct Extent {
    len: u64,
}

impl Extent {
    /// Checks that `size` bytes at `offset` lie within the file.
    fn holds(self, what: &str, offset: u64, size: u64) -> Result<(), Damage> {
        match offset.checked_add(size) {
            Some(end) if end <= self.len => Ok(()),
            Some(end) => Err(format!(
                "it has {} bytes, but its {what} would end at byte {end}",
                self.len
            )),
            None => Err(format!("its {what} cannot be at that place in a file")),
        }
    }
}

fn check_elf<H: FileHeader<Endian = Endianness>>(bytes: &[u8], file: Extent) -> Result<(), Damage> {
    let header = H::parse(bytes).map_err(|e| said(&e))?;
    let endian = header.endian().map_err(|e| said(&e))?;
    let table = |offset: u64, count: u16, size: u16| (offset, u64::from(count) * u64::from(size));

    let (offset, size) = table(
        header.e_phoff(endian).into(),
        header.e_phnum(endian),
        header.e_phentsize(endian),
    );
    file.holds("table of segments", offset, size)?;
    // The table of sections stands at the end, so a file that was cut off lacks it.
    let (offset, size) = table(
        header.e_shoff(endian).into(),
        header.e_shnum(endian),
        header.e_shentsize(endian),
    );
    file.holds("table of sections", offset, size)?;

    let segments = header
        .program_headers(endian, bytes)
        .map_err(|e| said(&e))?;
    for segment in segments {
        let (offset, size) = segment.file_range(endian);
        file.holds("segments", offset, size)?;
        if segment.p_type(endian) == elf::PT_LOAD && size > segment.p_memsz(endian).into() {
            return Err("a segment is larger in the file than in memory".into());
        }
    }
    let loaded = |address: u64, size: u64| {
        segments
            .iter()
            .filter(|s| s.p_type(endian) == elf::PT_LOAD)
            .any(|segment| {
                let start: u64 = segment.p_vaddr(endian).into();
                let end = start.checked_add(segment.p_filesz(endian).into());
                start <= address && address.checked_add(size) <= end && end.is_some()
            })
    };
    for segment in segments {
        let (address, size) = (segment.p_vaddr(endian), segment.p_filesz(endian));
        if segment.p_type(endian) == elf::PT_DYNAMIC && !loaded(address.into(), size.into()) {
            return Err("its dynamic section is in no segment".into());
        }
    }

    let sections = header
        .section_headers(endian, bytes)
        .map_err(|e| said(&e))?;
    for section in sections {
        if let Some((offset, size)) = section.file_range(endian) {
            file.holds("sections", offset, size)?;
        }
    }
    Ok(())
}

fn check_pe<H: ImageNtHeaders>(bytes: &[u8], file: Extent) -> Result<(), Damage> {
    let dos = object::pe::ImageDosHeader::parse(bytes).map_err(|e| said(&e))?;
    let mut offset = dos.nt_headers_offset().into();
    let (headers, _) = H::parse(bytes, &mut offset).map_err(|e| said(&e))?;
    let size = headers.optional_header().size_of_headers();
    file.holds("headers", 0, size.into())?;
    for section in headers
        .sections(bytes, offset)
        .map_err(|e| said(&e))?
        .iter()
    {
        let (offset, size) = section.pe_file_range();
        file.holds("sections", offset.into(), size.into())?;
        // How much of a section is in the file, as the system's loader counts it.
        let (offset, size) = (
            section.pointer_to_raw_data.get(object::LittleEndian),
            section.size_of_raw_data.get(object::LittleEndian),
        );
        file.holds("sections", offset.into(), size.into())?;
    }
    Ok(())
}

fn check_macho<H: MachHeader<Endian = Endianness>>(
    bytes: &[u8],
    file: Extent,
) -> Result<(), Damage> {
    let header = H::parse(bytes, 0).map_err(|e| said(&e))?;
    let endian = header.endian().map_err(|e| said(&e))?;
    let header_size = size_of::<H>() as u64;
    file.holds(
        "load commands",
        header_size,
        header.sizeofcmds(endian).into(),
    )?;
    let mut commands = header
        .load_commands(endian, bytes, 0)
        .map_err(|e| said(&e))?;
    while let Some(command) = commands.next().map_err(|e| said(&e))? {
        if let Some((segment, data)) = command.segment_64().map_err(|e| said(&e))? {
            let range = (segment.fileoff.get(endian), segment.filesize.get(endian));
            file.holds("segments", range.0, range.1)?;
            check_macho_sections(segment, data, endian, file)?;
        }
        if let Some((segment, data)) = command.segment_32().map_err(|e| said(&e))? {
            let range = (segment.fileoff.get(endian), segment.filesize.get(endian));
            file.holds("segments", range.0.into(), range.1.into())?;
            check_macho_sections(segment, data, endian, file)?;
        }
        if let Some(table) = command.symtab().map_err(|e| said(&e))? {
            let strings = (table.stroff.get(endian), table.strsize.get(endian));
            file.holds("table of strings", strings.0.into(), strings.1.into())?;
            file.holds("table of symbols", table.symoff.get(endian).into(), 0)?;
        }
    }
    Ok(())
}

fn check_macho_sections<S: object::read::macho::Segment<Endian = Endianness>>(
    segment: &S,
    data: &[u8],
    endian: Endianness,
    file: Extent,
) -> Result<(), Damage> {
    use object::read::macho::Section as _;
    for section in segment.sections(endian, data).map_err(|e| said(&e))? {
        if let Some((offset, size)) = section.file_range(endian) {
            file.holds("sections", offset, size)?;
        }
    }
    Ok(())
}
