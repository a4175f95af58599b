//! The layout of everything that crosses the native boundary, as text: a block for each type that can be reached from
//! the root module, in the order of their names.
//!
//! It says what `abi_stable` compares, and where in memory each field is. Lines and module paths, which do not count,
//! are left out; a version is reduced to the part that counts.

use abi_stable::{
    StableAbi,
    std_types::UTypeId,
    type_layout::{
        LifetimeArrayOrSlice, ReprAttr, TLData, TLField, TLFunction, TLPrimitive, TypeLayout,
    },
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};
use valor_abi_native::{stream, types::ValorModuleRef};
use valor_abi_wire::FaultKind;

/// The whole text.
pub fn print() -> String {
    let mut walk = Walk::default();
    walk.visit(ValorModuleRef::LAYOUT);
    let mut text = numbers();
    for (name, block) in walk.blocks {
        write!(text, "\n{name}{block}").unwrap();
    }
    text
}

/// The numbers that cross and encode something else.
fn numbers() -> String {
    let mut text = String::from("kinds of fault (numbers)\n");
    let mut known = Vec::new();
    for number in 0..=u8::MAX {
        let kind = FaultKind::from_u8(number);
        if !known.contains(&kind) {
            writeln!(text, "    {number} {kind:?}").unwrap();
            known.push(kind);
        }
    }
    text.push_str("\nkinds of a stream's error (numbers)\n");
    for (number, kind) in stream::KINDS.iter().enumerate() {
        writeln!(text, "    {number} {kind:?}").unwrap();
    }
    text
}

#[derive(Default)]
struct Walk {
    seen: HashSet<UTypeId>,
    blocks: BTreeMap<String, String>,
}

impl Walk {
    fn visit(&mut self, layout: &'static TypeLayout) {
        if !self.seen.insert(layout.get_utypeid()) {
            return;
        }
        let name = name(layout);
        let block = block(layout);
        let before = self.blocks.insert(name, block.clone());
        assert!(
            before.is_none_or(|before| before == block),
            "two types have one name, see `arguments`: {}",
            layout.full_type()
        );
        for inner in layout.shared_vars().type_layouts() {
            self.visit(inner());
        }
    }
}

/// The text after the name: its origin, its size, and a line for each field.
fn block(layout: &'static TypeLayout) -> String {
    let (package, version) = layout.package_and_version();
    // What `abi_stable` compares: 1.2.3 is equivalent to 1.0.0, and 0.1.2 to 0.1.0.
    let parsed = version.parsed().unwrap();
    let version = match parsed.major {
        0 => format!("0.{}", parsed.minor),
        major => major.to_string(),
    };
    let mut text = format!(" of {package} {version}");
    let (repr, align) = (layout.repr_attr(), layout.alignment());
    let data = layout.data();
    match data {
        // Its size grows with its fields.
        TLData::PrefixType(prefix) => {
            let count = prefix.first_suffix_field;
            write!(text, " (prefix type): {count} fields always, align {align}")
        }
        _ => write!(text, ": {repr:?}, size {}, align {align}", layout.size()),
    }
    .unwrap();
    if layout.is_nonzero() {
        text.push_str(", never zero");
    }
    text.push('\n');
    match data {
        TLData::Struct { fields } => {
            let end = at_offsets(&mut text, fields.iter());
            if repr == ReprAttr::C {
                assert_eq!(end.next_multiple_of(align), layout.size(), "{text}");
            }
        }
        TLData::PrefixType(prefix) => {
            at_offsets(&mut text, prefix.fields.iter());
        }
        TLData::Union { fields } => {
            for field in fields.iter() {
                at_offsets(&mut text, [field].into_iter());
            }
        }
        TLData::Enum(tl_enum) => {
            let mut fields = tl_enum.fields.iter();
            let variants = tl_enum.variant_names_iter().zip(tl_enum.field_count);
            for (number, (name, count)) in variants.enumerate() {
                write!(text, "    variant {number} {name}").unwrap();
                for field in fields.by_ref().take(usize::from(*count)) {
                    write!(text, ", {}", shown(&field)).unwrap();
                }
                text.push('\n');
            }
            writeln!(text, "    discriminants {:?}", tl_enum.discriminants).unwrap();
            writeln!(text, "    {:?}", tl_enum.exhaustiveness).unwrap();
        }
        TLData::Primitive(primitive) => writeln!(text, "    primitive {primitive:?}").unwrap(),
        TLData::Opaque => text.push_str("    opaque\n"),
    }
    for field in layout.phantom_fields().iter() {
        writeln!(text, "    beside it {}", shown(&field)).unwrap();
    }
    assert!(layout.extra_checks().is_none(), "{text}");
    text
}

