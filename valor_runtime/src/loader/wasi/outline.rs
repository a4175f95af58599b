//! The parts of a component, read within limits and before anything is validated: what it imports and exports by name,
//! its core modules, what made it, and how much an instance of it begins with. `world` judges them.
//!
//! A hostile file costs no more than the limits: whatever validating or compiling would do for each part is counted
//! here first, and types are never read deeper than [`DEPTH`].

use super::types;
use crate::{
    escape::one_line,
    loader::{ComponentError, Producer},
};
use std::ops::Range;
use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentAlias, ComponentExport, ComponentExternName,
    ComponentExternalKind, ComponentImport, ComponentInstance, ComponentOuterAliasKind,
    ComponentType, ComponentTypeRef, CustomSectionReader, Encoding, Instance, KnownCustom, Parser,
    Payload, SectionLimited,
};

/// Components and types inside of each other.
const DEPTH: usize = 32;
/// What is counted in a component, how much of it there may be, and what it is called.
const COMPONENTS: (&str, u64) = ("components inside of it", 200);
const MODULES: (&str, u64) = ("core modules", 500);
const TYPES: (&str, u64) = ("types", 20_000);
const NAMES: (&str, u64) = ("imports and exports", 10_000);
const ALIASES: (&str, u64) = ("aliases", 50_000);
const FUNCTIONS: (&str, u64) = ("lifted and lowered functions", 20_000);
/// What an instance of it consists of, counted as often as it is instantiated.
const INSTANCES: (&str, u64) = ("instances inside of an instance", 1_000);
/// Whoever validates it copies the type of an instance for each import and export.
const COPIES: (&str, u64) = (
    "bytes of interface types, for each import and export,",
    16 << 20,
);
/// The weight of a type that has the types of other instances in it.
const HEAVY: u64 = 1 << 20;
const NAME: (&str, u64) = ("bytes in a name", 1_000);

/// Producers that are shown, and the length of their texts.
const PRODUCERS: usize = 64;
const PRODUCER: usize = 100;

/// The bytes of one page of memory.
const PAGE: u64 = 65536;

/// The parts of a component.
#[derive(Debug, Default)]
pub(super) struct Outline<'a> {
    pub imports: Vec<(&'a str, ComponentTypeRef)>,
    pub exports: Vec<(&'a str, ComponentExternalKind)>,
    pub producers: Vec<Producer>,
    /// Where its core modules are.
    pub modules: Vec<Range<usize>>,
    /// What an instance of it begins with.
    pub begins: Begins,
}

/// What an instance of a component begins with.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Begins {
    /// Instances of core modules.
    pub modules: u64,
    /// Instances of components, itself included.
    components: u64,
    /// Memories.
    pub memories: u64,
    /// The bytes of all memories.
    pub memory: u64,
    /// Tables.
    pub tables: u64,
    /// Imports and exports of instances, whose types are copied.
    copies: u64,
}

