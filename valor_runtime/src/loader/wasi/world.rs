//! The world of a component: which handler of wasi:http it exports, and whether this host has all that it imports.
//! [`read`] says so before anything is compiled, by reading the file alone; `examine` and the loader call it.
//!
//! If a component exports handlers of both versions, 0.3 is its version, as it is for `wasmtime serve`: it can do all
//! that 0.2 can.

use super::{
    interfaces::{self, Interface, Name},
    outline::{self, Outline},
    shape::{self, Resources},
    stray,
};
use crate::{
    Limits, definition,
    escape::one_line,
    loader::{
        ComponentError, Interfaces,
        engine::{judged, size, sound},
    },
};
use wasmparser::{
    BinaryReaderError, ComponentExternalKind, Parser, ValidPayload, Validator, WasmFeatures,
    component_types::{ComponentAnyTypeId, ComponentEntityType, ComponentItem},
    types::{Types, TypesRef},
};

/// The two handlers, as a component exports them.
const HANDLERS: [(&str, &str, Version); 2] = [
    ("wasi:http/handler", "0.3", Version::P3),
    ("wasi:http/incoming-handler", "0.2", Version::P2),
];

/// The function of both handlers.
const HANDLE: &str = "handle";

/// What components may use besides what modules may. The engine has these features.
const FEATURES: WasmFeatures = sound::FEATURES
    .union(WasmFeatures::COMPONENT_MODEL)
    .union(WasmFeatures::CM_ASYNC);

/// Features of components that the engine does not have, and what they are called.
const REFUSED: [(WasmFeatures, &str); 9] = [
    (
        WasmFeatures::CM_ASYNC_STACKFUL,
        "async functions without a callback (cm-async-stackful)",
    ),
    (
        WasmFeatures::CM_MORE_ASYNC_BUILTINS,
        "more built-in functions for async (cm-more-async-builtins)",
    ),
    (
        WasmFeatures::CM_THREADING,
        "threads of the component model (cm-threading)",
    ),
    (
        WasmFeatures::CM_ERROR_CONTEXT,
        "contexts of errors (cm-error-context)",
    ),
    (
        WasmFeatures::CM_VALUES,
        "values as imports and exports (cm-values)",
    ),
    (
        WasmFeatures::CM_NESTED_NAMES,
        "names inside of names (cm-nested-names)",
    ),
    (
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        "lists of a fixed length (cm-fixed-length-lists)",
    ),
    (
        WasmFeatures::CM_GC,
        "a garbage collector in the canonical ABI (cm-gc)",
    ),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared functions (shared-everything-threads)",
    ),
];

/// The version of WASI that calls a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::loader) enum Version {
    /// `wasi:http/incoming-handler@0.2`.
    P2,
    /// `wasi:http/handler@0.3`.
    P3,
}

/// A component that this host can compile and call.
#[derive(Debug)]
pub(in crate::loader) struct World {
    /// The version of the handler to call.
    pub version: Version,
    /// The handler as the component names it: `wasi:http/handler@0.3.0`.
    pub handler: String,
    /// How many core modules it has.
    pub modules: u64,
    /// How many instances of core modules an instance of it has, if it is a sound component.
    pub instances: u64,
    /// How many memories an instance of it has.
    pub memories: u64,
    /// The bytes of memory that an instance of it begins with.
    pub memory: u64,
}

/// Judges a component: whether this host has its version, and everything that it imports.
///
/// # Errors
/// Why it cannot be a vlugin here.
pub(in crate::loader) fn read(bytes: &[u8], limits: &Limits) -> Result<World, ComponentError> {
    judge(bytes, limits, |judge| judge())
}

/// The same for a host that compiles otherwise, and limits memory itself.
///
/// # Errors
/// Why it cannot be a vlugin.
pub(super) fn read_elsewhere(bytes: &[u8]) -> Result<(), ComponentError> {
    if Parser::is_core_wasm(bytes) {
        return Err(stray::judge(bytes));
    }
    let outline = outline::of(bytes, u32::MAX)?;
    let (_, handler) = handler_of(&outline)?;
    is_sound(bytes, &outline, handler)
}

