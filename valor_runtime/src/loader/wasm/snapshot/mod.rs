//! A vlugin that was created once and begins with each request: its memory and its globals, frozen as another module.
//!
//! `mod` has a module [prepared](Original::prepare) before its vlugin is created, `driver` takes the [`State`] of the
//! instance once that has come to rest, and [`Original::frozen`] makes the module that such instances begin from. What
//! it cannot hold is refused before anything runs. The work and the memory that this takes grow with the module and
//! with its memory, never with what is in them.

use crate::loader::GuestError;
use std::{ops::Range, time::Instant};
use wasmparser::{
    BinaryReaderError, DataKind, DataSectionReader, GlobalSectionReader, MemorySectionReader,
    Operator, Parser, Payload, TypeRef, ValType,
};
use wasmtime::{Instance, Memory, Store, Val};

/// Numbers of sections in a module.
mod section {
    pub const EXPORT: u8 = 7;
    pub const CODE: u8 = 10;
    pub const DATA: u8 = 11;
}

/// The instruction that ends the initial value of a global and the offset of a segment.
const END: u8 = 0x0b;

/// The step in which memory is looked at. The system maps an image in such pages.
const PAGE: usize = 4096;

/// The bytes of one page of a module's memory.
const WASM_PAGE: usize = 65536;

/// A module as its file has it.
pub(super) struct Original {
    bytes: Vec<u8>,
    /// The names by which the prepared module exports the globals that can change, in their order.
    globals: Vec<String>,
    /// Whether it has a section of data.
    has_data: bool,
}

/// What an instance has become.
pub(super) struct State {
    /// The globals that can change, in their order.
    globals: Vec<Val>,
    /// The pages of its memory.
    pages: usize,
    /// Its memory, except for the zeros before and behind this.
    image: Vec<u8>,
    /// Where `image` begins.
    at: usize,
    /// When its time began.
    pub begun: Instant,
}

impl Original {
    /// A module that was judged to be sound, and the module whose instance is to be frozen: the same, with exports for
    /// what the host could not read otherwise.
    ///
    /// # Errors
    /// It can change something that is not kept.
    pub fn prepare(bytes: &[u8]) -> Result<(Self, Vec<u8>), GuestError> {
        let mut all = Vec::new();
        let mut names = 0;
        let mut prefix = "snapshot ".to_owned();
        let (mut changing, mut has_data) = (Vec::new(), false);
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(unsound)?;
            all.extend(payload.as_section());
            match payload {
                Payload::DataSection(_) => has_data = true,
                Payload::GlobalSection(globals) => changing = changing_globals(globals)?,
                Payload::ExportSection(exports) => {
                    names = exports.count();
                    for export in exports {
                        // No name of the module's own.
                        let name = export.map_err(unsound)?.name;
                        while name.starts_with(&prefix) {
                            prefix.push(' ');
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    for operator in body.get_operators_reader().map_err(unsound)? {
                        is_kept(&operator.map_err(unsound)?)?;
                    }
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        if !matches!(import.map_err(unsound)?.ty, TypeRef::Func(_)) {
                            let what = "it imports something else than functions";
                            return Err(GuestError::Frozen(what.into()));
                        }
                    }
                }
                _ => {}
            }
        }
        let globals: Vec<_> = changing
            .iter()
            .map(|index| format!("{prefix}{index}"))
            .collect();
        let mut prepared = bytes[..8].to_vec();
        for (id, range) in all {
            let content = &bytes[range];
            if id != section::EXPORT {
                put_section(&mut prepared, id, content);
                continue;
            }
            let mut exports = Vec::new();
            put(&mut exports, u64::from(names) + globals.len() as u64);
            exports.extend(after_count(content));
            for (name, index) in globals.iter().zip(&changing) {
                put_bytes(&mut exports, name.as_bytes());
                exports.push(3); // A global.
                put(&mut exports, u64::from(*index));
            }
            put_section(&mut prepared, id, &exports);
        }
        let original = Self {
            bytes: bytes.to_vec(),
            globals,
            has_data,
        };
        Ok((original, prepared))
    }