/// Fields one after the other, each where its alignment allows. Returns the end.
fn at_offsets(text: &mut String, fields: impl Iterator<Item = TLField>) -> usize {
    let mut end = 0_usize;
    for field in fields {
        let layout = field.layout();
        let at = end.next_multiple_of(layout.alignment());
        writeln!(text, "    at {at} {}", shown(&field)).unwrap();
        end = at + layout.size();
    }
    end
}

fn shown(field: &TLField) -> String {
    let mut text = format!("{}: ", field.name());
    let functions: Vec<_> = field.function_range().iter().map(function).collect();
    if !field.is_function() {
        text.push_str(&name(field.layout()));
        if !functions.is_empty() {
            text.push_str(" of ");
        }
    }
    text.push_str(&functions.join(" and "));
    lifetimes(&mut text, &field.lifetime_indices());
    text
}

fn function(function: TLFunction) -> String {
    let is_unsafe = function.fn_qualifs.is_unsafe();
    let mut text = String::from(if is_unsafe { "unsafe fn(" } else { "fn(" });
    let mut names = function.param_names.as_str().split(',');
    let types = function.param_type_layouts.iter();
    let parameters = types.map(|layout| match names.next() {
        Some(named) if !named.is_empty() => format!("{named}: {}", name(layout())),
        _ => name(layout()),
    });
    text.push_str(&parameters.collect::<Vec<_>>().join(", "));
    text.push(')');
    if let Some(returned) = function.return_type_layout() {
        write!(text, " -> {}", name(returned())).unwrap();
    }
    lifetimes(&mut text, &function.paramret_lifetime_indices);
    text
}

/// Which lifetimes are where, as `abi_stable` numbers them.
fn lifetimes(text: &mut String, indices: &LifetimeArrayOrSlice<'_>) {
    if !indices.is_empty() {
        write!(text, ", lifetimes {:?}", indices.as_slice()).unwrap();
    }
}

/// The name of a type with its arguments, which `abi_stable` does not print for every type.
fn name(layout: &'static TypeLayout) -> String {
    let arguments: Vec<_> = arguments(layout).into_iter().map(name).collect();
    match layout.data() {
        TLData::Primitive(TLPrimitive::SharedRef) => format!("&{}", arguments[0]),
        TLData::Primitive(TLPrimitive::MutRef) => format!("&mut {}", arguments[0]),
        TLData::Primitive(TLPrimitive::ConstPtr) => format!("*const {}", arguments[0]),
        TLData::Primitive(TLPrimitive::MutPtr) => format!("*mut {}", arguments[0]),
        TLData::Primitive(TLPrimitive::Array) => layout.full_type().to_string(),
        _ => {
            let lifetimes = layout.generics().lifetimes().map(str::to_owned);
            let inside: Vec<_> = lifetimes.chain(arguments).collect();
            match inside.is_empty() {
                true => layout.name().to_owned(),
                false => format!("{}<{}>", layout.name(), inside.join(", ")),
            }
        }
    }
}

/// The type arguments; if the layout does not have them, derived from the fields of these types.
fn arguments(layout: &'static TypeLayout) -> Vec<&'static TypeLayout> {
    let known = layout.generics();
    if !known.type_params().is_empty() {
        return known.type_params().iter().map(|get| get()).collect();
    }
    let fields: Vec<_> = layout
        .get_fields()
        .map(|fields| fields.iter().collect())
        .unwrap_or_default();
    match layout.name() {
        "ROption" | "RResult" | "Tuple2" | "FfiPoll" => {
            fields.iter().map(TLField::layout).collect()
        }
        "RVec" => {
            let marker = fields.iter().find(|field| field.name() == "_marker");
            arguments(marker.expect("an RVec has a marker").layout())
        }
        "BorrowingFfiFuture" => arguments(fields[0].layout()),
        "LocalBorrowingFfiFuture" => {
            let poll = fields[1].function_range().index(0);
            arguments(poll.return_type_layout().expect("a poll")())
        }
        _ => Vec::new(),
    }
}