/// Whether it is sound, and its imports and its handler are those of the standard.
fn is_sound(bytes: &[u8], outline: &Outline<'_>, handler: &str) -> Result<(), ComponentError> {
    let types = validate(bytes)?;
    let types = types.as_ref();
    let resources = check_imports(outline, &types)?;
    check_handler(handler, &types, &resources)
}

/// The same in less time, if it has passed here before.
///
/// # Errors
/// Why it cannot be a vlugin here.
pub(super) fn read_again(bytes: &[u8], limits: &Limits) -> Result<World, ComponentError> {
    judge(bytes, limits, |judge| {
        judged::once(bytes, limits.compile(), judge)
    })
}

/// The same for a component that was compiled before: whoever did so has seen that it is sound.
///
/// # Errors
/// Why it cannot be a vlugin here.
pub(super) fn read_compiled(bytes: &[u8], limits: &Limits) -> Result<World, ComponentError> {
    judge(bytes, limits, |_| Ok(()))
}

/// `passes` decides whether what takes long is done.
fn judge(
    bytes: &[u8],
    limits: &Limits,
    passes: impl FnOnce(&dyn Fn() -> Result<(), ComponentError>) -> Result<(), ComponentError>,
) -> Result<World, ComponentError> {
    if Parser::is_core_wasm(bytes) {
        return Err(stray::judge(bytes));
    }
    let outline = outline::of(bytes, limits.compile())?;
    let (version, handler) = handler_of(&outline)?;
    let most = limits.memory();
    if outline.begins.memory > most {
        return Err(ComponentError::Memory {
            wanted: outline.begins.memory,
            limit: most,
        });
    }
    passes(&|| {
        let modules = || {
            let modules = outline.modules.iter();
            modules.map(|module| bytes.get(module.clone()).unwrap_or_default())
        };
        size::check_all(modules, limits.compile())?;
        is_sound(bytes, &outline, handler)
    })?;
    Ok(World {
        version,
        handler: handler.to_owned(),
        modules: shown(&outline).modules,
        instances: outline.begins.modules,
        memories: outline.begins.memories,
        memory: outline.begins.memory,
    })
}

/// What a component imports and exports, whatever this host thinks of it.
///
/// # Errors
/// It cannot be read within the limits that a vlugin has by default.
pub(super) fn interfaces(bytes: &[u8]) -> Result<Interfaces, ComponentError> {
    Ok(shown(&outline::of(bytes, Limits::default().compile())?))
}

fn shown(outline: &Outline<'_>) -> Interfaces {
    let imports: Vec<_> = outline
        .imports
        .iter()
        .map(|(name, _)| one_line(name))
        .collect();
    let exports: Vec<_> = outline
        .exports
        .iter()
        .map(|(name, _)| one_line(name))
        .collect();
    let is_middleware = imports
        .iter()
        .any(|it| Name::of(it).interface == "wasi:http/handler");
    let world = |export: &String| {
        let Name { interface, version } = Name::of(export);
        let world = match interface {
            "wasi:http/incoming-handler" => "wasi:http/proxy",
            "wasi:http/handler" if is_middleware => "wasi:http/middleware",
            "wasi:http/handler" => "wasi:http/service",
            "wasi:cli/run" => "wasi:cli/command",
            _ => return None,
        };
        Some(format!("{world}@{version}"))
    };
    Interfaces {
        worlds: exports.iter().filter_map(world).collect(),
        exports,
        imports,
        producers: outline.producers.clone(),
        modules: outline.modules.len() as u64,
    }
}