    /// The state of an instance of the prepared module.
    pub fn state<T>(
        &self,
        store: &mut Store<T>,
        instance: &Instance,
        memory: &Memory,
        begun: Instant,
    ) -> wasmtime::Result<State> {
        let globals = self.globals.iter().map(|name| {
            let global = instance.get_global(&mut *store, name);
            let global = global.ok_or_else(|| wasmtime::format_err!("it has no `{name}`"))?;
            Ok(global.get(&mut *store))
        });
        let globals = globals.collect::<wasmtime::Result<_>>()?;
        let bytes = memory.data(&*store);
        let used = used(bytes);
        Ok(State {
            globals,
            pages: bytes.len() / WASM_PAGE,
            at: used.start,
            image: bytes[used].to_vec(),
            begun,
        })
    }

    /// The module whose instances begin as this one was. What began it has been done: nothing of it runs again.
    pub fn frozen(&self, state: &State) -> Result<Vec<u8>, GuestError> {
        self.rewritten(state).map_err(unsound)
    }

    fn rewritten(&self, state: &State) -> Result<Vec<u8>, BinaryReaderError> {
        let bytes = &self.bytes;
        let mut out = Vec::with_capacity(bytes.len() + state.image.len() + 64);
        out.extend(&bytes[..8]);
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload?;
            let Some((id, range)) = payload.as_section() else {
                continue;
            };
            let content = &bytes[range];
            match payload {
                Payload::MemorySection(memories) => {
                    let memory = put_memory(memories, state)?;
                    put_section(&mut out, id, &memory);
                }
                Payload::GlobalSection(globals) => {
                    let globals = put_globals(bytes, globals, &state.globals)?;
                    put_section(&mut out, id, &globals);
                }
                Payload::StartSection { .. } => {}
                Payload::DataCountSection { count, .. } => {
                    let mut now = Vec::new();
                    put(&mut now, u64::from(count) + 1);
                    put_section(&mut out, id, &now);
                }
                Payload::DataSection(data) => {
                    put_section(&mut out, id, &put_data(Some(data), state)?);
                }
                // The names stay for the backtraces of traps.
                Payload::CustomSection(custom) if custom.name() != "name" => {}
                _ => put_section(&mut out, id, content),
            }
            if id == section::CODE && !self.has_data {
                put_section(&mut out, section::DATA, &put_data(None, state)?);
            }
        }
        Ok(out)
    }
}

/// The globals that can change.
fn changing_globals(globals: GlobalSectionReader<'_>) -> Result<Vec<u32>, GuestError> {
    let mut changing = Vec::new();
    for (index, global) in (0..).zip(globals) {
        let ty = global.map_err(unsound)?.ty;
        match ty.content_type {
            _ if !ty.mutable => {}
            ValType::Ref(_) => {
                let what = "it has a reference in a global that can change";
                return Err(GuestError::Frozen(what.into()));
            }
            _ => changing.push(index),
        }
    }
    Ok(changing)
}

/// Whether this instruction changes only what a snapshot has. Nobody can see from outside what a table has in it, or
/// which segments were dropped.
fn is_kept(operator: &Operator<'_>) -> Result<(), GuestError> {
    let name = match operator {
        Operator::TableSet { .. } => "table.set",
        Operator::TableGrow { .. } => "table.grow",
        Operator::TableFill { .. } => "table.fill",
        Operator::TableCopy { .. } => "table.copy",
        Operator::TableInit { .. } => "table.init",
        Operator::ElemDrop { .. } => "elem.drop",
        Operator::DataDrop { .. } => "data.drop",
        _ => return Ok(()),
    };
    let what = format!("its code has the instruction `{name}`, which changes a table or a segment");
    Err(GuestError::Frozen(what))
}

