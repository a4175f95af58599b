//! Types of functions in a component, compared with those that this host has. `world` asks for each function that a
//! component imports, and for its handler.
//!
//! Two types are the same if they are written the same with all names written out, as wasmtime's linker compares them:
//! by the names of cases, fields and resources. What a component writes is never longer than what it is compared with.

use std::{collections::HashMap, fmt::Write};
use wasmparser::{
    component_types::{
        ComponentDefinedType, ComponentDefinedTypeId, ComponentFuncTypeId, ComponentValType,
        ResourceId,
    },
    types::TypesRef,
};

/// The names of resources: `http/types.fields`.
pub(super) type Resources = HashMap<ResourceId, String>;

/// Where two types differ: a part of the component's, and the part of this host's that should be there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub found: String,
    pub expected: String,
}

/// Compares the type of a function with what it should be, as `interfaces` writes it.
///
/// # Errors
/// The first part that differs.
pub(super) fn compare(
    types: &TypesRef<'_>,
    resources: &Resources,
    function: ComponentFuncTypeId,
    expected: &str,
) -> Result<(), Difference> {
    let mut walk = Walk {
        types,
        resources,
        rest: expected,
    };
    walk.function(function)?;
    match walk.rest {
        "" => Ok(()),
        _ => walk.differs("nothing"),
    }
}

struct Walk<'a> {
    types: &'a TypesRef<'a>,
    resources: &'a Resources,
    /// What is still expected.
    rest: &'a str,
}

type Compared = Result<(), Difference>;

impl Walk<'_> {
    fn differs(&self, found: &str) -> Compared {
        let ends = |c: char| matches!(c, ',' | '(' | ')' | '<' | '>' | ' ' | ':');
        let rest = self.rest.trim_start_matches(ends);
        let part = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let quoted = |part: &str| match part {
            "" | "nothing" => "nothing".to_owned(),
            part => format!("`{part}`"),
        };
        Err(Difference {
            found: quoted(found.trim_matches(ends)),
            expected: quoted(part),
        })
    }

    /// The component's type goes on like this.
    fn text(&mut self, text: &str) -> Compared {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => self.differs(text),
        }
    }

    /// A whole word, which nothing continues.
    fn word(&mut self, word: &str) -> Compared {
        let goes_on = |rest: &str| rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
        match self.rest.strip_prefix(word) {
            Some(rest) if !goes_on(rest) => {
                self.rest = rest;
                Ok(())
            }
            _ => self.differs(word),
        }
    }

    fn function(&mut self, function: ComponentFuncTypeId) -> Compared {
        let types = self.types;
        let function = &types[function];
        if function.async_ {
            self.text("async ")?;
        }
        self.word("func")?;
        let params = function.params.iter().map(|(_, ty)| *ty);
        self.list("(", params, ")", |this, ty| this.value(ty))?;
        match function.result {
            Some(result) => {
                self.text(" -> ")?;
                self.value(result)
            }
            None => Ok(()),
        }
    }

    /// The parts of something, between brackets and with commas in between.
    fn list<T>(
        &mut self,
        open: &str,
        parts: impl IntoIterator<Item = T>,
        close: &str,
        each: impl Fn(&mut Self, T) -> Compared,
    ) -> Compared {
        self.text(open)?;
        for (at, part) in parts.into_iter().enumerate() {
            if at > 0 {
                self.text(", ")?;
            }
            each(self, part)?;
        }
        match self.rest.strip_prefix(close) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => self.differs("nothing"),
        }
    }

    fn value(&mut self, ty: ComponentValType) -> Compared {
        match ty {
            ComponentValType::Primitive(ty) => self.word(&ty.to_string()),
            ComponentValType::Type(id) => self.defined(id),
        }
    }

    fn of(&mut self, word: &str, ty: ComponentValType) -> Compared {
        self.word(word)?;
        self.list("<", [ty], ">", |this, ty| this.value(ty))
    }

    fn optional(&mut self, word: &str, ty: Option<ComponentValType>) -> Compared {
        match ty {
            Some(ty) => self.of(word, ty),
            None => self.word(word),
        }
    }

    fn names<'n>(&mut self, word: &str, names: impl Iterator<Item = &'n str>) -> Compared {
        self.word(word)?;
        self.list("(", names, ")", |this, name| this.word(name))
    }

    fn resource(&mut self, word: &str, id: ResourceId) -> Compared {
        self.word(word)?;
        let resources = self.resources;
        let name = resources.get(&id).map_or("a-resource-of-its-own", |it| it);
        self.list("<", [name], ">", |this, name| this.word(name))
    }

    fn defined(&mut self, id: ComponentDefinedTypeId) -> Compared {
        let types = self.types;
        match &types[id] {
            ComponentDefinedType::Primitive(ty) => self.word(&ty.to_string()),
            ComponentDefinedType::Record(record) => {
                self.word("record")?;
                self.list("(", &record.fields, ")", |this, (name, ty)| {
                    this.word(name)?;
                    this.text(": ")?;
                    this.value(*ty)
                })
            }
            ComponentDefinedType::Variant(variant) => {
                self.word("variant")?;
                self.list("(", &variant.cases, ")", |this, (name, case)| {
                    this.word(name)?;
                    match case.ty {
                        Some(ty) => this.list("(", [ty], ")", |this, ty| this.value(ty)),
                        None => Ok(()),
                    }
                })
            }
            ComponentDefinedType::Flags(names) => {
                self.names("flags", names.iter().map(|name| name.as_str()))
            }
            ComponentDefinedType::Enum(names) => {
                self.names("enum", names.iter().map(|name| name.as_str()))
            }
            ComponentDefinedType::Tuple(tuple) => {
                self.word("tuple")?;
                self.list("<", &tuple.types, ">", |this, ty| this.value(*ty))
            }
            ComponentDefinedType::List { element, .. } => self.of("list", *element),
            ComponentDefinedType::Option { ty, .. } => self.of("option", *ty),
            ComponentDefinedType::Result {
                ok: None,
                err: None,
                ..
            } => self.word("result"),
            ComponentDefinedType::Result { ok, err, .. } => {
                self.word("result")?;
                let parts = [Some(*ok), err.map(Some)].into_iter().flatten();
                self.list("<", parts, ">", |this, part| match part {
                    Some(ty) => this.value(ty),
                    None => this.text("_"),
                })
            }
            ComponentDefinedType::Own(resource) => self.resource("own", resource.resource()),
            ComponentDefinedType::Borrow(resource) => self.resource("borrow", resource.resource()),
            ComponentDefinedType::Future { ty, .. } => self.optional("future", *ty),
            ComponentDefinedType::Stream { ty, .. } => self.optional("stream", *ty),
            ComponentDefinedType::Map { .. } => self.word("map"),
            ComponentDefinedType::FixedLengthList { length, .. } => {
                let mut word = String::new();
                // Writing into a String cannot fail.
                let _ = write!(word, "list-of-{length}");
                self.word(&word)
            }
        }
    }
}