/// The handler that is called, by the names of the exports.
fn handler_of<'a>(outline: &Outline<'a>) -> Result<(Version, &'a str), ComponentError> {
    let is_handler = |name: &str| {
        HANDLERS
            .iter()
            .any(|(it, ..)| Name::of(name).interface == *it)
    };
    for (interface, line, version) in HANDLERS {
        let ours = |name: &str| {
            let name = Name::of(name);
            name.interface == interface && name.line() == Some(line)
        };
        let Some((name, kind)) = outline.exports.iter().find(|(name, _)| ours(name)) else {
            continue;
        };
        if *kind != ComponentExternalKind::Instance {
            return Err(ComponentError::Handler {
                interface: one_line(name),
                found: format!("as a {}, not as an instance", kind.desc()),
                expected: HANDLE,
            });
        }
        return Ok((version, name));
    }
    if let Some((name, _)) = outline.exports.iter().find(|(name, _)| is_handler(name)) {
        return Err(ComponentError::HandlerVersion(one_line(name)));
    }
    let is_run = |name: &str| Name::of(name).interface == "wasi:cli/run";
    if let Some((name, _)) = outline.exports.iter().find(|(name, _)| is_run(name)) {
        return Err(ComponentError::Command(one_line(name)));
    }
    Err(ComponentError::NoHandler {
        exports: listed(outline.exports.iter().map(|(name, _)| *name)),
        meant: outline.exports.iter().find_map(|(name, _)| {
            definition::nearest(Name::of(name).interface, HANDLERS.map(|(name, ..)| name))
        }),
    })
}

/// `nothing`, or the first few names.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const FEW: usize = 3;
    let count = names.len();
    let few: Vec<_> = names
        .take(FEW)
        .map(|name| format!("`{}`", one_line(name)))
        .collect();
    match count {
        0 => "nothing".to_owned(),
        _ if count > FEW => format!("{} and {} more", few.join(", "), count - FEW),
        _ => few.join(", "),
    }
}

/// Validates a component, except for the bodies of its functions, which `size` has validated.
fn validate(bytes: &[u8]) -> Result<Types, ComponentError> {
    let mut validator = Validator::new_with_features(FEATURES);
    let mut types = None;
    for payload in Parser::new(0).parse_all(bytes) {
        let valid = payload.and_then(|payload| validator.payload(&payload));
        match valid.map_err(|error| refusal(&error))? {
            // The last one is the outermost.
            ValidPayload::End(end) => types = Some(end),
            ValidPayload::Ok | ValidPayload::Parser(_) | ValidPayload::Func(..) => {}
        }
    }
    types.ok_or_else(|| ComponentError::NotAComponent("it has no end".to_owned()))
}

/// What an error of the validator means to the author of a component.
fn refusal(error: &BinaryReaderError) -> ComponentError {
    let why = one_line(&error.to_string());
    if let Some(feature) = error.missing_wasm_feature() {
        let known = REFUSED.iter().find(|(known, _)| feature.intersects(*known));
        return ComponentError::Feature {
            what: known.map_or_else(
                || format!("a feature that is not on by default: {why}"),
                |(_, what)| (*what).to_owned(),
            ),
            remedy: "build it with a toolchain for WASI 0.2 or 0.3.0, which have no need of it",
        };
    }
    match why.contains("limit of") {
        true => ComponentError::Limit(why),
        false => ComponentError::NotAComponent(why),
    }
}

/// Checks that this host has all that a component imports. Gives the names of the resources among it.
fn check_imports(outline: &Outline<'_>, types: &TypesRef<'_>) -> Result<Resources, ComponentError> {
    let items = outline
        .imports
        .iter()
        .filter_map(|(name, _)| Some((*name, types.component_item_for_import(name)?)));
    let mut resources = Resources::new();
    for (name, item) in items.clone() {
        for (inner, item) in exports_of(item, types) {
            if let ComponentEntityType::Type {
                created: ComponentAnyTypeId::Resource(id),
                ..
            } = item.ty
            {
                let of = Name::of(name).interface;
                let of = of.strip_prefix("wasi:").unwrap_or(of);
                // The first one defines it; others use it.
                let name = resources.entry(id.resource());
                name.or_insert_with(|| format!("{of}.{inner}"));
            }
        }
    }
    for (name, item) in items {
        check_import(name, item, types, &resources)?;
    }
    Ok(resources)
}

/// What is in an instance.
fn exports_of<'a>(
    item: &ComponentItem,
    types: &'a TypesRef<'a>,
) -> impl Iterator<Item = (&'a str, &'a ComponentItem)> {
    let instance = match item.ty {
        ComponentEntityType::Instance(id) => Some(&types[id]),
        _ => None,
    };
    let exports = instance.into_iter().flat_map(|instance| &instance.exports);
    exports.map(|(name, item)| (&**name, item))
}