impl Begins {
    fn add(&mut self, other: Self) {
        for (sum, more) in [
            (&mut self.modules, other.modules),
            (&mut self.components, other.components),
            (&mut self.memories, other.memories),
            (&mut self.memory, other.memory),
            (&mut self.tables, other.tables),
            (&mut self.copies, other.copies),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// A component or a core module that is being read.
#[derive(Default)]
struct Frame {
    is_module: bool,
    begins: Begins,
    /// The core modules and components that it can instantiate. `None` for one that comes from elsewhere.
    modules: Vec<Option<Begins>>,
    components: Vec<Option<Begins>>,
}

/// Counts of everything in the file.
#[derive(Default)]
struct Counts {
    components: u64,
    modules: u64,
    types: u64,
    names: u64,
    aliases: u64,
    functions: u64,
    /// The bytes of the largest type of an instance.
    heaviest: u64,
}

struct Reader<'a> {
    bytes: &'a [u8],
    times: u64,
    outline: Outline<'a>,
    counts: Counts,
    frames: Vec<Frame>,
}

enum Stop {
    Refused(ComponentError),
    Unsound(BinaryReaderError),
}

impl From<ComponentError> for Stop {
    fn from(error: ComponentError) -> Self {
        Self::Refused(error)
    }
}

impl From<BinaryReaderError> for Stop {
    fn from(error: BinaryReaderError) -> Self {
        Self::Unsound(error)
    }
}

/// Reads the parts of a component. `times` multiplies the limits.
///
/// # Errors
/// It is not well formed, or there is too much of something.
pub(super) fn of(bytes: &[u8], times: u32) -> Result<Outline<'_>, ComponentError> {
    let mut reader = Reader {
        bytes,
        times: times.into(),
        outline: Outline::default(),
        counts: Counts::default(),
        frames: Vec::new(),
    };
    match reader.read() {
        Ok(()) => Ok(reader.outline),
        Err(Stop::Refused(error)) => Err(error),
        Err(Stop::Unsound(error)) => {
            Err(ComponentError::NotAComponent(one_line(&error.to_string())))
        }
    }
}

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), Stop> {
        for payload in Parser::new(0).parse_all(self.bytes) {
            self.payload(payload?)?;
        }
        Ok(())
    }

    fn check(&self, (what, most): (&'static str, u64), found: u64) -> Result<(), ComponentError> {
        let most = most.saturating_mul(self.times);
        match found > most {
            true => Err(ComponentError::TooLarge {
                what,
                found,
                most,
                enough: None,
            }),
            false => Ok(()),
        }
    }

    fn check_all(&self) -> Result<(), ComponentError> {
        let counts = &self.counts;
        for (limit, found) in [
            (COMPONENTS, counts.components),
            (MODULES, counts.modules),
            (TYPES, counts.types),
            (NAMES, counts.names),
            (ALIASES, counts.aliases),
            (FUNCTIONS, counts.functions),
        ] {
            self.check(limit, found)?;
        }
        let Some(frame) = self.frames.last() else {
            return Ok(());
        };
        let instances = frame.begins.modules.saturating_add(frame.begins.components);
        self.check(INSTANCES, instances)?;
        let copies = frame.begins.copies.saturating_mul(counts.heaviest);
        self.check(COPIES, copies)
    }

    fn payload(&mut self, payload: Payload<'a>) -> Result<(), Stop> {
        match payload {
            Payload::Version { encoding, .. } => self.enter(encoding)?,
            Payload::End(_) => self.leave(),
            Payload::ModuleSection {
                unchecked_range, ..
            } => {
                self.counts.modules += 1;
                self.outline.modules.push(unchecked_range);
            }
            Payload::ComponentSection { .. } => self.counts.components += 1,
            Payload::CustomSection(section) => self.custom(&section),
            Payload::MemorySection(memories) => {
                for memory in memories {
                    let memory = memory?;
                    let page = 1u64.checked_shl(memory.page_size_log2.unwrap_or(16));
                    let page = page.unwrap_or(PAGE);
                    self.begin(Begins {
                        memories: 1,
                        memory: memory.initial.saturating_mul(page),
                        ..Begins::default()
                    });
                }
            }
            Payload::TableSection(tables) => self.begin(Begins {
                tables: tables.count().into(),
                ..Begins::default()
            }),
            Payload::CoreTypeSection(types) => {
                self.counts.types += u64::from(types.count());
                self.weigh(types.range().len(), false)?;
            }
            Payload::ComponentTypeSection(types) => self.types(&types)?,
            Payload::ComponentImportSection(imports) => {
                self.counted(&imports, |counts| &mut counts.names)?;
                for import in imports {
                    self.import(import?)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                self.counted(&exports, |counts| &mut counts.names)?;
                for export in exports {
                    self.export(&export?)?;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                self.counted(&aliases, |counts| &mut counts.aliases)?;
                for alias in aliases {
                    self.alias(&alias?);
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                self.counted(&functions, |counts| &mut counts.functions)?;
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    match instance? {
                        Instance::Instantiate { module_index, args } => {
                            self.counts.aliases += args.len() as u64;
                            self.instantiate(module_index, |frame| &frame.modules)?;
                        }
                        Instance::FromExports(exports) => {
                            self.counts.aliases += exports.len() as u64;
                        }
                    }
                    self.check_all()?;
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    match instance? {
                        ComponentInstance::Instantiate {
                            component_index,
                            args,
                        } => {
                            self.counts.aliases += args.len() as u64;
                            self.instantiate(component_index, |frame| &frame.components)?;
                        }
                        ComponentInstance::FromExports(exports) => {
                            self.counts.names += exports.len() as u64;
                            self.begin(Begins {
                                copies: exports.len() as u64,
                                ..Begins::default()
                            });
                        }
                    }
                    self.check_all()?;
                }
            }
            _ => {}
        }
        Ok(self.check_all()?)
    }

    /// Counts the entries of a section before any is read.
    fn counted<T>(
        &mut self,
        section: &SectionLimited<'_, T>,
        count: fn(&mut Counts) -> &mut u64,
    ) -> Result<(), ComponentError> {
        *count(&mut self.counts) += u64::from(section.count());
        self.check_all()
    }

    fn enter(&mut self, encoding: Encoding) -> Result<(), ComponentError> {
        let is_module = encoding == Encoding::Module;
        if self.frames.len() >= DEPTH {
            return Err(self.too_deep());
        }
        let begins = Begins {
            modules: is_module.into(),
            components: (!is_module).into(),
            ..Begins::default()
        };
        self.frames.push(Frame {
            is_module,
            begins,
            ..Frame::default()
        });
        Ok(())
    }

    fn too_deep(&self) -> ComponentError {
        ComponentError::TooLarge {
            what: "components or types inside of each other",
            found: DEPTH as u64 + 1,
            most: DEPTH as u64,
            enough: None,
        }
    }

    /// The end of a component or of a module, which the one around it can instantiate.
    fn leave(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        match self.frames.last_mut() {
            Some(around) if frame.is_module => around.modules.push(Some(frame.begins)),
            Some(around) => around.components.push(Some(frame.begins)),
            None => self.outline.begins = frame.begins,
        }
    }

    fn begin(&mut self, more: Begins) {
        if let Some(frame) = self.frames.last_mut() {
            frame.begins.add(more);
        }
    }

    fn instantiate(
        &mut self,
        index: u32,
        of: fn(&Frame) -> &Vec<Option<Begins>>,
    ) -> Result<(), ComponentError> {
        // What has no such index is not sound, which the validator says.
        let known = self
            .frames
            .last()
            .and_then(|frame| of(frame).get(index as usize));
        match known {
            Some(Some(begins)) => {
                let begins = *begins;
                self.begin(begins);
                Ok(())
            }
            None => Ok(()),
            Some(None) => Err(ComponentError::Feature {
                what: "components or core modules that are imported or passed on".to_owned(),
                remedy: "put them into it, as `wasm-tools compose` and `wac` do",
            }),
        }
    }

    fn name(&self, name: &ComponentExternName<'a>) -> Result<&'a str, ComponentError> {
        self.check(NAME, name.name.len() as u64)?;
        Ok(name.name)
    }

    fn import(&mut self, import: ComponentImport<'a>) -> Result<(), Stop> {
        let name = self.name(&import.name)?;
        self.pass_on(import.ty.kind());
        if self.frames.len() == 1 {
            self.outline.imports.push((name, import.ty));
        }
        Ok(())
    }

    fn export(&mut self, export: &ComponentExport<'a>) -> Result<(), Stop> {
        let name = self.name(&export.name)?;
        self.pass_on(export.kind);
        if self.frames.len() == 1 {
            self.outline.exports.push((name, export.kind));
        }
        Ok(())
    }

    /// Something of this kind gets an index, and comes from elsewhere.
    fn pass_on(&mut self, kind: ComponentExternalKind) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        match kind {
            ComponentExternalKind::Module => frame.modules.push(None),
            ComponentExternalKind::Component => frame.components.push(None),
            ComponentExternalKind::Instance => frame.begins.copies += 1,
            _ => {}
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'a>) {
        match alias {
            ComponentAlias::InstanceExport { kind, .. } => self.pass_on(*kind),
            ComponentAlias::CoreInstanceExport { .. } => {}
            ComponentAlias::Outer { kind, count, index } => {
                let outer = self.frames.len().checked_sub(1 + *count as usize);
                let Some(outer) = outer.and_then(|at| self.frames.get(at)) else {
                    return;
                };
                let get = |all: &Vec<Option<Begins>>| all.get(*index as usize).copied().flatten();
                let (module, component) = (get(&outer.modules), get(&outer.components));
                match (kind, self.frames.last_mut()) {
                    (ComponentOuterAliasKind::CoreModule, Some(frame)) => {
                        frame.modules.push(module)
                    }
                    (ComponentOuterAliasKind::Component, Some(frame)) => {
                        frame.components.push(component);
                    }
                    _ => {}
                }
            }
        }
    }

    fn weigh(&mut self, bytes: usize, is_heavy: bool) -> Result<(), ComponentError> {
        let weight = if is_heavy { HEAVY } else { bytes as u64 };
        self.counts.heaviest = self.counts.heaviest.max(weight);
        self.check_all()
    }

    /// Counts and weighs a section of types.
    fn types(&mut self, section: &SectionLimited<'a, ComponentType<'a>>) -> Result<(), Stop> {
        let range = section.range();
        let mut reader = BinaryReader::new(&self.bytes[range.clone()], range.start);
        for _ in 0..reader.read_var_u32()? {
            let start = reader.original_position();
            let left = (TYPES.1.saturating_mul(self.times)).saturating_sub(self.counts.types);
            let found = match types::read(&mut reader, DEPTH, left)? {
                types::Read::Whole(found) => found,
                types::Read::TooDeep => return Err(self.too_deep().into()),
                types::Read::Unknown(kind) => {
                    let why = format!("a type has a declaration of the unknown kind {kind:#x}");
                    return Err(ComponentError::NotAComponent(why).into());
                }
                types::Read::TooMany => {
                    self.counts.types += left + 1;
                    return Ok(self.check_all()?);
                }
            };
            self.counts.types += found.count;
            self.weigh(reader.original_position() - start, found.is_heavy)?;
        }
        Ok(())
    }

    /// Producers, which are only shown: what is not sound in them is left out.
    fn custom(&mut self, section: &CustomSectionReader<'a>) {
        let KnownCustom::Producers(fields) = section.as_known() else {
            return;
        };
        for field in fields.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                let short = |text: &str| text.chars().take(PRODUCER).collect::<String>();
                let producer = Producer {
                    field: short(field.name),
                    name: short(value.name),
                    version: short(value.version),
                };
                let producers = &mut self.outline.producers;
                if producers.len() >= PRODUCERS {
                    return;
                }
                if !producers.contains(&producer) {
                    producers.push(producer);
                }
            }
        }
    }
}