/// The one memory, as long as it has become.
fn put_memory(
    memories: MemorySectionReader<'_>,
    state: &State,
) -> Result<Vec<u8>, BinaryReaderError> {
    let mut section = Vec::new();
    put(&mut section, u64::from(memories.count()));
    for memory in memories {
        let most = memory?.maximum;
        section.push(u8::from(most.is_some()));
        put(&mut section, state.pages as u64);
        if let Some(most) = most {
            put(&mut section, most);
        }
    }
    Ok(section)
}

/// The globals: those that can change as they have become, the others as they are.
fn put_globals(
    bytes: &[u8],
    globals: GlobalSectionReader<'_>,
    now: &[Val],
) -> Result<Vec<u8>, BinaryReaderError> {
    let mut section = Vec::new();
    put(&mut section, u64::from(globals.count()));
    let mut now = now.iter();
    for global in globals.into_iter_with_offsets() {
        let (start, global) = global?;
        let end = global.init_expr.get_binary_reader().range().end;
        if !global.ty.mutable {
            section.extend(&bytes[start..end]);
            continue;
        }
        // Its type and that it can change stand before the value.
        section.extend(&bytes[start..global.init_expr.get_binary_reader().range().start]);
        match now.next() {
            Some(Val::I32(value)) => {
                section.push(0x41);
                put_signed(&mut section, (*value).into());
            }
            Some(Val::I64(value)) => {
                section.push(0x42);
                put_signed(&mut section, *value);
            }
            Some(Val::F32(bits)) => {
                section.push(0x43);
                section.extend(bits.to_le_bytes());
            }
            Some(Val::F64(bits)) => {
                section.push(0x44);
                section.extend(bits.to_le_bytes());
            }
            Some(Val::V128(value)) => {
                section.extend([0xfd, 0x0c]);
                section.extend(value.as_u128().to_le_bytes());
            }
            // `changing_globals` lets no others through. The compiler refuses this.
            _ => {}
        }
        section.push(END);
    }
    Ok(section)
}

/// The segments of data: what they were read into is in the image, so only those are left that code may still read.
fn put_data(
    data: Option<DataSectionReader<'_>>,
    state: &State,
) -> Result<Vec<u8>, BinaryReaderError> {
    let mut section = Vec::with_capacity(state.image.len() + 64);
    put(
        &mut section,
        data.as_ref().map_or(0, |it| u64::from(it.count())) + 1,
    );
    for segment in data.into_iter().flatten() {
        let segment = segment?;
        section.push(1); // Passive.
        match segment.kind {
            DataKind::Passive => put_bytes(&mut section, segment.data),
            DataKind::Active { .. } => put_bytes(&mut section, &[]),
        }
    }
    section.extend([0, 0x41]); // Active, at this number.
    let at = u32::try_from(state.at).unwrap_or(u32::MAX);
    put_signed(&mut section, at.cast_signed().into());
    section.push(END);
    put_bytes(&mut section, &state.image);
    Ok(section)
}

/// The pages from the first that is not all zeros to the last.
fn used(memory: &[u8]) -> Range<usize> {
    const ZEROS: [u8; PAGE] = [0; PAGE];
    let is_used = |page: &[u8]| page != &ZEROS[..page.len()];
    let first = memory.chunks(PAGE).position(is_used);
    let last = memory.chunks(PAGE).rposition(is_used);
    match (first, last) {
        (Some(first), Some(last)) => first * PAGE..((last + 1) * PAGE).min(memory.len()),
        _ => 0..0,
    }
}

fn put_section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    put_bytes(out, content);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Writes an unsigned number as LEB128.
fn put(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a signed number as LEB128.
fn put_signed(out: &mut Vec<u8>, mut number: i64) {
    while !(-64..64).contains(&number) {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8 & 0x7f);
}

/// What follows the number of entries in a section.
fn after_count(section: &[u8]) -> &[u8] {
    let count = section.iter().take_while(|byte| **byte & 0x80 != 0).count();
    section.get(count + 1..).unwrap_or_default()
}

/// The module was judged before.
fn unsound(error: BinaryReaderError) -> GuestError {
    GuestError::NotAModule(error.to_string())
}

#[cfg(test)]
mod tests;
