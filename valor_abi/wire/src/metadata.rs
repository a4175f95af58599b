//! The block that describes a library without running it.
//!
//! `#[vlugin]` exports one [`MetadataBlock`] in a separate section ([`SECTION`]); a WebAssembly module has it as a
//! custom section. The loader and `valor_cli inspect` read it from the file's bytes, on any platform, and refuse an
//! unsuitable library before any of its code runs. All text is UTF-8, padded with NUL.

/// The first bytes of a block.
pub const MAGIC: [u8; 16] = *b"valor.metadata\x0d\x0a";

/// The size of the block of ABI 1.0, which an older library may have when the host is newer.
const SIZE_OF_1_0: usize = 384;

/// The section of the block, on ELF and PE; on Mach-O it is `__DATA,__valor`.
pub const SECTION: &str = ".valor";

/// What a library says about itself, as it is in the file. New fields are added at the end.
#[repr(C)]
pub struct MetadataBlock {
    magic: [u8; 16],
    /// The bytes in the block, including this field and the magic; little endian, like all numbers.
    size: [u8; 4],
    abi_major: [u8; 2],
    abi_minor: [u8; 2],
    /// 1 if panics unwind, 0 if they abort.
    unwinds: u8,
    form: u8,
    reserved: [u8; 6],
    name: [u8; 64],
    version: [u8; 32],
    rustc: [u8; 64],
    target: [u8; 64],
    symbol: [u8; 128],
}

/// What a library says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The major version of the ABI.
    pub abi_major: u16,
    /// The minor version of the ABI.
    pub abi_minor: u16,
    /// Whether panics unwind. A library whose panics abort is refused.
    pub unwinds: bool,
    /// The form it is written in.
    pub form: Form,
    /// The name of its crate.
    pub name: String,
    /// The version of its crate.
    pub version: String,
    /// The compiler's version, as `rustc --version` gives it.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// The symbol of the root module's header.
    pub symbol: String,
}

/// The form of `#[vlugin]` that a library is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// On `on_request`.
    Function,
    /// On `on_create`, with an `on_request`.
    State,
    /// On an `impl Vlugin`.
    Typed,
    /// One that this version does not know.
    Unknown,
}

impl Form {
    /// As `inspect` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::State => "state",
            Self::Typed => "typed",
            Self::Unknown => "unknown",
        }
    }
}

impl MetadataBlock {
    /// The block's size in this version, in bytes.
    pub const SIZE: usize = size_of::<Self>();

    /// The block of a vlugin whose boundary has this version of the ABI, major and minor.
    ///
    /// # Panics
    /// If the symbol is longer than 128 bytes. In a constant that is a compile error.
    pub const fn new(
        (abi_major, abi_minor): (u16, u16),
        name: &str,
        version: &str,
        unwinds: bool,
        form: u8,
        symbol: &str,
    ) -> Self {
        Self {
            magic: MAGIC,
            size: (Self::SIZE as u32).to_le_bytes(),
            abi_major: abi_major.to_le_bytes(),
            abi_minor: abi_minor.to_le_bytes(),
            unwinds: unwinds as u8,
            form,
            reserved: [0; 6],
            name: padded(name),
            version: padded(version),
            rustc: padded(env!("VALOR_RUSTC")),
            target: padded(env!("VALOR_TARGET")),
            symbol: {
                assert!(
                    symbol.len() <= 128,
                    "the crate's name is too long: 115 bytes at most"
                );
                padded(symbol)
            },
        }
    }
}

impl Metadata {
    /// Reads a block from the bytes of its section. `None` if there is no whole block.
    ///
    /// For a block of another major version, only the fields up to the version are certain.
    pub fn parse(section: &[u8]) -> Option<Self> {
        let mut rest = section.strip_prefix(&MAGIC)?;
        let mut take = |n: usize| {
            let (field, after) = rest.split_at_checked(n)?;
            rest = after;
            Some(field)
        };
        let size = u32::from_le_bytes(take(4)?.try_into().ok()?) as usize;
        if size < SIZE_OF_1_0 || size > section.len() {
            return None;
        }
        let abi_major = u16::from_le_bytes(take(2)?.try_into().ok()?);
        let abi_minor = u16::from_le_bytes(take(2)?.try_into().ok()?);
        let flags = take(8)?;
        Some(Self {
            abi_major,
            abi_minor,
            unwinds: flags[0] == 1,
            form: match flags[1] {
                1 => Form::Function,
                2 => Form::State,
                3 => Form::Typed,
                _ => Form::Unknown,
            },
            name: unpadded(take(64)?)?,
            version: unpadded(take(32)?)?,
            rustc: unpadded(take(64)?)?,
            target: unpadded(take(64)?)?,
            symbol: unpadded(take(128)?)?,
        })
    }

    /// The size of the first block of a section, according to the block.
    pub fn size_of_first(section: &[u8]) -> Option<usize> {
        let size = section.strip_prefix(&MAGIC)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*size) as usize)
    }

    /// The target triple of this program.
    pub const fn this_target() -> &'static str {
        env!("VALOR_TARGET")
    }

    /// The compiler of this program.
    pub const fn this_rustc() -> &'static str {
        env!("VALOR_RUSTC")
    }
}

/// Text in a field of fixed size; what does not fit is cut off, between two characters.
const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut len = text.len();
    if len > N {
        len = N;
        // The bytes of a character after its first one begin with the bits 10.
        while text[len] & 0b1100_0000 == 0b1000_0000 {
            len -= 1;
        }
    }
    let mut field = [0; N];
    let mut at = 0;
    while at < len {
        field[at] = text[at];
        at += 1;
    }
    field
}

fn unpadded(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_does_not_fit_is_cut_off_between_characters() {
        assert_eq!(unpadded(&padded::<4>("abc")).unwrap(), "abc");
        assert_eq!(unpadded(&padded::<4>("abcdef")).unwrap(), "abcd");
        assert_eq!(unpadded(&padded::<4>("abcé")).unwrap(), "abc");
        assert_eq!(unpadded(&padded::<4>("a€€")).unwrap(), "a€");
        assert_eq!(unpadded(&padded::<2>("€")).unwrap(), "");
    }
}