fn check_import(
    name: &str,
    item: &ComponentItem,
    types: &TypesRef<'_>,
    resources: &Resources,
) -> Result<(), ComponentError> {
    let unknown = |inner: Option<&str>| {
        let import = match inner {
            Some(inner) => format!("{}` of `{}", one_line(inner), one_line(name)),
            None => one_line(name),
        };
        ComponentError::UnknownImport {
            import,
            remedy: instead_of(Name::of(name)),
        }
    };
    match item.ty {
        ComponentEntityType::Instance(_) => {}
        // A type that stands for another needs nothing.
        ComponentEntityType::Type {
            created: ComponentAnyTypeId::Defined(_),
            ..
        } => return Ok(()),
        _ => return Err(unknown(None)),
    }
    let ours = interfaces::found(Name::of(name));
    for (inner, item) in exports_of(item, types) {
        match (item.ty, ours) {
            (ComponentEntityType::Func(function), Some(ours)) => {
                let Some(expected) = ours.function(inner) else {
                    return Err(unknown_item(name, inner, ours));
                };
                shape::compare(types, resources, function, &expected).map_err(|it| {
                    ComponentError::FunctionType {
                        verb: "imports",
                        interface: one_line(name),
                        ours: ours.full(),
                        function: one_line(inner),
                        found: it.found.into(),
                        expected: it.expected.into(),
                    }
                })?;
            }
            (
                ComponentEntityType::Type {
                    created: ComponentAnyTypeId::Resource(id),
                    ..
                },
                Some(ours),
            ) => {
                let of = ours.name.strip_prefix("wasi:").unwrap_or(ours.name);
                let is_its_own = resources
                    .get(&id.resource())
                    .is_some_and(|it| it.strip_prefix(of) == Some(&format!(".{inner}")));
                if is_its_own && !ours.has_resource(inner) {
                    return Err(unknown_item(name, inner, ours));
                }
            }
            (
                ComponentEntityType::Type {
                    created: ComponentAnyTypeId::Defined(_),
                    ..
                },
                _,
            ) => {}
            (_, Some(ours)) => return Err(unknown_item(name, inner, ours)),
            (_, None) => return Err(unknown(Some(inner))),
        }
    }
    Ok(())
}

fn unknown_item(name: &str, item: &str, ours: &Interface) -> ComponentError {
    ComponentError::UnknownItem {
        interface: one_line(name),
        ours: ours.full(),
        item: one_line(item),
        remedy: match ours.nearest(item) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!(
                "build it with the WIT of {}, without unstable features",
                ours.version
            ),
        },
    }
}

/// What this host has instead of an interface, and what to do.
fn instead_of(name: Name<'_>) -> String {
    let known: Vec<_> = interfaces::named(name.interface)
        .map(Interface::full)
        .collect();
    if !known.is_empty() {
        return format!("it has {}; build it for that version", known.join(" and "));
    }
    match interfaces::nearest(name.interface) {
        Some(nearest) => format!("did you mean `{nearest}`? Build it with that"),
        None => "build it without that".to_owned(),
    }
}

/// Checks the function that answers requests.
fn check_handler(
    name: &str,
    types: &TypesRef<'_>,
    resources: &Resources,
) -> Result<(), ComponentError> {
    let missing = |found: &str| ComponentError::Handler {
        interface: one_line(name),
        found: found.to_owned(),
        expected: HANDLE,
    };
    let Some(item) = types.component_item_for_export(name) else {
        return Err(missing("without anything in it"));
    };
    let handle = exports_of(item, types).find(|(inner, _)| *inner == HANDLE);
    let (Some((_, handle)), Some(ours)) = (handle, interfaces::found(Name::of(name))) else {
        let names: Vec<_> = exports_of(item, types).map(|(inner, _)| inner).collect();
        return Err(missing(&format!(
            "with {} in it",
            listed(names.into_iter())
        )));
    };
    let ComponentEntityType::Func(function) = handle.ty else {
        return Err(missing("with a `handle` that is no function"));
    };
    let expected = ours.function(HANDLE).unwrap_or_default();
    shape::compare(types, resources, function, &expected).map_err(|it| {
        ComponentError::FunctionType {
            verb: "exports",
            interface: one_line(name),
            ours: ours.full(),
            function: HANDLE.to_owned(),
            found: it.found.into(),
            expected: it.expected.into(),
        }
    })
}
