//! Types in a component, counted without being kept. `outline` asks for each type before anything else reads it.
//!
//! wasmparser reads the types inside of an instance's type by recursion, so that a few bytes for each level overflow
//! the stack. [`read`] walks through them in a loop, and reads only types that have no others inside with wasmparser.

use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentAlias, ComponentExternName, ComponentImport,
    ComponentType, ComponentTypeRef, CoreType,
};

/// What a type has in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Itself and its declarations, at any depth.
    pub count: u64,
    /// Whether it has the types of other instances, components or modules in it.
    pub is_heavy: bool,
}

/// How reading a type ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    Whole(Found),
    TooDeep,
    TooMany,
    /// There is no such kind of declaration.
    Unknown(u8),
}

/// Reads one type, with at most this many levels inside of each other and this many declarations.
///
/// # Errors
/// It is not well formed.
pub(super) fn read(
    reader: &mut BinaryReader<'_>,
    depth: usize,
    most: u64,
) -> Result<Read, BinaryReaderError> {
    let mut found = Found::default();
    // How many declarations are left in each open type.
    let mut open: Vec<u32> = Vec::new();
    let mut is_type = true;
    loop {
        found.count += 1;
        if found.count > most {
            return Ok(Read::TooMany);
        }
        if is_type {
            let mut ahead = reader.clone();
            match ahead.read_u8()? {
                // The type of a component, or of an instance.
                0x41 | 0x42 => {
                    *reader = ahead;
                    found.is_heavy |= !open.is_empty();
                    open.push(reader.read_var_u32()?);
                    if open.len() > depth {
                        return Ok(Read::TooDeep);
                    }
                }
                _ => drop(reader.read::<ComponentType<'_>>()?),
            }
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        let Some(left) = open.last_mut() else {
            return Ok(Read::Whole(found));
        };
        *left -= 1;
        is_type = false;
        match reader.read_u8()? {
            0x00 => drop(reader.read::<CoreType<'_>>()?),
            0x01 => is_type = true,
            0x02 => {
                reader.read::<ComponentAlias<'_>>()?;
            }
            0x03 => found.is_heavy |= is_heavy(&reader.read::<ComponentImport<'_>>()?.ty),
            0x04 => {
                reader.read::<ComponentExternName<'_>>()?;
                found.is_heavy |= is_heavy(&reader.read::<ComponentTypeRef>()?);
            }
            other => return Ok(Read::Unknown(other)),
        }
    }
}

fn is_heavy(ty: &ComponentTypeRef) -> bool {
    matches!(
        ty,
        ComponentTypeRef::Instance(_)
            | ComponentTypeRef::Component(_)
            | ComponentTypeRef::Module(_)
    )
}
